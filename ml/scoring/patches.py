"""The score of an image by its worst patches."""

from collections.abc import Mapping
from dataclasses import dataclass
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
        distances = np.sort(raw[:, : self.places].astype(np.float64), axis=1)
        count = max(1, round(self.share * self.places))
        worst = distances[:, -count:].mean(axis=1).clip(min=LEAST)
        median = np.median(distances, axis=1).clip(min=LEAST)
        descriptors = raw[:, self.places :].astype(np.float32)
        return Scores(np.log(worst / median), descriptors=descriptors if descriptors.size else None)

    def to_json(self) -> dict[str, Any]:
        return {"places": self.places, "share": self.share}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(int(stored["places"]), float(stored["share"]))
