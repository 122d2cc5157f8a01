"""Thresholds from the OK images' scores alone; they need no NG image."""

from typing import Final

import numpy as np

from ml.evaluation.metrics import checked

from .choice import NoThreshold, ThresholdChoice, above_score, chosen
from .normality import normality_of

LEAST_FOR_PAUTA: Final = 3


def quantile(scores: np.ndarray, is_ng: np.ndarray, *, share: float = 0.99) -> ThresholdChoice:
    """Above the given share of the OK images: a threshold that supposes nothing of how scores are spread.

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
    highest_passed = float(ok[int(np.ceil(share * len(ok) - 1e-9)) - 1])
    value = above_score(ok, highest_passed)
    return chosen("quantile", value, f"Above {share:.1%} of {len(ok)} OK images.", values, labels)


def pauta(
    scores: np.ndarray, is_ng: np.ndarray, *, gamma: float = 0.0, of: np.ndarray | None = None
) -> ThresholdChoice:
    """The Pauta criterion, T = μ + γ·σ of OK scores (maa: "statistical model of positive samples").

    The paper takes μ and σ from the images that were trained on, whose scores are too low; the default here
    is the held-out ones.

    Args:
        scores: float64 [N], held out; escapes and overkill are counted on them.
        is_ng: bool [N].
        gamma: γ. 0 as in the paper puts the threshold at the mean: about half of the OK images are rejected.
        of: float64 [M], OK scores to take μ and σ of, where not the OK ones among `scores`.

    Returns:
        With the normality test; its `advice` names the quantile threshold where the scores are not normal.

    Raises:
        NoThreshold: fewer than 3 OK scores.
    """
    values, labels = checked(scores, is_ng)
    reference = values[~labels] if of is None else np.asarray(of, np.float64)
    if len(reference) < LEAST_FOR_PAUTA:
        raise NoThreshold(f"μ + γσ needs {LEAST_FOR_PAUTA} OK scores; there are {len(reference)}.")
    normality = normality_of(reference)
    deviation = normality.deviation or 0.0
    value = float(f"{normality.mean + gamma * deviation:.6g}")
    which = "" if of is None else " that were trained on"
    reason = (
        f"Pauta criterion: mean {normality.mean:.4g} {'+' if gamma >= 0 else '-'} {abs(gamma):g} × "
        f"deviation {deviation:.4g} of {len(reference)} OK images{which}."
    )
    advice = "" if normality.is_normal else f"{normality.sentence} Take the quantile of OK scores instead."
    return chosen("pauta", value, reason, values, labels, advice=advice, normality=normality)
