"""What the commands share: a line to standard error, a report to a file, a dataset by its name, Ctrl-C."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from django.core.management.base import CommandError

from annotation.models import Dataset
from ml.methods.contract import Progress

SAY_EVERY_S: Final = 5.0


class Stoppable(Protocol):
    def stop(self) -> None: ...


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


def parsed_override(override: str) -> tuple[str, Any]:
    """A value is read as JSON where it is JSON, else as text; the method's schema then judges it."""
    name, separator, value = override.partition("=")
    if not separator or not name:
        raise CommandError(f"--set takes KEY=VALUE, not {override!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def seeds_of(text: str) -> list[int]:
    """Seeds, with commas between."""
    words = text.split(",")
    if not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise CommandError(f"--seeds takes different numbers with commas between, not {text!r}.")
    return [int(word) for word in words]


class ConsoleListener:
    """Hears fits that no job's row reports of: progress to standard error, a stop from Ctrl-C."""

    def __init__(self) -> None:
        self.title = ""
        self._said_at = 0.0
        self._is_stopped = False

    def on_progress(self, event: Progress) -> None:
        if event.message:
            self.log(event.message)
        if time.monotonic() - self._said_at >= SAY_EVERY_S:
            self._said_at = time.monotonic()
            self.log(
                f"{100 * event.fraction:5.1f} %  {event.stage} ({event.iteration} of {event.iterations})"
            )

    def log(self, line: str) -> None:
        say(f"{self.title}: {line}" if self.title else line)

    def should_stop(self) -> bool:
        return self._is_stopped

    def stop(self) -> None:
        self._is_stopped = True


@contextmanager
def stopping_on_signals() -> Iterator[Callable[[Stoppable], None]]:
    """Gives what makes Ctrl-C and SIGTERM stop a training at its next iteration, checkpoint kept."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def watch(running: Stoppable) -> None:
        def stop(*_signal: object) -> None:
            say("Stopping at the next iteration; the checkpoint is kept. Ctrl-C again ends at once.")
            signal.signal(signal.SIGINT, signal.default_int_handler)
            running.stop()

        for number in before:
            signal.signal(number, stop)

    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
