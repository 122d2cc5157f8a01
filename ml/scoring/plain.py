"""Scores that are the network's one output, or its logistic."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import NoNumbers, Scores


def _one_number_each(raw: np.ndarray) -> np.ndarray:
    if raw.ndim != 1:
        raise ValueError(f"one number an image is expected, not {list(raw.shape)}")
    return raw.astype(np.float64)


@dataclass(frozen=True)
class Sigmoid(NoNumbers):
    """Logit [B] → probability, in float64, so that scores near 1 keep their order."""

    kind: ClassVar[str] = "sigmoid"

    def __call__(self, raw: np.ndarray) -> Scores:
        return Scores(np.asarray(np.exp(-np.logaddexp(0.0, -_one_number_each(raw)))))


@dataclass(frozen=True)
class Identity(NoNumbers):
    """The network's output [B] is the score."""

    kind: ClassVar[str] = "identity"

    def __call__(self, raw: np.ndarray) -> Scores:
        return Scores(_one_number_each(raw))
