"""A conveyor with a camera, a reject gate and the PLC program that a line can be trusted to.

Pure: it is given the time and the line's registers, and gives its own registers and what happened. The rules
it shows, which a real PLC program should have too:

- A part passes the gate only with an OK that arrived for it. No answer, NG, REVIEW, ERROR: rejected.
- A result is taken once, when it appears (result valid, and its sequence is new), and acknowledged.
- A result whose sequence fits no waiting part is ignored; one that fits several condemns all of them.
- The belt moves only while the line's heartbeat changes and the line says that it is ready.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inspection.plc.registers import (
    WORD,
    Command,
    ErrorCode,
    FromPlc,
    ResultCode,
    Status,
    ToPlc,
    sequence_after,
)
from inspection.plc.watch import HeartbeatWatch

Event = dict[str, Any]
MAX_STEP_S = 0.05


@dataclass(frozen=True, kw_only=True)
class ConveyorConfig:
    """The belt: a part every `period_s`, the gate `gate` parts behind the camera.

    `ng_rate` gives each part a truth, which only the log knows: a share of the parts is NG. Without it parts
    have none.
    """

    period_s: float = 0.2
    gate: int = 5
    parts: int | None = None
    first_part: int = 1
    first_sequence: int = 0
    serial_prefix: str = "P"
    ng_rate: float | None = None
    seed: int = 0
    heartbeat_s: float = 0.2
    line_heartbeat_s: float = 0.5

    def __post_init__(self) -> None:
        if not (self.period_s > 0 and self.gate >= 1):
            raise ValueError("period_s must be positive and the gate at least one position behind the camera")
        if len(self.serial_prefix) > 6:
            raise ValueError("serial_prefix has at most 6 characters")


@dataclass
class BeltPart:
    """One physical part between the camera and the gate."""

    number: int
    serial: str
    truth: str | None
    sequence: int
    entered_s: float
    position_s: float
    result: ResultCode = ResultCode.NONE
    error_code: ErrorCode = ErrorCode.NONE
    answered_s: float | None = None
    is_ambiguous: bool = False

    @property
    def is_open(self) -> bool:
        """True while no answer was taken for it."""
        return self.result is ResultCode.NONE and not self.is_ambiguous

    @property
    def passes(self) -> bool:
        """Only an OK that was taken for this part lets it pass."""
        return self.result is ResultCode.OK and not self.is_ambiguous

    @property
    def reason(self) -> str:
        """Why the gate did what it did."""
        if self.is_ambiguous:
            return "ambiguous"
        if self.result is ResultCode.NONE:
            return "no answer"
        if self.result is ResultCode.ERROR:
            return f"ERROR {self.error_code.name.lower()}"
        return self.result.name


class Conveyor:
    """The machine and its PLC program; `scan` is one PLC cycle."""

    def __init__(self, config: ConveyorConfig, emit: Callable[[Event], None]) -> None:
        self.config = config
        self.passed = 0
        self.rejected = 0
        self._emit = emit
        self._rng = random.Random(config.seed)  # noqa: S311 - a machine's noise, no secret
        self._noise = random.Random(config.seed + 1)  # noqa: S311
        self._parts: deque[BeltPart] = deque()
        self._entered = 0
        self._belt_s = 0.0
        self._last_scan_s: float | None = None
        self._line = HeartbeatWatch(config.line_heartbeat_s)
        self._heartbeat_first: int | None = None
        self._is_line_alive = False
        self._is_moving = False
        self._sequence = config.first_sequence
        self._acknowledged = 0
        self._taken: int | None = None
        self._heartbeat = 0
        self._heartbeat_due_s = 0.0
        self._serial = ""
        self._sequence_steps: deque[int] = deque()
        self._garbage_until_s = 0.0
        self._heartbeat_stops_until_s = 0.0
        self.command = Command.RUN

    @property
    def is_moving(self) -> bool:
        """True while the belt moves."""
        return self._is_moving

    @property
    def is_finished(self) -> bool:
        """True when the asked number of parts has passed the gate."""
        return self.config.parts is not None and self._entered >= self.config.parts and not self._parts

    def photographed(self, sequence: int | None) -> BeltPart | None:
        """The part that the camera sees now, or the last that it saw under a trigger sequence."""
        seen = (part for part in reversed(self._parts) if sequence is None or part.sequence == sequence)
        return next(seen, None)

    @property
    def entered(self) -> int:
        """Parts that came to the camera."""
        return self._entered

    def skip_sequence(self) -> None:
        """Fault: the next part's sequence number is one too far."""
        self._sequence_steps.append(2)

    def repeat_sequence(self) -> None:
        """Fault: the next part gets the number of the one before it."""
        self._sequence_steps.append(0)

    def set_command(self, bits: int) -> None:
        """Sets the command bits."""
        self.command = Command(bits)

    def write_garbage(self, until_s: float) -> None:
        """Fault: until then the registers hold noise."""
        self._garbage_until_s = until_s

    def stop_heartbeat(self, until_s: float) -> None:
        """Fault: until then the heartbeat stands still."""
        self._heartbeat_stops_until_s = until_s

    def scan(self, now_s: float, line: ToPlc | None) -> list[int]:
        """One PLC cycle.

        Args:
            now_s: monotonic clock.
            line: what the line wrote; None where it cannot be decoded.

        Returns:
            The 13 words of the from-PLC block.
        """
        step_s = 0.0 if self._last_scan_s is None else now_s - self._last_scan_s
        self._last_scan_s = now_s
        if line is not None:
            self._watch_line(line, now_s)
            self._take_result(line, now_s)
        if self._is_moving:
            self._move(min(step_s, MAX_STEP_S, self.config.period_s / 2), now_s)
        if now_s >= self._heartbeat_due_s and now_s >= self._heartbeat_stops_until_s:
            self._heartbeat = (self._heartbeat + 1) % WORD
            self._heartbeat_due_s = now_s + self.config.heartbeat_s
        return self._words(now_s)

    def _words(self, now_s: float) -> list[int]:
        if now_s < self._garbage_until_s:
            return [self._noise.randrange(WORD) for _ in range(13)]
        return FromPlc(
            heartbeat=self._heartbeat,
            command=self.command,
            trigger_sequence=self._sequence,
            result_acknowledged=self._acknowledged,
            serial=self._serial,
        ).encode()

    def _watch_line(self, line: ToPlc, now_s: float) -> None:
        if self._heartbeat_first is None:
            self._heartbeat_first = line.heartbeat
        if not self._is_line_alive and line.heartbeat != self._heartbeat_first:
            self._is_line_alive = True
            self._line.start(now_s)
        self._line.observe(line.heartbeat, now_s)
        if self._is_line_alive and self._line.is_missing(now_s):
            self._is_line_alive, self._heartbeat_first = False, line.heartbeat
        should_move = self._is_line_alive and bool(line.status & Status.READY)
        if should_move != self._is_moving:
            self._is_moving = should_move
            why = (
                "line ready"
                if should_move
                else "line heartbeat"
                if not self._is_line_alive
                else "line not ready"
            )
            self._emit({"event": "belt_started" if should_move else "belt_stopped", "reason": why})

    def _take_result(self, line: ToPlc, now_s: float) -> None:
        if not line.status & Status.RESULT_VALID or line.result is ResultCode.NONE:
            self._taken = None
            return
        if line.result_sequence == self._taken:
            return
        self._taken = self._acknowledged = line.result_sequence
        waiting = [part for part in self._parts if part.sequence == line.result_sequence and part.is_open]
        for part in waiting:
            part.result, part.error_code, part.answered_s = line.result, line.error_code, now_s
            part.is_ambiguous = len(waiting) > 1
        self._emit(
            {
                "event": "result",
                "sequence": line.result_sequence,
                "result": line.result.name,
                "error_code": int(line.error_code),
                "model_version": line.model_version,
                "score": line.score,
                "parts": [part.number for part in waiting],
            }
        )

    def _move(self, step_s: float, now_s: float) -> None:
        self._belt_s += step_s
        while (
            self._parts
            and self._belt_s >= self._parts[0].position_s + self.config.gate * self.config.period_s
        ):
            self._leave(self._parts.popleft())
        is_wanted = self.config.parts is None or self._entered < self.config.parts
        if is_wanted and self._belt_s >= self._entered * self.config.period_s:
            self._enter(now_s)

    def _enter(self, now_s: float) -> None:
        number = self.config.first_part + self._entered
        truth = None
        if self.config.ng_rate is not None:
            truth = "NG" if self._rng.random() < self.config.ng_rate else "OK"
        self._sequence = sequence_after(
            self._sequence, self._sequence_steps.popleft() if self._sequence_steps else 1
        )
        self._serial = f"{self.config.serial_prefix}{number:07d}"
        self._parts.append(
            BeltPart(
                number=number,
                serial=self._serial,
                truth=truth,
                sequence=self._sequence,
                entered_s=now_s,
                position_s=self._belt_s,
            )
        )
        self._entered += 1

    def _leave(self, part: BeltPart) -> None:
        self.passed += part.passes
        self.rejected += not part.passes
        answer_ms = None if part.answered_s is None else round(1000 * (part.answered_s - part.entered_s), 2)
        self._emit(
            {
                "event": "part",
                "part": part.number,
                "serial": part.serial,
                "sequence": part.sequence,
                "truth": part.truth,
                "gate": "passed" if part.passes else "rejected",
                "reason": part.reason,
                "result": None if part.result is ResultCode.NONE else part.result.name,
                "error_code": int(part.error_code),
                "answer_ms": answer_ms,
            }
        )
