"""Ways to choose a threshold from scores, each with its reason in a sentence and what to expect of it.

A score at or above the threshold is NG.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ml.evaluation.intervals import wilson
from ml.evaluation.metrics import Confusion, checked, confusion_at


class NoThreshold(Exception):
    """These scores don't allow this way of choosing. The message says what is missing."""


@dataclass(frozen=True)
class Rate:
    """A count of a number of images, with the rate's 95% interval (Wilson)."""

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def counted(cls, count: int, of: int) -> "Rate":
        return cls(count, of, *wilson(count, of))


@dataclass(frozen=True)
class ThresholdChoice:
    """A proposed threshold.

    Attributes:
        way: key of `THRESHOLDS`.
        value: the threshold.
        reason: a sentence for the person who decides.
        escapes: NG images of these scores that it lets pass.
        overkill: OK images of these scores that it rejects.
    """

    way: str
    value: float
    reason: str
    escapes: Rate
    overkill: Rate


def best_f1(scores: np.ndarray, is_ng: np.ndarray) -> ThresholdChoice:
    """The best balance of escapes and overkill; of equals, the one with the fewest escapes.

    Raises:
        NoThreshold: no OK or no NG image.
    """
    values, labels = _both_kinds(scores, is_ng)
    ok, ng = np.sort(values[~labels]), np.sort(values[labels])
    starts = np.unique(ng)
    caught = len(ng) - np.searchsorted(ng, starts)
    overkill = len(ok) - np.searchsorted(ok, starts)
    f1 = 2 * caught / (caught + overkill + len(ng))
    best = int(np.argmax(f1))  # the lowest of equals
    value = _midway(values, float(starts[best]))
    reason = f"Best F1, {f1[best]:.3f}: the best balance of escapes and overkill on {len(values)} images."
    return _choice("best_f1", value, reason, confusion_at(values, labels, value))


def full_recall(scores: np.ndarray, is_ng: np.ndarray) -> ThresholdChoice:
    """The highest threshold at which none of these NG images escapes.

    Raises:
        NoThreshold: no OK or no NG image.
    """
    values, labels = _both_kinds(scores, is_ng)
    value = _midway(values, float(values[labels].min()))
    confusion = confusion_at(values, labels, value)
    reason = (
        f"None of {confusion.ng} NG images escapes; "
        f"{confusion.overkill} of {confusion.ok} OK images are rejected."
    )
    return _choice("full_recall", value, reason, confusion)


def quantile(scores: np.ndarray, is_ng: np.ndarray, *, share: float = 0.99) -> ThresholdChoice:
    """Above the given share of the OK images: a threshold that needs no NG image.

    Args:
        scores: float64 [N].
        is_ng: bool [N].
        share: of the OK images to lie below, 0 to 1, both excluded.

    Raises:
        NoThreshold: fewer OK images than the share can tell apart from all of them.
        ValueError: share is out of range.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share lies between 0 and 1, not at {share}")
    values, labels = checked(scores, is_ng)
    ok = np.sort(values[~labels])
    needed = int(np.ceil(1 / (1 - share) - 1e-9))
    if len(ok) < needed:
        raise NoThreshold(
            f"A threshold above {share:.1%} of the OK images needs {needed} of them; there are {len(ok)}."
        )
    # The lowest value with at least `share` of the OK images strictly below it.
    highest_passed = float(ok[int(np.ceil(share * len(ok) - 1e-9)) - 1])
    value = float(np.nextafter(highest_passed, np.inf))
    reason = f"Above {share:.1%} of {len(ok)} OK images."
    return _choice("quantile", value, reason, confusion_at(values, labels, value))


THRESHOLDS: Final[Mapping[str, Callable[..., ThresholdChoice]]] = {
    "best_f1": best_f1,
    "full_recall": full_recall,
    "quantile": quantile,
}


def choose_threshold(way: str, scores: np.ndarray, is_ng: np.ndarray, **options: Any) -> ThresholdChoice:
    """The named way of choosing.

    Raises:
        KeyError: no such way.
        NoThreshold: see the ways.
    """
    return THRESHOLDS[way](scores, is_ng, **options)


def _both_kinds(scores: np.ndarray, is_ng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, labels = checked(scores, is_ng)
    if labels.all() or not labels.any():
        raise NoThreshold("Both OK and NG images are needed to choose this threshold.")
    return values, labels


def _midway(values: np.ndarray, above: float) -> float:
    """The shortest number about midway between a score and the next one below it.

    So a person can read it, and rounding on the way to a line judges neither differently. Where nothing lies
    below, the score itself.
    """
    below_all = values[values < above]
    if not len(below_all):
        return above
    below = float(below_all.max())
    middle = below + (above - below) / 2
    for digits in range(1, 18):
        short = float(f"{middle:.{digits}g}")
        if below < short <= above:
            return short
    return above


def _choice(way: str, value: float, reason: str, confusion: Confusion) -> ThresholdChoice:
    return ThresholdChoice(
        way=way,
        value=value,
        reason=reason,
        escapes=Rate.counted(confusion.escapes, confusion.ng),
        overkill=Rate.counted(confusion.overkill, confusion.ok),
    )
