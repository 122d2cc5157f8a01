"""`weak`: LNet and DNet from image-level labels, trained from scratch in three stages.

Xu, Lv, Deng, Li: A Weakly Supervised Surface Defect Detection Based on Convolutional Neural Network, IEEE
Access 2020. The network and its losses are in `weak_network`, the three stages in `weak_training`.

Score: DNet's probability of a defect. Map: LNet's heat map, one value for 8 × 8 pixels; where height or width
is no multiple of 8, the last row or column covers the reflected rest as well.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from ml.methods.contract import (
    OnProgress,
    Prediction,
    Stop,
    TrainingSet,
    check_needs,
    ignore_progress,
    never_stop,
)
from ml.methods.declarations import WEAK, WeakParameters
from ml.methods.onnx_export import export_onnx
from ml.methods.weak_network import WeakNetwork
from ml.methods.weak_training import WeakTraining, new_network
from ml.preprocessing import Preprocessing
from ml.serving.artefact import ONNX, WEIGHTS, Card, ParityImages, write_card, write_parity
from ml.serving.predictor import sigmoid

PREDICT_PX: Final = 2_000_000  # pixels of input in one forward pass


def fit(
    training: TrainingSet,
    parameters: WeakParameters,
    *,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    stop: Stop = never_stop,
    checkpoint: Path | None = None,
) -> "WeakModel":
    """Trains LNet and DNet, section III-C. See `ml.methods.contract.Method.fit`."""
    check_needs(WEAK.needs, training.counts)
    run = WeakTraining(training, parameters, seed, on_progress, stop, checkpoint)
    run.train()
    return WeakModel(run.network, parameters, seed, run.preprocessing, training.class_names)


def restore(parameters: WeakParameters, weights: bytes) -> WeakNetwork:
    """The network of an exported artefact, ready to infer.

    Raises:
        ValueError: the weights are not of this network.
    """
    network = new_network(parameters)
    try:
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    return network.eval()


class WeakModel:
    """A trained network with its preprocessing."""

    def __init__(
        self,
        network: WeakNetwork,
        parameters: WeakParameters,
        seed: int,
        preprocessing: Preprocessing,
        class_names: tuple[str, ...],
    ) -> None:
        self.network = network.eval()
        self.parameters = parameters
        self.seed = seed
        self.preprocessing = preprocessing
        self.class_names = class_names

    def predict(self, images: Sequence[np.ndarray], views: Sequence[str] | None = None) -> Prediction:
        """See `ml.methods.contract.FittedModel.predict`. In float32, whatever precision it was trained in."""
        step = max(1, PREDICT_PX // (self.preprocessing.height * self.preprocessing.width))
        logits, maps = [], []
        with torch.inference_mode():
            for start in range(0, len(images), step):
                part = slice(start, start + step)
                batch = self.preprocessing.apply(images[part], views[part] if views is not None else None)
                logit, heat_map = self.network(torch.from_numpy(batch))
                logits.append(logit.numpy())
                maps.append(heat_map.numpy())
        return Prediction(sigmoid(np.concatenate(logits)), np.concatenate(maps))

    def explain(self, image: np.ndarray, view: str = "") -> np.ndarray:
        """LNet's heat map, figure 8: float32 [h, w] in [0, 1], from the same forward pass as the score."""
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
        export_onnx(self.network, self.preprocessing, folder / ONNX)
        write_parity(folder, ParityImages(parity_images, views, self.predict(parity_images, views)))
        card = Card(
            method=WEAK.name,
            parameters=self.parameters.model_dump(mode="json"),
            seed=self.seed,
            preprocessing=self.preprocessing,
            classes=self.class_names,
            score="sigmoid",
            extra=card_extra,
            files={},
        )
        write_card(folder, card)
