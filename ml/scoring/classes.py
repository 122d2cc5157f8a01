"""The score of a classifier."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import NoNumbers, Scores


@dataclass(frozen=True)
class NotOk(NoNumbers):
    """Logits [B, K], OK first → 1 − P(OK), and the probabilities.

    The score is summed from the defects' probabilities, so that scores near 1 and near 0 keep their order.
    """

    kind: ClassVar[str] = "not_ok"

    def __call__(self, raw: np.ndarray) -> Scores:
        if raw.ndim != 2 or raw.shape[1] < 2:
            raise ValueError(f"a number for each of two or more classes is expected, not {list(raw.shape)}")
        logits = raw.astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        return Scores(probabilities[:, 1:].sum(axis=1), probabilities.astype(np.float32))
