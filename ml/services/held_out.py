"""The images that go into an artefact for the gate of lower precisions, chosen from a job's scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ml.choices import ScoreSplit
from ml.methods.contract import FittedModel
from ml.preprocessing import Preprocessing

from .fitting import ScoredImage
from .training_sets import read_pixels

_AT_ONCE: Final = 8


def keep_held_out(
    folder: Path, model: FittedModel, scored: Sequence[ScoredImage], *, threshold: float, folds: int
) -> None:
    """Adds held-out images with the model's own scores, and OK images of its training, to its artefact.

    After folds, the scores are those of the folds' models, and the exported one gives its own.

    Args:
        folder: of the artefact, exported.
        model: that was exported.
        scored: every image of the snapshot.
        threshold: the proposed one; images near it are the first to be held.
        folds: of the job.

    Raises:
        ImageMissing: an image can no longer be read.
    """
    from ml.serving.held_out import HeldOut, add_held_out, calibration_limit, choose_held_out, image_limit

    preprocessing = model.preprocessing
    candidates = [one for one in scored if one.split == ScoreSplit.HELD_OUT]
    chosen = choose_held_out([one.score for one in candidates], threshold, image_limit(preprocessing))
    held = [candidates[index] for index in chosen]
    calibration = _calibration(scored, calibration_limit(preprocessing))
    if not held or not calibration:
        return
    expected = _scores(model, held) if folds else [one.score for one in held]
    add_held_out(
        folder,
        HeldOut(
            images=_resized(preprocessing, held),
            ids=np.array([one.image.id for one in held], np.int64),
            is_ng=np.array([one.image.is_ng for one in held], bool),
            expected=np.array(expected, np.float64),
            of=len(candidates),
            calibration=_resized(preprocessing, calibration),
        ),
    )


def _calibration(scored: Sequence[ScoredImage], limit: int) -> list[ScoredImage]:
    """OK images over the whole range of their scores, of the training where there are any apart."""
    ok = [one for one in scored if not one.image.is_ng]
    trained = [one for one in ok if one.split == ScoreSplit.TRAINING] or ok
    ordered = sorted(trained, key=lambda one: (one.score, one.image.id))
    places = np.linspace(0, len(ordered) - 1, min(limit, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def _scores(model: FittedModel, held: Sequence[ScoredImage]) -> list[float]:
    scores: list[float] = []
    for start in range(0, len(held), _AT_ONCE):
        part = held[start : start + _AT_ONCE]
        given = model.predict([read_pixels(one.image) for one in part], [one.image.view for one in part])
        scores += [float(score) for score in given.scores]
    return scores


def _resized(preprocessing: Preprocessing, images: Sequence[ScoredImage]) -> np.ndarray:
    return np.stack([preprocessing.resized(read_pixels(one.image), one.image.view) for one in images])
