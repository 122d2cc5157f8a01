"""What runs a network: one small interface, an implementation an engine.

An engine sees tensors alone; preprocessing and what a score means are the predictor's.
"""

import importlib
from pathlib import Path
from typing import Final

from ml.serving.artefact import Card
from ml.serving.variants import DEFAULT, EXACT, Variant

from .base import Engine, EngineUnavailable, InferenceFailed, Running

__all__ = ["Engine", "EngineUnavailable", "InferenceFailed", "Running", "available_engines", "load_engine"]

_CLASSES: Final = {
    "onnxruntime": ("on_onnxruntime", "OnnxRuntimeEngine"),
    "onnxruntime_cuda": ("on_onnxruntime", "OnnxRuntimeCudaEngine"),
    "openvino": ("on_openvino", "OpenVinoEngine"),
    "torch": ("on_torch", "TorchEngine"),
    "torch_cuda": ("on_torch", "TorchCudaEngine"),
}


def available_engines() -> tuple[str, ...]:
    """Names of the engines that there are here, the default first; each computes in float32."""
    return tuple(variant.engine for variant in EXACT if not variant.absence)


def load_engine(
    variant: Variant | str | None, folder: Path, card: Card, running: Running | None = None
) -> Engine:
    """Loads the network of an artefact.

    Args:
        variant: or its key; None for the default.
        folder: of the artefact.
        card: its card.
        running: threads and batch sizes.

    Raises:
        EngineUnavailable: no such engine, its package is not installed, or this machine can't compute so.
        ArtefactError: the file is missing, changed, or not what the engine can load.
    """
    chosen = _find(variant)
    if chosen.absence:
        raise EngineUnavailable(
            f"{chosen.title} can't run here: {chosen.absence}. There is {', '.join(available_engines())}."
        )
    module, name = _CLASSES[chosen.engine]
    loader = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    engine: Engine = loader(folder, card, chosen, running or Running())
    return engine


def _find(variant: Variant | str | None) -> Variant:
    if isinstance(variant, Variant):
        return variant
    try:
        return Variant.of_key(variant) if variant else DEFAULT
    except KeyError:
        raise EngineUnavailable(
            f"There is no engine {variant!r} here; there is {', '.join(available_engines()) or 'none'}."
        ) from None
