"""ROC and precision-recall curves as points for a page: every corner, or as many as can be told apart."""

from typing import Any, Final

import numpy as np

from ml.evaluation.metrics import checked

MOST_POINTS: Final = 200


def curves(scores: np.ndarray, is_ng: np.ndarray) -> dict[str, Any] | None:
    """Both curves, by falling threshold; a score at or above it is NG.

    Args:
        scores: float64 [N].
        is_ng: bool [N].

    Returns:
        "roc" with "threshold", "overkill" (share of the OK images) and "recall", from (0, 0), whose threshold
        is None, to (1, 1); "precision_recall" with "threshold", "recall" and "precision". At most
        `MOST_POINTS` points each, thinned evenly along the line. None without both kinds.

    Raises:
        ValueError: there are no scores, or one is not finite.
    """
    values, labels = checked(scores, is_ng)
    if labels.all() or not labels.any():
        return None
    thresholds, caught, rejected = _counts_by_threshold(values, labels)
    recall, overkill = caught / caught[-1], rejected / rejected[-1]
    precision = caught / (caught + rejected)
    roc = _corners(np.append(0.0, overkill), np.append(0.0, recall))
    ranked = _thinned(recall, precision, np.arange(len(recall)))
    return {
        "roc": {
            "threshold": [None if at == 0 else _short(thresholds[at - 1]) for at in roc],
            "overkill": [0.0 if at == 0 else _short(overkill[at - 1]) for at in roc],
            "recall": [0.0 if at == 0 else _short(recall[at - 1]) for at in roc],
        },
        "precision_recall": {
            "threshold": [_short(thresholds[at]) for at in ranked],
            "recall": [_short(recall[at]) for at in ranked],
            "precision": [_short(precision[at]) for at in ranked],
        },
    }


def _counts_by_threshold(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores falling [S]; NG images at or above each [S]; OK images at or above each [S]."""
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    last = np.append(np.flatnonzero(falling[:-1] != falling[1:]), len(falling) - 1)  # of each run of ties
    return falling[last], np.cumsum(labels[order])[last], np.cumsum(~labels[order])[last]


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Numbers of the points at which a line bends, with both ends, thinned."""
    if len(x) > 2:
        bends = np.diff(x)[:-1] * np.diff(y)[1:] != np.diff(x)[1:] * np.diff(y)[:-1]
        kept = np.flatnonzero(np.concatenate([[True], bends, [True]]))
    else:
        kept = np.arange(len(x))
    return _thinned(x[kept], y[kept], kept)


def _thinned(x: np.ndarray, y: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    if len(numbers) <= MOST_POINTS:
        return numbers
    along = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    wanted = np.linspace(0, along[-1], MOST_POINTS)
    return numbers[np.unique(np.searchsorted(along, wanted).clip(0, len(numbers) - 1))]


def _short(value: float) -> float:
    """Six digits: more is not seen in a drawing, and weighs in every report."""
    return float(f"{value:.6g}")
