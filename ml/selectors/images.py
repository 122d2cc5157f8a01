"""Reads of images as training needs them: labelled ones, their parts, their views."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import Count, QuerySet

from annotation.models import Dataset, Image, ImageSource
from ml.methods.contract import Counts


class LabelledImage(NamedTuple):
    id: int
    sha256: str
    extension: str
    name: str
    fingerprint: str
    class_name: str
    class_number: int

    @property
    def is_ng(self) -> bool:
        return self.class_number != 0


def labelled_images(dataset: Dataset) -> list[LabelledImage]:
    """Images with an undisputed class in force, oldest first."""
    rows = _usable(dataset).order_by("id")
    columns = (
        "id", "sha256", "extension", "name", "fingerprint", "current_class__name", "current_class__number",
    )  # fmt: skip
    return [LabelledImage(*row) for row in rows.values_list(*columns)]


def counts_of_dataset(dataset: Dataset) -> Counts:
    """How many images a training on this dataset would have, by one query."""
    counted = _counted_classes(dataset)
    by_class = {name: count for name, _number, count in counted}
    ok = sum(count for _name, number, count in counted if number == 0)
    return Counts(ok, sum(by_class.values()) - ok, by_class)


def ok_and_types(dataset: Dataset) -> tuple[int, dict[str, int]]:
    """OK images, and NG images by defect type, that a training on this dataset would have; by one query."""
    counted = _counted_classes(dataset)
    types = {name: count for name, number, count in counted if number != 0}
    return sum(count for _name, number, count in counted if number == 0), types


def _counted_classes(dataset: Dataset) -> list[tuple[str, int, int]]:
    rows = _usable(dataset).values_list("current_class__name", "current_class__number")
    return list(rows.annotate(count=Count("id")).order_by("current_class__number"))


def groups_of_images(dataset: Dataset, images: Iterable[LabelledImage]) -> dict[int, str]:
    """The group of each image: parts that share a byte-identical image are one group.

    An image whose files came under two items joins these items, and with them all their images. The group
    is named after the first of its items; an image without any item is a group of its own.
    """
    items_of: dict[int, list[str]] = {}
    rows = ImageSource.objects.filter(dataset=dataset).exclude(item="").values_list("image_id", "item")
    for image_id, item in rows.order_by("item"):
        items_of.setdefault(image_id, []).append(item)
    root = _joined(items_of.values())
    return {
        image.id: f"item:{root[items_of[image.id][0]]}" if image.id in items_of else f"image:{image.sha256}"
        for image in images
    }


def fingerprints_of(datasets: Iterable[int]) -> dict[int, str]:
    """By image, of all images of these datasets; empty where one has not been taken."""
    return dict(Image.objects.filter(dataset__in=set(datasets)).values_list("pk", "fingerprint"))


def file_count(dataset: Dataset) -> int:
    """The files that the images of a training came in: copies count."""
    return ImageSource.objects.filter(dataset=dataset, image__in=_usable(dataset)).count()


def views_of_images(dataset: Dataset) -> dict[int, str]:
    """The view of each image that has one: that of its first file."""
    rows = ImageSource.objects.filter(dataset=dataset).exclude(view="").order_by("-id")
    return dict(rows.values_list("image_id", "view"))


def _usable(dataset: Dataset) -> QuerySet[Image]:
    return Image.objects.filter(dataset=dataset, current_class__isnull=False, is_disputed=False)


def _joined(sets: Iterable[list[str]]) -> dict[str, str]:
    """Union–find: each item's first item, by name, among those it is joined with."""
    parent: dict[str, str] = {}

    def find(item: str) -> str:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for items in sets:
        for item in items:
            first, second = sorted((find(items[0]), find(item)))
            parent[second] = first
    return {item: find(item) for item in parent}
