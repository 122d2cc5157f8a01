"""Thresholds from both kinds of scores: the best of all, by F1, by escapes, by cost."""

import numpy as np

from ml.evaluation.metrics import checked, confusion_at

from .choice import NoThreshold, ThresholdChoice, above_score, below_score, chosen


def best_f1(scores: np.ndarray, is_ng: np.ndarray) -> ThresholdChoice:
    """The best balance of escapes and overkill; of equals, the one with the fewest escapes.

    Raises:
        NoThreshold: no OK or no NG image.
    """
    values, labels = _both_kinds(scores, is_ng)
    starts, caught, overkill = _counts_at_ng_scores(values, labels)
    f1 = 2 * caught / (caught + overkill + np.count_nonzero(labels))
    best = int(np.argmax(f1))  # the lowest of equals
    value = below_score(values, float(starts[best]))
    reason = f"Best F1, {f1[best]:.3f}: the best balance of escapes and overkill on {len(values)} images."
    return chosen("best_f1", value, reason, values, labels)


def full_recall(scores: np.ndarray, is_ng: np.ndarray) -> ThresholdChoice:
    """The highest threshold at which none of these NG images escapes.

    Raises:
        NoThreshold: no OK or no NG image.
    """
    values, labels = _both_kinds(scores, is_ng)
    value = below_score(values, float(values[labels].min()))
    confusion = confusion_at(values, labels, value)
    reason = (
        f"None of {confusion.ng} NG images escapes; "
        f"{confusion.overkill} of {confusion.ok} OK images are rejected."
    )
    return chosen("full_recall", value, reason, values, labels)


def least_cost(
    scores: np.ndarray,
    is_ng: np.ndarray,
    *,
    escape_price: float = 100.0,
    overkill_price: float = 1.0,
    ng_rate: float = 0.01,
) -> ThresholdChoice:
    """The threshold with the least expected cost of a part on the line; of equals, the fewest escapes.

    C(T) = r · P(score < T | NG) · escape price + (1 - r) · P(score ≥ T | OK) · overkill price, with r that of
    the line: the images at hand have seldom as few NG among them.

    Args:
        scores: float64 [N].
        is_ng: bool [N].
        escape_price: of an NG part that is passed, at least 0.
        overkill_price: of an OK part that is rejected, at least 0, in the same unit.
        ng_rate: r, the share of NG parts on the line, 0 to 1, both excluded.

    Raises:
        NoThreshold: no OK or no NG image.
        ValueError: a price or rate out of range.
    """
    if not (0 < ng_rate < 1 and escape_price >= 0 and overkill_price >= 0):
        raise ValueError(
            f"prices {escape_price} and {overkill_price} at an NG rate of {ng_rate} make no sense"
        )
    values, labels = _both_kinds(scores, is_ng)
    starts, caught, overkill = _counts_at_ng_scores(values, labels)
    ng, ok = np.count_nonzero(labels), np.count_nonzero(~labels)
    # The last one is above every score: nothing is caught, nothing is rejected.
    missed = np.append(1 - caught / ng, 1.0)
    rejected = np.append(overkill / ok, 0.0)
    costs = ng_rate * missed * escape_price + (1 - ng_rate) * rejected * overkill_price
    best = int(np.argmin(costs))  # the lowest of equals
    passes_all = best == len(starts)
    value = (
        above_score(values, float(values.max())) if passes_all else below_score(values, float(starts[best]))
    )
    reason = (
        f"Least cost, {costs[best]:.4g} a part: an escape at {escape_price:g}, an overkill at "
        f"{overkill_price:g}, {100 * ng_rate:g} % of the parts NG."
    )
    advice = "At these prices it is cheapest to pass every part." if passes_all else ""
    return chosen("cost", value, reason, values, labels, advice=advice, cost_per_part=float(costs[best]))


def _counts_at_ng_scores(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where every best threshold lies, just below an NG score: those scores rising, and what each would do.

    Returns:
        Distinct NG scores [S], NG images caught from there on [S], OK images rejected from there on [S].
    """
    ok, ng = np.sort(values[~labels]), np.sort(values[labels])
    starts = np.unique(ng)
    return starts, len(ng) - np.searchsorted(ng, starts), len(ok) - np.searchsorted(ok, starts)


def _both_kinds(scores: np.ndarray, is_ng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, labels = checked(scores, is_ng)
    if labels.all() or not labels.any():
        raise NoThreshold("Both OK and NG images are needed to choose this threshold.")
    return values, labels
