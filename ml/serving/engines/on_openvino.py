"""OpenVINO on the processor."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino

from ml.serving.artefact import ONNX, ArtefactError, Card
from ml.serving.variants import Variant

from .base import EngineUnavailable, InferenceFailed, Running, check_batch, check_input, onnx_content

_CAPABILITIES: Final = {"float32": "FP32", "bf16": "BF16", "int8": "INT8"}
# Around int8 layers the rest stays float32: bf16 there gained nothing that was measured, and lost digits.
_HINTS: Final = {"float32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoEngine:
    """float32, bf16 where the processor has it, int8 from the quantised file.

    Compiled for each usual batch size, as a fixed size is quicker than an open one; other numbers of images
    are run in such portions, and one by one for what is left.
    """

    max_batch: int | None = None

    def __init__(self, folder: Path, card: Card, variant: Variant, running: Running) -> None:
        self.variant = variant
        self._card = card
        core = openvino.Core()
        if _CAPABILITIES[variant.precision] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EngineUnavailable(f"This processor does not compute {variant.precision} natively.")
        content = onnx_content(folder, card, variant)
        sizes = sorted({1, *running.batches}, reverse=True)
        try:
            self._requests = {size: _compiled(core, content, card, size, variant, running) for size in sizes}
        except RuntimeError as error:
            raise ArtefactError(f"OpenVINO can't load {ONNX}: {error}") from error

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        check_batch(batch, self._card)
        raws, maps, start = [], [], 0
        while start < len(batch):
            size = next(size for size in self._requests if size <= len(batch) - start)
            try:
                given = self._requests[size].infer({"images": batch[start : start + size]})
            except RuntimeError as error:
                raise InferenceFailed(f"OpenVINO failed: {error}") from error
            raws.append(given["score"])
            maps.append(given["map"])
            start += size
        # One portion's output lies in memory that the next run overwrites.
        return np.concatenate(raws), np.concatenate(maps)


def _compiled(
    core: Any, content: bytes, card: Card, size: int, variant: Variant, running: Running
) -> openvino.InferRequest:
    model = core.read_model(content)
    shape = model.input("images").get_partial_shape()
    check_input(tuple(one.get_length() if one.is_static else None for one in list(shape)[1:]), card)
    pixels = card.preprocessing
    model.reshape({"images": [size, pixels.channels, pixels.height, pixels.width]})
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": _HINTS[variant.precision],
    }
    if running.threads:
        options["INFERENCE_NUM_THREADS"] = running.threads
    return core.compile_model(model, "CPU", options).create_infer_request()
