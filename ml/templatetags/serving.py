from typing import Any

from django import template

from ml.models import ModelVersion, OperatingPoint
from ml.selectors.serving import serving_section as section_of

register = template.Library()


@register.inclusion_tag("ml/_serving.html")
def serving_section(version: ModelVersion, point: OperatingPoint | None, may_measure: bool) -> dict[str, Any]:
    """How quick a model is here, what may serve it, and where it differs from the training."""
    return {"version": version, "serving": section_of(version, point), "may_measure": may_measure}


@register.filter
def rounded_ms(value: float | None) -> str:
    """ms: two digits below ten, whole ones above."""
    return "–" if value is None else f"{value:.1f}" if value < 10 else f"{value:.0f}"
