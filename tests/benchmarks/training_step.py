"""A training's step: as it is configured by itself (bf16 where the processor has it) against float32, in turns."""

import time
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ml.methods.contract import Progress
from ml.methods.declarations import METHODS, load_method

from .made import made_training_set

ROUNDS: Final = 5
STEPS: Final = 6
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "weak": {
        "height": 704,
        "width": 256,
        "stage1_iterations": STEPS,
        "stage2_iterations": 2,
        "stage3_iterations": 0,
    },
    "maa": {"size": 256, "batch": 4, "iterations": STEPS},
}
QUICK: Final[dict[str, dict[str, Any]]] = {"weak": {"height": 64, "width": 64}, "maa": {"size": 64}}


def measure_training_step(*, quick: bool = False) -> dict[str, Any]:
    """Seconds a step of the first stage, and the ratio."""
    return {name: _compared(name, quick=quick) for name in SETTINGS}


def _compared(name: str, *, quick: bool) -> dict[str, Any]:
    times: dict[str, list[float]] = {"float32": [], "auto": []}
    for _ in range(1 if quick else ROUNDS):
        for precision, found in times.items():
            found += _steps(name, precision, quick=quick)
    medians = {precision: float(np.median(found)) for precision, found in times.items()}
    return {
        "float32_s": round(medians["float32"], 4),
        "auto_s": round(medians["auto"], 4),
        "times_faster": round(medians["float32"] / medians["auto"], 2),
        "steps": len(times["auto"]),
    }


def _steps(name: str, precision: str, *, quick: bool) -> list[float]:
    """Seconds between two progress events of the first stage; the first step warms up."""
    declaration = METHODS[name]
    setting = SETTINGS[name] | (QUICK[name] if quick else {}) | {"precision": precision}
    parameters = declaration.Parameters.model_validate(setting)
    assert declaration.workload is not None
    seen: list[tuple[str, int, float]] = []

    def tell(event: Progress) -> None:
        seen.append((event.stage, event.iteration, time.perf_counter()))

    training = made_training_set(declaration, declaration.workload(parameters))
    load_method(name).fit(training, parameters, seed=0, on_progress=tell)
    first = [(number, at) for stage, number, at in seen if stage == seen[0][0] and number]
    pairs = pairwise(first)
    return [(at - before) / (number - last) for (last, before), (number, at) in pairs if number > last][1:]
