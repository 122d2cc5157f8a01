"""What a figure was measured on, and how figures are summed up."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil


def describe_machine() -> dict[str, Any]:
    model = platform.processor() or "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def percentiles(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """{"p50", "p95", "p99"} of the values, and how many there were."""
    return {f"p{q}": round(float(np.percentile(values, q)), digits) for q in (50, 95, 99)} | {
        "n": len(values)
    }
