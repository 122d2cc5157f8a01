"""Which images a fit holds out: by group, never by image."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ml.errors import DatasetUnsuitable
from ml.evaluation.splits import HELD_OUT_SHARE, SplitImpossible, grouped_folds, grouped_hold_out

TRAINING_FOLD: Final = -1


def assign_folds(is_ng: Sequence[bool], groups: Sequence[str], *, folds: int, seed: int) -> list[int]:
    """The fold of each image.

    Args:
        is_ng: as labelled.
        groups: images of one group stay together.
        folds: 0 for a hold-out of about `HELD_OUT_SHARE` of the groups.
        seed: of the split.

    Returns:
        0 to `folds` - 1; or, for a hold-out, 0 where held out and `TRAINING_FOLD` elsewhere.

    Raises:
        DatasetUnsuitable: too few groups to split.
    """
    labels = np.asarray(is_ng, bool)
    try:
        if folds:
            return [int(fold) for fold in grouped_folds(labels, groups, folds, seed)]
        held_out = grouped_hold_out(labels, groups, HELD_OUT_SHARE, seed)
    except SplitImpossible as error:
        raise DatasetUnsuitable(str(error)) from error
    return [0 if is_held else TRAINING_FOLD for is_held in held_out]
