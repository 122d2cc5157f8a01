"""Gathers each part's frames and hands the part to the judge."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping

from inspection.line.buffers import OVERRUN, FrameBuffer, Window, doubtful
from inspection.line.config import LineConfig, PushSource, StationConfig
from inspection.line.events import AlarmBoard
from inspection.line.frames import Frame
from inspection.line.parts import ORIGIN_LINE, Inbox, PartJob
from inspection.line.sources import Source
from inspection.plc.clock import utc_now
from inspection.plc.link import Trigger
from inspection.plc.registers import ErrorCode

logger = logging.getLogger(__name__)

BUFFER_DEPTH = 8


class Collector:
    """The thread between the cameras and the judge.

    With a PLC each trigger takes its frames: from a triggered source by asking, from the others by sequence
    or by time. Without one, each frame (or the stations' frames within the group window) is a part.
    """

    def __init__(
        self,
        config: LineConfig,
        sources: Mapping[str, Source],
        inbox: Inbox,
        triggers: queue.Queue[Trigger] | None,
        alarms: AlarmBoard,
    ) -> None:
        self._config = config
        self._sources = sources
        self._inbox = inbox
        self._triggers = triggers
        self._alarms = alarms
        self._doubtful: set[str] = set()
        self._grouped_s = 0.0
        self._waiting: deque[Trigger] = deque()
        self._stopping = threading.Event()
        self._condition = threading.Condition()
        self.buffers = {
            station.name: FrameBuffer(
                station.source.depth if isinstance(station.source, PushSource) else BUFFER_DEPTH,
                self._condition,
                drops_oldest=triggers is not None,
                marks_refused=isinstance(station.source, PushSource),
                late_s=station.late_s,
            )
            for station in config.stations
        }
        self.overruns = 0
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """True while the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Starts the sources and the thread.

        Raises:
            ConfigError: a source cannot be used.
        """
        for name, source in self._sources.items():
            source.start(self.buffers[name].put)
        run = self._run_triggers if self._triggers is not None else self._run_frames
        self._thread = threading.Thread(target=run, name="collector", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stops the sources, then the thread, which first hands on the parts that have begun."""
        for source in self._sources.values():
            source.stop(timeout_s)
        self._stopping.set()
        with self._condition:
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run_triggers(self) -> None:
        while not self._stopping.is_set():
            trigger = self._next_trigger(0.1)
            if trigger is None:
                continue
            try:
                self._inbox.put(self._part(trigger))
            except Exception:
                logger.exception("the frames of trigger %d could not be gathered", trigger.sequence)
                self._miss_frames(trigger)
                self._inbox.put(self._job(trigger, {}, ErrorCode.INTERNAL))
        self._take_triggers()
        for trigger in self._waiting:
            self._inbox.put(self._job(trigger, {}, ErrorCode.INTERNAL))

    def _next_trigger(self, timeout_s: float) -> Trigger | None:
        self._take_triggers()
        if self._waiting:
            return self._waiting.popleft()
        try:
            return self._triggers.get(timeout=timeout_s) if self._triggers is not None else None
        except queue.Empty:
            return None

    def _take_triggers(self) -> None:
        while self._triggers is not None:
            try:
                self._waiting.append(self._triggers.get_nowait())
            except queue.Empty:
                return

    def _part(self, trigger: Trigger) -> PartJob:
        if trigger.overlooked:
            for station in self._config.stations:
                begins_s = trigger.received_s - station.early_s
                self.buffers[station.name].overlook(trigger.overlooked, begins_s)
        if len(self._inbox) >= self._config.depth:
            self.overruns += 1
            self._miss_frames(trigger)
            return self._job(trigger, {}, ErrorCode.OVERRUN)
        frames = {station.name: self._frame(station, trigger) for station in self._config.stations}
        return self._job(trigger, frames, ErrorCode.NONE)

    def _frame(self, station: StationConfig, trigger: Trigger) -> Frame | None:
        source = self._sources[station.name]
        if source.is_triggered:
            return source.grab(trigger.sequence, max(0.0, trigger.deadline_s - time.monotonic()))
        begins_s, ends_s = trigger.received_s - station.early_s, trigger.received_s + station.window_s

        def window() -> Window:
            self._take_triggers()
            later_s = [later.received_s - station.early_s for later in self._waiting]
            return Window(sequence=trigger.sequence, begins_s=begins_s, ends_s=min([ends_s, *later_s]))

        until_s = min(ends_s, trigger.deadline_s)
        buffer = self.buffers[station.name]
        unused = buffer.unused
        frame = buffer.take(window, until_s, self._stopping.is_set)
        if frame is None:
            buffer.miss(begins_s)
        self._tell(station, frame, unused=buffer.unused - unused)
        return frame

    def _miss_frames(self, trigger: Trigger) -> None:
        for station in self._config.stations:
            if not self._sources[station.name].is_triggered:
                self.buffers[station.name].miss(trigger.received_s - station.early_s)

    def _tell(self, station: StationConfig, frame: Frame | None, *, unused: int) -> None:
        if unused:
            self._alarms.raise_alarm(
                "frame_unused",
                f"station {station.name}: {unused} frames came at no trigger's time",
                lasts=False,
            )
        is_doubtful = self.buffers[station.name].outstanding > 0
        if is_doubtful and frame is not None and frame.trigger_sequence is None:
            self._doubtful.add(station.name)
            self._alarms.raise_alarm(
                "frames_out_of_step",
                f"station {station.name}: a part had no frame, so the next frames may be of other parts; "
                f"parts are errors until the late frame came or no part came for {station.late_s:g} s",
                lasts=True,
            )
        elif not is_doubtful and station.name in self._doubtful:
            self._doubtful.remove(station.name)
            if not self._doubtful:
                self._alarms.clear("frames_out_of_step")

    def _job(self, trigger: Trigger, frames: Mapping[str, Frame | None], error_code: ErrorCode) -> PartJob:
        return PartJob(
            origin=ORIGIN_LINE,
            frames=frames,
            begun_at=trigger.received_at,
            begun_s=trigger.received_s,
            acquired_s=time.monotonic(),
            deadline_s=trigger.deadline_s,
            trigger=trigger,
            serial=trigger.serial,
            error_code=error_code,
        )

    def _run_frames(self) -> None:
        while not self._stopping.is_set():
            if len(self._inbox) >= self._config.depth:
                self._stopping.wait(0.002)
            elif frames := self._group():
                self._inbox.put(self._framed(frames))
        while frames := self._group():
            self._inbox.put(self._framed(frames))

    def _framed(self, frames: Mapping[str, Frame]) -> PartJob:
        first_s = min(frame.arrived_s for frame in frames.values())
        is_overrun = any(frame.error == OVERRUN for frame in frames.values())
        return PartJob(
            origin=ORIGIN_LINE,
            frames=frames,
            begun_at=utc_now(),
            begun_s=first_s,
            acquired_s=time.monotonic(),
            deadline_s=first_s + self._config.deadline_s,
            error_code=ErrorCode.OVERRUN if is_overrun else ErrorCode.NONE,
        )

    def _group(self) -> dict[str, Frame]:
        """The frames of the next part: one a station, or those that came within the window of the first."""
        with self._condition:
            self._condition.wait_for(self._is_group_due, 0.1)
            heads = self._heads()
            if not heads or not self._is_group_due():
                return {}
            first = min(heads.values(), key=lambda frame: frame.arrived_s)
            last_s = first.arrived_s + self._config.group_window_s
            group = {
                name: self.buffers[name].pop()
                for name, frame in heads.items()
                if frame.arrived_s <= last_s and frame.trigger_sequence == first.trigger_sequence
            }
        return group if first.trigger_sequence is not None else self._in_step(group, first.arrived_s)

    def _in_step(self, group: dict[str, Frame], begun_s: float) -> dict[str, Frame]:
        """A view that did not come may come late, and then make a whole part with another part's views.

        So after a part without one of its views that station's frames are bad, until one came without the
        others (it was the late one) or no frame came for its `late_s`.
        """
        silent_s, self._grouped_s = begun_s - self._grouped_s, begun_s
        for station in self._config.stations:
            if silent_s > station.late_s:
                self.buffers[station.name].outstanding = 0
        late = {name for name in group if self.buffers[name].outstanding}
        missing = self.buffers.keys() - group.keys()
        for name in late if missing else ():
            self.buffers[name].outstanding -= 1
        for name in missing if not late else ():
            self.buffers[name].outstanding += 1
        for station in self._config.stations:
            frame = group.get(station.name)
            self._tell(station, None if missing else frame, unused=0)
        if missing:
            return group
        return {name: doubtful(frame) if name in late else frame for name, frame in group.items()}

    def _heads(self) -> dict[str, Frame]:
        heads = {name: buffer.head() for name, buffer in self.buffers.items()}
        return {name: frame for name, frame in heads.items() if frame is not None}

    def _is_group_due(self) -> bool:
        if self._stopping.is_set():
            return True
        heads = self._heads()
        if not heads:
            return False
        first_s = min(frame.arrived_s for frame in heads.values())
        return len(heads) == len(self.buffers) or time.monotonic() >= first_s + self._config.group_window_s
