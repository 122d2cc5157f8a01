"""`make bench`: measures, prints, and writes the measured part of docs/benchmarks.md.

`python -m tests.benchmarks [NAME …] [--json FILE] [--write] [--quick]`: quick ones only show that everything can
be measured. What is measured is written at once, so that a failure later loses nothing. Memory has a command of its own (`tests.benchmarks.memory`),
as its figures go into the program.
"""

import argparse
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from tests.inspection.line.measure_overhead import measure as measure_overhead

from .beside_training import measure_beside_training
from .engines import engines_table, measure_engines
from .four_views import measure_four_views
from .live import measure_live
from .machine import describe_machine
from .picture import ratio_picture
from .start import measure_start
from .training_step import measure_training_step

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
PICTURE = PAGE.parent / "images" / "engines.svg"
BEGIN, END = "<!-- measured by make bench: begin -->", "<!-- end -->"


def measure_runtime() -> dict[str, Any]:
    """The runtime around a model that takes no time: 20 parts/s, 512 px, against the PLC simulator."""
    return {
        "fsync_each_part": measure_overhead(parts=200, period_ms=50, fsync_ms=0, size=512),
        "fsync_every_200_ms": measure_overhead(parts=200, period_ms=50, fsync_ms=200, size=512),
    }


MEASURES: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "engines": ("The network alone", measure_engines),
    "training_step": ("A training's step", measure_training_step),
    "beside_training": ("A line beside a training", measure_beside_training),
    "four_views": ("Four views of a part, from trigger to confirmed result", measure_four_views),
    "runtime": ("The runtime around the network", measure_runtime),
    "start": ("From the command", measure_start),
    "live": ("The demo line, live", measure_live),
}
CAN_BE_QUICK = {"engines", "training_step", "beside_training", "four_views"}


def rows(figures: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in figures.items():
        label = f"{prefix}{name}"
        if isinstance(value, dict) and not {"p50", "p95"} <= value.keys():
            lines += rows(value, f"{label} · ")
        elif isinstance(value, dict):
            lines.append(f"| {label} | " + " · ".join(f"{key} {one}" for key, one in value.items()) + " |")
        else:
            lines.append(f"| {label} | {value} |")
    return lines


def section(name: str, figures: dict[str, Any], machine: dict[str, Any]) -> str:
    """What the page says of one measurement."""
    about = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Python {machine['python']}; load before the run {machine['load'][0]}."
    )
    text = [about, ""]
    if name == "engines":
        text += [f"![Times faster than eager PyTorch](images/{PICTURE.name})", "", *engines_table(figures)]
    else:
        text += ["| what | figure |", "| --- | --- |", *rows(figures)]
    return "\n".join(text)


def with_section(page: str, name: str, text: str) -> str:
    """The page with one section written anew and the others as they were, in the order of `MEASURES`."""
    head, rest = page.split(BEGIN)
    middle, tail = rest.split(END, 1)
    kept = {
        title: body.strip()
        for title, body in re.findall(r"^### (.*)\n((?:(?!### ).*\n)*)", middle, re.MULTILINE)
    }
    kept[MEASURES[name][0]] = text
    body = "".join(f"### {title}\n\n{kept[title]}\n\n" for title, _ in MEASURES.values() if title in kept)
    return f"{head}{BEGIN}\n{body}{END}{tail}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="which; all unless told")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="writes the page, section by section")
    parser.add_argument(
        "--quick", action="store_true", help="tiny networks, few runs; no figure means anything"
    )
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("quick figures mean nothing: they are not written")
    measured: dict[str, Any] = {}
    for name in options.names or MEASURES:
        print(f"measuring: {name} …", flush=True)  # noqa: T201
        machine = describe_machine()
        is_short = options.quick and name in CAN_BE_QUICK
        figures = MEASURES[name][1](quick=True) if is_short else MEASURES[name][1]()
        print(json.dumps(figures, indent=1), flush=True)  # noqa: T201
        measured[name] = {"machine": machine, "figures": figures}
        if options.json:
            options.json.write_text(json.dumps(measured, indent=1), encoding="utf-8")
        if options.write:
            if name == "engines":
                PICTURE.write_text(ratio_picture(figures), encoding="utf-8")
            page = with_section(PAGE.read_text(encoding="utf-8"), name, section(name, figures, machine))
            PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
