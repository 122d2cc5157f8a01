"""The score of an image by its worst places."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np

from .base import Scores

LEAST: Final = 1e-3  # of distances that are about 1 on OK images


@dataclass(frozen=True)
class WorstPatches:
    """Distances of an image's patches, then features: [B, places + d] → score, descriptor [B, d].

    The score is the mean of the largest distances over the median of all: a part whose whole surface is
    rougher than others is no defect, a patch that stands out of its own surface is. Of this ratio the
    logarithm, whose OK values are nearer to normal, as the Pauta criterion supposes.

    Attributes:
        places: how many of the numbers are distances, at least 0 each.
        share: of the places that count as the largest, 0 to 1; at least one does.
    """

    kind: ClassVar[str] = "worst_patches"
    places: int
    share: float

    def __post_init__(self) -> None:
        if self.places < 1 or not 0 < self.share <= 1:
            raise ValueError(f"{self.places} places of which {self.share} count give no score")

    def __call__(self, raw: np.ndarray) -> Scores:
        if raw.ndim != 2 or raw.shape[1] < self.places:
            raise ValueError(f"{self.places} distances an image are expected, not {list(raw.shape)}")
        scores = _standing_out(raw[:, : self.places], self.share)
        return Scores(scores, descriptors=_descriptors(raw[:, self.places :]))

    def to_json(self) -> dict[str, Any]:
        return {"places": self.places, "share": self.share}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(int(stored["places"]), float(stored["share"]))


@dataclass(frozen=True)
class UsualWorst:
    """One comparison's worst places, and what they come to on OK images.

    Attributes:
        places, share: as of `WorstPatches`.
        mean, deviation: of the logarithm on OK images; the deviation is above 0.
    """

    places: int
    share: float
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if self.places < 1 or not 0 < self.share <= 1 or not self.deviation > 0:
            raise ValueError(f"{self} gives no score")

    def deviations(self, distances: np.ndarray) -> np.ndarray:
        """Distances [B, places] → how many deviations above the OK images' mean, [B]."""
        return (_standing_out(distances, self.share) - self.mean) / self.deviation


@dataclass(frozen=True)
class WorstOfSeveral:
    """Distances of several comparisons side by side, then features → score, descriptor [B, d].

    Each comparison is judged as by `WorstPatches` and counted in deviations of OK images; the one that stands
    out most is the score.

    Attributes:
        parts: in the order in which their distances stand, one at least.
    """

    kind: ClassVar[str] = "worst_of_several"
    parts: tuple[UsualWorst, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("without a comparison there is no score")

    def __call__(self, raw: np.ndarray) -> Scores:
        places = [part.places for part in self.parts]
        if raw.ndim != 2 or raw.shape[1] < sum(places):
            raise ValueError(f"{sum(places)} distances an image are expected, not {list(raw.shape)}")
        *distances, features = np.split(raw, np.cumsum(places), axis=1)
        each = [part.deviations(one) for part, one in zip(self.parts, distances, strict=True)]
        return Scores(np.max(each, axis=0), descriptors=_descriptors(features))

    def to_json(self) -> dict[str, Any]:
        return {"parts": [asdict(part) for part in self.parts]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(
            tuple(
                UsualWorst(int(one["places"]), *(float(one[name]) for name in ("share", "mean", "deviation")))
                for one in stored["parts"]
            )
        )


def _standing_out(distances: np.ndarray, share: float) -> np.ndarray:
    """ln of the mean of the largest share of [B, places] over the median, float64 [B]."""
    ordered = np.sort(distances.astype(np.float64), axis=1)
    count = max(1, round(share * ordered.shape[1]))
    worst = ordered[:, -count:].mean(axis=1).clip(min=LEAST)
    median = np.median(ordered, axis=1).clip(min=LEAST)
    logarithm: np.ndarray = np.log(worst / median)
    return logarithm


def _descriptors(features: np.ndarray) -> np.ndarray | None:
    return features.astype(np.float32) if features.size else None
