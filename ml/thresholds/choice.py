"""What every rule gives, and how a threshold is placed among scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.evaluation.intervals import wilson
from ml.evaluation.metrics import confusion_at

from .normality import Normality


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
        rule: key of `RULES`.
        value: the threshold.
        reason: a sentence for the person who decides.
        escapes: NG images of these scores that it lets pass.
        overkill: OK images of these scores that it rejects.
        advice: what the person should know before taking it; empty where nothing speaks against it.
        normality: of the OK scores, where the rule supposes that they are normal.
        cost_per_part: expected, where the rule has prices; in their unit.
    """

    rule: str
    value: float
    reason: str
    escapes: Rate
    overkill: Rate
    advice: str = ""
    normality: Normality | None = None
    cost_per_part: float | None = None


def chosen(
    rule: str, value: float, reason: str, scores: np.ndarray, is_ng: np.ndarray, **more: Any
) -> ThresholdChoice:
    """A choice with what it does to the scores it was chosen from."""
    confusion = confusion_at(scores, is_ng, value)
    return ThresholdChoice(
        rule=rule,
        value=value,
        reason=reason,
        escapes=Rate.counted(confusion.escapes, confusion.ng),
        overkill=Rate.counted(confusion.overkill, confusion.ok),
        **more,
    )


def below_score(values: np.ndarray, score: float) -> float:
    """The shortest number about midway between a score and the next one below it.

    So a person can read it, and rounding on the way to a line judges neither differently. Where nothing lies
    below, the score itself.
    """
    below_all = values[values < score]
    if not len(below_all):
        return score
    return _between(float(below_all.max()), score)


def above_score(values: np.ndarray, score: float) -> float:
    """A short number above a score and at most the next one; a little above it where nothing follows."""
    following = values[values > score]
    if len(following):
        return _between(score, float(following.min()))
    air = (score - float(values.min())) / 100 or abs(score) / 100 or 0.01
    return _between(score, score + air)


def _between(below: float, above: float) -> float:
    """The shortest number about midway, above `below` and at most `above`."""
    middle = below + (above - below) / 2
    for digits in range(1, 18):
        short = float(f"{middle:.{digits}g}")
        if below < short <= above:
            return short
    return above
