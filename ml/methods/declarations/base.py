"""What a method says of itself before it is loaded. Imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.methods.contract import Needs

from .memory import Workload


class MethodParameters(BaseModel):
    """Base of every method's parameters: unknown names are refused, values are within their ranges."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _from_scratch(parameters: Any) -> tuple[str, ...]:
    return ()


def _the_rules_own(parameters: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class MethodDeclaration:
    """What forms, job checks and the API need to know of a method without loading it.

    Attributes:
        name: key in `METHODS`, in commands and in cards.
        title: for a person.
        when_to_use: one or two sentences for a person who chooses.
        needs: checked before a job is queued.
        Parameters: the pydantic model; its JSON schema carries ranges, units and descriptions.
        presets: named starting points.
        module: where `fit` lives.
        pretrained: the networks (`ml.weights.WEIGHT_FILES`) whose pretrained weights a fit with these
            parameters starts from.
        workload: what a step with these parameters computes on, for the estimate of memory; None where nobody
            has measured it.
        threshold_rule: key of `ml.thresholds.RULES` that proposes a new model's first threshold; where the
            scores don't allow it (no NG image, say), the evaluation proposes what they allow.
        threshold_parameters: of that rule, from the method's own; those not given are the rule's defaults.
    """

    name: str
    title: str
    when_to_use: str
    needs: Needs
    Parameters: type[MethodParameters]
    presets: Mapping[str, MethodParameters]
    module: str
    pretrained: Callable[[Any], tuple[str, ...]] = _from_scratch
    workload: Callable[[Any], Workload] | None = None
    threshold_rule: str = "best_f1"
    threshold_parameters: Callable[[Any], Mapping[str, Any]] = _the_rules_own

    @property
    def is_one_class(self) -> bool:
        """It learns from OK images alone."""
        return not self.needs.ng and not self.needs.per_class
