"""A reproduction as a row of Markdown, and the table in the benchmarks' page that it belongs to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ml.methods.declarations import METHODS

from .pooling import FIGURES, Pooled
from .recipes import Recipe
from .runs import Reproduction

BEGIN: Final = "<!-- reproduced by manage.py reproduce: begin -->"
END: Final = "<!-- reproduced: end -->"
COLUMNS: Final = (
    "recipe", "figure", "the paper", "ours (95 % interval)", "each seed", "data and split", "input",
    "time, memory", "machine, revision",
)  # fmt: skip


class TableMissing(ValueError):
    """The page has no place for the table. The message names the two lines that mark it."""


def rows_of(reproduction: Reproduction) -> list[str]:
    """One row a figure; what holds for all of them stands in the first."""
    paper = {wanted.name: wanted.paper for wanted in reproduction.recipe.figures}
    shared = [
        _split_text(reproduction),
        _size_text(reproduction),
        _cost_text(reproduction),
        _made_on(reproduction),
    ]
    rows = []
    for number, (name, figure) in enumerate(reproduction.figures.items()):
        cells = [
            f"`{reproduction.title}`",
            FIGURES[name].title,
            paper[name] or "–",
            _value_text(figure, is_count=FIGURES[name].is_count),
            ", ".join(_number(one, is_count=FIGURES[name].is_count) for one in figure.seeds),
            *(shared if number == 0 else ["″"] * len(shared)),
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def table(rows: Sequence[str]) -> str:
    head = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    return "\n".join([*head, *rows])


def update_page(page: Path, reproduction: Reproduction) -> None:
    """Puts the rows into the page's table, in place of this recipe's in the same setting; keeps all others.

    Raises:
        TableMissing: there is no page, or no two lines that mark the table.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not (begin and end):
        raise TableMissing(f"{page} has no table to write to: it needs the lines “{BEGIN}” and “{END}”.")
    mine = f"| `{reproduction.title}` |"
    kept = [line for line in between.splitlines() if line.startswith("| `") and not line.startswith(mine)]
    rows = sorted([*kept, *rows_of(reproduction)], key=_recipe_of)
    unfinished = page.with_name(f".{page.name}.unfinished")
    unfinished.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")
    unfinished.replace(page)


def _recipe_of(row: str) -> str:
    return row.split("`", 2)[1]


def _number(value: float | None, *, is_count: bool) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if is_count else f"{value:.4f}"


def _value_text(figure: Pooled, *, is_count: bool) -> str:
    value, low, high = (_number(one, is_count=is_count) for one in (figure.value, figure.low, figure.high))
    return value if figure.low is None else f"{value} ({low} to {high})"


def _split_text(reproduction: Reproduction) -> str:
    recipe: Recipe = reproduction.recipe
    ok, ng = reproduction.counts
    least_ok, least_ng = reproduction.training
    parted = f"{recipe.folds} folds" if recipe.folds else "7:3"
    by = "group, NG apart" if recipe.split_by == "ok" else recipe.split_by
    # A method that needs no NG image fits on the OK ones alone.
    on = f"{least_ok} OK" + (f" and {least_ng} NG" if METHODS[recipe.method].needs.ng else "")
    seeds = len(reproduction.seeds)
    return (
        f"{recipe.data.name}, {ok} OK and {ng} NG; {parted} by {by}, trained on {on} or "
        f"more; {seeds} {'seed' if seeds == 1 else 'seeds'}. {recipe.note}"
    ).strip()


def _size_text(reproduction: Reproduction) -> str:
    return "{} × {}".format(*reproduction.size) if reproduction.size else "–"


def _cost_text(reproduction: Reproduction) -> str:
    hours = reproduction.seconds / 3600
    time = f"{hours:.1f} h" if hours >= 1 else f"{reproduction.seconds / 60:.1f} min"
    return f"{time}, {reproduction.peak_mb / 1000:.1f} GB"


def _made_on(reproduction: Reproduction) -> str:
    made_on = reproduction.machine
    where = made_on["processor"] if made_on["device"] == "processor" else made_on["device"]
    threads = f"{made_on['threads']} {'thread' if made_on['threads'] == 1 else 'threads'}"
    return f"{where}, {threads}; {', '.join(reproduction.revisions)}"
