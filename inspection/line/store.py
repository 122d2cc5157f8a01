"""The journal as the judging thread uses it: verdicts that the disk refused are kept until it takes them."""

import logging
import time
from collections import deque
from collections.abc import Callable

from inspection.line.events import AlarmBoard
from inspection.line.journal import Journal, JournalError
from inspection.line.records import Record

logger = logging.getLogger(__name__)

MAX_UNSTORED = 10_000


class RecordStore:
    """Appends records in order. Used by one thread.

    A record that cannot be stored waits in memory, and all behind it wait too, so that the journal's order is
    that of the parts; each append and each `retry` tries again from the oldest.
    """

    def __init__(self, journal: Journal, alarms: AlarmBoard) -> None:
        self._journal = journal
        self._alarms = alarms
        self._unstored: deque[tuple[Record, bool]] = deque()
        self._retry_s = 0.0
        self.last_ms = 0.0

    @property
    def unstored(self) -> int:
        """Records that wait for the disk."""
        return len(self._unstored)

    def append(self, record: Record, *, is_urgent: bool, if_refused: Callable[[Record], Record]) -> Record:
        """Stores a record, or keeps `if_refused(record)` for later.

        Returns:
            The record as stored, or as kept.
        """
        begun_s = time.monotonic()
        try:
            self._flush()
            stored = self._journal.append(record, is_urgent=is_urgent)
        except JournalError as error:
            self._refused(error)
            kept = if_refused(record)
            self._keep(kept, is_urgent)
            return kept
        if is_urgent:
            self.last_ms = 1000 * (time.monotonic() - begun_s)
        self._alarms.clear("storage")
        return stored

    def retry(self) -> None:
        """Between parts: stores what waits, at most once a second."""
        try:
            if self._unstored and time.monotonic() >= self._retry_s:
                self._retry_s = time.monotonic() + 1.0
                self._flush()
        except JournalError as error:
            self._refused(error)

    def _flush(self) -> None:
        while self._unstored:
            record, is_urgent = self._unstored[0]
            self._journal.append(record, is_urgent=is_urgent)
            self._unstored.popleft()
            if not self._unstored:
                self._alarms.clear("storage")

    def _refused(self, error: JournalError) -> None:
        self._alarms.raise_alarm("storage", f"verdicts cannot be stored: {error}", lasts=True)

    def _keep(self, record: Record, is_urgent: bool) -> None:
        if len(self._unstored) >= MAX_UNSTORED:
            self._unstored.popleft()
            self._alarms.raise_alarm(
                "records_lost", "verdicts that could not be stored were lost", lasts=True
            )
        self._unstored.append((record, is_urgent))
