"""Whether scores are normal: the Pauta criterion supposes it."""

import math
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np

SIGNIFICANCE: Final = 0.05
LEAST: Final = 3  # Shapiro-Wilk is defined from three values on
MOST: Final = 5000  # above, its p-value is not accurate: as many are drawn


@dataclass(frozen=True)
class Normality:
    """How OK scores are spread.

    Attributes:
        count: of the scores.
        mean: μ.
        deviation: σ, with n - 1; None of one score.
        mean_high: upper end of the mean's 95% interval (Student's t, both sides); None of one score.
        p: of the Shapiro-Wilk test; None where it can't be made.
        is_normal: False where p is below 0.05, or where all scores are equal; None where it can't be said.
        sentence: all of it for a person.
    """

    count: int
    mean: float
    deviation: float | None
    mean_high: float | None
    p: float | None
    is_normal: bool | None
    sentence: str


def normality_of(scores: np.ndarray) -> Normality:
    """The test of the paper's section on the threshold (maa, "normal test"), by Shapiro and Wilk.

    Args:
        scores: float64 [N], finite; of OK images alone.

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(scores, np.float64)
    if not len(values):
        raise ValueError("there are no scores")
    mean = float(values.mean())
    if len(values) == 1:
        return Normality(1, mean, None, None, None, None, "One OK score: nothing can be said of its spread.")
    deviation = float(values.std(ddof=1))
    mean_high = mean + _student(len(values) - 1) * deviation / math.sqrt(len(values))
    p = _shapiro_p(values)
    is_normal = False if np.ptp(values) == 0 else None if p is None else p >= SIGNIFICANCE
    return Normality(
        len(values), mean, deviation, mean_high, p, is_normal, _sentence(values, mean_high, p, is_normal)
    )


def _student(degrees: int) -> float:
    from scipy.special import stdtrit  # loaded where it is needed: starting the web process stays quick

    return float(stdtrit(degrees, 0.975))


def _shapiro_p(values: np.ndarray) -> float | None:
    if len(values) < LEAST or np.ptp(values) == 0:
        return None
    from scipy.stats import shapiro

    if len(values) > MOST:
        values = np.random.default_rng(0).choice(values, MOST, replace=False)
    with warnings.catch_warnings():
        # Of scores that differ in the last digits alone; p is then still near 0 or 1, and said as such.
        warnings.simplefilter("ignore", UserWarning)
        # Moved and scaled first: the statistic does not change, and tiny scores keep their digits.
        p = float(shapiro((values - values.min()) / np.ptp(values)).pvalue)
    return p if math.isfinite(p) else None


def _sentence(values: np.ndarray, mean_high: float, p: float | None, is_normal: bool | None) -> str:
    head = f"{len(values)} OK scores"
    if is_normal is None:
        return f"{head}: too few to test whether they are normal."
    if p is None:
        return f"{head} are all equal: they are not normal."
    verdict = "may be normal" if is_normal else "are not normal"
    return f"{head} {verdict} (Shapiro-Wilk p = {p:.2g}); their mean is below {mean_high:.4g} (95 %)."
