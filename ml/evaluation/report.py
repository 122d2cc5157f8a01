"""The evaluation of a set of scores, in the one shape that pages, commands and the API share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from ml.evaluation.classes import ClassProbabilities, classification, detection_by_class
from ml.evaluation.curves import curves
from ml.evaluation.entries import rated, valued
from ml.evaluation.intervals import bootstrap_ranking
from ml.evaluation.metrics import Confusion, auroc, average_precision, checked, confusion_at
from ml.thresholds import best_f1, full_recall, normality_of, quantile

# What `evaluate_scores` gives, in the report's order.
FIGURES: Final = ("n", "metrics", "threshold", "scores", "normality", "classes", "curves")


def evaluate_scores(
    scores: np.ndarray,
    is_ng: np.ndarray,
    *,
    groups: Sequence[str],
    seed: int,
    threshold: float | None = None,
    class_names: Sequence[str] | None = None,
    probabilities: ClassProbabilities | None = None,
) -> dict[str, Any]:
    """Everything that scores and labels tell.

    Args:
        scores: float64 [N]; scores that no fit had seen, higher is more likely NG.
        is_ng: bool [N].
        groups: [N]; images of one part, drawn together in the bootstrap.
        seed: of the bootstrap.
        threshold: to measure at; None for the best F1, or without NG images the 99% quantile of the OK ones.
        class_names: [N], as labelled; None for OK and NG.
        probabilities: of the N images, where the method has classes.

    Returns:
        `FIGURES` of the report, ready for JSON. A figure that the images don't allow (without NG images,
        most) is null.

    Raises:
        ValueError: there are no scores, one is not finite, or see `classification`.
    """
    values, labels = checked(scores, is_ng)
    at, reason = (threshold, "Given.") if threshold is not None else _proposed(values, labels)
    confusion = confusion_at(values, labels, at)
    names = class_names if class_names is not None else np.where(labels, "NG", "OK").tolist()
    return {
        "n": {"ok": confusion.ok, "ng": confusion.ng},
        "metrics": {**_ranking(values, labels, groups, seed), **_at_threshold(confusion)},
        "threshold": {"value": at, "reason": reason},
        "scores": {"ok": _statistics(values[~labels]), "ng": _statistics(values[labels])},
        "normality": None if labels.all() else asdict(normality_of(values[~labels])),
        "classes": {
            "detection": detection_by_class(values, labels, names, threshold=at, groups=groups, seed=seed),
            "classification": probabilities
            and classification(
                probabilities, probabilities.in_these(names, labels), groups=groups, seed=seed
            ),
        },
        "curves": curves(values, labels),
    }


def report(
    *,
    method: str,
    dataset: str,
    model_version: int | str | None,
    split: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    images: Sequence[Mapping[str, Any]],
    seconds: float,
    peak_mb: float,
) -> dict[str, Any]:
    """The whole report, in the order in which a person reads it.

    Args:
        method: key of the method.
        dataset: its name.
        model_version: what made the scores.
        split: "by", "folds" and "seed".
        evaluation: of `evaluate_scores`.
        images: "file", "label", "class", "score" and "fold" of each.
        seconds: that the whole took.
        peak_mb: the most memory it took, MB.
    """
    head = {"method": method, "dataset": dataset, "model_version": model_version, "split": dict(split)}
    return {
        **head,
        **evaluation,
        "images": [dict(one) for one in images],
        "seconds": seconds,
        "peak_mb": peak_mb,
    }


def _proposed(values: np.ndarray, labels: np.ndarray) -> tuple[float, str]:
    if labels.all():
        return float(values.min()), "The lowest NG score: there is no OK image to measure against."
    if labels.any():
        choice = best_f1(values, labels)
        return choice.value, choice.reason
    if len(values) == 1:
        return float(np.nextafter(values[0], np.inf)), "Above the only OK image."
    choice = quantile(values, labels, share=0.99 if len(values) >= 100 else 1 - 1 / len(values))
    return choice.value, f"{choice.reason} There is no NG image to measure against."


def _ranking(values: np.ndarray, labels: np.ndarray, groups: Sequence[str], seed: int) -> dict[str, Any]:
    ok, ng = int(np.count_nonzero(~labels)), int(np.count_nonzero(labels))
    if not ok or not ng:
        return {
            "auroc": valued(None),
            "average_precision": valued(None),
            "overkill_at_full_recall": rated(None, ok),
            "false_calls_at_best_f1": rated(None, ok + ng),
            "best_f1": valued(None),
        }
    area_interval, precision_interval = bootstrap_ranking(values, labels, groups, seed=seed)
    best = confusion_at(values, labels, best_f1(values, labels).value)
    return {
        "auroc": valued(auroc(values, labels), area_interval),
        "average_precision": valued(average_precision(values, labels), precision_interval),
        "overkill_at_full_recall": rated(full_recall(values, labels).overkill.count, ok),
        "false_calls_at_best_f1": rated(best.escapes + best.overkill, ok + ng),
        "best_f1": valued(best.f1),
    }


def _at_threshold(confusion: Confusion) -> dict[str, Any]:
    total = confusion.ok + confusion.ng
    return {
        "accuracy": rated(confusion.caught + confusion.passed, total),
        "precision": rated(confusion.caught, confusion.judged_ng),
        "recall": rated(confusion.caught, confusion.ng),
        "f1": valued(confusion.f1),
        "escapes": rated(confusion.escapes, confusion.ng),
        "overkill": rated(confusion.overkill, confusion.ok),
    }


def _statistics(values: np.ndarray) -> dict[str, Any] | None:
    """What a card keeps of scores: their number, mean, deviation and a few quantiles."""
    if not len(values):
        return None
    quantiles = np.quantile(values, [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1])
    names = ("min", "q01", "q05", "q25", "median", "q75", "q95", "q99", "max")
    facts = {"count": len(values), "mean": float(values.mean()), "std": float(values.std())}
    return facts | {name: float(value) for name, value in zip(names, quantiles, strict=True)}
