"""The score of a one-class support vector machine on standardised features."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from .base import Scores

Row = tuple[float, ...]


@dataclass(frozen=True)
class OneClassSvm:
    """Features [B, F] → minus the decision function of a one-class SVM with RBF kernel (Schölkopf et al.).

    With z = (x − mean) / deviation, the score is offset − Σᵢ αᵢ exp(−γ ‖z − sᵢ‖²): about 0 at the edge of
    what the OK images fill, above it outside; far away from all of them it ends at `offset`. The descriptors
    are z.

    Attributes:
        mean, deviation: [F], of the OK images' features.
        support_vectors: [S][F], standardised. sᵢ
        coefficients: [S]. αᵢ
        gamma: of the kernel. γ
        offset: ρ of the decision function.
    """

    mean: Row
    deviation: Row
    support_vectors: tuple[Row, ...]
    coefficients: Row
    gamma: float
    offset: float

    kind: ClassVar[str] = "one_class_svm"

    def __post_init__(self) -> None:
        width = len(self.mean)
        if not width or len(self.deviation) != width:
            raise ValueError(f"mean has {width} numbers and deviation {len(self.deviation)}")
        if not self.support_vectors or len(self.support_vectors) != len(self.coefficients):
            raise ValueError(
                f"there are {len(self.support_vectors)} support vectors and {len(self.coefficients)} "
                "coefficients"
            )
        if any(len(row) != width for row in self.support_vectors):
            raise ValueError(f"every support vector has {width} numbers")
        rows = (*self.support_vectors, self.mean, self.deviation, self.coefficients, (self.offset,))
        if not all(math.isfinite(value) for row in rows for value in row):
            raise ValueError("a number is not finite")
        if not all(value > 0 for value in self.deviation):
            raise ValueError("deviation must be above 0")
        if not (math.isfinite(self.gamma) and self.gamma > 0):
            raise ValueError("gamma must be finite and above 0")

    def standardised(self, features: np.ndarray) -> np.ndarray:
        """float64 [B, F] of features [B, F]."""
        return (features.astype(np.float64) - np.array(self.mean)) / np.array(self.deviation)

    def __call__(self, raw: np.ndarray) -> Scores:
        if raw.ndim != 2 or raw.shape[1] != len(self.mean):
            raise ValueError(f"{len(self.mean)} features an image are expected, not {list(raw.shape)}")
        z = self.standardised(raw)
        scores = np.array([self.offset - self._similarity(one) for one in z], np.float64)
        return Scores(scores, descriptors=z.astype(np.float32))

    def _similarity(self, z: np.ndarray) -> float:
        square = np.square(self._vectors - z).sum(axis=1)
        return float(np.dot(self._weights, np.exp(-self.gamma * square)))

    @cached_property
    def _vectors(self) -> np.ndarray:
        return np.array(self.support_vectors, np.float64)

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.array(self.coefficients, np.float64)

    def to_json(self) -> dict[str, Any]:
        return {
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "support_vectors": [list(row) for row in self.support_vectors],
            "coefficients": list(self.coefficients),
            "gamma": self.gamma,
            "offset": self.offset,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(
            mean=_row(stored["mean"]),
            deviation=_row(stored["deviation"]),
            support_vectors=tuple(_row(one) for one in stored["support_vectors"]),
            coefficients=_row(stored["coefficients"]),
            gamma=float(stored["gamma"]),
            offset=float(stored["offset"]),
        )


def _row(stored: Any) -> Row:
    return tuple(float(value) for value in stored)
