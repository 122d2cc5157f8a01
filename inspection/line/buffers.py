"""Frames that wait for their part: one buffer a station, all of a line under one condition."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from inspection.line.frames import Frame


@dataclass(frozen=True, kw_only=True)
class Window:
    """When a frame must have come to be a trigger's, on the monotonic clock; `ends_s` is not in it."""

    sequence: int
    begins_s: float
    ends_s: float

    def is_before(self, frame: Frame) -> bool:
        """True for a frame of an earlier part."""
        return frame.trigger_sequence is None and frame.arrived_s < self.begins_s

    def holds(self, frame: Frame) -> bool:
        """True for this part's frame: by its sequence where it has one, else by its time."""
        if frame.trigger_sequence is not None:
            return frame.trigger_sequence == self.sequence
        return self.begins_s <= frame.arrived_s < self.ends_s


class FrameBuffer:
    """Frames of one station in the order they came.

    Args:
        depth: how many may wait.
        condition: shared by the line's buffers, so that one wait watches all.
        drops_oldest: what happens to one too many: the oldest goes (a trigger says which are wanted), or the
            new one is refused (each of them is a part).
    """

    def __init__(self, depth: int, condition: threading.Condition, *, drops_oldest: bool) -> None:
        self._frames: deque[Frame] = deque()
        self._depth = depth
        self._condition = condition
        self._drops_oldest = drops_oldest
        self.unused = 0

    def put(self, frame: Frame) -> bool:
        """Adds a frame; False where it is refused."""
        with self._condition:
            if len(self._frames) >= self._depth:
                if not self._drops_oldest:
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
        """Waits for the frame of one trigger.

        Args:
            window: what is known of the trigger's window now; asked again after each frame.
            until_s: monotonic clock, when to give up.
            is_stopping: True ends the wait.

        Returns:
            The frame, a bad one where two could be meant, None where none came.
        """
        with self._condition:
            while not is_stopping():
                frame = self._match(window())
                if frame is not None:
                    return frame
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return None
                self._condition.wait(min(left_s, 0.1))
        return None

    def _match(self, window: Window) -> Frame | None:
        while self._frames and window.is_before(self._frames[0]):
            self._frames.popleft()
            self.unused += 1
        found = [frame for frame in self._frames if window.holds(frame)]
        for frame in found:
            self._frames.remove(frame)
        if len(found) > 1:
            return replace(found[0], image=None, error=f"{len(found)} frames came for one trigger")
        return found[0] if found else None
