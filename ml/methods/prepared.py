"""Training images as a network takes them, read once where memory allows."""

from typing import Final

import numpy as np

from ml.methods.contract import TrainingSet
from ml.preprocessing import Preprocessing

BUDGET_BYTES: Final = 512_000_000


class PreparedImages:
    """Cropped and resized images of a training set, kept as uint8 until the budget is full.

    What does not fit is read anew each time: with an order that comes round, throwing out the oldest would
    keep nothing.
    """

    def __init__(
        self, training: TrainingSet, preprocessing: Preprocessing, budget_bytes: int = BUDGET_BYTES
    ) -> None:
        self._training = training
        self._preprocessing = preprocessing
        self._left_bytes = budget_bytes
        self._kept: dict[int, np.ndarray] = {}

    def batch(self, index: int) -> np.ndarray:
        """One image as a batch of one, float32 [1, C, H, W], normalised.

        Raises:
            ImageUnusable: the preprocessing can't take the image.
        """
        return self._preprocessing.normalised([self._resized(index)])

    def _resized(self, index: int) -> np.ndarray:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        resized = self._preprocessing.resized(self._training.images[index], self._training.views[index])
        if resized.nbytes <= self._left_bytes:
            self._kept[index] = np.ascontiguousarray(resized)
            self._left_bytes -= resized.nbytes
        return resized
