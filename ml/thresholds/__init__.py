"""Ways to choose a threshold from scores, each with its reason in a sentence and what to expect of it.

A score at or above the threshold is NG. `rules.RULES` is what pages and REST are made from.
"""

from .choice import NoThreshold, Rate, ThresholdChoice
from .normality import Normality, normality_of
from .ok_scores import pauta, quantile
from .ranked import best_f1, full_recall, least_cost
from .rules import RULES, ScoreSet, ThresholdRule, choose_threshold

__all__ = [
    "RULES",
    "NoThreshold",
    "Normality",
    "Rate",
    "ScoreSet",
    "ThresholdChoice",
    "ThresholdRule",
    "best_f1",
    "choose_threshold",
    "full_recall",
    "least_cost",
    "normality_of",
    "pauta",
    "quantile",
]
