"""The `handshake` register profile: one codec for the client, the simulator and the register map.

Wire format, as 16-bit holding registers, offsets from a base address that is the line's setting::

    to PLC      0 heartbeat    1 status bits   2 result sequence  3 result     4 NG stations
                5 defect class 6 score         7-8 model version  9 recipe    10 error code
               11-12 OK count 13-14 NG count  15-16 ERROR count
    from PLC   32 heartbeat   33 command bits 34 trigger sequence 35 result acknowledged
               36 recipe request              37-44 part serial, 16 ASCII bytes, two in a register

The same table as data is `REGISTERS`; `register_rows()` hands it to the documentation and the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum

WORD = 0x10000
TO_PLC_OFFSET = 0
TO_PLC_COUNT = 17
FROM_PLC_OFFSET = 32
FROM_PLC_COUNT = 13
SERIAL_WORDS = 8
SERIAL_BYTES = 2 * SERIAL_WORDS
SCORE_MAX = 10_000


class ResultCode(IntEnum):
    """Register 3. Only OK lets a part pass."""

    NONE = 0
    OK = 1
    NG = 2
    ERROR = 3
    REVIEW = 4


class ErrorCode(IntEnum):
    """Register 10: why a part could not be judged. Every one of them means "do not pass"."""

    NONE = 0
    NO_MODEL = 1
    CAMERA_TIMEOUT = 2
    BAD_FRAME = 3
    INFERENCE_FAILED = 4
    LATE = 5
    OVERRUN = 6
    STORAGE = 7
    INTERNAL = 8


ERROR_MEANINGS = {
    ErrorCode.NONE: "no error",
    ErrorCode.NO_MODEL: "no model is loaded",
    ErrorCode.CAMERA_TIMEOUT: "a view did not arrive in time",
    ErrorCode.BAD_FRAME: "a frame was blank, corrupt or of no use",
    ErrorCode.INFERENCE_FAILED: "the model failed or gave no number",
    ErrorCode.LATE: "the verdict came after the part's deadline",
    ErrorCode.OVERRUN: "more parts were waiting than the line's depth allows",
    ErrorCode.STORAGE: "the verdict could not be stored",
    ErrorCode.INTERNAL: "an internal failure",
}


class Status(IntFlag):
    """Register 1, the line's state."""

    READY = 1
    BUSY = 2
    FAULT = 4
    MODEL_LOADED = 8
    REVIEW_HOLD = 16
    SIMULATED_IMAGES = 32
    RESULT_VALID = 64


class Command(IntFlag):
    """Register 33, what the PLC asks of the line. The other bits are reserved and must be 0."""

    RUN = 1
    RESET_FAULT = 2
    CLEAR_COUNTERS = 4


KNOWN_COMMANDS = int(Command.RUN | Command.RESET_FAULT | Command.CLEAR_COUNTERS)


