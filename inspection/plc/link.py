"""What passes between the line runtime and its PLC link."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inspection.plc.registers import Command, ErrorCode, ResultCode


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """The PLC says: a part is in front of the cameras.

    Attributes:
        sequence: the PLC's number for it.
        serial: the part's serial, empty where the PLC has none.
        received_s: monotonic clock.
        received_at: UTC.
        deadline_s: monotonic clock; a result written later is ERROR (late).
        connection: number of the connection it came over. A result never crosses to another connection: after
            a restart the PLC may use the same number for another part.
        overlooked: triggers between the one before and this that the line did not see: the frames of their
            parts may come yet.
    """

    sequence: int
    serial: str
    received_s: float
    received_at: datetime
    deadline_s: float
    connection: int
    overlooked: int = 0


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """The answer to one trigger."""

    result: ResultCode
    error_code: ErrorCode = ErrorCode.NONE
    ng_stations: int = 0
    defect_class: int = 0
    score: int = 0
    model_version: int = 0
    recipe: int = 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the PLC was given for a trigger; where that was nothing `given` is NONE, and `reason` says why."""

    trigger: Trigger
    given: ResultCode
    error_code: ErrorCode = ErrorCode.NONE
    answered_at: datetime | None = None
    answered_s: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PlcState:
    """What the live page shows of the PLC."""

    is_connected: bool = False
    is_heartbeat_missing: bool = False
    error: str = ""
    connections: int = 0
    command: Command = Command(0)  # noqa: RUF009 - immutable
    trigger_sequence: int | None = None
    result_sequence: int | None = None
    acknowledged_sequence: int | None = None
    recipe_request: int | None = None
    missed: int = 0
    unacknowledged: int = 0
    implausible: int = 0
    jumps: int = 0
    late: int = 0
    unanswered: int = 0
    ok_count: int = 0
    ng_count: int = 0
    error_count: int = 0
    review_count: int = 0


class LinkListener(Protocol):
    """What the runtime wants to hear; called on the link's thread, so none of these may wait."""

    def is_healthy(self) -> bool:
        """False stops the heartbeat, so that the PLC stops the line."""
        ...

    def part_answered(self, answer: Answer) -> None:
        """Exactly once for each trigger."""
        ...

    def plc_state_changed(self, state: PlcState) -> None:
        """The connection, the PLC's heartbeat or its commands changed."""
        ...

    def plc_alarm(self, code: str, message: str) -> None:
        """Something happened that a person should know."""
        ...

    def plc_alarm_cleared(self, code: str) -> None:
        """What was raised under this code is over."""
        ...

    def fault_reset(self) -> None:
        """The PLC's operator pressed reset."""
        ...
