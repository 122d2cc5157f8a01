"""What stands between a network's raw output and the score of an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np


@dataclass(frozen=True)
class Scores:
    """What a scoring makes of B raw outputs.

    Attributes:
        scores: float64 [B]; higher means more likely NG.
        probabilities: float32 [B, K] over the card's classes, where the method has classes.
        descriptors: float32 [B, D], where images can be compared by them: the nearest OK image is the one
            at the least Euclidean distance.
    """

    scores: np.ndarray
    probabilities: np.ndarray | None = None
    descriptors: np.ndarray | None = None


class Scoring(Protocol):
    """The part of a model that is not the network: plain numbers, which stand in the card.

    It is NumPy alone, and the same code after every engine. `from_json(to_json())` gives an equal one.
    """

    kind: ClassVar[str]

    def __call__(self, raw: np.ndarray) -> Scores:
        """float32 [B, …] as the network gives it → the scores. None depends on its neighbours.

        Raises:
            ValueError: `raw` is not of the shape that this scoring takes.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """Everything but `kind`."""
        ...

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Raises:
        ValueError, KeyError, TypeError: a value is missing or out of range.
        """
        ...


class NoNumbers:
    """Base of a scoring that has nothing to remember."""

    def to_json(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Raises:
        ValueError: there are numbers that this scoring does not take.
        """
        if unknown := set(stored) - {"kind"}:
            raise ValueError(f"it takes no {', '.join(sorted(unknown))}")
        return cls()
