"""Figures of scores: how well they rank, and what a threshold makes of them. A score at or above it is NG."""

from dataclasses import dataclass

import numpy as np


def checked(scores: np.ndarray, is_ng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 [N] and bool [N] of equal length.

    Raises:
        ValueError: lengths differ, nothing is there, or a score is not finite.
    """
    values, labels = np.asarray(scores, np.float64), np.asarray(is_ng, bool)
    if values.ndim != 1 or values.shape != labels.shape:
        raise ValueError(f"{list(values.shape)} scores for {list(labels.shape)} labels")
    if not len(values):
        raise ValueError("there are no scores")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    return values, labels


def auroc(scores: np.ndarray, is_ng: np.ndarray) -> float | None:
    """The chance that an NG image scores above an OK one, ties counting half. None without both kinds."""
    return _ranking(scores, is_ng)[0]


def average_precision(scores: np.ndarray, is_ng: np.ndarray) -> float | None:
    """Mean of the precision over the recall that each threshold adds. None without both kinds."""
    return _ranking(scores, is_ng)[1]


def _ranking(scores: np.ndarray, is_ng: np.ndarray) -> tuple[float | None, float | None]:
    values, labels = checked(scores, is_ng)
    if labels.all() or not labels.any():
        return None, None
    area, precision = weighted_auroc_and_average_precision(
        values, labels, np.ones((1, len(values)), np.int64)
    )
    return float(area[0]), float(precision[0])


def weighted_auroc_and_average_precision(
    scores: np.ndarray, is_ng: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Both figures for R weightings of the same N images at once: one sort, then sums along it.

    Args:
        scores: float64 [N].
        is_ng: bool [N].
        weights: int [R, N], at least 0; how often each image counts.

    Returns:
        float64 [2, R]: AUROC and average precision; NaN where a weighting leaves no OK or no NG image.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(np.flatnonzero(falling[:-1] != falling[1:]), len(falling) - 1)  # of each run of ties
    ng = np.cumsum(np.where(is_ng[order], weights[:, order], 0), axis=1)[:, last].astype(np.float64)
    ok = np.cumsum(np.where(is_ng[order], 0, weights[:, order]), axis=1)[:, last].astype(np.float64)
    ng_before = np.pad(ng, ((0, 0), (1, 0)))[:, :-1]
    ok_added = np.diff(ok, axis=1, prepend=0.0)
    all_ng, all_ok = ng[:, -1], ok[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (ok_added * (ng + ng_before)).sum(axis=1) / 2 / (all_ng * all_ok)
        precision = np.where(ng + ok > 0, ng / (ng + ok), 0.0)
        average = ((ng - ng_before) * precision).sum(axis=1) / all_ng
    return np.stack([area, np.where(all_ok > 0, average, np.nan)])


@dataclass(frozen=True)
class Confusion:
    """What a threshold makes of N images.

    Attributes:
        caught: NG judged NG.
        escapes: NG judged OK.
        overkill: OK judged NG.
        passed: OK judged OK.
    """

    caught: int
    escapes: int
    overkill: int
    passed: int

    @property
    def ok(self) -> int:
        return self.overkill + self.passed

    @property
    def ng(self) -> int:
        return self.caught + self.escapes

    @property
    def judged_ng(self) -> int:
        return self.caught + self.overkill

    @property
    def f1(self) -> float | None:
        """None where there is no NG image and none was judged NG."""
        denominator = 2 * self.caught + self.escapes + self.overkill
        return 2 * self.caught / denominator if denominator else None


def confusion_at(scores: np.ndarray, is_ng: np.ndarray, threshold: float) -> Confusion:
    """The confusion matrix at a threshold; a score at or above it is NG."""
    values, labels = checked(scores, is_ng)
    judged = values >= threshold
    return Confusion(
        caught=int(np.count_nonzero(judged & labels)),
        escapes=int(np.count_nonzero(~judged & labels)),
        overkill=int(np.count_nonzero(judged & ~labels)),
        passed=int(np.count_nonzero(~judged & ~labels)),
    )
