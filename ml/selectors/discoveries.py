"""Reads of discoveries, and of the images that they look at."""

from django.db.models import Q, QuerySet

from annotation.models import Dataset, Image
from ml.choices import DiscoveryAmong
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


def discoveries_of_version(version: ModelVersion) -> QuerySet[Discovery]:
    return discoveries_for_list().filter(model_version=version)


def images_to_sort(dataset: Dataset, among: str) -> QuerySet[Image]:
    """Images that types are looked for among; one whose labels are in dispute counts as unlabelled."""
    return _with_class(dataset).filter(_AMONG[DiscoveryAmong(among)])


def ok_images(dataset: Dataset) -> QuerySet[Image]:
    return _with_class(dataset).filter(_IS_OK)


def _with_class(dataset: Dataset) -> QuerySet[Image]:
    return Image.objects.filter(dataset=dataset).select_related("current_class").order_by("id")
