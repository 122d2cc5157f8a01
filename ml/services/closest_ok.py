"""The OK images of a training, by their descriptors, into its artefact."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ml.choices import ScoreSplit
from ml.methods.contract import FittedModel

from .fitting import ScoredImage
from .training_sets import read_pixels

_AT_ONCE: Final = 8


def keep_ok_images(folder: Path, model: FittedModel, scored: Sequence[ScoredImage]) -> None:
    """Adds descriptors of OK training images; at most `MAX_OK_IMAGES`, those over the whole range of scores.

    Args:
        folder: of the artefact, exported.
        model: that was exported. Where it has no descriptors, nothing is added.
        scored: every image of the snapshot.

    Raises:
        ImageMissing: an image can no longer be read.
    """
    from ml.serving.closest_ok import MAX_OK_IMAGES, add_ok_images

    ok = [one for one in scored if not one.image.is_ng]
    trained = [one for one in ok if one.split == ScoreSplit.TRAINING] or ok
    trained.sort(key=lambda one: (one.score, one.image.id))
    places = np.linspace(0, len(trained) - 1, min(MAX_OK_IMAGES, len(trained))).round().astype(int)
    chosen = [trained[place] for place in places]
    descriptors: list[np.ndarray] = []
    for start in range(0, len(chosen), _AT_ONCE):
        part = chosen[start : start + _AT_ONCE]
        said = model.predict([read_pixels(one.image) for one in part], [one.image.view for one in part])
        if said.descriptors is None:
            return
        descriptors.append(said.descriptors)
    add_ok_images(folder, [one.image.id for one in chosen], np.concatenate(descriptors))
