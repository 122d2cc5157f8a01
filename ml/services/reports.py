"""The report of an evaluation, of one shape for every method, page, endpoint and command.

{"method", "dataset", "model_version", "split": {"by", "folds", "seed", "grouped"}, "n": {"ok", "ng"},
"metrics": {name: {"value" or "count" and "of", "low", "high"}}, "threshold": {"value", "reason"},
"scores": {"ok", "ng"}, "normality": of the OK scores,
"classes": {"detection": {class: {"n", "recall", "auroc"}}, "classification": of methods with classes},
"curves": {"roc", "precision_recall"}, "images": [{"file", "label", "class", "score", "fold"}],
"seconds", "peak_mb"}
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml.choices import ScoreSplit
from ml.evaluation.classes import ClassProbabilities
from ml.evaluation.report import FIGURES, evaluate_scores, report
from ml.models import ImageScore, ModelVersion, Snapshot

from .fitting import ScoredImage


def measure(
    scored: Sequence[ScoredImage],
    *,
    seed: int,
    threshold: float | None = None,
    probabilities: ClassProbabilities | None = None,
) -> dict[str, Any]:
    """The figures of scores: `FIGURES` of the report.

    Args:
        scored: by models that had not seen the images.
        seed: of the bootstrap.
        threshold: to measure at; None for the one to propose.
        probabilities: of the same images in the same order, where the method has classes.
    """
    return evaluate_scores(
        np.array([one.score for one in scored], np.float64),
        np.array([one.image.is_ng for one in scored], bool),
        groups=[one.image.group for one in scored],
        seed=seed,
        threshold=threshold,
        class_names=[one.image.class_name for one in scored],
        probabilities=probabilities,
    )


def split_entry(snapshot: Snapshot) -> dict[str, Any]:
    split = snapshot.contents["split"]
    return {"by": split["by"], "folds": split["folds"], "seed": split["seed"], "grouped": split["grouped"]}


def image_entry(one: ScoredImage) -> dict[str, Any]:
    return _entry(one.image.file, one.image.is_ng, one.image.class_name, one.score, max(one.image.fold, 0))


def report_of_version(version: ModelVersion) -> dict[str, Any]:
    """The report that a model version was registered with, and its held-out images."""
    stored = version.evaluation
    rows = ImageScore.objects.filter(model_version=version, split=ScoreSplit.HELD_OUT).order_by("image_id")
    columns = rows.values_list("image__name", "is_ng", "class_name", "score", "fold")
    return report(
        method=version.method,
        dataset=version.dataset.slug,
        model_version=version.pk,
        split=stored["split"],
        evaluation={name: stored[name] for name in FIGURES if name in stored},
        images=[_entry(*row) for row in columns.iterator(chunk_size=10_000)],
        seconds=stored["seconds"],
        peak_mb=stored["peak_mb"],
    )


def _entry(file: str, is_ng: bool, class_name: str, score: float, fold: int) -> dict[str, Any]:
    return {"file": file, "label": "NG" if is_ng else "OK", "class": class_name, "score": score, "fold": fold}
