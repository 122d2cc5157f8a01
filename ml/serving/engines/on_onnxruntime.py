"""ONNX Runtime."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from ml.serving.artefact import ONNX, ArtefactError, Card
from ml.serving.variants import Variant

from .base import EngineUnavailable, InferenceFailed, Running, check_batch, check_input, onnx_content

# Its errors share no base of their own below Exception.
ERRORS: tuple[type[Exception], ...] = (
    *(
        error
        for error in vars(onnxruntime_pybind11_state).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
    RuntimeError,
    ValueError,
)


class OnnxRuntimeEngine:
    """On the processor: float32, and int8 from the quantised file."""

    provider: ClassVar = "CPUExecutionProvider"
    max_batch: int | None = None

    def __init__(self, folder: Path, card: Card, variant: Variant, running: Running) -> None:
        self.variant = variant
        self._card = card
        if self.provider not in onnxruntime.get_available_providers():
            raise EngineUnavailable(f"This build of ONNX Runtime has no {self.provider}.")
        content = onnx_content(folder, card, variant)
        try:
            self._session = onnxruntime.InferenceSession(
                content, _options(running), providers=[self.provider]
            )
        except ERRORS as error:
            raise ArtefactError(f"ONNX Runtime can't load {ONNX}: {error}") from error
        if self.provider not in self._session.get_providers():
            raise EngineUnavailable(f"ONNX Runtime could not start its {self.provider}.")
        shape: list[Any] = self._session.get_inputs()[0].shape
        check_input(tuple(one if isinstance(one, int) else None for one in shape[1:]), card)

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        check_batch(batch, self._card)
        try:
            raw, heat_map = self._session.run(["score", "map"], {"images": batch})
        except ERRORS as error:
            raise InferenceFailed(f"ONNX Runtime failed: {error}") from error
        return raw, heat_map


class OnnxRuntimeCudaEngine(OnnxRuntimeEngine):
    """On an NVIDIA graphics processor, where the installed build has it."""

    provider = "CUDAExecutionProvider"


def _options(running: Running) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if running.threads:
        options.intra_op_num_threads = running.threads
    # Threads that wait for the next part sleep: spinning, they would take a core from the web and the worker.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
