"""How strict a model version is: proposing thresholds by rule, and saving one that a person chose."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.db import transaction
from pydantic import ValidationError

from annotation.models import User
from annotation.services import audit
from ml.choices import ScoreSplit
from ml.errors import NoThresholdPossible, ParametersRefused, ThresholdRefused
from ml.evaluation.intervals import wilson
from ml.models import ImageScore, ModelVersion, OperatingPoint
from ml.selectors.versions import score_columns
from ml.thresholds import RULES, NoThreshold, ScoreSet, ThresholdChoice


def score_set(model_version: ModelVersion) -> ScoreSet:
    """What the rules choose from: the held-out scores, and those of the OK images it was trained on."""
    columns = score_columns(model_version)
    held_out, training = columns[ScoreSplit.HELD_OUT], columns[ScoreSplit.TRAINING]
    return ScoreSet(
        scores=np.array(held_out["ok"] + held_out["ng"], np.float64),
        is_ng=np.repeat([False, True], [len(held_out["ok"]), len(held_out["ng"])]),
        training_ok=np.array(training["ok"], np.float64),
    )


def propose_threshold(
    *, scores: ScoreSet, rule: str, parameters: Mapping[str, Any] | None = None
) -> ThresholdChoice:
    """The threshold that a rule chooses from a version's scores.

    Args:
        scores: of `score_set`.
        rule: key of `RULES`.
        parameters: those that differ from the rule's defaults; numbers may come as text.

    Raises:
        ParametersRefused: no such rule, an unknown parameter, or a value out of range.
        NoThresholdPossible: the scores don't allow this rule.
    """
    if rule not in RULES:
        raise ParametersRefused({"rule": f"There is no “{rule}”; there are {', '.join(RULES)}."})
    declared = RULES[rule]
    if not len(scores.scores):
        raise NoThresholdPossible(
            "No image was held out of this model's training: there is nothing to choose from."
        )
    try:
        return declared.choose(scores, declared.Parameters.model_validate(dict(parameters or {})))
    except ValidationError as error:
        raise ParametersRefused(
            {".".join(map(str, one["loc"])): one["msg"] for one in error.errors()}
        ) from error
    except NoThreshold as error:
        raise NoThresholdPossible(str(error)) from error


@transaction.atomic
def save_operating_point(
    *,
    model_version: ModelVersion,
    ng_at: float,
    review_from: float | None = None,
    reason: str,
    author: User | None,
) -> OperatingPoint:
    """Keeps a threshold, with what it would have done to the held-out images.

    Args:
        model_version: whose scores it is for.
        ng_at: a score at or above it is NG.
        review_from: a score from here up to `ng_at` is REVIEW; None for no such band.
        reason: why this threshold, in the author's words.
        author: None where the program itself proposed it.

    Raises:
        ThresholdRefused: a number that is not finite, a band that is not below NG, or no reason.
    """
    if not math.isfinite(ng_at) or (review_from is not None and not math.isfinite(review_from)):
        raise ThresholdRefused("A threshold is a finite number.")
    if review_from is not None and review_from >= ng_at:
        raise ThresholdRefused("REVIEW must begin below the NG threshold.")
    if not reason.strip():
        raise ThresholdRefused("Say why: the reason stays with the threshold.")
    point = OperatingPoint.objects.create(
        model_version=model_version,
        ng_at=ng_at,
        review_from=review_from,
        reason=reason.strip()[:400],
        expected=expected_at(model_version, ng_at, review_from),
        author=author,
    )
    audit.record(
        actor=author,
        action="threshold.saved",
        target=point,
        details={"ng_at": ng_at, "review_from": review_from, "reason": point.reason},
    )
    return point


def expected_at(
    model_version: ModelVersion, ng_at: float, review_from: float | None
) -> dict[str, dict[str, float]]:
    """Escapes, overkill and REVIEW on the held-out images: counts, rates and 95 % intervals (Wilson)."""
    held_out = ImageScore.objects.filter(model_version=model_version, split=ScoreSplit.HELD_OUT)
    ok, ng = held_out.filter(is_ng=False), held_out.filter(is_ng=True)
    passed_below = ng_at if review_from is None else review_from
    in_review = held_out.filter(score__gte=passed_below, score__lt=ng_at).count()
    return {
        "escapes": _rate(ng.filter(score__lt=passed_below).count(), ng.count()),
        "overkill": _rate(ok.filter(score__gte=ng_at).count(), ok.count()),
        "review": _rate(in_review, held_out.count()),
    }


def _rate(count: int, of: int) -> dict[str, float]:
    low, high = wilson(count, of)
    return {"count": count, "of": of, "low": low, "high": high}
