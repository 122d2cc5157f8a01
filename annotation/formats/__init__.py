"""How labelled images are laid out on disk, and reading each layout the same way from a folder or a ZIP.

tree = open_source(path, max_total_bytes=…)
reading = read_source(tree, layout="auto")
for entry in reading.listing.entries: …
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from .contract import Entry, FormatError, Listing, Reader, Refusal, Tree, Unreadable
from .csv_labels import CsvReader
from .folders import FoldersReader, PlainReader
from .kolektor import KolektorReader
from .mvtec import MvtecReader
from .tree import FolderTree, unwrapped
from .zip_tree import ZipTree

# In the order in which `auto` asks them; the last one takes anything.
READERS: Final[dict[str, Reader]] = {
    reader.name: reader
    for reader in (CsvReader(), KolektorReader(), MvtecReader(), FoldersReader(), PlainReader())
}
AUTO: Final = "auto"


@dataclass(frozen=True)
class Reading:
    """A source as it was understood.

    Attributes:
        tree: where the entries' contents are read from.
        layout: the name of the layout it was read as.
        reason: why, as a sentence.
        listing: everything in it, refusals included.
    """

    tree: Tree
    layout: str
    reason: str
    listing: Listing


def open_source(path: Path, *, max_total_bytes: int) -> FolderTree | ZipTree:
    """A folder or a ZIP as a tree; `close` a ZipTree when done.

    Raises:
        FormatError: there is nothing at the path, or it is neither.
    """
    if path.is_dir():
        return FolderTree(path)
    if not path.exists():
        raise FormatError(f"There is nothing at “{path}”.")
    return ZipTree(path, max_total_bytes=max_total_bytes)


def read_source(tree: Tree, layout: str = AUTO) -> Reading:
    """Reads a tree as the layout asked for, or as the first one that recognises it.

    Raises:
        FormatError: it holds no files, or can't be read as that layout.
    """
    inner = unwrapped(tree)
    if not inner.names and not inner.refusals:
        raise FormatError("The source holds no files.")
    name, reason = (layout, "You said so.") if layout != AUTO else _recognised(inner)
    listing = READERS[name].read(inner)
    outer: Iterator[Entry | Refusal] = iter(tree.refusals)
    whole = Listing(listing.count + len(tree.refusals), chain(outer, listing.entries))
    return Reading(inner, name, reason, whole)


def _recognised(tree: Tree) -> tuple[str, str]:
    for name, reader in READERS.items():
        if reason := reader.recognise(tree):
            return name, reason
    raise FormatError("No layout fits the source.")


__all__ = [
    "AUTO",
    "READERS",
    "Entry",
    "FolderTree",
    "FormatError",
    "Listing",
    "Reader",
    "Reading",
    "Refusal",
    "Tree",
    "Unreadable",
    "ZipTree",
    "open_source",
    "read_source",
]
