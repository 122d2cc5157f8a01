"""The line's own memory: an append-only, hash-chained journal of JSON lines on local disk.

Each record holds the SHA-256 of the one before it and its own, over its canonical JSON without `hash`, so
that a record that was changed, removed or put in later shows (`verify`). The first record of a file chains to
the last of the file before. Files are `journal-00000001.jsonl` and on; a new one is begun by size.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspection.line.config import JournalConfig
from inspection.line.records import Record
from inspection.plc.clock import utc_now

logger = logging.getLogger(__name__)

GENESIS = "0" * 64
LAZY_SYNC_S = 0.05
"""How long an answer waits for the disk at most, where every part record is synced at once."""


class JournalError(OSError):
    """A record could not be stored; the journal is as it was before."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in the journal: a file's number and a byte offset in it."""

    file: int
    offset: int


def canonical(record: Record) -> bytes:
    """The one way a record is written: sorted keys, no blanks, no NaN.

    Raises:
        ValueError: a number that JSON has no word for.
    """
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def record_hash(record: Record) -> str:
    """The SHA-256 of a record without its `hash`."""
    return hashlib.sha256(canonical({key: record[key] for key in record if key != "hash"})).hexdigest()


def journal_path(folder: Path, number: int) -> Path:
    """The file of that number."""
    return folder / f"journal-{number:08d}.jsonl"


def journal_numbers(folder: Path) -> list[int]:
    """The numbers of the journal's files, in order."""
    return sorted(int(path.stem.split("-")[1]) for path in folder.glob("journal-*.jsonl"))


