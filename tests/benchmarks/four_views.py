"""A part of four views, from the PLC's trigger to its confirmation of the result, with VGG16 (transfer_vgg, 224 px).

The paper gives 0.9 s for the same.
"""

import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from inspection.serving_judge import ServingJudge
from ml.serving.artefact import ArtefactError, read_card
from ml.serving.engines import EngineUnavailable, InferenceFailed, Running
from ml.serving.machine import cores
from ml.serving.parity import ParityError
from ml.serving.predictor import Predictor, load_predictor
from ml.serving.trials import Trial
from ml.serving.variants import Variant
from tests.inspection.line.measure_overhead import measure as measure_line

from .engines import VIEWS, _exported

KEYS: Final = ("onnxruntime", "openvino", "openvino-bf16", "openvino-int8", "onnxruntime-int8")
PARTS: Final = 60
IMAGE_PX: Final = 512
TOLD: Final = ("parts", "trigger_to_confirmed_ms", "of_which_network_ms", "overhead_ms")
PAUSE: Final = 1.6  # between two triggers, of the time that the network takes


def measure_four_views(*, quick: bool = False) -> dict[str, Any]:
    """By engine: ms of a part, p50, p95, p99; which of them may judge is for the gate to say on a trained model."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        _exported("transfer_vgg", folder, quick=quick)
        classes = read_card(folder).classes
        running = Running(threads=cores(), batches=(VIEWS,))
        for variant in map(Variant.of_key, KEYS[:1] if quick else KEYS):
            if variant.absence:
                continue
            try:
                if variant.precision == "int8":
                    with Trial() as trial:
                        trial.quantise(folder)
                predictor = load_predictor(folder, variant, running)
            except (ArtefactError, EngineUnavailable, InferenceFailed, ParityError) as error:
                found[variant.title] = {"refused": str(error)}
                continue
            period_ms = 1000 * PAUSE * max(0.1, _seconds(predictor))
            figures = measure_line(
                8 if quick else PARTS,
                period_ms,
                0,
                IMAGE_PX,
                views=VIEWS,
                judge=ServingJudge(predictor, classes),
                deadline_s=10.0,
            )
            found[variant.title] = {name: figures[name] for name in TOLD}
    return found


def _seconds(predictor: Predictor) -> float:
    """Of a part; the median of five, after the first."""
    images = [np.full((IMAGE_PX, IMAGE_PX), 40 * view, np.uint8) for view in range(VIEWS)]
    times = []
    for _ in range(6):
        began = time.perf_counter()
        predictor.predict(images)
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:]))
