"""The rules by name: title, one line, typed parameters. Form and API schema are made from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from .choice import NoThreshold, ThresholdChoice
from .ok_scores import pauta, quantile
from .ranked import best_f1, full_recall, least_cost


class RuleParameters(BaseModel):
    """Base of every rule's parameters: unknown names are refused, values are within their ranges."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoParameters(RuleParameters):
    """This rule leaves nothing to choose."""


class PautaParameters(RuleParameters):
    gamma: float = Field(
        default=0.0,
        ge=-5,
        le=10,
        title="γ",
        description="Deviations above the mean. 0 is the paper's: it rejects about half of the OK parts.",
        json_schema_extra={"unit": "σ"},
    )
    scores_of: Literal["held_out", "training"] = Field(
        default="held_out",
        title="μ and σ of",
        description="The paper takes the images it trained on, whose scores are too low.",
    )


class QuantileParameters(RuleParameters):
    share: float = Field(
        default=0.99, gt=0, lt=1, title="Share", description="Of the OK images, to lie below the threshold."
    )


class CostParameters(RuleParameters):
    escape_price: float = Field(
        default=100.0, ge=0, title="Price of an escape", description="Of an NG part that is passed."
    )
    overkill_price: float = Field(
        default=1.0,
        ge=0,
        title="Price of an overkill",
        description="Of an OK part that is rejected, in the same unit.",
    )
    ng_rate: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        title="NG rate",
        description="Share of NG parts expected on the line.",
    )


@dataclass(frozen=True)
class ScoreSet:
    """What a rule chooses from.

    Attributes:
        scores: float64 [N], of images that the model had not seen.
        is_ng: bool [N].
        training_ok: float64 [M], of the OK images that it was trained on; empty where there are none.
    """

    scores: np.ndarray
    is_ng: np.ndarray
    training_ok: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class ThresholdRule:
    """A way to choose a threshold.

    Attributes:
        name: key in `RULES`, in REST and on the page.
        title: for a person.
        summary: one line on what it does.
        needs_ng: whether it takes NG images to choose.
        Parameters: the pydantic model; its JSON schema carries titles, ranges and descriptions.
        choose: the rule itself.
    """

    name: str
    title: str
    summary: str
    needs_ng: bool
    Parameters: type[RuleParameters]
    choose: Callable[[ScoreSet, Any], ThresholdChoice]


def _pauta(given: ScoreSet, parameters: PautaParameters) -> ThresholdChoice:
    if parameters.scores_of == "held_out":
        return pauta(given.scores, given.is_ng, gamma=parameters.gamma)
    if not len(given.training_ok):
        raise NoThreshold("There are no scores of training images: each image was held out of a fold.")
    return pauta(given.scores, given.is_ng, gamma=parameters.gamma, of=given.training_ok)


_ALL: Final = (
    ThresholdRule(
        name="best_f1",
        title="Best F1",
        summary="The best balance of escapes and overkill on these images.",
        needs_ng=True,
        Parameters=NoParameters,
        choose=lambda given, _parameters: best_f1(given.scores, given.is_ng),
    ),
    ThresholdRule(
        name="full_recall",
        title="No escapes",
        summary="The highest threshold at which none of these NG images escapes.",
        needs_ng=True,
        Parameters=NoParameters,
        choose=lambda given, _parameters: full_recall(given.scores, given.is_ng),
    ),
    ThresholdRule(
        name="cost",
        title="Least cost",
        summary="What escapes and overkill cost, at the NG rate that the line expects.",
        needs_ng=True,
        Parameters=CostParameters,
        choose=lambda given, p: least_cost(
            given.scores,
            given.is_ng,
            escape_price=p.escape_price,
            overkill_price=p.overkill_price,
            ng_rate=p.ng_rate,
        ),
    ),
    ThresholdRule(
        name="quantile",
        title="Quantile of OK scores",
        summary="Passes a given share of the OK images, however their scores are spread. Needs no NG image.",
        needs_ng=False,
        Parameters=QuantileParameters,
        choose=lambda given, p: quantile(given.scores, given.is_ng, share=p.share),
    ),
    ThresholdRule(
        name="pauta",
        title="Pauta, μ + γσ",
        summary="Mean and deviation of the OK scores, for scores that are normal. Needs no NG image.",
        needs_ng=False,
        Parameters=PautaParameters,
        choose=_pauta,
    ),
)

RULES: Final[Mapping[str, ThresholdRule]] = {rule.name: rule for rule in _ALL}


def choose_threshold(
    rule: str,
    scores: np.ndarray,
    is_ng: np.ndarray,
    *,
    training_ok: np.ndarray | None = None,
    **parameters: Any,
) -> ThresholdChoice:
    """The threshold that the named rule chooses.

    Args:
        rule: key of `RULES`.
        scores: float64 [N], of images that the model had not seen.
        is_ng: bool [N].
        training_ok: float64 [M], of OK images that it had; for the rules that ask for them.
        parameters: of the rule; those not given are its defaults.

    Raises:
        KeyError: no such rule.
        pydantic.ValidationError: an unknown parameter, or a value out of range.
        NoThreshold: these scores don't allow it.
        ValueError: there are no scores, or one is not finite.
    """
    declared = RULES[rule]
    given = ScoreSet(scores, is_ng, np.empty(0) if training_ok is None else training_ok)
    return declared.choose(given, declared.Parameters.model_validate(parameters))
