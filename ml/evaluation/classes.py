"""Figures by class: which defect types are found, and, of methods with classes, which are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ml.evaluation.entries import Entry, rated, valued
from ml.evaluation.intervals import bootstrap_ranking
from ml.evaluation.metrics import auroc, checked

TWO_WAY: Final = 2  # classes of a method that tells OK from NG
SUM_TOLERANCE: Final = 0.01  # bf16 arithmetic leaves a probability's sum this near to 1


@dataclass(frozen=True)
class ClassProbabilities:
    """What a method with classes says of N images.

    Attributes:
        names: K classes, OK and the defect types, as in the card.
        values: float [N, K]; each row sums to 1.
    """

    names: tuple[str, ...]
    values: np.ndarray

    def in_these(self, class_names: Sequence[str], is_ng: np.ndarray) -> list[str]:
        """Labels as this method could give them: to one that tells OK from NG alone, every defect is NG."""
        if len(self.names) > TWO_WAY:
            return list(class_names)
        return [self.names[int(ng)] for ng in is_ng]


def detection_by_class(
    scores: np.ndarray,
    is_ng: np.ndarray,
    class_names: Sequence[str],
    *,
    threshold: float,
    groups: Sequence[str],
    seed: int,
) -> dict[str, Entry]:
    """How often each class is judged right at the threshold: OK as OK, a defect type as NG of whatever type.

    Args:
        scores: float64 [N].
        is_ng: bool [N].
        class_names: [N], as labelled.
        threshold: a score at or above it is NG.
        groups: [N]; drawn together in the bootstrap.
        seed: of the bootstrap.

    Returns:
        By class, OK classes first, then by name: "is_ng", "n", "recall" with Wilson's interval, and for a
        defect type "auroc" against the OK images.

    Raises:
        ValueError: lengths differ, there are no scores, or one is not finite.
    """
    values, labels = checked(scores, is_ng)
    if len(class_names) != len(values) or len(groups) != len(values):
        raise ValueError(f"{len(values)} scores, {len(class_names)} classes and {len(groups)} groups")
    names = np.asarray(class_names, str)
    keys = np.asarray(groups, str)
    figures: dict[str, Entry] = {}
    for is_defect, name in sorted({(bool(ng), str(one)) for ng, one in zip(labels, names, strict=True)}):
        of_class = (names == name) & (labels == is_defect)
        right = int(np.count_nonzero((values[of_class] >= threshold) == is_defect))
        count = int(np.count_nonzero(of_class))
        entry: Entry = {"is_ng": is_defect, "n": count, "recall": rated(right, count)}
        if is_defect:
            against = of_class | ~labels
            entry["auroc"] = _ranked(values[against], labels[against], keys[against], seed)
        figures[name] = entry
    return figures


def classification(
    probabilities: ClassProbabilities, class_names: Sequence[str], *, groups: Sequence[str], seed: int
) -> dict[str, Any]:
    """How well the classes are told apart; an image's class is its most probable one.

    Precision of a class that was never named, and with it its F1, counts as 0 in the means; a class without
    any image is left out of them.

    Args:
        probabilities: of N images.
        class_names: [N], as labelled; each one of the probabilities' names.
        groups: [N]; drawn together in the bootstrap.
        seed: of the bootstrap.

    Returns:
        "names" [K]; "confusion" [K][K], rows as labelled, columns as named; "accuracy"; "by_class" with "n",
        "precision", "recall", "f1", "auroc" (one against the rest) of each; "macro" with the plain means.

    Raises:
        ValueError: shapes differ, a label is no class of the probabilities, or a row is no distribution.
    """
    values = _checked_probabilities(probabilities, class_names, groups)
    number = {name: index for index, name in enumerate(probabilities.names)}
    truth = np.array([number[name] for name in class_names], np.int64)
    named = values.argmax(axis=1)
    count = len(probabilities.names)
    confusion = np.bincount(truth * count + named, minlength=count * count).reshape(count, count)
    by_class = {
        name: _one_against_rest(index, confusion, values[:, index], truth == index, groups, seed)
        for name, index in number.items()
    }
    present = [entry for entry in by_class.values() if entry["n"]]
    return {
        "names": list(probabilities.names),
        "confusion": confusion.tolist(),
        "accuracy": rated(int(confusion.trace()), len(truth)),
        "by_class": by_class,
        "macro": {name: _mean(present, name) for name in ("precision", "recall", "f1", "auroc")},
    }


def _one_against_rest(
    index: int,
    confusion: np.ndarray,
    values: np.ndarray,
    is_class: np.ndarray,
    groups: Sequence[str],
    seed: int,
) -> Entry:
    right, labelled, named = (
        int(one) for one in (confusion[index, index], confusion[index].sum(), confusion[:, index].sum())
    )
    f1 = 2 * right / (labelled + named) if labelled + named else None
    return {
        "n": labelled,
        "precision": rated(right, named),
        "recall": rated(right, labelled),
        "f1": valued(f1),
        "auroc": _ranked(values, is_class, np.asarray(groups, str), seed),
    }


def _ranked(values: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int) -> Entry:
    area = auroc(values, labels)
    if area is None:
        return valued(None)
    return valued(area, bootstrap_ranking(values, labels, list(groups), seed=seed)[0])


def _mean(entries: Sequence[Entry], name: str) -> float | None:
    found = [entry[name]["value"] for entry in entries]
    if not found or (name == "auroc" and None in found):
        return None
    return float(np.mean([value or 0.0 for value in found]))


def _checked_probabilities(
    probabilities: ClassProbabilities, class_names: Sequence[str], groups: Sequence[str]
) -> np.ndarray:
    values = np.asarray(probabilities.values, np.float64)
    if values.shape != (len(class_names), len(probabilities.names)) or len(groups) != len(class_names):
        raise ValueError(
            f"probabilities {list(values.shape)} for {len(class_names)} images, {len(groups)} groups and "
            f"{len(probabilities.names)} classes"
        )
    if not len(values):
        raise ValueError("there are no probabilities")
    unknown = sorted(set(class_names) - set(probabilities.names))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no class of {', '.join(probabilities.names)}")
    if not (np.isfinite(values).all() and (np.abs(values.sum(axis=1) - 1) <= SUM_TOLERANCE).all()):
        raise ValueError("an image's probabilities don't sum to 1")
    return values
