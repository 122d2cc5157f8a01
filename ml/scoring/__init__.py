"""From a network's raw output to a score: NumPy alone, the same after every engine. Imports no torch."""

from collections.abc import Mapping
from typing import Any, Final

from .base import Scores, Scoring
from .classes import NotOk
from .frechet import FrechetMarkov
from .one_class_svm import OneClassSvm
from .patches import UsualWorst, WorstOfSeveral, WorstPatches
from .plain import Identity, Sigmoid

__all__ = [
    "SCORINGS",
    "FrechetMarkov",
    "Identity",
    "NotOk",
    "OneClassSvm",
    "Scores",
    "Scoring",
    "Sigmoid",
    "UsualWorst",
    "WorstOfSeveral",
    "WorstPatches",
    "read_scoring",
    "scoring_entry",
]

SCORINGS: Final[Mapping[str, type[Scoring]]] = {
    one.kind: one
    for one in (Sigmoid, Identity, NotOk, OneClassSvm, FrechetMarkov, WorstPatches, WorstOfSeveral)
}


def scoring_entry(scoring: Scoring) -> dict[str, Any]:
    """A scoring as it stands in the card."""
    return {"kind": scoring.kind, **scoring.to_json()}


def read_scoring(stored: Any) -> Scoring:
    """The inverse of `scoring_entry`.

    Raises:
        ValueError: no such kind, or a value is missing or out of range.
    """
    kind = stored.get("kind") if isinstance(stored, Mapping) else None
    if not isinstance(kind, str) or kind not in SCORINGS:
        raise ValueError(f"the scoring {kind!r} is not one of {', '.join(SCORINGS)}")
    try:
        return SCORINGS[kind].from_json(stored)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the scoring {kind!r} can't be read: {error!r}") from error
