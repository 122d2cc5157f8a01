"""A line's PLC settings."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from inspection.plc.registers import FROM_PLC_COUNT, SERIAL_WORDS, WORD, WordOrder


@dataclass(frozen=True, kw_only=True)
class SimpleOutput:
    """The `simple` profile: one coil or one holding register that says "reject this part".

    Everything but OK sets it, so that a part that could not be judged does not pass either.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Literal["coil", "register"] = "coil"
    address: int = 0
    on_value: int = 1
    off_value: int = 0
    pulse_s: float | None = None

    def __post_init__(self) -> None:
        if self.on_value == self.off_value:
            raise ValueError("on_value and off_value must differ")
        if self.pulse_s is not None and not 0 < self.pulse_s <= 60:
            raise ValueError("pulse_s must be above 0 and at most 60")


@dataclass(frozen=True, kw_only=True)
class PlcConfig:
    """Where the PLC is and how to talk to it. Times in seconds, addresses are 0-based."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: int = 502
    unit_id: int = 1
    profile: Literal["handshake", "simple"] = "handshake"
    to_base: int = 0
    from_base: int = 32
    has_serial: bool = True
    word_order: WordOrder = WordOrder.HIGH_FIRST
    sequence_last: bool = False
    poll_s: float = 0.01
    timeout_s: float = 0.5
    heartbeat_s: float = 0.25
    plc_heartbeat_s: float = 0.5
    acknowledge_s: float = 0.5
    max_gap: int = 100
    simple: SimpleOutput = SimpleOutput()

    def __post_init__(self) -> None:
        if not 0 < self.port < WORD:
            raise ValueError("port must be 1 to 65535")
        if not 0 <= self.unit_id <= 255:
            raise ValueError("unit_id must be 0 to 255")
        if not 0 < self.heartbeat_s <= 0.5:
            raise ValueError("heartbeat_s must be above 0 and at most 0.5")
        for name in ("poll_s", "timeout_s", "plc_heartbeat_s", "acknowledge_s"):
            if not 0 < getattr(self, name) <= 60:
                raise ValueError(f"{name} must be above 0 and at most 60")
        if not 1 <= self.max_gap < WORD // 2:
            raise ValueError("max_gap must be 1 to 32767")
        if not (0 <= self.to_base < WORD and 0 <= self.from_base <= WORD - FROM_PLC_COUNT):
            raise ValueError("a base address is outside the register space")

    @property
    def from_count(self) -> int:
        """Words to read from the PLC in one go."""
        return FROM_PLC_COUNT if self.has_serial else FROM_PLC_COUNT - SERIAL_WORDS
