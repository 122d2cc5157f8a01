"""Reads of model versions, their scores and operating points."""

from django.db.models import Prefetch, QuerySet

from ml.choices import ScoreSplit
from ml.models import ImageScore, ModelVersion, OperatingPoint

WORST_IMAGES = 12


def versions_for_list() -> QuerySet[ModelVersion]:
    """Newest first, with their dataset and newest operating point."""
    return (
        ModelVersion.objects.select_related("dataset", "job")
        .defer("card", "parity", "job__curves", "job__log", "job__parameters")
        .prefetch_related(Prefetch("operating_points", OperatingPoint.objects.order_by("-id")))
        .order_by("-id")
    )


def versions_for_detail() -> QuerySet[ModelVersion]:
    return ModelVersion.objects.select_related("dataset", "job__created_by", "job__snapshot").defer(
        "job__curves", "job__log", "job__snapshot__contents"
    )


def operating_points_for_list() -> QuerySet[OperatingPoint]:
    return OperatingPoint.objects.select_related("author", "model_version__dataset").defer(
        "model_version__card", "model_version__parity", "model_version__evaluation"
    )


def scores_of_version(version: ModelVersion) -> QuerySet[ImageScore]:
    return ImageScore.objects.filter(model_version=version).select_related("image")


def score_columns(version: ModelVersion) -> dict[str, dict[str, list[float]]]:
    """Every score, sorted, by split and label: the browser computes a threshold's effect from them.

    Beside them, as "types", the held-out scores of each defect type.
    """
    columns: dict[str, dict[str, list[float]]] = {
        split.value: {"ok": [], "ng": []} for split in (ScoreSplit.HELD_OUT, ScoreSplit.TRAINING)
    }
    types: dict[str, list[float]] = {}
    rows = ImageScore.objects.filter(model_version=version).order_by("score")
    asked = rows.values_list("split", "is_ng", "class_name", "score")
    for split, is_ng, class_name, score in asked.iterator(chunk_size=10_000):
        columns[split]["ng" if is_ng else "ok"].append(score)
        if is_ng and split == ScoreSplit.HELD_OUT:
            types.setdefault(class_name, []).append(score)
    return columns | {"types": types}


def highest_scoring_ok(version: ModelVersion) -> list[ImageScore]:
    """The held-out OK images that look most like NG, worst first."""
    return _worst(version, is_ng=False, order="-score")


def lowest_scoring_ng(version: ModelVersion) -> list[ImageScore]:
    """The held-out NG images that look most like OK, worst first."""
    return _worst(version, is_ng=True, order="score")


def _worst(version: ModelVersion, *, is_ng: bool, order: str) -> list[ImageScore]:
    rows = scores_of_version(version).filter(split=ScoreSplit.HELD_OUT, is_ng=is_ng)
    return list(rows.order_by(order, "id")[:WORST_IMAGES])
