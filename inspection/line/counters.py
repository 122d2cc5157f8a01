"""What a line counted since it started, and how fast it was."""

import threading
from collections import Counter, deque
from typing import Any

import numpy as np

from inspection.line.parts import ORIGIN_LINE
from inspection.line.records import Record

RECENT = 1000


class Counters:
    """Counts of the line's own parts (bench inspections are left out) and recent times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._verdicts: Counter[str] = Counter()
        self._errors: Counter[int] = Counter()
        self._judge_ms: deque[float] = deque(maxlen=RECENT)
        self._total_ms: deque[float] = deque(maxlen=RECENT)
        self._unanswered = 0

    def count(self, record: Record) -> None:
        """Counts a part."""
        if record["origin"] != ORIGIN_LINE:
            return
        with self._lock:
            self._verdicts[record["verdict"]] += 1
            if record["error_code"]:
                self._errors[record["error_code"]] += 1
            self._judge_ms.append(record["judge_ms"])

    def count_answer(self, answer: Record) -> None:
        """Counts what the PLC was given."""
        with self._lock:
            if answer["total_ms"] is None:
                self._unanswered += 1
            else:
                self._total_ms.append(answer["total_ms"])

    def snapshot(self) -> dict[str, Any]:
        """Counts by verdict and error code, and percentiles of the last thousand parts."""
        with self._lock:
            return {
                "verdicts": dict(self._verdicts),
                "errors": dict(self._errors),
                "unanswered": self._unanswered,
                "judge_ms": _percentiles(self._judge_ms),
                "total_ms": _percentiles(self._total_ms),
            }


def _percentiles(values: deque[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95, p99 = np.percentile(np.fromiter(values, float), [50, 95, 99])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "p99": round(float(p99), 3)}
