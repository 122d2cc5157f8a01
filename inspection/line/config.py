"""A line's settings: one JSON file on the edge machine is enough to run it."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from inspection.plc.config import PlcConfig, SimpleOutput

__all__ = [
    "ConfigError",
    "DeploymentConfig",
    "FolderSource",
    "JournalConfig",
    "LineConfig",
    "PartRule",
    "PlcConfig",
    "PushSource",
    "ReplayItem",
    "ReplaySource",
    "SimpleOutput",
    "StationConfig",
]

STRICT = ConfigDict(extra="forbid")
# One bit each in the PLC's register of NG stations.
MAX_STATIONS = 16


class ConfigError(ValueError):
    """Settings that cannot be used; the message names the setting."""


class PartRule(StrEnum):
    """How the views' verdicts make the part's."""

    ANY = "any"
    MAJORITY = "majority"


class JsonConfig:
    """Reading and writing a dataclass as JSON, with every unknown or bad value refused by name."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The settings in `values`.

        Raises:
            ConfigError: a value is missing, unknown or out of range.
        """
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            raise ConfigError(_readable(error)) from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings in a JSON text.

        Raises:
            ConfigError: not JSON, or a value is missing, unknown or out of range.
        """
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise ConfigError(_readable(error)) from error

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The settings in a JSON file.

        Raises:
            ConfigError: the file cannot be read or used.
        """
        try:
            return cls.from_json(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        values: dict[str, Any] = json.loads(self.to_json())
        return values

    def to_json(self) -> str:
        """The settings as JSON."""
        return TypeAdapter(type(self)).dump_json(self, indent=2).decode()


def _readable(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(step) for step in entry['loc']) or 'settings'}: {entry['msg']}"
        for entry in error.errors(include_url=False)
    )


@dataclass(frozen=True, kw_only=True)
class ReplayItem:
    """One file to replay; `reference` is whatever the caller wants back in the record."""

    __pydantic_config__ = STRICT

    path: str
    name: str = ""
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReplaySource:
    """Replay files: one a trigger, or `rate_hz` of them a second."""

    __pydantic_config__ = STRICT

    kind: Literal["replay"] = "replay"
    items: list[ReplayItem] = field(default_factory=list)
    folder: str | None = None
    rate_hz: float | None = None
    order: Literal["given", "seeded"] = "given"
    seed: int = 0
    loop: bool = True

    def __post_init__(self) -> None:
        if bool(self.items) == bool(self.folder):
            raise ValueError("a replay needs either items or a folder")
        if self.rate_hz is not None and not 0 < self.rate_hz <= 1000:
            raise ValueError("rate_hz must be above 0 and at most 1000")


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Watch a folder that a camera writes into; a file is taken when it is whole.

    A used file is moved to `done` (kept), or removed where `keep` is false; a file that cannot be read
    within `patience_s` of its last change is a bad frame.
    """

    __pydantic_config__ = STRICT

    kind: Literal["folder"] = "folder"
    folder: str
    keep: bool = True
    poll_s: float = 0.02
    settle_s: float = 0.1
    patience_s: float = 2.0


@dataclass(frozen=True, kw_only=True)
class PushSource:
    """Frames handed to the station by the caller (HTTP or WebSocket push); at most `depth` wait."""

    __pydantic_config__ = STRICT

    kind: Literal["push"] = "push"
    depth: int = 8


