"""Whether a variant at a lower precision may judge at an operating point.

It need not give the training's scores, but the training's verdicts: no held-out image may change its verdict,
and neither AUROC nor average precision may fall by more than a thousandth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.evaluation.metrics import auroc, average_precision

MAX_FALL: Final = 0.001


@dataclass(frozen=True)
class Gate:
    """What the held-out images say of a variant.

    Attributes:
        flipped: indices of the images whose verdict changed.
        auroc_fall: how much lower its AUROC is than the training's; 0 without OK or without NG images.
        ap_fall: the same of average precision.
    """

    flipped: tuple[int, ...]
    auroc_fall: float
    ap_fall: float

    @property
    def passed(self) -> bool:
        return not self.flipped and max(self.auroc_fall, self.ap_fall) <= MAX_FALL

    @property
    def reason(self) -> str:
        """Why it may not judge; empty where it may."""
        if self.flipped:
            return f"{len(self.flipped)} held-out images change their verdict"
        if self.auroc_fall > MAX_FALL:
            return f"AUROC falls by {self.auroc_fall:.4f}"
        return f"average precision falls by {self.ap_fall:.4f}" if self.ap_fall > MAX_FALL else ""


def judge(
    *,
    expected: Sequence[float],
    given: Sequence[float],
    is_ng: Sequence[bool],
    ng_at: float,
    review_from: float | None = None,
) -> Gate:
    """Holds the scores that a variant gave against the training framework's.

    Args:
        expected: the training framework's, of N held-out images.
        given: the variant's, of the same.
        is_ng: as labelled.
        ng_at: a score at or above is NG.
        review_from: a score from here up to NG is REVIEW.

    Raises:
        ValueError: lengths differ, or a score is not finite.
    """
    before, after = np.asarray(expected, np.float64), np.asarray(given, np.float64)
    labels = np.asarray(is_ng, bool)
    bounds = [ng_at] if review_from is None else [review_from, ng_at]
    flipped = np.flatnonzero(np.digitize(before, bounds) != np.digitize(after, bounds))
    return Gate(
        tuple(flipped.tolist()),
        _fall(auroc(before, labels), auroc(after, labels)),
        _fall(average_precision(before, labels), average_precision(after, labels)),
    )


def _fall(before: float | None, after: float | None) -> float:
    return 0.0 if before is None or after is None else before - after
