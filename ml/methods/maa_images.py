"""Which OK images `maa` is fitted on, which it is measured on, in what order and at what size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.evaluation.splits import SplitImpossible, grouped_hold_out
from ml.methods.contract import TrainingSet
from ml.methods.declarations import MaaParameters
from ml.methods.maa_network import STRIDE
from ml.preprocessing import Preprocessing

MEASURED_IMAGES: Final = 64
PATCH_IMAGES: Final = 256
HELD_OUT_SHARE: Final = 0.1
LEAST_SIDE_PX: Final = 32  # below it the discriminator's last row has nothing to look at
MOST_ELONGATED: Final = 8.0  # height to width, or width to height, of the network's input

TO_TANH: Final = (0.5, 0.5, 0.5)  # mean and deviation that bring [0, 1] to [-1, 1], the range of G's Tanh


@dataclass(frozen=True)
class OkImages:
    """Numbers of OK images in the training set.

    Attributes:
        fitted: int [N], that the weights are fitted on.
        measured: int [M], at most `MEASURED_IMAGES`, that the map's scale and the normality test come from.
        are_apart: no measured image, nor one of its group, is fitted on.
    """

    fitted: np.ndarray
    measured: np.ndarray
    are_apart: bool

    @property
    def fitted_sample(self) -> np.ndarray:
        """At most `PATCH_IMAGES` of the fitted ones: what the patches' statistics come from."""
        every = max(1, -(-len(self.fitted) // PATCH_IMAGES))
        return self.fitted[::every]


def ok_images(training: TrainingSet, parameters: MaaParameters, seed: int) -> OkImages:
    """OK images to fit and to measure on: a tenth of the groups apart, or all for both (`pauta_on`).

    Where all images are of one group nothing can be set apart, and all are used for both.
    """
    ok = np.flatnonzero(~np.asarray(training.is_ng, bool))
    shuffled = np.random.default_rng(seed).permutation(ok)
    if parameters.pauta_on == "held_out":
        groups = [training.groups[int(number)] for number in ok]
        try:
            held = grouped_hold_out(np.zeros(len(ok), bool), groups, HELD_OUT_SHARE, seed)
        except SplitImpossible:
            pass
        else:
            apart = shuffled[np.isin(shuffled, ok[held])]
            return OkImages(ok[~held], apart[:MEASURED_IMAGES], are_apart=True)
    return OkImages(ok, shuffled[:MEASURED_IMAGES], are_apart=False)


def preprocessing_of(
    training: TrainingSet, images: Sequence[int] | np.ndarray, parameters: MaaParameters, seed: int
) -> Preprocessing:
    """RGB in [-1, 1], square as in section III-E or with the images' proportions and as many pixels.

    Args:
        training: a sample of it is read where proportions are kept; their median counts.
        images: that the sample is drawn from.
        parameters: size and shape.
        seed: of the sample.

    Raises:
        ImageUnusable: an image is smaller than its region of interest.
    """
    size = parameters.size
    square = Preprocessing(size, size, "rgb", TO_TANH, TO_TANH, training.rois)
    if parameters.shape == "square":
        return square
    sample = np.random.default_rng(seed).permutation(np.asarray(images))[:MEASURED_IMAGES]
    shapes = [square.region(training.images[one], training.views[one]).shape for one in sample]
    elongation = float(np.median([shape[0] / shape[1] for shape in shapes]))
    stretch = math.sqrt(min(max(elongation, 1 / MOST_ELONGATED), MOST_ELONGATED))
    height, width = (
        max(LEAST_SIDE_PX, STRIDE * round(side / STRIDE)) for side in (size * stretch, size / stretch)
    )
    return Preprocessing(height, width, "rgb", TO_TANH, TO_TANH, training.rois)


def in_turn(images: np.ndarray, start: int, count: int, seed: Sequence[int]) -> np.ndarray:
    """`count` images from place `start` of an endless order: permutations of all of them, one after another.

    What stands at a place follows from the seed alone, so that a resumed fit sees the same images.
    """
    drawn: list[np.ndarray] = []
    while count > 0:
        round_number, place = divmod(start, len(images))
        order = np.random.default_rng([*seed, round_number]).permutation(images)
        drawn.append(order[place : place + count])
        start, count = start + len(drawn[-1]), count - len(drawn[-1])
    return np.concatenate(drawn)
