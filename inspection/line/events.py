"""What a line tells those who watch it. A slow watcher misses verdicts; it never slows the line."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from inspection.line.config import DeploymentConfig
from inspection.line.records import Record
from inspection.plc.clock import utc_now
from inspection.plc.link import PlcState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PartJudged:
    """A part has its verdict; `record` is the journal's. `EvidenceStored` comes before or after, or never."""

    record: Record


@dataclass(frozen=True, kw_only=True)
class PartAnswered:
    """What the PLC was given for a part; `record` is the journal's answer."""

    record: Record


@dataclass(frozen=True, kw_only=True)
class EvidenceStored:
    """The images of a part are on the disk."""

    sequence: int


@dataclass(frozen=True, kw_only=True)
class PlcStateChanged:
    """The connection, the PLC's heartbeat or its commands changed."""

    state: PlcState


@dataclass(frozen=True, kw_only=True)
class AlarmRaised:
    """Something is wrong; one alarm a code at a time."""

    code: str
    message: str
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, kw_only=True)
class AlarmCleared:
    """It is over."""

    code: str
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, kw_only=True)
class DeploymentLive:
    """From the next part on, this deployment judges."""

    deployment: DeploymentConfig
    at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, kw_only=True)
class DeploymentFailed:
    """This deployment does not judge; the one before it stays."""

    deployment: DeploymentConfig
    reason: str
    at: datetime = field(default_factory=utc_now)


Event = (
    PartJudged
    | PartAnswered
    | EvidenceStored
    | PlcStateChanged
    | AlarmRaised
    | AlarmCleared
    | DeploymentLive
    | DeploymentFailed
)
Listener = Callable[[Event], None]

DROPPABLE = (PartJudged, PartAnswered, EvidenceStored)


class EventHub:
    """Calls the listeners on a thread of its own; where they are too slow the oldest verdicts are dropped."""

    def __init__(self, depth: int = 1000) -> None:
        self._depth = depth
        self._events: deque[Event] = deque()
        self._condition = threading.Condition()
        self._listeners: list[Listener] = []
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def subscribe(self, listener: Listener) -> None:
        """Adds a listener."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="line-events", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Hands out what waits, and ends."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def emit(self, event: Event) -> None:
        """Queues an event; never waits for a listener."""
        with self._condition:
            if len(self._events) >= self._depth:
                self._drop_one()
            self._events.append(event)
            self._condition.notify_all()

    def _drop_one(self) -> None:
        for index, event in enumerate(self._events):
            if isinstance(event, DROPPABLE):
                del self._events[index]
                self.dropped += 1
                return

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._events and not self._is_stopping:
                    self._condition.wait(1.0)
                if not self._events:
                    return
                event = self._events.popleft()
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:
                    logger.exception("a listener failed on %s", type(event).__name__)


class AlarmBoard:
    """The alarms that stand. What happens rather than lasts stands for `hold_s` after the last time."""

    def __init__(self, hub: EventHub, *, hold_s: float = 60.0) -> None:
        self._hub = hub
        self._hold_s = hold_s
        self._lock = threading.Lock()
        self._standing: dict[str, tuple[str, float | None]] = {}

    @property
    def standing(self) -> dict[str, str]:
        """Code to message."""
        with self._lock:
            return {code: message for code, (message, _) in self._standing.items()}

    def raise_alarm(self, code: str, message: str, *, lasts: bool) -> None:
        """Raises an alarm: until `clear` where it lasts, else for the holding time."""
        with self._lock:
            is_new = code not in self._standing
            self._standing[code] = (message, None if lasts else time.monotonic() + self._hold_s)
        if is_new:
            logger.warning("alarm %s: %s", code, message)
            self._hub.emit(AlarmRaised(code=code, message=message))

    def clear(self, code: str) -> None:
        """Clears an alarm, if it stands."""
        with self._lock:
            was_standing = self._standing.pop(code, None) is not None
        if was_standing:
            logger.info("alarm %s is over", code)
            self._hub.emit(AlarmCleared(code=code))

    def clear_held(self, *, even_if_young: bool = False) -> None:
        """Clears what only stands for its holding time, when that is over."""
        now_s = time.monotonic()
        with self._lock:
            over = [
                code
                for code, (_, until_s) in self._standing.items()
                if until_s is not None and (even_if_young or now_s >= until_s)
            ]
        for code in over:
            self.clear(code)
