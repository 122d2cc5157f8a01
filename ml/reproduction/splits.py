"""What a recipe fits on and what it measures on, seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from annotation.models import Dataset, ImageSource
from ml.evaluation.learning_curve import learning_fits
from ml.models import Snapshot
from ml.services.snapshots import SnapshotImage, freeze_dataset, frozen_images
from ml.services.splitting import assign_folds

from .recipes import Recipe


@dataclass(frozen=True)
class SeedSplit:
    """One seed's split.

    Attributes:
        seed: of the split and of the fits.
        snapshot: images and folds. Where it is not by group, it is no row of the records.
        training: by fold, the images to fit on.
    """

    seed: int
    snapshot: Snapshot
    training: Mapping[int, Sequence[SnapshotImage]]

    @property
    def images(self) -> list[SnapshotImage]:
        return frozen_images(self.snapshot)


def split_of(recipe: Recipe, dataset: Dataset, seed: int) -> SeedSplit:
    """The split of a recipe for a seed.

    Raises:
        DatasetUnsuitable: nothing is labelled, or there are too few groups.
    """
    snapshot = freeze_dataset(dataset=dataset, folds=recipe.folds, seed=seed)
    if recipe.split_by == "item":
        snapshot = _by_item(snapshot, recipe.folds, seed)
    elif recipe.split_by == "ok":
        snapshot = _ng_apart(snapshot)
    images = frozen_images(snapshot)
    training: dict[int, Sequence[SnapshotImage]] = {
        fold: [image for image in images if image.fold != fold] for fold in range(max(1, recipe.folds))
    }
    if recipe.ng_in_training is not None:
        training |= _with_few_ng(images, recipe.ng_in_training, recipe.folds, seed)
    return SeedSplit(seed, snapshot, training)


def _by_item(snapshot: Snapshot, folds: int, seed: int) -> Snapshot:
    """Every file for itself, parted by item: copies of an image under two items part."""
    by_id = {image.id: image for image in frozen_images(snapshot)}
    rows = ImageSource.objects.filter(dataset=snapshot.dataset, image__in=by_id).order_by("id")
    files = [
        replace(by_id[image_id], file=name, group=f"item:{item}" if item else f"file:{name}")
        for image_id, name, item in rows.values_list("image_id", "name", "item")
    ]
    fold_of = assign_folds([one.is_ng for one in files], [one.group for one in files], folds=folds, seed=seed)
    images = [replace(one, fold=fold) for one, fold in zip(files, fold_of, strict=True)]
    contents: dict[str, Any] = {
        **snapshot.contents,
        "split": {**snapshot.contents["split"], "by": "item"},
        "images": [list(astuple(image)) for image in images],
    }
    return Snapshot(dataset=snapshot.dataset, contents=contents)


def _ng_apart(snapshot: Snapshot) -> Snapshot:
    """A hold-out with every group that has an NG image on its side."""
    images = frozen_images(snapshot)
    with_ng = {image.group for image in images if image.is_ng}
    parted = [replace(image, fold=0) if image.group in with_ng else image for image in images]
    contents: dict[str, Any] = {
        **snapshot.contents,
        "split": {**snapshot.contents["split"], "by": "ok"},
        "images": [list(astuple(image)) for image in parted],
    }
    return Snapshot(dataset=snapshot.dataset, contents=contents)


def _with_few_ng(
    images: Sequence[SnapshotImage], count: int, folds: int, seed: int
) -> dict[int, Sequence[SnapshotImage]]:
    """By fold, the training part with so many NG images; a fold with fewer keeps all it has."""
    fits = learning_fits(
        np.array([image.is_ng for image in images], bool),
        [image.group for image in images],
        [count],
        folds=folds,
        seeds=[seed],
    )
    return {fit.fold: [images[number] for number in fit.training] for fit in fits}
