"""How figures stand in a report: {"value", "low", "high"}, and for rates also {"count", "of"}."""

from typing import Any

from ml.evaluation.intervals import Interval, wilson

Entry = dict[str, Any]


def valued(value: float | None, interval: Interval | None = None) -> Entry:
    low, high = interval if interval is not None else (None, None)
    return {"value": value, "low": low, "high": high}


def rated(count: int | None, of: int) -> Entry:
    """A rate with Wilson's interval; without any trial, or where the count is not known, null."""
    low, high = wilson(count, of) if count is not None and of else (None, None)
    value = count / of if count is not None and of else None
    return {"value": value, "count": count, "of": of, "low": low, "high": high}
