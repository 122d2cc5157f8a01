"""PyTorch as it trained the network: what the other engines are compared with."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from ml.methods.declarations import METHODS, load_method
from ml.methods.devices import computes_bf16
from ml.serving.artefact import WEIGHTS, ArtefactError, Card, read_verified
from ml.serving.variants import Variant

from .base import EngineUnavailable, InferenceFailed, Running, check_batch


class TorchEngine:
    """Eager, on the processor: float32, and bf16 by autocast where the processor has it."""

    device: ClassVar = "cpu"
    max_batch: int | None = None

    def __init__(self, folder: Path, card: Card, variant: Variant, running: Running) -> None:
        self.variant = variant
        self._card = card
        self._check_device()
        if running.threads:
            torch.set_num_threads(running.threads)
        network = _restored(folder, card).to(self.device)
        # Plain at the training's precision: the yardstick has no layout of its own.
        self._network = network if variant.is_exact else network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _check_device(self) -> None:
        if self.variant.precision == "bf16" and not computes_bf16("auto"):
            raise EngineUnavailable("This processor does not compute bf16 natively.")

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        check_batch(batch, self._card)
        images = torch.from_numpy(batch).to(self.device)
        is_bf16 = self.variant.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=is_bf16):
            try:
                raw, heat_map = self._network(images)
            except RuntimeError as error:
                raise InferenceFailed(f"PyTorch failed: {error}") from error
        return raw.float().cpu().numpy(), heat_map.float().cpu().numpy()


class TorchCudaEngine(TorchEngine):
    """On an NVIDIA graphics processor; float32 is float32 there, not TF32."""

    device = "cuda"

    def _check_device(self) -> None:
        if not torch.cuda.is_available():
            raise EngineUnavailable("This build of PyTorch finds no CUDA device.")
        if self.variant.precision == "bf16" and not torch.cuda.is_bf16_supported():
            raise EngineUnavailable("This graphics processor does not compute bf16.")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


def _restored(folder: Path, card: Card) -> torch.nn.Module:
    if card.method not in METHODS:
        raise ArtefactError(f"The card names a method that this program does not have: {card.method!r}.")
    try:
        parameters = METHODS[card.method].Parameters.model_validate(dict(card.parameters))
        weights = read_verified(folder, card, WEIGHTS)
        network: torch.nn.Module = load_method(card.method).restore(parameters, card.classes, weights)
    except ValueError as error:
        raise ArtefactError(f"{WEIGHTS} is not of this method and these parameters: {error}") from error
    return network
