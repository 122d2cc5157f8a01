"""A trained PyTorch network as the contract wants it: images in, scores out, and an artefact of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import nn

from ml.methods.contract import Prediction
from ml.methods.onnx_export import export_onnx
from ml.preprocessing import Preprocessing
from ml.scoring import Scoring
from ml.serving.artefact import ONNX, WEIGHTS, Card, ParityImages, write_card, write_parity

PREDICT_PX: Final = 2_000_000  # pixels of input in one forward pass

Exporter = Callable[[nn.Module, Preprocessing, Path], None]


class TorchModel:
    """A network with its preprocessing and its scoring. See `ml.methods.contract.FittedModel`.

    Args:
        method: key of `ml.methods.declarations.METHODS`.
        network: float32 [B, C, H, W] → raw output [B, …], map [B, h, w].
        scoring: from the raw output to scores.
        parameters: it was trained with.
        seed: it was trained with.
        preprocessing: from images to the network's input.
        class_names: OK first.
        exporter: writes the ONNX file, where the network needs a way of its own.
    """

    def __init__(
        self,
        method: str,
        network: nn.Module,
        scoring: Scoring,
        parameters: BaseModel,
        seed: int,
        preprocessing: Preprocessing,
        class_names: tuple[str, ...],
        *,
        exporter: Exporter = export_onnx,
    ) -> None:
        self.method = method
        self.network = network.cpu().eval()
        self.scoring = scoring
        self.parameters = parameters
        self.seed = seed
        self.preprocessing = preprocessing
        self.class_names = class_names
        self._exporter = exporter

    def predict(self, images: Sequence[np.ndarray], views: Sequence[str] | None = None) -> Prediction:
        """See `ml.methods.contract.FittedModel.predict`. In float32, whatever precision it was trained in."""
        step = max(1, PREDICT_PX // (self.preprocessing.height * self.preprocessing.width))
        raws, maps = [], []
        with torch.inference_mode():
            for start in range(0, len(images), step):
                part = slice(start, start + step)
                batch = self.preprocessing.apply(images[part], views[part] if views is not None else None)
                raw, heat_map = self.network(torch.from_numpy(batch))
                raws.append(raw.numpy())
                maps.append(heat_map.numpy())
        scored = self.scoring(np.concatenate(raws))
        return Prediction(scored.scores, np.concatenate(maps), scored.probabilities, scored.descriptors)

    def explain(self, image: np.ndarray, view: str = "") -> np.ndarray:
        """The map, float32 [h, w], from the same forward pass as the score."""
        return np.asarray(self.predict([image], [view]).maps[0])

    def export(
        self,
        folder: Path,
        card_extra: Mapping[str, Any],
        parity_images: Sequence[np.ndarray],
        parity_views: Sequence[str] | None = None,
    ) -> None:
        """See `ml.methods.contract.FittedModel.export`.

        Raises:
            FileExistsError: the folder holds something already.
            ValueError: there are no parity images.
        """
        if not len(parity_images):
            raise ValueError("an artefact holds at least one image to compare engines on")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty")
        views = list(parity_views) if parity_views is not None else [""] * len(parity_images)
        save_file(
            {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()},
            folder / WEIGHTS,
        )
        self._exporter(self.network, self.preprocessing, folder / ONNX)
        write_parity(folder, ParityImages(parity_images, views, self.predict(parity_images, views)))
        card = Card(
            method=self.method,
            parameters=self.parameters.model_dump(mode="json"),
            seed=self.seed,
            preprocessing=self.preprocessing,
            classes=self.class_names,
            scoring=self.scoring,
            extra=card_extra,
            files={},
        )
        write_card(folder, card)


def load_weights(network: nn.Module, weights: bytes) -> nn.Module:
    """A network with the weights of an artefact, ready to infer.

    Raises:
        ValueError: the weights are not of this network.
    """
    try:
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    return network.eval()
