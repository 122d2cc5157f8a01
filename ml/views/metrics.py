"""The figures of an evaluation as rows for a page: name, value, interval, the counts behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

NAMES = {
    "auroc": _("AUROC"),
    "average_precision": _("Average precision"),
    "overkill_at_full_recall": _("Overkill at 100 % recall"),
    "false_calls_at_best_f1": _("False calls at best F1"),
    "best_f1": _("Best F1"),
    "accuracy": _("Accuracy at the threshold"),
    "recall": _("Recall at the threshold"),
    "precision": _("Precision at the threshold"),
    "f1": _("F1 at the threshold"),
    "escapes": _("Escapes at the threshold"),
    "overkill": _("Overkill at the threshold"),
}
HINTS = {
    "auroc": _("The chance that an NG image scores above an OK one."),
    "average_precision": _("Area under precision over recall; hard on rare NG images."),
    "overkill_at_full_recall": _("OK images judged NG when no NG image may escape."),
    "false_calls_at_best_f1": _("Escapes and overkill together, at the best balance of the two."),
}


@dataclass(frozen=True)
class MetricRow:
    key: str
    name: str
    hint: str
    value: str
    interval: str
    counts: str


def metric_rows(evaluation: Mapping[str, Any]) -> list[MetricRow]:
    metrics = evaluation.get("metrics", {})
    known = [name for name in NAMES if name in metrics]
    others = [name for name in metrics if name not in NAMES]
    return [_row(name, metrics[name]) for name in (*known, *others) if isinstance(metrics[name], Mapping)]


def _row(name: str, entry: Mapping[str, Any]) -> MetricRow:
    is_rate = "count" in entry
    count, of = entry.get("count"), entry.get("of")
    is_counted = count is not None and of is not None  # the count is null where one of the kinds is missing
    value = count / of if is_counted and of else entry.get("value")
    return MetricRow(
        key=name,
        name=str(NAMES.get(name, name.replace("_", " ").capitalize())),
        hint=str(HINTS.get(name, "")),
        value=value_text(value, is_rate=is_rate),
        interval=interval_text(entry, is_rate=is_rate),
        counts=_("%(count)d of %(of)d") % {"count": count, "of": of} if is_counted else "",
    )


def value_text(value: float | None, *, is_rate: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if is_rate else f"{value:.4f}"


def interval_text(entry: Mapping[str, Any], *, is_rate: bool) -> str:
    """Empty where there is no interval."""
    low, high = entry.get("low"), entry.get("high")
    if low is None or high is None:
        return ""
    return f"{value_text(low, is_rate=is_rate)} – {value_text(high, is_rate=is_rate)}"
