"""Template tags of the design system; built into every template."""

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_COLOURS = {
    "OK": "green", "NG": "red", "REVIEW": "yellow", "ERROR": "purple",
    "queued": "secondary", "pending": "secondary", "running": "blue", "live": "green", "done": "green",
    "failed": "red", "cancelled": "orange", "superseded": "secondary",
    "candidate": "blue", "approved": "green", "retired": "secondary",
}  # fmt: skip
_VERDICT_ICONS = {"OK": "circle-check", "NG": "circle-x", "REVIEW": "eye", "ERROR": "alert-triangle"}


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """An icon of static/img/icons.svg (Tabler icons), sized by its text."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


@register.simple_tag
def verdict(value: str, css: str = "") -> SafeString:
    """A verdict by colour, icon and word together."""
    return format_html(
        '<span class="badge verdict verdict-{} {}">{} {}</span>',
        value.lower(), css, icon(_VERDICT_ICONS.get(value, "help")), value,
    )  # fmt: skip


@register.simple_tag
def state(value: str, text: str = "") -> SafeString:
    """A state badge; one colour per state everywhere."""
    colour = _COLOURS.get(value, "secondary")
    return format_html('<span class="badge bg-{}-lt">{}</span>', colour, text or value)


@register.inclusion_tag("_empty.html")
def empty(icon_name: str, title: str, text: str, url: str = "", action: str = "") -> dict:
    """An empty state: what this place is for and what to do next."""
    return {"icon_name": icon_name, "title": title, "text": text, "url": url, "action": action}


@register.filter
def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


@register.filter
def score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


@register.filter
def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
