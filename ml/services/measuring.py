"""The figures of a method's held-out scores, at the threshold that the method's own rule chooses."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml.choices import ScoreSplit
from ml.evaluation.classes import ClassProbabilities
from ml.methods.declarations import MethodDeclaration, MethodParameters
from ml.thresholds import NoThreshold, ThresholdChoice, choose_threshold

from .fitting import ScoredImage
from .reports import measure


def measure_scored(
    declaration: MethodDeclaration,
    parameters: MethodParameters,
    scored: Sequence[ScoredImage],
    class_names: Sequence[str],
    *,
    seed: int,
) -> dict[str, Any]:
    """The figures of the held-out images among these, with the first threshold and its reason.

    Args:
        declaration: whose rule proposes the threshold.
        parameters: of the method.
        scored: held out, and perhaps trained on; the latter only serve a rule that asks for them.
        class_names: of the snapshot, in the order of the probabilities.
        seed: of the bootstrap.
    """
    held_out = [one for one in scored if one.split == ScoreSplit.HELD_OUT]
    first = _first_threshold(declaration, parameters, scored)
    measured = measure(
        held_out,
        seed=seed,
        threshold=first.value if first else None,
        probabilities=_probabilities(held_out, class_names),
    )
    if first:
        measured["threshold"] = {
            "value": first.value,
            "reason": " ".join(filter(None, [first.reason, first.advice])),
        }
    return measured


def _first_threshold(
    declaration: MethodDeclaration, parameters: MethodParameters, scored: Sequence[ScoredImage]
) -> ThresholdChoice | None:
    """None where these scores don't allow the method's rule; the evaluation then proposes what they allow."""
    held_out = [one for one in scored if one.split == ScoreSplit.HELD_OUT]
    trained_on = [one for one in scored if one.split == ScoreSplit.TRAINING]
    try:
        return choose_threshold(
            declaration.threshold_rule,
            np.array([one.score for one in held_out], np.float64),
            np.array([one.image.is_ng for one in held_out], bool),
            training_ok=np.array([one.score for one in trained_on if not one.image.is_ng], np.float64),
            **declaration.threshold_parameters(parameters),
        )
    except NoThreshold:
        return None


def _probabilities(scored: Sequence[ScoredImage], class_names: Sequence[str]) -> ClassProbabilities | None:
    rows = [one.probabilities for one in scored if one.probabilities is not None]
    if not scored or len(rows) != len(scored):
        return None
    values = np.array(rows, np.float64)
    names = tuple(class_names) if values.shape[1] == len(class_names) else (class_names[0], "NG")
    return ClassProbabilities(names, values)
