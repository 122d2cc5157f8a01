"""Freezing a dataset: which images, labels, groups, regions and split a job uses, for good."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, Final

from django.db import transaction

from annotation.models import OK_CLASS_NAME, Dataset, Region
from ml.errors import DatasetUnsuitable
from ml.evaluation.splits import HELD_OUT_SHARE
from ml.methods.contract import Counts
from ml.models import Snapshot
from ml.selectors import images as image_rows

from .grouping import group_images
from .splitting import TRAINING_FOLD, assign_folds


@dataclass(frozen=True)
class SnapshotImage:
    """One image of a snapshot, as it was when frozen. The field order is that of the stored list.

    Attributes:
        id: primary key of the image.
        file: the name it first came under.
        group: images of one group never part in a split.
        fold: the fit that holds it out, counted from 0; `TRAINING_FOLD` for an image that none does.
    """

    id: int
    sha256: str
    extension: str
    file: str
    class_name: str
    is_ng: bool
    group: str
    view: str
    fold: int


FORMAT: Final = 1
FIELDS: Final = tuple(field.name for field in fields(SnapshotImage))


@transaction.atomic
def freeze_dataset(*, dataset: Dataset, folds: int = 0, seed: int = 0) -> Snapshot:
    """The snapshot of a dataset's labelled, undisputed images as they are now.

    Args:
        dataset: what to freeze.
        folds: 0 for one grouped hold-out, else K folds by group.
        seed: of the split.

    Returns:
        A new row, or the one that has the very same contents.

    Raises:
        DatasetUnsuitable: nothing is labelled, or there are too few parts to split.
    """
    labelled, grouped = _labelled(dataset)
    fold_of = assign_folds(
        [image.is_ng for image in labelled], [image.group for image in labelled], folds=folds, seed=seed
    )
    frozen = [replace(image, fold=fold) for image, fold in zip(labelled, fold_of, strict=True)]
    return _stored(dataset, frozen, _split_entry(folds, seed) | {"grouped": grouped})


def labelled_images(dataset: Dataset) -> list[SnapshotImage]:
    """The labelled, undisputed images as they are now, in no fold yet.

    Raises:
        DatasetUnsuitable: nothing is labelled.
    """
    return _labelled(dataset)[0]


def _labelled(dataset: Dataset) -> tuple[list[SnapshotImage], dict[str, Any]]:
    """The images, and what `group_images` says of their groups."""
    labelled = image_rows.labelled_images(dataset)
    if not labelled:
        raise DatasetUnsuitable(f"“{dataset}” has no labelled images. Label some first.")
    views = image_rows.views_of_images(dataset)
    grouping = group_images(dataset, labelled, views)
    images = [
        SnapshotImage(
            id=image.id,
            sha256=image.sha256,
            extension=image.extension,
            file=image.name,
            class_name=image.class_name,
            is_ng=image.is_ng,
            group=group,
            view=views.get(image.id, ""),
            fold=TRAINING_FOLD,
        )
        for image, group in zip(labelled, grouping.groups, strict=True)
    ]
    return images, grouping.entry


def frozen_images(snapshot: Snapshot) -> list[SnapshotImage]:
    return [SnapshotImage(*row) for row in snapshot.contents["images"]]


def count_images(images: Sequence[SnapshotImage], class_names: Sequence[str]) -> Counts:
    """How many there are; a class of `class_names` without any counts as 0."""
    by_class = Counter(image.class_name for image in images)
    ng = sum(image.is_ng for image in images)
    return Counts(len(images) - ng, ng, {name: by_class[name] for name in class_names})


def _split_entry(folds: int, seed: int) -> dict[str, Any]:
    return {"by": "group", "folds": folds, "seed": seed, "held_out_share": 0 if folds else HELD_OUT_SHARE}


def _stored(dataset: Dataset, frozen: list[SnapshotImage], split: dict[str, Any]) -> Snapshot:
    ng_count = sum(image.is_ng for image in frozen)
    contents = {
        "format": FORMAT,
        "dataset": {"id": dataset.pk, "slug": dataset.slug},
        "classes": _class_names(dataset, frozen),
        "split": split,
        "regions": _regions(dataset),
        "fields": list(FIELDS),
        "images": [list(astuple(image)) for image in frozen],
    }
    canonical = json.dumps(contents, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    snapshot, _is_new = Snapshot.objects.get_or_create(
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
        defaults={
            "dataset": dataset,
            "contents": contents,
            "ok_count": len(frozen) - ng_count,
            "ng_count": ng_count,
        },
    )
    return snapshot


def _class_names(dataset: Dataset, frozen: list[SnapshotImage]) -> list[str]:
    """The dataset's classes that have images, OK first whether it has any or not."""
    used = {image.class_name for image in frozen}
    ok, *rest = [row.name for row in dataset.classes.order_by("number")] or [OK_CLASS_NAME]
    return [ok, *(name for name in rest if name in used)]


def _regions(dataset: Dataset) -> list[dict[str, Any]]:
    """The version in force of each view's region."""
    in_force = {}
    for region in Region.objects.filter(dataset=dataset).order_by("view", "version"):
        in_force[region.view] = {
            name: getattr(region, name)
            for name in ("view", "version", "top", "left", "height", "width", "ignored")
        }
    return [in_force[view] for view in sorted(in_force)]
