"""Training images as a network takes them, read once where memory allows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ml.methods.contract import TrainingSet
from ml.preprocessing import Preprocessing

BUDGET_BYTES: Final = 512_000_000
MEASURED_IMAGES: Final = 64
MIN_DEVIATION: Final = 1 / 255  # of blank images


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

    def batch(self, indices: Sequence[int]) -> np.ndarray:
        """Images as the network takes them, float32 [B, C, H, W].

        Raises:
            ImageUnusable: the preprocessing can't take the image.
        """
        return self._preprocessing.normalised([self.resized(index) for index in indices])

    def resized(self, index: int) -> np.ndarray:
        """One image as it is resized, uint8 [H, W] or [H, W, 3]; not to be changed."""
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        resized = self._preprocessing.resized(self._training.images[index], self._training.views[index])
        if resized.nbytes <= self._left_bytes:
            self._kept[index] = np.ascontiguousarray(resized)
            self._left_bytes -= resized.nbytes
        return resized


def standardised(training: TrainingSet, preprocessing: Preprocessing, seed: int) -> Preprocessing:
    """The same preprocessing with the mean and deviation of the training set's pixels.

    Without it, the offset that all pixels share hides their differences from a normalisation over channels.

    Args:
        training: a sample of at most `MEASURED_IMAGES` of it is read.
        preprocessing: whose mean and std are replaced.
        seed: of the sample.

    Raises:
        ImageUnusable: the preprocessing can't take an image.
    """
    sample = np.random.default_rng(seed).permutation(len(training))[:MEASURED_IMAGES]
    channels = np.zeros((2, preprocessing.channels))  # sums of the values and of their squares
    for index in sample:
        pixels = preprocessing.resized(training.images[index], training.views[index]) / 255.0
        flat = pixels.reshape(-1, preprocessing.channels)
        channels += np.stack([flat.mean(axis=0), (flat**2).mean(axis=0)])
    mean, square = channels / len(sample)
    deviation = np.sqrt(np.maximum(square - mean**2, MIN_DEVIATION**2))
    return replace(
        preprocessing,
        mean=tuple(round(float(value), 4) for value in mean),
        std=tuple(round(float(value), 4) for value in deviation),
    )
