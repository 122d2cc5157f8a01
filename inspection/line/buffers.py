"""Frames that wait for their part: one buffer a station, all of a line under one condition."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from inspection.line.frames import Frame

# So long before its window a frame with a sequence may have come; an older one is from before the PLC counted
# anew.
NUMBERED_EARLY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Window:
    """When a frame must have come to be a trigger's, on the monotonic clock; `ends_s` is not in it."""

    sequence: int
    begins_s: float
    ends_s: float

    def holds(self, frame: Frame) -> bool:
        """True for this part's frame: by its sequence where it has one, else by its time."""
        if frame.trigger_sequence is not None:
            is_of_now = frame.arrived_s >= self.begins_s - NUMBERED_EARLY_S
            return is_of_now and frame.trigger_sequence == self.sequence
        return self.begins_s <= frame.arrived_s < self.ends_s


OVERRUN = "more frames waited than the line takes"
MAX_MARKS = 1000


def doubtful(frame: Frame) -> Frame:
    """A frame of which nobody knows whose it is."""
    return replace(frame, image=None, error="it may be the frame of an earlier part")


class FrameBuffer:
    """Frames of one station in the order they came.

    A trigger that got no frame, or that nobody saw, leaves one outstanding: an untagged frame in a later
    window may be that one, so it is bad. Frames and triggers are in step again when a frame came outside
    every window for each that is outstanding, or when no trigger came for `late_s`.

    Args:
        depth: how many may wait.
        condition: shared by the line's buffers, so that one wait watches all.
        drops_oldest: what happens to one too many: the oldest goes (a trigger says which are wanted), or the
            new one is refused (each of them is a part).
        marks_refused: a refused frame's part is kept in its place, without the image: nobody brings it again,
            and no part passes in silence.
        late_s: a frame that is later than this after its trigger never comes.
    """

    def __init__(
        self,
        depth: int,
        condition: threading.Condition,
        *,
        drops_oldest: bool,
        marks_refused: bool = False,
        late_s: float = 10.0,
    ) -> None:
        self._frames: deque[Frame] = deque()
        self._depth = depth
        self._condition = condition
        self._drops_oldest = drops_oldest
        self._marks_refused = marks_refused
        self._late_s = late_s
        self._triggered_s = 0.0
        self.unused = 0
        self.outstanding = 0

    def put(self, frame: Frame) -> bool:
        """Adds a frame; False where it is refused."""
        with self._condition:
            if len(self._frames) >= self._depth:
                if not self._drops_oldest:
                    if self._marks_refused and len(self._frames) < self._depth + MAX_MARKS:
                        self._frames.append(replace(frame, image=None, encoded=None, error=OVERRUN))
                    return False
                self._frames.popleft()
                self.unused += 1
            self._frames.append(frame)
            self._condition.notify_all()
            return True

    def head(self) -> Frame | None:
        """The oldest frame; the caller holds the condition."""
        return self._frames[0] if self._frames else None

    def pop(self) -> Frame:
        """Takes the oldest frame; the caller holds the condition."""
        return self._frames.popleft()

    def take(
        self, window: Callable[[], Window], until_s: float, is_stopping: Callable[[], bool]
    ) -> Frame | None:
        """Waits for the frame of one trigger; a trigger of which none was taken is told by `miss`.

        Args:
            window: what is known of the trigger's window now; asked again after each frame.
            until_s: monotonic clock, when to give up.
            is_stopping: True ends the wait.

        Returns:
            The frame, a bad one where it could be another trigger's, None where none came.
        """
        with self._condition:
            if window().begins_s - self._triggered_s > self._late_s:
                self.outstanding = 0
            while not is_stopping():
                now = window()
                self._triggered_s = now.begins_s
                frame = self._match(now)
                if frame is not None:
                    return frame
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return None
                self._condition.wait(min(left_s, 0.1))
        return None

    def overlook(self, triggers: int, before_s: float) -> None:
        """So many triggers passed unseen before this moment: of their frames what came is dropped."""
        with self._condition:
            if before_s - self._triggered_s > self._late_s:
                self.outstanding = 0
            self._triggered_s = before_s
            self.outstanding += triggers
            self._drop_before(before_s)

    def miss(self, triggered_s: float) -> None:
        """A trigger got none of the frames: its own may come yet."""
        with self._condition:
            if triggered_s - self._triggered_s > self._late_s:
                self.outstanding = 0
            self._triggered_s = max(self._triggered_s, triggered_s)
            self._drop_before(triggered_s)
            self.outstanding += 1

    def _match(self, window: Window) -> Frame | None:
        self._drop_before(window.begins_s)
        found = [frame for frame in self._frames if window.holds(frame)]
        if not found:
            return None
        for frame in found:
            self._frames.remove(frame)
        is_doubtful = self.outstanding > 0 and found[0].trigger_sequence is None
        self._settle(len(found) - 1)
        if len(found) > 1:
            return replace(found[0], image=None, error=f"{len(found)} frames came for one trigger")
        return doubtful(found[0]) if is_doubtful else found[0]

    def _drop_before(self, begins_s: float) -> None:
        """Untagged frames of earlier triggers."""
        before = [
            frame for frame in self._frames if frame.trigger_sequence is None and frame.arrived_s < begins_s
        ]
        for frame in before:
            self._frames.remove(frame)
        self.unused += len(before)
        self._settle(len(before))

    def _settle(self, frames: int) -> None:
        self.outstanding = max(0, self.outstanding - frames)
