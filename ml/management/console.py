"""What the commands share: a line to standard error, a report to a file, a dataset by its name."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from annotation.models import Dataset


def say(line: str) -> None:
    """To standard error: standard output is the report's."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def check_writable(out: str) -> None:
    """Finds out before the work, not after it, that the report has nowhere to go."""
    if out != "-" and not Path(out).resolve().parent.is_dir():
        raise CommandError(f"The report can't be written to {out}: there is no such folder.")


def write_json(out: str, report: dict[str, Any]) -> None:
    """To a file, under a temporary name until it is whole; or to standard output for "-"."""
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if out == "-":
        sys.stdout.write(text)
        return
    path = Path(out)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise CommandError(f"The report can't be written to {path}: {error}.") from error


def find_dataset(name: str) -> Dataset:
    """By short name or by name."""
    dataset = Dataset.objects.filter(slug=name).first() or Dataset.objects.filter(name=name).first()
    if dataset is None:
        known = ", ".join(Dataset.objects.values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no dataset “{name}”. There are: {known}.")
    return dataset
