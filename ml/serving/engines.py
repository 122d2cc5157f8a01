"""What runs a network: one small interface, an implementation an engine.

An engine sees tensors alone; preprocessing and what a score means are the predictor's.
"""

import importlib.util
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from ml.serving.artefact import ONNX, WEIGHTS, ArtefactError, Card, read_verified


class InferenceFailed(Exception):
    """The engine failed, or gave something that is no score. The part must be judged ERROR, never OK."""


class EngineUnavailable(Exception):
    """No engine of this name on this machine. The message names those that there are."""


class Engine(Protocol):
    """One loaded network.

    Attributes:
        name: key of `ENGINES`.
        max_batch: how many images it may be given at once, or None.
    """

    name: str
    max_batch: int | None

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32 [B, C, H, W] → raw output [B, …], map [B, h, w].

        Raises:
            InferenceFailed: the engine reports an error.
        """
        ...


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU, float32."""

    name = "onnxruntime"
    max_batch: int | None = None

    def __init__(self, folder: Path, card: Card, threads: int | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        content = read_verified(folder, card, ONNX)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except _onnx_errors() as error:
            raise ArtefactError(f"ONNX Runtime can't load {ONNX}: {error}") from error

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            raw, heat_map = self._session.run(["score", "map"], {"images": batch})
        except _onnx_errors() as error:
            raise InferenceFailed(f"ONNX Runtime failed: {error}") from error
        return raw, heat_map


class TorchEngine:
    """The framework that trained it, float32: what the others are compared with."""

    name = "torch"
    max_batch: int | None = None

    def __init__(self, folder: Path, card: Card, threads: int | None) -> None:
        import torch

        from ml.methods.declarations import METHODS, load_method

        if card.method not in METHODS:
            raise ArtefactError(f"The card names a method that this program does not have: {card.method!r}.")
        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        try:
            parameters = METHODS[card.method].Parameters.model_validate(dict(card.parameters))
            weights = read_verified(folder, card, WEIGHTS)
            self._network = load_method(card.method).restore(parameters, card.classes, weights)
        except ValueError as error:
            raise ArtefactError(f"{WEIGHTS} is not of this method and these parameters: {error}") from error

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._torch.inference_mode():
            try:
                raw, heat_map = self._network(self._torch.from_numpy(batch))
            except RuntimeError as error:
                raise InferenceFailed(f"PyTorch failed: {error}") from error
        return raw.numpy(), heat_map.numpy()


ENGINES: Final[dict[str, Any]] = {"onnxruntime": OnnxRuntimeEngine, "torch": TorchEngine}
DEFAULT_ENGINE: Final = "onnxruntime"


def available_engines() -> tuple[str, ...]:
    """Names of the engines whose packages are installed here, the default first."""
    return tuple(name for name in ENGINES if importlib.util.find_spec(name) is not None)


def load_engine(name: str | None, folder: Path, card: Card, threads: int | None = None) -> Engine:
    """Loads the network of an artefact.

    Raises:
        EngineUnavailable: no such engine, or its package is not installed.
        ArtefactError: the file is missing, changed, or not what the engine can load.
    """
    chosen = name or DEFAULT_ENGINE
    if chosen not in available_engines():
        raise EngineUnavailable(
            f"There is no engine {chosen!r} here; there is {', '.join(available_engines()) or 'none'}."
        )
    engine: Engine = ENGINES[chosen](folder, card, threads)
    return engine


def _onnx_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's errors share no base of their own below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [
        error for error in vars(state).values() if isinstance(error, type) and issubclass(error, Exception)
    ]
    return (*own, RuntimeError, ValueError)
