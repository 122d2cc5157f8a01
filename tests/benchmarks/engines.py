"""The network alone: each serving engine against plain PyTorch, in turns on the same images."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from annotation.synthetic import SyntheticPart, make_parts
from ml.methods.contract import TrainingSet
from ml.methods.declarations import METHODS, load_method
from ml.serving.predictor import load_predictor

from .machine import percentiles

ROUNDS = 60


def measure_engines() -> dict[str, Any]:
    """`weak` as the demo has it (weights of one iteration): ms an image by engine, and the ratio to eager."""
    parts = list(make_parts(ok=6, ng=6, seed=1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        _export(parts, folder)
        predictors = {engine: load_predictor(folder, engine) for engine in ("torch", "onnxruntime")}
        times: dict[str, list[float]] = {engine: [] for engine in predictors}
        for turn in range(ROUNDS):
            image = parts[turn % len(parts)].image
            for engine, predictor in predictors.items():
                began = time.perf_counter()
                predictor.predict([image])
                times[engine].append(1000 * (time.perf_counter() - began))
    settled = {engine: values[5:] for engine, values in times.items()}
    ratio = np.median(settled["torch"]) / np.median(settled["onnxruntime"])
    return {
        "eager_ms": percentiles(settled["torch"]),
        "onnxruntime_ms": percentiles(settled["onnxruntime"]),
        "times_faster_than_eager": round(float(ratio), 2),
    }


def _export(parts: list[SyntheticPart], folder: Path) -> None:
    """Weights do not matter for time, so they are those of one iteration."""
    declaration = METHODS["weak"]
    is_ng = np.array([part.class_name != "OK" for part in parts])
    training_set = TrainingSet(
        images=[part.image for part in parts],
        is_ng=is_ng,
        classes=is_ng.astype(np.int64),
        class_names=("OK", "NG"),
        groups=[part.item for part in parts],
        views=[""] * len(parts),
    )
    brief = {"stage1_iterations": 1, "stage2_iterations": 2, "stage3_iterations": 0}
    parameters = declaration.presets["demo"].model_copy(update=brief)
    model = load_method("weak").fit(training_set, parameters, seed=0)
    model.export(folder, card_extra={}, parity_images=[parts[0].image], parity_views=[""])
