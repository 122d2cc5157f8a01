"""`make bench`: measures, prints, and writes the measured part of docs/benchmarks.md.

`python -m tests.benchmarks [NAME …] [--json FILE]`; names: start, live, runtime, engines.
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

from .engines import measure_engines
from .live import measure_live
from .machine import describe_machine
from .start import measure_start

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured by make bench: begin -->", "<!-- end -->"


def measure_runtime() -> dict[str, Any]:
    """The runtime around a model that takes no time: 20 parts/s, 512 px, against the PLC simulator."""
    return {
        "fsync_each_part": measure_overhead(parts=200, period_ms=50, fsync_ms=0, size=512),
        "fsync_every_200_ms": measure_overhead(parts=200, period_ms=50, fsync_ms=200, size=512),
    }


MEASURES: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "engines": ("The network alone", measure_engines),
    "runtime": ("The runtime around the network", measure_runtime),
    "start": ("From the command", measure_start),
    "live": ("The demo line, live", measure_live),
}


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


def page_part(measured: dict[str, Any]) -> str:
    machine = measured["machine"]
    about = (
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Python {machine['python']}; load before the run {machine['load'][0]}."
    )
    text = [about, ""]
    for name, (title, _) in MEASURES.items():
        if name in measured:
            text += [f"### {title}", "", "| what | figure |", "| --- | --- |", *rows(measured[name]), ""]
    return "\n".join(text)


def write_page(part: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    between = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    PAGE.write_text(between.sub(lambda _: f"{BEGIN}\n{part}\n{END}", page), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="which; all unless told")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured: dict[str, Any] = {"machine": describe_machine()}
    for name in options.names or MEASURES:
        print(f"measuring: {name} …", flush=True)  # noqa: T201
        measured[name] = MEASURES[name][1]()
        print(json.dumps(measured[name], indent=1), flush=True)  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1), encoding="utf-8")
    if not options.names:
        write_page(page_part(measured))


if __name__ == "__main__":
    main()