class WordOrder(StrEnum):
    """Which half of a 32-bit value comes first."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class ImplausibleBlockError(ValueError):
    """Words that no PLC program that follows the profile would write."""


@dataclass(frozen=True, kw_only=True)
class Register:
    """One row of the register map: `count` words at `offset`."""

    offset: int
    count: int
    direction: str
    name: str
    meaning: str

    @property
    def span(self) -> str:
        """The offsets as people write them: `7` or `7 to 8`."""
        return str(self.offset) if self.count == 1 else f"{self.offset} to {self.offset + self.count - 1}"


def _bits(flags: type[IntFlag]) -> str:
    return ", ".join(
        f"{flag.value.bit_length() - 1} {str(flag.name).replace('_', ' ').lower()}" for flag in flags
    )


def _codes(codes: type[IntEnum]) -> str:
    return ", ".join(f"{code.value} {code.name.replace('_', ' ')}" for code in codes)


def _to_plc(offset: int, name: str, meaning: str, count: int = 1) -> Register:
    return Register(offset=offset, count=count, direction="to PLC", name=name, meaning=meaning)


def _from_plc(offset: int, name: str, meaning: str, count: int = 1) -> Register:
    return Register(offset=offset, count=count, direction="from PLC", name=name, meaning=meaning)


REGISTERS: tuple[Register, ...] = (
    _to_plc(0, "heartbeat", "counts up at least every 500 ms while the line is healthy; wraps at 65535"),
    _to_plc(1, "status bits", _bits(Status)),
    _to_plc(2, "result sequence", "the trigger sequence that this result answers"),
    _to_plc(3, "result", _codes(ResultCode).replace("NONE", "none")),
    _to_plc(4, "NG stations", "bit mask of the views that were NG; each station's bit is its setting"),
    _to_plc(5, "defect class", "0 unknown, else the dataset's class number"),
    _to_plc(6, "score", "0 to 10000, the score's rank among OK training scores"),
    _to_plc(7, "model version", "32 bits", 2),
    _to_plc(9, "recipe", "the recipe in force"),
    _to_plc(10, "error code", "why the result is ERROR; 0 otherwise"),
    _to_plc(11, "OK counter", "32 bits", 2),
    _to_plc(13, "NG counter", "32 bits", 2),
    _to_plc(15, "ERROR counter", "32 bits", 2),
    _from_plc(32, "heartbeat", "changes at least once an interval (line setting)"),
    _from_plc(33, "command bits", _bits(Command) + "; the others are reserved, write 0"),
    _from_plc(34, "trigger sequence", "counted up by one for each part; a new value is a trigger"),
    _from_plc(35, "result acknowledged", "the PLC copies the result sequence here"),
    _from_plc(36, "recipe request", "changing it asks for a changeover"),
    _from_plc(
        37, "part serial", "up to 16 ASCII bytes, high byte first, zero filled; optional", SERIAL_WORDS
    ),
)


def register_rows(base: int = 0) -> list[dict[str, str | int]]:
    """The register map for people, in address order.

    Args:
        base: the line's base address, added to each offset.

    Returns:
        Rows with `offset` (as text), `address` (of the first word), `count`, `direction`, `name`, `meaning`.
    """
    return [
        {
            "offset": register.span,
            "address": base + register.offset,
            "count": register.count,
            "direction": register.direction,
            "name": register.name,
            "meaning": register.meaning,
        }
        for register in REGISTERS
    ]


def error_rows() -> list[dict[str, str | int]]:
    """The error codes for people: `code`, `name`, `meaning`."""
    return [
        {"code": code.value, "name": code.name.replace("_", " ").lower(), "meaning": meaning}
        for code, meaning in ERROR_MEANINGS.items()
    ]


def split32(value: int, order: WordOrder) -> tuple[int, int]:
    """A 32-bit value as two words; it wraps at 2^32 as PLC counters do."""
    high, low = divmod(value % 2**32, WORD)
    return (high, low) if order is WordOrder.HIGH_FIRST else (low, high)


def join32(first: int, second: int, order: WordOrder) -> int:
    """Two words as a 32-bit value."""
    high, low = (first, second) if order is WordOrder.HIGH_FIRST else (second, first)
    return high * WORD + low


def encode_serial(serial: str) -> tuple[int, ...]:
    """A part's serial as 8 words, high byte first, zero filled.

    Raises:
        ValueError: more than 16 bytes, or a character that is not printable ASCII.
    """
    if len(serial) > SERIAL_BYTES or not (serial.isascii() and (serial.isprintable() or not serial)):
        raise ValueError(f"a serial has at most {SERIAL_BYTES} printable ASCII characters, not {serial!r}")
    raw = serial.encode("ascii").ljust(SERIAL_BYTES, b"\0")
    return tuple(int.from_bytes(raw[i : i + 2], "big") for i in range(0, SERIAL_BYTES, 2))


def decode_serial(words: Sequence[int]) -> str:
    """The serial in 8 words: up to the first zero byte, blanks at the end removed.

    Raises:
        ImplausibleBlockError: bytes that are not printable ASCII.
    """
    raw = b"".join(word.to_bytes(2, "big") for word in words).split(b"\0", 1)[0]
    if not all(32 <= byte < 127 for byte in raw):
        raise ImplausibleBlockError("the part serial is not printable ASCII")
    return raw.decode("ascii").rstrip()


def sequence_after(sequence: int, steps: int = 1) -> int:
    """The 16-bit sequence number `steps` later; it wraps at 65535."""
    return (sequence + steps) % WORD


def sequence_distance(earlier: int, later: int) -> int:
    """Steps from `earlier` to `later`, 0 to 65535, over the wrap."""
    return (later - earlier) % WORD


@dataclass(frozen=True, kw_only=True)
class ToPlc:
    """What the line tells the PLC; 17 words in one function-16 write."""

    heartbeat: int = 0
    status: Status = Status(0)  # noqa: RUF009 - immutable
    result_sequence: int = 0
    result: ResultCode = ResultCode.NONE
    ng_stations: int = 0
    defect_class: int = 0
    score: int = 0
    model_version: int = 0
    recipe: int = 0
    error_code: ErrorCode = ErrorCode.NONE
    ok_count: int = 0
    ng_count: int = 0
    error_count: int = 0

    def encode(self, order: WordOrder = WordOrder.HIGH_FIRST) -> list[int]:
        """The 17 words from offset 0.

        Raises:
            ValueError: a one-word field outside 0 to 65535.
        """
        words = [
            self.heartbeat % WORD,
            int(self.status),
            self.result_sequence,
            int(self.result),
            self.ng_stations,
            self.defect_class,
            self.score,
            *split32(self.model_version, order),
            self.recipe,
            int(self.error_code),
            *split32(self.ok_count, order),
            *split32(self.ng_count, order),
            *split32(self.error_count, order),
        ]
        if any(not 0 <= word < WORD for word in words):
            raise ValueError(f"a field does not fit into its register: {self}")
        return words

    @classmethod
    def decode(cls, words: Sequence[int], order: WordOrder = WordOrder.HIGH_FIRST) -> "ToPlc":
        """The block from its 17 words.

        Raises:
            ImplausibleBlockError: a wrong number of words, an unknown result or error code.
        """
        if len(words) != TO_PLC_COUNT:
            raise ImplausibleBlockError(f"{TO_PLC_COUNT} words expected, not {len(words)}")
        try:
            result, error_code = ResultCode(words[3]), ErrorCode(words[10])
        except ValueError as error:
            raise ImplausibleBlockError(str(error)) from error
        return cls(
            heartbeat=words[0],
            status=Status(words[1]),
            result_sequence=words[2],
            result=result,
            ng_stations=words[4],
            defect_class=words[5],
            score=words[6],
            model_version=join32(words[7], words[8], order),
            recipe=words[9],
            error_code=error_code,
            ok_count=join32(words[11], words[12], order),
            ng_count=join32(words[13], words[14], order),
            error_count=join32(words[15], words[16], order),
        )


@dataclass(frozen=True, kw_only=True)
class FromPlc:
    """What the PLC tells the line; 13 words from offset 32, read in one go."""

    heartbeat: int = 0
    command: Command = Command(0)  # noqa: RUF009 - immutable
    trigger_sequence: int = 0
    result_acknowledged: int = 0
    recipe_request: int = 0
    serial: str = ""

    def encode(self) -> list[int]:
        """The 13 words from offset 32.

        Raises:
            ValueError: a field that does not fit.
        """
        words = [
            self.heartbeat % WORD,
            int(self.command),
            self.trigger_sequence,
            self.result_acknowledged,
            self.recipe_request,
            *encode_serial(self.serial),
        ]
        if any(not 0 <= word < WORD for word in words):
            raise ValueError(f"a field does not fit into its register: {self}")
        return words

    @classmethod
    def decode(cls, words: Sequence[int]) -> "FromPlc":
        """The block from its 13 words, or from the first 5 where the PLC keeps no serial.

        Raises:
            ImplausibleBlockError: a wrong number of words, a reserved command bit, a serial not ASCII.
        """
        if len(words) not in (FROM_PLC_COUNT, FROM_PLC_COUNT - SERIAL_WORDS):
            raise ImplausibleBlockError(f"{FROM_PLC_COUNT} words expected, not {len(words)}")
        if words[1] & ~KNOWN_COMMANDS:
            raise ImplausibleBlockError(f"reserved command bits are set: {words[1]:#06x}")
        return cls(
            heartbeat=words[0],
            command=Command(words[1]),
            trigger_sequence=words[2],
            result_acknowledged=words[3],
            recipe_request=words[4],
            serial=decode_serial(words[5:]),
        )
