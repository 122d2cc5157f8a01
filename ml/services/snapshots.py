"""Freezing a dataset: which images, labels, groups, regions and split a job uses, for good."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, Final

from django.db import transaction

from annotation.models import OK_CLASS_NAME, Dataset, Region
from ml.errors import DatasetUnsuitable
from ml.evaluation.splits import HELD_OUT_SHARE
from ml.methods.contract import Counts
from ml.models import Snapshot
from ml.selectors import images as image_rows
from ml.selectors.images import LabelledImage

from .grouping import Grouping, group_images
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


@dataclass(frozen=True)
class _Reading:
    """What a snapshot is made of, all of it read at one moment."""

    images: list[LabelledImage]
    parts: Mapping[int, str]
    views: Mapping[int, str]
    files: int
    class_names: list[str]
    regions: list[dict[str, Any]]


def freeze_dataset(*, dataset: Dataset, folds: int = 0, seed: int = 0) -> Snapshot:
    """The snapshot of a dataset's labelled, undisputed images as they are now: composed, then kept.

    Raises:
        DatasetUnsuitable: see `compose_snapshot` and `keep_snapshot`.
    """
    return keep_snapshot(compose_snapshot(dataset=dataset, folds=folds, seed=seed))


def compose_snapshot(*, dataset: Dataset, folds: int = 0, seed: int = 0) -> Snapshot:
    """A snapshot that no row keeps yet: reads the dataset in one short transaction, then works in none.

    Args:
        dataset: what to freeze.
        folds: 0 for one grouped hold-out, else K folds by group.
        seed: of the split.

    Raises:
        DatasetUnsuitable: nothing is labelled, or there are too few parts to split.
    """
    reading = _read(dataset)
    grouping = _grouped(reading)
    images = _images_of(reading, grouping)
    fold_of = assign_folds(
        [image.is_ng for image in images], [image.group for image in images], folds=folds, seed=seed
    )
    frozen = [replace(image, fold=fold) for image, fold in zip(images, fold_of, strict=True)]
    split = _split_entry(folds, seed) | {"grouped": grouping.entry}
    return _composed(dataset, reading, frozen, split)


@transaction.atomic
def keep_snapshot(composed: Snapshot) -> Snapshot:
    """The row of a snapshot: a new one, or the one that has the very same contents.

    Raises:
        DatasetUnsuitable: its dataset was deleted since.
    """
    if composed.pk:
        return composed
    if not Dataset.objects.select_for_update().filter(pk=composed.dataset_id).exists():
        raise DatasetUnsuitable(f"“{composed.dataset}” was deleted meanwhile.")
    given = {name: getattr(composed, name) for name in ("dataset", "contents", "ok_count", "ng_count")}
    return Snapshot.objects.get_or_create(sha256=composed.sha256, defaults=given)[0]


def labelled_images(dataset: Dataset) -> list[SnapshotImage]:
    """The labelled, undisputed images as they are now, in no fold yet.

    Raises:
        DatasetUnsuitable: nothing is labelled.
    """
    reading = _read(dataset)
    return _images_of(reading, _grouped(reading))


@transaction.atomic(durable=True)
def _read(dataset: Dataset) -> _Reading:
    """In a transaction of its own, so that what works on it for seconds is outside of any."""
    images = image_rows.labelled_images(dataset)
    if not images:
        raise DatasetUnsuitable(f"“{dataset}” has no labelled images. Label some first.")
    return _Reading(
        images=images,
        parts=image_rows.groups_of_images(dataset, images),
        views=image_rows.views_of_images(dataset),
        files=image_rows.file_count(dataset),
        class_names=[row.name for row in dataset.classes.order_by("number")],
        regions=regions_in_force(dataset),
    )


def _grouped(reading: _Reading) -> Grouping:
    return group_images(reading.images, reading.parts, reading.views, reading.files)


def _images_of(reading: _Reading, grouping: Grouping) -> list[SnapshotImage]:
    return [
        SnapshotImage(
            id=image.id,
            sha256=image.sha256,
            extension=image.extension,
            file=image.name,
            class_name=image.class_name,
            is_ng=image.is_ng,
            group=group,
            view=reading.views.get(image.id, ""),
            fold=TRAINING_FOLD,
        )
        for image, group in zip(reading.images, grouping.groups, strict=True)
    ]


def frozen_images(snapshot: Snapshot) -> list[SnapshotImage]:
    return [SnapshotImage(*row) for row in snapshot.contents["images"]]


def count_images(images: Sequence[SnapshotImage], class_names: Sequence[str]) -> Counts:
    """How many there are; a class of `class_names` without any counts as 0."""
    by_class = Counter(image.class_name for image in images)
    ng = sum(image.is_ng for image in images)
    return Counts(len(images) - ng, ng, {name: by_class[name] for name in class_names})


def _split_entry(folds: int, seed: int) -> dict[str, Any]:
    return {"by": "group", "folds": folds, "seed": seed, "held_out_share": 0 if folds else HELD_OUT_SHARE}


def _composed(
    dataset: Dataset, reading: _Reading, frozen: list[SnapshotImage], split: dict[str, Any]
) -> Snapshot:
    ng_count = sum(image.is_ng for image in frozen)
    contents = {
        "format": FORMAT,
        "dataset": {"id": dataset.pk, "slug": dataset.slug},
        "classes": _used_classes(reading.class_names, frozen),
        "split": split,
        "regions": reading.regions,
        "fields": list(FIELDS),
        "images": [list(astuple(image)) for image in frozen],
    }
    canonical = json.dumps(contents, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Snapshot(
        dataset=dataset,
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
        contents=contents,
        ok_count=len(frozen) - ng_count,
        ng_count=ng_count,
    )


def _used_classes(names: Sequence[str], frozen: Sequence[SnapshotImage]) -> list[str]:
    """The dataset's classes that have images, OK first whether it has any or not."""
    used = {image.class_name for image in frozen}
    ok, *rest = names or [OK_CLASS_NAME]
    return [ok, *(name for name in rest if name in used)]


def regions_in_force(dataset: Dataset) -> list[dict[str, Any]]:
    """The version in force of each view's region."""
    in_force = {}
    for region in Region.objects.filter(dataset=dataset).order_by("view", "version"):
        in_force[region.view] = {
            name: getattr(region, name)
            for name in ("view", "version", "top", "left", "height", "width", "ignored")
        }
    return [in_force[view] for view in sorted(in_force)]
