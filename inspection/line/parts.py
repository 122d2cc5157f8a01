"""Parts on their way to the judge."""

import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from inspection.line.frames import Frame
from inspection.line.records import Record
from inspection.plc.link import Trigger
from inspection.plc.registers import ErrorCode

ORIGIN_LINE = "line"
ORIGIN_API = "api"


@dataclass(frozen=True, kw_only=True)
class PartJob:
    """A part with its frames, waiting to be judged.

    Attributes:
        origin: `line`, or `api` for a bench inspection that the PLC never hears of.
        frames: a frame for each station, None where none came.
        trigger: the PLC's, where it asked for this part.
        begun_s: monotonic clock of the trigger, of the first frame, or of the request.
        acquired_s: monotonic clock when the frames were complete.
        deadline_s: monotonic clock; None for a bench inspection.
        error_code: why it is not to be judged at all.
        done: gets the record of a bench inspection.
    """

    origin: str
    frames: Mapping[str, Frame | None]
    begun_at: datetime
    begun_s: float
    acquired_s: float
    deadline_s: float | None = None
    trigger: Trigger | None = None
    serial: str = ""
    error_code: ErrorCode = ErrorCode.NONE
    done: Future[Record] | None = None


class Inbox:
    """What waits for the judge: the line's parts in order, and bench inspections when no part waits."""

    def __init__(self) -> None:
        self._parts: deque[PartJob] = deque()
        self._bench: deque[PartJob] = deque()
        self._condition = threading.Condition()
        self._is_woken = False

    def __len__(self) -> int:
        """Parts of the line that wait to be judged."""
        with self._condition:
            return sum(1 for job in self._parts if not job.error_code)

    def put(self, job: PartJob) -> None:
        """Adds a part."""
        with self._condition:
            (self._bench if job.done is not None else self._parts).append(job)
            self._condition.notify_all()

    def wake(self) -> None:
        """Ends the wait of `get`, which then may return None."""
        with self._condition:
            self._is_woken = True
            self._condition.notify_all()

    def get(self, timeout_s: float) -> PartJob | None:
        """The next part; None when woken or when nothing came in time."""
        with self._condition:
            self._condition.wait_for(lambda: self._parts or self._bench or self._is_woken, timeout_s)
            self._is_woken = False
            if self._parts:
                return self._parts.popleft()
            return self._bench.popleft() if self._bench else None

    def drain(self) -> list[PartJob]:
        """Takes all that waits."""
        with self._condition:
            jobs = [*self._parts, *self._bench]
            self._parts.clear()
            self._bench.clear()
            return jobs
