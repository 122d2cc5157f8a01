"""Layout `csv`: images anywhere, and a table labels.csv at the root that says what each of them is.

    file,label[,class][,item][,view][,mask][,sha256]
    kos01/Part5.jpg,NG,crack,kos01

`label` is OK, NG or a class name; `class` a finer one. Masks are only known to be no images of their own.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .classes import UnclearClass, class_of, refuse_too_many
from .contract import MAX_ITEM, MAX_VIEW, Entry, FormatError, Listing, Refusal, Tree, Unreadable
from .tree import masks_among, reason_against

TABLE: Final = "labels.csv"
MAX_TABLE_BYTES: Final = 500_000_000

_REQUIRED: Final = ("file", "label")
_OPTIONAL: Final = ("class", "item", "view", "mask", "sha256")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass
class _Table:
    """The table's rows by file, in their order, and the files that it calls masks."""

    rows: dict[str, list[Entry]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    masks: set[str] = field(default_factory=set)


class CsvReader:
    name = "csv"

    def recognise(self, tree: Tree) -> str | None:
        return f"There is a {TABLE}." if TABLE in tree else None

    def read(self, tree: Tree) -> Listing:
        table = _read_table(tree)
        refuse_too_many(
            entry.class_name for entries in table.rows.values() for entry in entries if entry.class_name
        )
        named = [_settled(tree, entries) for entries in table.rows.values()]
        said = {TABLE, *table.rows, *table.masks, *masks_among(tree.names)}
        unnamed = [Refusal(name, f"{TABLE} does not name it.") for name in tree.names if name not in said]
        everything: list[Entry | Refusal] = [*named, *table.refusals, *unnamed]
        return Listing(len(everything), iter(everything))


def _settled(tree: Tree, entries: list[Entry]) -> Entry | Refusal:
    """What all rows of one file say together."""
    path = entries[0].path
    classes = list(dict.fromkeys(entry.class_name or "unlabelled" for entry in entries))
    if len(classes) > 1:
        return Refusal(path, f"{TABLE} names it {len(entries)} times, as {' and as '.join(classes)}.")
    if len(set(entries)) > 1:
        return Refusal(path, f"{TABLE} names it {len(entries)} times, with different items, views or hashes.")
    if path not in tree:
        return Refusal(path, f"{TABLE} names it, but there is no such file.")
    return entries[0]


def _read_table(tree: Tree) -> _Table:
    if TABLE not in tree:
        raise FormatError(f"There is no {TABLE} at the top of the source.")
    try:
        text = tree.read(TABLE, MAX_TABLE_BYTES).decode("utf-8-sig")
    except Unreadable as error:
        raise FormatError(f"{TABLE}: {error.reason}") from error
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{TABLE} is not UTF-8 text (byte {error.start}); save it as “CSV UTF-8”."
        ) from error
    table = _Table()
    for number, row in _rows(text):
        _take_row(table, number, row)
    return table


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by column, with its line number. Comma, semicolon or tab, as spreadsheets write them."""
    header_line = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [column.strip().casefold() for column in next(lines, [])]
        _check_header(header)
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield lines.line_num, _by_column(header, cells)
    except csv.Error as error:
        raise FormatError(f"{TABLE}, line {lines.line_num}: {error}.") from error


def _by_column(header: list[str], cells: list[str]) -> dict[str, str]:
    row = {column: cell.strip() for column, cell in zip(header, cells, strict=False)}
    if len(cells) != len(header):
        row["error"] = f"it has {len(cells)} columns where the header has {len(header)}."
    return row


def _check_header(header: list[str]) -> None:
    known = f"Its first line names the columns file, label and, as wanted, {', '.join(_OPTIONAL)}."
    missing = [column for column in _REQUIRED if column not in header]
    if missing:
        raise FormatError(f"{TABLE} has no column {' and no column '.join(missing)}. {known}")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise FormatError(f"{TABLE} has the column {twice[0]!r} twice. {known}")
    unknown = [column for column in header if column not in (*_REQUIRED, *_OPTIONAL)]
    if unknown:
        raise FormatError(f"{TABLE} has a column {unknown[0]!r} that means nothing here. {known}")


def _take_row(table: _Table, number: int, row: dict[str, str]) -> None:
    path = _normal(row.get("file", ""))
    if mask := _normal(row.get("mask", "")):
        table.masks.add(mask)
    reason = row.get("error") or _reason_against_row(path, row)
    if reason:
        table.refusals.append(Refusal(path[:200] or TABLE, f"{TABLE}, line {number}: {reason}"))
        table.masks.add(path)  # said once; not again as a file that the table does not name
        return
    entry = Entry(
        path=path,
        class_name=class_of(row["label"], row.get("class", "")),
        item=row.get("item", ""),
        view=row.get("view", ""),
        sha256=row.get("sha256", "").casefold(),
    )
    table.rows.setdefault(path, []).append(entry)


def _reason_against_row(path: str, row: dict[str, str]) -> str | None:
    if not path:
        return "it names no file."
    if reason := reason_against(path):
        return reason
    if len(row.get("item", "")) > MAX_ITEM:
        return f"the item's name has more than {MAX_ITEM} letters."
    if len(row.get("view", "")) > MAX_VIEW:
        return f"the view's name has more than {MAX_VIEW} letters."
    if row.get("sha256") and not _SHA256.fullmatch(row["sha256"].casefold()):
        return "sha256 is not 64 hexadecimal digits."
    try:
        class_of(row["label"], row.get("class", ""))
    except UnclearClass as error:
        return error.reason
    return None


def _normal(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
