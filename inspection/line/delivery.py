"""Handing the journal's parts on (to the database): each one, in order, however long it is away."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from inspection.line.journal import Cursor, Journal, Position, read_records
from inspection.line.records import Record
from inspection.plc.watch import Backoff

logger = logging.getLogger(__name__)

BATCH = 200
Deliver = Callable[[list[Record]], None]
"""Takes part records in order; raises where it could not take all of them. May be given a record again."""


class Delivery:
    """The thread between the journal and whoever keeps its records for good.

    A record is delivered when it is safe on the disk and its answer is known; `answer` in it is the PLC's
    answer record, or None where the part had none to get or the line was stopped before. After a crash, or a
    `deliver` that failed half-way, records come again: the receiver knows them by line and sequence.
    """

    def __init__(self, journal: Journal, deliver: Deliver, *, cursor: Path | None = None) -> None:
        self._journal = journal
        self._deliver = deliver
        self._cursor = Cursor(cursor or journal.folder / "delivery.cursor")
        self._position = self._read_to = Position(0, 0)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.delivered = 0
        self.error = ""

    def start(self) -> None:
        """Starts the thread; the journal must be open."""
        self._position = self._cursor.load()
        if self._position > self._journal.durable:
            logger.warning("the journal ends before what was delivered of it; delivery starts over")
            self._position = Position(0, 0)
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Delivers what it can at once, and ends; the rest is delivered after the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        backoff = Backoff(0.1, 10.0)
        is_last_round = False
        while not is_last_round:
            is_last_round = self._stopping.is_set()
            try:
                more = self._deliver_batch()
            except Exception as error:  # noqa: BLE001 - told as it is; the traceback is the receiver's
                self.error = f"{type(error).__name__}: {error}"
                logger.warning("records cannot be delivered yet: %s", self.error)
                self._stopping.wait(backoff.next_s())
                continue
            self.error = ""
            backoff.reset()
            if not more and not is_last_round:
                self._journal.wait_for_more(self._read_to, 0.2)
            is_last_round = is_last_round and not more

    def _deliver_batch(self) -> bool:
        """Delivers the next parts; True where there may be more at once."""
        self._read_to = self._journal.durable
        records, position = ready_parts(self._journal.folder, self._position, self._read_to)
        if records:
            self._deliver(records)
            self.delivered += len(records)
        if position != self._position:
            if position.file != self._position.file:
                self._journal.prune(position)
            self._position = position
            self._cursor.save(position)
        return len(records) >= BATCH


def ready_parts(folder: Path, start: Position, end: Position) -> tuple[list[Record], Position]:
    """The parts between two positions whose answers are known, joined with them.

    A PLC part's answer follows it in the journal, in the order of the parts; where the line was started anew
    in between, or a later part was answered already, there is none.
    """
    parts: list[tuple[Position, Record]] = []
    open_parts: dict[int, Record] = {}
    before, behind = start, start
    for position, record in read_records(folder, start, end):
        if record["kind"] == "part":
            if len(parts) >= BATCH and not open_parts:
                break
            part = record | {"answer": None}
            parts.append((before, part))
            if record["trigger_sequence"] is not None:
                open_parts[record["sequence"]] = part
        elif record["kind"] == "answer":
            _close(open_parts, record)
        elif record["kind"] == "start":
            open_parts.clear()
        before = behind = position
    if not open_parts:
        return [part for _, part in parts], behind
    first_open = min(open_parts)
    index = next(i for i, (_, part) in enumerate(parts) if part["sequence"] == first_open)
    return [part for _, part in parts[:index]], parts[index][0]


def _close(open_parts: dict[int, Record], answer: Record) -> None:
    part = open_parts.get(answer["sequence"])
    if part is not None:
        part["answer"] = answer
    for sequence in [sequence for sequence in open_parts if sequence <= answer["sequence"]]:
        del open_parts[sequence]