def parse_line(line: bytes) -> Record | None:
    """The record in a line, None where it is damaged."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("hash") != record_hash(record):
        return None
    return record


def _is_whole(line: bytes) -> bool:
    """True for a line that was written to its end, if not what it should be: only the others are cut off."""
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


class Journal:
    """Appends records; one writer at a time, readers as many as like.

    A disk can take seconds over one sync when others use it too. Where the policy gives it time, a thread of
    the journal's own syncs, and appending never waits for it.

    Args:
        folder: made where it is missing.
        config: fsync policy and rotation.
    """

    def __init__(self, folder: Path, config: JournalConfig | None = None) -> None:
        self.folder = folder
        self._config = config or JournalConfig()
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._file = 0
        self._size = 0
        self._number = 0
        self._last_hash = GENESIS
        self._durable = Position(0, 0)
        self._sync_error: OSError | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._written = threading.Condition()
        self.last_sequence = 0
        self.repaired_bytes = 0

    @property
    def durable(self) -> Position:
        """Records before here are on the disk, whatever happens to the power."""
        return self._durable

    def open(self, line: str) -> None:
        """Opens the journal, cuts off a last line that a crash left half-written, and notes the start.

        Raises:
            JournalError: the folder cannot be used.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            numbers = journal_numbers(self.folder)
            for number in reversed(numbers):
                self._recover(number)
                if self._number and self.last_sequence:
                    break
            self._open_file(numbers[-1] if numbers else 1)
        except OSError as error:
            raise JournalError(f"{self.folder}: {error}") from error
        self._closing.clear()
        self._thread = threading.Thread(target=self._run_sync, name="journal-sync", daemon=True)
        self._thread.start()
        self.append({"kind": "start", "line": line, "at": utc_now().isoformat()})

    def close(self) -> None:
        """Syncs and closes.

        Raises:
            JournalError: the disk failed; what was not durable may be lost.
        """
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._fd is None:
            return
        try:
            self.sync()
        finally:
            os.close(self._fd)
            self._fd = None

    def append(self, record: Record, *, is_urgent: bool = True) -> Record:
        """Stores one record, with its number and hashes.

        Args:
            record: JSON-ready; not changed.
            is_urgent: False leaves the sync to the journal's thread, whatever the policy.

        Returns:
            The record as stored.

        Raises:
            JournalError: it could not be stored; nothing of it was left behind.
            ValueError: it holds what JSON cannot say.
        """
        is_synced = is_urgent and self._config.fsync_ms == 0
        with self._lock:
            stored = record | {"number": self._number + 1, "previous_hash": self._last_hash}
            stored["hash"] = record_hash(stored)
            line = canonical(stored) + b"\n"
            try:
                self._raise_sync_error()
                self._write(line)
                if is_synced and self._fd is not None:
                    os.fdatasync(self._fd)
            except OSError as error:
                self._undo(error)
            self._size += len(line)
            self._number += 1
            self._last_hash = stored["hash"]
            self.last_sequence = max(self.last_sequence, stored.get("sequence") or 0)
            if is_synced:
                self._durable = Position(self._file, self._size)
        if is_synced:
            self._notify()
        return stored

    def sync(self) -> None:
        """Makes what was appended durable; appending goes on meanwhile.

        Raises:
            JournalError: the disk failed.
        """
        with self._lock:
            end = Position(self._file, self._size)
            if self._fd is None or self._durable >= end:
                return
            fd = os.dup(self._fd)
        try:
            os.fdatasync(fd)
        except OSError as error:
            raise JournalError(f"{self.folder}: {error}") from error
        finally:
            os.close(fd)
        with self._lock:
            self._durable = max(self._durable, end)
        self._notify()

    def _run_sync(self) -> None:
        interval_s = max(self._config.fsync_ms / 1000, LAZY_SYNC_S)
        while not self._closing.wait(interval_s):
            try:
                self.sync()
            except JournalError as error:
                self._sync_error = error

    def _raise_sync_error(self) -> None:
        """A sync that failed behind the writer's back fails the next record, so that somebody hears of it."""
        error, self._sync_error = self._sync_error, None
        if error is not None:
            raise error

    def wait_for_more(self, after: Position, timeout_s: float) -> bool:
        """Waits until something durable lies behind `after`; False where nothing came in time."""
        with self._written:
            return self._written.wait_for(lambda: self._durable > after, timeout_s)

    def prune(self, delivered: Position) -> int:
        """Removes files that were delivered whole, but for the newest `keep_files`; returns how many."""
        numbers = journal_numbers(self.folder)
        spent = [number for number in numbers[: -max(2, self._config.keep_files)] if number < delivered.file]
        for number in spent:
            journal_path(self.folder, number).unlink(missing_ok=True)
        return len(spent)

    def _recover(self, number: int) -> None:
        """Reads a file: cuts off a broken end, takes the last hash and the highest sequence."""
        path = journal_path(self.folder, number)
        good_size, last, end, size = 0, None, 0, path.stat().st_size
        with path.open("rb") as file:
            for line in file:
                end += len(line)
                if not _is_whole(line):
                    continue
                good_size = end
                record = parse_line(line)
                if record is None:
                    logger.error("%s: the record that ends at byte %d was changed", path, end)
                    continue
                last = record
                self.last_sequence = max(self.last_sequence, record.get("sequence") or 0)
        if good_size < size:
            self.repaired_bytes += size - good_size
            logger.warning("%s: cut off %d bytes that a crash left", path, size - good_size)
            os.truncate(path, good_size)
        if last is not None and last["number"] > self._number:
            self._number, self._last_hash = last["number"], last["hash"]

    def _open_file(self, number: int) -> None:
        path = journal_path(self.folder, number)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._file, self._size = number, os.fstat(self._fd).st_size
        os.fsync(self._fd)
        _sync_folder(self.folder)
        self._durable = Position(number, self._size)

    def _write(self, line: bytes) -> None:
        if self._fd is None:
            self._open_file(self._file or 1)
        elif self._size and self._size + len(line) > self._config.rotate_bytes:
            os.fdatasync(self._fd)
            os.close(self._fd)
            self._fd = None
            self._open_file(self._file + 1)
        view = memoryview(line)
        while view and self._fd is not None:
            view = view[os.write(self._fd, view) :]

    def _notify(self) -> None:
        with self._written:
            self._written.notify_all()

    def _undo(self, error: OSError) -> None:
        """Leaves the file as it was before the failed record; a file that cannot even be cut is given up."""
        if self._fd is not None:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:
                logger.exception("%s: a half-written record could not be cut off", self.folder)
                os.close(self._fd)
                self._fd, self._file = None, self._file + 1
        raise JournalError(f"{self.folder}: {error}") from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_records(
    folder: Path, start: Position = Position(0, 0), end: Position | None = None
) -> Iterator[tuple[Position, Record]]:
    """The records from `start` on, each with the position behind it; damaged lines are left out.

    Args:
        folder: the journal's.
        start: a position that this function or a cursor gave.
        end: nothing at or behind here is read.
    """
    for number in journal_numbers(folder):
        if number < start.file or (end is not None and number > end.file):
            continue
        with journal_path(folder, number).open("rb") as file:
            file.seek(start.offset if number == start.file else 0)
            while (line := file.readline()).endswith(b"\n"):
                position = Position(number, file.tell())
                if end is not None and position > end:
                    return
                record = parse_line(line)
                if record is None:
                    logger.error(
                        "%s: a damaged record before byte %d is left out", file.name, position.offset
                    )
                    continue
                yield position, record


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What `verify` found: records that are whole and chained, and what is wrong, in words."""

    records: int
    faults: tuple[str, ...]


def verify(folder: Path) -> Verification:
    """Checks every record's hash and the chain from the first record that is kept."""
    count, faults = 0, []
    previous: str | None = None
    for number in journal_numbers(folder):
        with journal_path(folder, number).open("rb") as file:
            for index, line in enumerate(file, 1):
                record = parse_line(line)
                where = f"{journal_path(folder, number).name}, line {index}"
                if record is None:
                    faults.append(f"{where}: damaged or changed")
                    continue
                if previous is not None and record["previous_hash"] != previous:
                    faults.append(f"{where}: does not follow the record before it")
                count, previous = count + 1, record["hash"]
    return Verification(records=count, faults=tuple(faults))


class Cursor:
    """How far a reader got, kept in a small file that is replaced in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position:
        """The kept position; the journal's begin where there is none or it cannot be read."""
        try:
            values: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
            return Position(int(values["file"]), int(values["offset"]))
        except FileNotFoundError:
            return Position(0, 0)
        except (ValueError, KeyError, TypeError):
            logger.warning(
                "%s cannot be read; delivery starts over, which repeats but loses nothing", self._path
            )
            return Position(0, 0)

    def save(self, position: Position) -> None:
        """Keeps a position.

        Raises:
            OSError: it cannot be written.
        """
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"file": position.file, "offset": position.offset}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
