"""Live events of a line: told to the pages once a part is stored and its images are on the disk."""

import asyncio
import logging
import threading
import time
from collections import OrderedDict

from inspection.events import Event, PartJudged, publish_async

logger = logging.getLogger(__name__)

_PATIENCE_S = 1.0
_REMEMBERED = 1000
_UNSENT = 200


class LiveFeed:
    """Sends events from a thread of its own, in order; where Redis is away they are dropped.

    A part is told when it was delivered to the database and its evidence stored, so that nobody is shown the
    URL of an image that is not there yet. Evidence that does not come within a second is not waited for.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._parts: OrderedDict[int, tuple[Event, float]] = OrderedDict()
        self._others: list[Event] = []
        self._stored: OrderedDict[int, None] = OrderedDict()
        self._told: OrderedDict[int, None] = OrderedDict()
        self._is_stopping = False
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name="live-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        self._thread.join(timeout_s)

    def part_delivered(self, event: PartJudged) -> None:
        """A part is in the database."""
        has_files = any(view.map_url or view.frame_url for view in event.views)
        with self._condition:
            if not has_files:
                self._remember(self._stored, event.sequence)
            self._parts[event.sequence] = (event, time.monotonic() + _PATIENCE_S)
            while len(self._parts) > _UNSENT:
                self._parts.popitem(last=False)
            self._condition.notify_all()

    def evidence_stored(self, sequence: int) -> None:
        """A part's images are on the disk."""
        with self._condition:
            self._remember(self._stored, sequence)
            self._condition.notify_all()

    def tell(self, event: Event) -> None:
        """Any other event, at once."""
        with self._condition:
            self._others.append(event)
            del self._others[:-_UNSENT]
            self._condition.notify_all()

    def wait_for(self, sequence: int, timeout_s: float) -> bool:
        """Waits until a part was told; False where it was not in time."""
        with self._condition:
            return self._condition.wait_for(lambda: sequence in self._told, timeout_s)

    def _remember(self, memory: OrderedDict[int, None], sequence: int) -> None:
        memory[sequence] = None
        while len(memory) > _REMEMBERED:
            memory.popitem(last=False)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while events := self._next():
                try:
                    runner.run(_send(events))
                except Exception as error:  # noqa: BLE001 - a thread's edge: live events are worth no more than a log line
                    if not self._is_away:
                        logger.warning("live events are not sent: %s", error)
                    self._is_away = True
                else:
                    self._is_away = False

    def _next(self) -> list[Event]:
        """What is to be told now, waited for; nothing when it is time to end."""
        with self._condition:
            while True:
                ready = self._others + self._ready_parts()
                self._others = []
                if ready:
                    self._condition.notify_all()
                    return ready
                if self._is_stopping:
                    return []
                self._condition.wait(0.1 if self._parts else 1.0)

    def _ready_parts(self) -> list[Event]:
        ready: list[Event] = []
        now_s = time.monotonic()
        for sequence, (event, patient_until_s) in list(self._parts.items()):
            if sequence not in self._stored and now_s < patient_until_s:
                break
            del self._parts[sequence]
            self._remember(self._told, sequence)
            ready.append(event)
        return ready


async def _send(events: list[Event]) -> None:
    for event in events:
        await publish_async(event)
