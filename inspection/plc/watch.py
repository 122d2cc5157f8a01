"""What the client concludes from what it reads; no input or output here."""

from dataclasses import dataclass
from enum import Enum, auto

from inspection.plc.registers import sequence_distance

MISSED_HEARTBEATS = 3


class Step(Enum):
    """How a trigger sequence that was read relates to the last one."""

    SAME = auto()
    NEXT = auto()
    GAP = auto()
    JUMP = auto()


@dataclass
class SequenceWatch:
    """Follows the PLC's trigger sequence. A jump is further than `max_gap` steps, or backwards."""

    max_gap: int
    last: int | None = None

    def step(self, sequence: int) -> Step:
        """What `sequence` would be, without taking it."""
        if self.last is None:
            return Step.JUMP
        distance = sequence_distance(self.last, sequence)
        if distance == 0:
            return Step.SAME
        if distance == 1:
            return Step.NEXT
        return Step.GAP if distance <= self.max_gap else Step.JUMP

    def take(self, sequence: int) -> int:
        """Makes `sequence` the last one, as a trigger; returns how many were missed before it."""
        last, self.last = self.last, sequence
        return 0 if last is None else max(0, sequence_distance(last, sequence) - 1)

    def adopt(self, sequence: int) -> int:
        """Makes `sequence` the last one, without a trigger; returns how many were missed, 0 after a jump."""
        step, last = self.step(sequence), self.last
        self.last = sequence
        return 0 if last is None or step is Step.JUMP else sequence_distance(last, sequence)


class HeartbeatWatch:
    """The other side's heartbeat: missing when it did not change for three intervals."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._value: int | None = None
        self._changed_s: float | None = None

    def start(self, now_s: float) -> None:
        """Gives the other side three intervals from now to show its first change."""
        self._value, self._changed_s = None, now_s

    def observe(self, value: int, now_s: float) -> None:
        """Takes note of a value read."""
        if self._value is not None and value != self._value:
            self._changed_s = now_s
        self._value = value

    def is_missing(self, now_s: float) -> bool:
        """True when no change was seen for three intervals; False before `start`."""
        return self._changed_s is not None and now_s - self._changed_s > MISSED_HEARTBEATS * self._interval_s


class Backoff:
    """Waits that double from `first_s` to `limit_s`."""

    def __init__(self, first_s: float = 0.1, limit_s: float = 5.0) -> None:
        self._first_s, self._limit_s = first_s, limit_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The wait before the next try."""
        wait_s = self._next_s
        self._next_s = min(self._limit_s, 2 * wait_s)
        return wait_s

    def reset(self) -> None:
        """After a success."""
        self._next_s = self._first_s
