"""Reads of discoveries, and of the images that they look at."""

from typing import Any

from django.db.models import Q, QuerySet

from annotation.models import Dataset, Image
from ml.choices import DiscoveryAmong, JobState
from ml.models import Discovery, ModelVersion

_IS_OK = Q(current_class__number=0, is_disputed=False)
_IS_NG = Q(current_class__number__gt=0, is_disputed=False)
_IS_UNLABELLED = Q(current_class__isnull=True) | Q(is_disputed=True)
_AMONG = {
    DiscoveryAmong.NG: _IS_NG,
    DiscoveryAmong.UNLABELLED: _IS_UNLABELLED,
    DiscoveryAmong.NOT_OK: _IS_NG | _IS_UNLABELLED,
}


def discoveries_for_list() -> QuerySet[Discovery]:
    """Newest first, without their points and findings."""
    return Discovery.objects.select_related("dataset", "created_by").defer("points", "findings")


def discoveries_for_detail() -> QuerySet[Discovery]:
    return Discovery.objects.select_related("dataset")


def points_as_labelled(discovery: Discovery) -> list[dict[str, Any]]:
    """Its points, with each image's class of today (empty: none, or in dispute), but for deleted images."""
    images = Image.objects.filter(pk__in=[point["image"] for point in discovery.points])
    today = {
        pk: "" if is_disputed or name is None else name
        for pk, name, is_disputed in images.values_list("pk", "current_class__name", "is_disputed")
    }
    return [point | {"class": today[point["image"]]} for point in discovery.points if point["image"] in today]


def types_to_keep(version: ModelVersion) -> QuerySet[Discovery]:
    """Searches of a version whose types another one can keep."""
    return discoveries_of_version(version).filter(state=JobState.DONE)


def discoveries_of_version(version: ModelVersion) -> QuerySet[Discovery]:
    return discoveries_for_list().filter(model_version=version)


def images_to_sort(dataset: Dataset, among: str) -> QuerySet[Image]:
    """Images that types are looked for among; one whose labels are in dispute counts as unlabelled."""
    return _with_class(dataset).filter(_AMONG[DiscoveryAmong(among)])


def ok_images(dataset: Dataset) -> QuerySet[Image]:
    return _with_class(dataset).filter(_IS_OK)


def _with_class(dataset: Dataset) -> QuerySet[Image]:
    return Image.objects.filter(dataset=dataset).select_related("current_class").order_by("id")
