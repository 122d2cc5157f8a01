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
    value = entry.get("value")
    if value is None and is_rate and of:
        value = count / of
    has_interval = entry.get("low") is not None and entry.get("high") is not None
    return MetricRow(
        name=str(NAMES.get(name, name.replace("_", " ").capitalize())),
        hint=str(HINTS.get(name, "")),
        value=_text(value, is_rate),
        interval=f"{_text(entry['low'], is_rate)} – {_text(entry['high'], is_rate)}" if has_interval else "",
        counts=_("%(count)d of %(of)d") % {"count": count, "of": of} if is_rate and of is not None else "",
    )


def _text(value: float | None, is_rate: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if is_rate else f"{value:.4f}"
