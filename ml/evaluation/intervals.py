"""95% intervals: Wilson's for rates, bootstrap by group for what is ranked."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from ml.evaluation.metrics import weighted_auroc_and_average_precision

Z: Final = 1.959963984540054  # normal quantile of 0.975
RESAMPLES: Final = 1000
MAX_WEIGHTS: Final = 4_000_000  # weights held at once; bounds memory


class Interval(NamedTuple):
    low: float
    high: float


def wilson(count: int, of: int) -> Interval:
    """Wilson's score interval of a rate, 95%. Without any trial, everything is possible: (0, 1).

    Raises:
        ValueError: count is not between 0 and `of`.
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no rate")
    if of == 0:
        return Interval(0.0, 1.0)
    share = count / of
    denominator = 1 + Z * Z / of
    centre = (share + Z * Z / (2 * of)) / denominator
    half = Z / denominator * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    return Interval(
        0.0 if count == 0 else max(0.0, centre - half), 1.0 if count == of else min(1.0, centre + half)
    )


def bootstrap_ranking(
    scores: np.ndarray, is_ng: np.ndarray, groups: Sequence[str], *, seed: int, resamples: int = RESAMPLES
) -> tuple[Interval | None, Interval | None]:
    """95% percentile intervals of AUROC and average precision, drawing groups with replacement.

    Args:
        scores: float64 [N].
        is_ng: bool [N].
        groups: [N]; images of one group are drawn together, since they are not independent.
        seed: of the draws.
        resamples: how many; those without an OK or an NG image are left out.

    Returns:
        Of AUROC, of average precision; None where fewer than half of the draws held both kinds. Where every
        NG image scores above every OK one each draw gives 1, and says nothing of what was not drawn: the
        lower end is then Wilson's for as many hits without a miss as the rarer kind has groups.
    """
    _, group_of = np.unique(np.asarray(groups, str), return_inverse=True)
    count = int(group_of.max()) + 1
    rng = np.random.default_rng(seed)
    chunk = max(1, min(resamples, MAX_WEIGHTS // max(len(scores), 1)))
    figures = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=rows)  # [rows, groups]
        figures.append(weighted_auroc_and_average_precision(scores, is_ng, drawn[:, group_of]))
    auroc, precision = np.concatenate(figures, axis=1)
    usable = np.isfinite(auroc)
    if usable.sum() * 2 < resamples:
        return None, None
    if auroc[usable].min() == 1:
        rarer = min(len(np.unique(group_of[is_ng])), len(np.unique(group_of[~is_ng])))
        perfect = wilson(rarer, rarer)
        return perfect, perfect
    return _percentiles(auroc[usable]), _percentiles(precision[usable])


def _percentiles(values: np.ndarray) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
