"""Reads of datasets: what each holds, by few queries."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from annotation.models import Dataset, Image, ImageSource, LabelClass

CARD_IMAGES = 4


@dataclass(frozen=True)
class Counts:
    """Distinct images of a dataset, by what is said of them."""

    images: int = 0
    ok: int = 0
    ng: int = 0
    unlabelled: int = 0
    disputed: int = 0


@dataclass(frozen=True)
class FileTotals:
    """The files that a dataset's images came in: copies count."""

    files: int
    ok: int
    ng: int
    items: int


@dataclass(frozen=True)
class ClassCount:
    label_class: LabelClass
    images: int


def counts_of(datasets: Iterable[Dataset]) -> dict[int, Counts]:
    """By dataset id, by two queries however many there are; those without images count 0."""
    ids = [dataset.pk for dataset in datasets]
    rows = (
        Image.objects.filter(dataset__in=ids)
        .order_by()
        .values("dataset_id", "current_class__number")
        .annotate(count=Count("pk"))
    )
    disputed = dict(
        Image.objects.filter(dataset__in=ids, is_disputed=True)
        .order_by()
        .values_list("dataset_id")
        .annotate(count=Count("pk"))
    )
    sums: dict[int, dict[str, int]] = {pk: {"disputed": disputed.get(pk, 0)} for pk in ids}
    for row in rows:
        kind = {None: "unlabelled", 0: "ok"}.get(row["current_class__number"], "ng")
        for name in (kind, "images"):
            sums[row["dataset_id"]][name] = sums[row["dataset_id"]].get(name, 0) + row["count"]
    return {pk: Counts(**found) for pk, found in sums.items()}


def counts_of_one(dataset: Dataset) -> Counts:
    return counts_of([dataset])[dataset.pk]


def counts_by_class(dataset: Dataset) -> tuple[Counts, list[ClassCount]]:
    """What a dataset holds, and each class with how many images it has, OK first."""
    rows = Image.objects.filter(dataset=dataset).order_by().values_list("current_class_id")
    counted = dict(rows.annotate(count=Count("pk")))
    classes = [ClassCount(one, counted.get(one.pk, 0)) for one in dataset.classes.all()]
    counts = Counts(
        images=sum(counted.values()),
        ok=sum(one.images for one in classes if one.label_class.is_ok),
        ng=sum(one.images for one in classes if not one.label_class.is_ok),
        unlabelled=counted.get(None, 0),
        disputed=Image.objects.filter(dataset=dataset, is_disputed=True).count(),
    )
    return counts, classes


def file_totals(dataset: Dataset) -> FileTotals:
    totals: dict[str, Any] = ImageSource.objects.filter(dataset=dataset).aggregate(
        files=Count("pk"),
        ok=Count("pk", filter=Q(image__current_class__number=0)),
        ng=Count("pk", filter=Q(image__current_class__number__gt=0)),
        items=Count("item", filter=~Q(item=""), distinct=True),
    )
    return FileTotals(**totals)


def datasets_with_first_images() -> QuerySet[Dataset]:
    """By name; each with the ids of its first images as `first_1` … for its card."""
    of_dataset = Image.objects.filter(dataset=OuterRef("pk")).order_by("pk").values("pk")
    firsts = {f"first_{at + 1}": Subquery(of_dataset[at : at + 1]) for at in range(CARD_IMAGES)}
    return Dataset.objects.annotate(**firsts).order_by("name")