SourceConfig = Annotated[ReplaySource | FolderSource | PushSource, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class StationConfig:
    """A view of the part and where its frames come from.

    `window_s` is how long after the trigger a frame that carries no trigger sequence may have come to count
    as this part's: it must be shorter than the time between two parts. `early_s` is how long before (the
    camera is triggered by wire, the PLC is polled). `late_s` is how late a frame may come at all: after a
    trigger without a frame, frames without a sequence are bad until the late one came outside every window,
    or no trigger came for so long. `keep_frames` false where the images are kept elsewhere. `bit` is its own
    in the PLC's register of NG stations; its place in the line where None.
    """

    __pydantic_config__ = STRICT

    name: str
    source: SourceConfig
    window_s: float = 0.2
    early_s: float = 0.03
    late_s: float = 10.0
    blank_range: int = 2
    keep_frames: bool = True
    bit: Annotated[int, Field(ge=0, lt=MAX_STATIONS)] | None = None

    def __post_init__(self) -> None:
        if not self.name or not all(sign.isalnum() or sign in "-_" for sign in self.name):
            raise ValueError(f"a station's name has letters, digits, - and _ only, not {self.name!r}")


@dataclass(frozen=True, kw_only=True)
class DeploymentConfig(JsonConfig):
    """A model version at an operating point, on a line.

    Attributes:
        id: the deployment's own number.
        model_version: 32-bit number, shown to the PLC.
        artefact: the model's folder.
        ng_at: a score at or above is NG.
        review_from: a score at or above (and below `ng_at`) is REVIEW.
        ok_scores: sorted scores of OK training images, or evenly spaced quantiles of them; the rank table.
        classes: class name to the number the PLC gets.
        map_max: map value shown at full scale; each map's own maximum where None.
    """

    __pydantic_config__ = STRICT

    id: int
    model_version: Annotated[int, Field(ge=0, lt=2**32)]
    artefact: str
    ng_at: float
    review_from: float | None = None
    ok_scores: list[float] = field(default_factory=list)
    classes: dict[str, Annotated[int, Field(ge=0, lt=2**16)]] = field(default_factory=dict)
    map_max: float | None = None
    recipe: Annotated[int, Field(ge=0, lt=2**16)] = 0

    def __post_init__(self) -> None:
        if not abs(self.ng_at) < float("inf"):
            raise ValueError("ng_at must be a finite number")
        if self.review_from is not None and not self.review_from < self.ng_at:
            raise ValueError("review_from must be below ng_at")
        if any(not a <= b for a, b in zip(self.ok_scores, self.ok_scores[1:], strict=False)):
            raise ValueError("ok_scores must be sorted")
        if self.map_max is not None and not 0 < self.map_max < float("inf"):
            raise ValueError("map_max must be a positive number")


@dataclass(frozen=True, kw_only=True)
class JournalConfig:
    """How verdicts are kept.

    `fsync_ms` 0: each record is on the disk before the PLC is answered; a slow disk makes parts late. Above:
    the disk has them within so many ms, and a power cut may cost the records (not the safety) of that time.
    """

    __pydantic_config__ = STRICT

    fsync_ms: float = 0
    rotate_bytes: int = 16 * 2**20
    keep_files: int = 8


@dataclass(frozen=True, kw_only=True)
class LineConfig(JsonConfig):
    """All that a line runtime needs to run.

    Attributes:
        line: the line's name; with the part's sequence it identifies a record for ever.
        folder: where journal and evidence are kept.
        trigger: `plc` (handshake: the PLC says when) or `frame` (an arriving frame or group starts a part).
        deadline_s: from trigger to result; later is ERROR (late).
        depth: parts that may wait while one is judged; more is ERROR (overrun).
        group_window_s: in `frame` mode, how long the other stations' frames may take after the first.
        stall_s: a judge that is silent for longer stops the heartbeat, so that the PLC stops the line.
        lot: written into each record.
        evidence_depth: parts whose images may wait to be written; more are not kept, and alarmed.
        not_below: parts are numbered above this, whatever the journal says: the database had so many when the
            line was started.
        keep_evidence_parts: images of about so many latest parts are kept; 0 keeps all.
        revision: names the settings in the database that these were made of; nothing to the runtime.
    """

    __pydantic_config__ = STRICT

    line: str
    folder: str
    stations: list[StationConfig]
    trigger: Literal["plc", "frame"] = "plc"
    plc: PlcConfig | None = None
    rule: PartRule = PartRule.ANY
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 0.5
    depth: Annotated[int, Field(ge=1, le=1000)] = 4
    group_window_s: Annotated[float, Field(ge=0, le=600)] = 0.2
    stall_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    lot: str = ""
    journal: JournalConfig = JournalConfig()
    evidence_depth: Annotated[int, Field(ge=1, le=10_000)] = 64
    keep_evidence_parts: Annotated[int, Field(ge=0)] = 50_000
    not_below: Annotated[int, Field(ge=0)] = 0
    revision: str = ""
    deployment: DeploymentConfig | None = None

    def __post_init__(self) -> None:
        names = [station.name for station in self.stations]
        bits = self.station_bits.values()
        if not self.line:
            raise ValueError("line: a name is needed")
        if not 1 <= len(names) <= MAX_STATIONS or len(set(names)) != len(names):
            raise ValueError(f"stations: 1 to {MAX_STATIONS} of them, with different names")
        if len(set(bits)) != len(bits) or not all(0 <= bit < MAX_STATIONS for bit in bits):
            raise ValueError(f"stations: each needs a bit of its own, 0 to {MAX_STATIONS - 1}")
        if self.trigger == "plc" and (self.plc is None or self.plc.profile != "handshake"):
            raise ValueError("trigger: `plc` needs a PLC with the handshake profile")
        if self.trigger == "frame" and self.plc is not None and self.plc.profile == "handshake":
            raise ValueError("trigger: `frame` has no sequence to answer; the handshake profile needs `plc`")
        if self.trigger == "frame" and any(
            isinstance(station.source, ReplaySource) and station.source.rate_hz is None
            for station in self.stations
        ):
            raise ValueError("trigger: `frame` needs a rate_hz for a replay")

    @property
    def station_bits(self) -> dict[str, int]:
        """Each station's bit in the PLC's register of NG stations."""
        return {
            station.name: place if station.bit is None else station.bit
            for place, station in enumerate(self.stations)
        }

    @property
    def is_simulated(self) -> bool:
        """True where any station replays stored images, which the PLC is told."""
        return any(station.source.kind == "replay" for station in self.stations)
