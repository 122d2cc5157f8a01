"""What one machine found out about one model: each variant's agreement, speed and memory; one JSON file."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from ml.serving import gate
from ml.serving.artefact import ArtefactError
from ml.serving.quantised import QUANTISED_FILES, serving_folder
from ml.serving.variants import Variant

MEASURED: Final = "measured.json"
VERSION: Final = 1


class State(StrEnum):
    """How far a variant came on a machine."""

    ABSENT = "absent"  # its package or its hardware is not there
    BROKEN = "broken"  # it can't load or run this model, or crashed
    DIFFERS = "differs"  # at the training's precision, its scores are not the training's
    SLOWER = "slower"  # of a lower precision, and not quicker for it: not looked into further
    MEASURED = "measured"


@dataclass(frozen=True)
class MeasuredVariant:
    """One variant.

    Attributes:
        engine, precision: see `Variant`.
        state: see `State`.
        reason: a sentence where it is not MEASURED.
        max_difference: of a score of the held images from the training framework's.
        spread: of these images' scores.
        load_s: seconds to load it, without starting its process.
        peak_mb: the most memory that its process held, with everything it needs to serve.
        latency_ms: by number of images in one run, decoded frame to score and map: p50, p95, p99, n.
        relative: its median time beside that of the reference variant, measured in turns; less is quicker.
        scores: of the held-out images, where the gate needs them.
    """

    engine: str
    precision: str
    state: State
    reason: str = ""
    max_difference: float | None = None
    spread: float | None = None
    load_s: float | None = None
    peak_mb: float | None = None
    latency_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    relative: float | None = None
    scores: Sequence[float] = ()

    @property
    def variant(self) -> Variant:
        return Variant(self.engine, self.precision)  # type: ignore[arg-type]

    @property
    def images_per_s(self) -> float | None:
        """At the batch size with which it is best."""
        rates = [1000 * int(batch) / one["p50"] for batch, one in self.latency_ms.items() if one["p50"] > 0]
        return max(rates) if rates else None


@dataclass(frozen=True)
class Measured:
    """Every variant of one model on one machine.

    Attributes:
        machine: `machine_key` of where it was measured.
        facts: `machine_facts` of it.
        threads: that each variant had.
        variants: in the order tried.
        ids, is_ng, expected: of the artefact's held-out images (see `HeldOut`).
        held_out_of: how many held-out images these were taken from.
        seconds: that all of it took.
    """

    machine: str
    facts: Mapping[str, Any]
    threads: int
    variants: Sequence[MeasuredVariant]
    ids: Sequence[int] = ()
    is_ng: Sequence[bool] = ()
    expected: Sequence[float] = ()
    held_out_of: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: another version, or something is missing.
        """
        try:
            if stored["version"] != VERSION:
                raise ValueError(f"measured.json is of version {stored['version']!r}, not {VERSION}")
            values = {name: value for name, value in stored.items() if name != "version"}
            variants = [
                MeasuredVariant(**(one | {"state": State(one["state"])})) for one in values.pop("variants")
            ]
            return cls(variants=variants, **values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the measurement can't be read: {error!r}") from error


@dataclass(frozen=True)
class Choice:
    """A variant at an operating point, and whether it may judge there.

    Attributes:
        one: the variant.
        gate: what the held-out images say; None at the training's precision, where the scores are the same.
        refusal: why it may not judge; empty where it may.
    """

    one: MeasuredVariant
    gate: gate.Gate | None
    refusal: str


def choices(measured: Measured, *, ng_at: float, review_from: float | None = None) -> list[Choice]:
    """Every variant at an operating point: those that may judge first, quickest first."""
    found = [_choice(measured, one, ng_at, review_from) for one in measured.variants]
    return sorted(found, key=lambda choice: (bool(choice.refusal), choice.one.relative or np.inf))


def _choice(measured: Measured, one: MeasuredVariant, ng_at: float, review_from: float | None) -> Choice:
    if one.state is not State.MEASURED:
        return Choice(one, None, one.reason)
    if one.variant.is_exact:
        return Choice(one, None, "")
    held = gate.judge(
        expected=measured.expected,
        given=one.scores,
        is_ng=measured.is_ng,
        ng_at=ng_at,
        review_from=review_from,
    )
    return Choice(one, held, held.reason)


def write_measured(folder: Path, measured: Measured) -> None:
    """Keeps a measurement beside the artefact that it is of."""
    place = serving_folder(folder)
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f"{MEASURED}.draft"
    draft.write_text(json.dumps(measured.to_json()), encoding="utf-8")
    draft.replace(place / MEASURED)


def copy_measured(source: Path, target: Path) -> bool:
    """Brings what this machine measured of an artefact, and the int8 network, to another copy of it.

    Returns:
        False where nothing has been measured, or it is there already.

    Raises:
        ArtefactError: the measurement can't be read.
        OSError: it can't be copied.
    """
    measured = read_measured(source)
    if measured is None or (target.exists() and _content(source) == _content(target)):
        return False
    place = serving_folder(target)
    place.mkdir(parents=True, exist_ok=True)
    for name in QUANTISED_FILES:
        if (serving_folder(source) / name).exists():
            shutil.copyfile(serving_folder(source) / name, place / f"{name}.draft")
            (place / f"{name}.draft").replace(place / name)
    write_measured(target, measured)
    return True


def _content(folder: Path) -> bytes:
    path = serving_folder(folder) / MEASURED
    return path.read_bytes() if path.exists() else b""


def read_measured(folder: Path) -> Measured | None:
    """This machine's measurement of an artefact; None where there is none.

    Raises:
        ArtefactError: there is one that can't be read.
    """
    try:
        return Measured.from_json(json.loads((serving_folder(folder) / MEASURED).read_bytes()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ArtefactError(f"{MEASURED}: {error}") from error
