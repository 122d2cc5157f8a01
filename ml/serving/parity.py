"""Whether an engine gives the scores that the training framework gave, on images held in the artefact."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml.methods.contract import Prediction
from ml.serving.artefact import ParityImages
from ml.serving.variants import EXACT, Variant

TOLERANCE: Final = 1e-4  # of the spread of the held images' scores
LEAST_SPREAD: Final = 0.05  # of their size: closer scores are told apart by float32's rounding alone


@dataclass(frozen=True)
class EngineParity:
    """One engine against the training framework.

    Attributes:
        engine: its name.
        max_difference: the largest difference of a score.
        max_map_difference: the largest difference of a map's value; told, not judged.
        spread: the held images' highest score less their lowest; at least `LEAST_SPREAD` of their size.
        passed: at the training's precision, the largest difference is within `TOLERANCE` of the spread; at a
            lower one nothing but the maps' size is asked for here.
    """

    engine: str
    max_difference: float
    max_map_difference: float
    spread: float
    passed: bool


@dataclass(frozen=True)
class ParityReport:
    """Every engine that was tried; `passed` means all of them.

    Attributes:
        engines: those that gave scores, by name.
        refused: why, by name, those that could not.
    """

    engines: Mapping[str, EngineParity]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def max_difference(self) -> float:
        return max((one.max_difference for one in self.engines.values()), default=0.0)

    @property
    def spread(self) -> float:
        return max((one.spread for one in self.engines.values()), default=0.0)

    @property
    def passed(self) -> bool:
        return not self.refused and all(one.passed for one in self.engines.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "max_difference": self.max_difference,
            "spread": self.spread,
            "passed": self.passed,
            "engines": {name: asdict(one) for name, one in self.engines.items()},
            "refused": dict(self.refused),
        }


class ParityError(Exception):
    """An engine does not give the training framework's scores; it must not judge a part."""

    def __init__(self, parity: EngineParity) -> None:
        self.parity = parity
        super().__init__(
            f"The scores of {parity.engine} differ from the training framework's by up to "
            f"{parity.max_difference:.3g}; {TOLERANCE:g} of their spread, {parity.spread:.3g}, is allowed."
        )


def compare(held: ParityImages, given: Prediction, variant: Variant) -> EngineParity:
    """Scores and maps of an engine against those held in the artefact."""
    expected = held.expected
    difference = float(np.max(np.abs(given.scores - expected.scores)))
    spread = float(max(np.ptp(expected.scores), LEAST_SPREAD * np.max(np.abs(expected.scores))))
    same_shape = given.maps.shape == expected.maps.shape
    return EngineParity(
        engine=variant.key,
        max_difference=difference,
        max_map_difference=float(np.max(np.abs(given.maps - expected.maps))) if same_shape else float("inf"),
        spread=spread,
        passed=same_shape and (difference <= TOLERANCE * spread or not variant.is_exact),
    )


def check_parity(folder: Path, engine: str | None = None) -> ParityReport:
    """Tries one engine in float32, or every engine that there is, on the images held in the artefact.

    In this process: an engine that crashes takes it along (see `ml.serving.trials`).

    Raises:
        ArtefactError: see `ml.serving.predictor.load_predictor`.
        EngineUnavailable: no such engine here.
        InferenceFailed: an engine failed on the held images.
    """
    from ml.serving.artefact import read_card, read_parity
    from ml.serving.engines import load_engine
    from ml.serving.predictor import Predictor

    card = read_card(folder)
    held = read_parity(folder, card)
    found = {}
    for variant in [engine] if engine else [one for one in EXACT if not one.absence]:
        predictor = Predictor(card, load_engine(variant, folder, card))
        found[predictor.engine] = compare(held, predictor.predict(held.images, held.views), predictor.variant)
    return ParityReport(found)
