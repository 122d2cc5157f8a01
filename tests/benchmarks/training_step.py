"""A training's step: as it is configured by itself (bf16 where the processor has it) against float32, in turns.

*Plain* is float32 with PyTorch's own convolution in place of `LargeKernelConvolution`.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ml.methods import large_kernels
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
    """Seconds a step of the first stage, and the ratios."""
    return {
        "weak": _compared("weak", ("plain", "float32", "auto"), quick=quick),
        "maa": _compared("maa", ("float32", "auto"), quick=quick),
    }


def _compared(name: str, ways: tuple[str, ...], *, quick: bool) -> dict[str, Any]:
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(1 if quick else ROUNDS):
        for way, found in times.items():
            with _plain_convolutions() if way == "plain" else nullcontext():
                found += _steps(name, "float32" if way == "plain" else way, quick=quick)
    medians = {way: float(np.median(found)) for way, found in times.items()}
    return {
        **{f"{way}_s": round(median, 4) for way, median in medians.items()},
        **{f"times_faster_than_{way}": round(medians[way] / medians["auto"], 2) for way in ways[:-1]},
        "steps": len(times["auto"]),
    }


@contextmanager
def _plain_convolutions() -> Iterator[None]:
    worthwhile, large_kernels.WORTHWHILE_CELLS = large_kernels.WORTHWHILE_CELLS, math.inf
    try:
        yield
    finally:
        large_kernels.WORTHWHILE_CELLS = worthwhile


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
