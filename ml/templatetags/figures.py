from django import template

register = template.Library()


@register.filter
def significant(value: float | None) -> str:
    """Two significant digits, for differences that are near nothing."""
    return "–" if value is None else f"{value:.1e}" if value else "0"
