from django import template

from ml.models import ModelVersion, OperatingPoint
from ml.selectors.serving import ServingSection, serving_section

register = template.Library()


@register.simple_tag
def serving_of(version: ModelVersion, point: OperatingPoint | None) -> ServingSection:
    """How quick a model is here, what may serve it, and where it differs from the training."""
    return serving_section(version, point)


@register.filter
def rounded_ms(value: float | None) -> str:
    """ms: two digits below ten, whole ones above."""
    return "–" if value is None else f"{value:.1f}" if value < 10 else f"{value:.0f}"
