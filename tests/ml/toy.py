"""A whole method in miniature: trains in milliseconds, checkpoints, exports, is served like any other.

The services know methods by their contract alone; what they do with one is tested with this one, and once more
with `weak` where it is about the whole path.
"""

import json
import threading
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save_file
from torch import Tensor, nn
from torch.nn import functional

from ml.methods.contract import (
    Prediction,
    Progress,
    TrainingStopped,
    check_needs,
    ignore_progress,
    never_stop,
)
from ml.methods.declarations import METHODS
from ml.methods.onnx_export import export_onnx
from ml.preprocessing import Preprocessing
from ml.scoring import Identity
from ml.serving.artefact import ONNX, WEIGHTS, Card, ParityImages, write_card, write_parity
from tests.ml.toy_declaration import TOY, ToyParameters

__all__ = ["TOY", "Model", "ToyParameters", "fit", "restore"]

PREPROCESSING = Preprocessing(64, 64, "grey")
_PAUSE = threading.Event()


class Network(nn.Module):
    """The brightest 8 × 8 block, less the brightest of the OK images that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        heat_map = functional.avg_pool2d(images, 8).squeeze(1)
        return heat_map.amax(dim=(1, 2)) - self.level, heat_map


class Model:
    preprocessing = PREPROCESSING

    def __init__(
        self, network: Network, parameters: ToyParameters, seed: int, classes: tuple[str, ...]
    ) -> None:
        self.network, self.parameters, self.seed, self.classes = network.eval(), parameters, seed, classes

    def predict(self, images, views=None) -> Prediction:
        with torch.inference_mode():
            score, heat_map = self.network(torch.from_numpy(PREPROCESSING.apply(images, views)))
        return Prediction(score.numpy().astype(np.float64), heat_map.numpy())

    def export(self, folder, card_extra, parity_images, parity_views=None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(dict(self.network.state_dict()), folder / WEIGHTS)
        export_onnx(self.network, PREPROCESSING, folder / ONNX)
        write_parity(folder, ParityImages(parity_images, parity_views, self.predict(parity_images)))
        write_card(
            folder,
            Card(
                "toy",
                self.parameters.model_dump(),
                self.seed,
                PREPROCESSING,
                self.classes,
                Identity(),
                card_extra,
                {},
            ),
        )


def fit(
    training,
    parameters,
    *,
    seed,
    on_progress=ignore_progress,
    stop=never_stop,
    checkpoint: Path | None = None,
) -> Model:
    check_needs(METHODS["toy"].needs, training.counts)
    network, state = Network(), {"iteration": 0, "level": 0.0}
    stored = checkpoint / "state.json" if checkpoint else None
    if stored and stored.exists():
        state = json.loads(stored.read_text())
    ok = np.flatnonzero(~training.is_ng)
    for iteration in range(state["iteration"] + 1, parameters.iterations + 1):
        if stop():
            raise TrainingStopped(checkpoint)
        image = training.images[int(ok[(iteration + seed) % len(ok)])]
        blocks = PREPROCESSING.apply([image])[0, 0].reshape(8, 8, 8, 8).mean(axis=(1, 3))
        state = {"iteration": iteration, "level": 0.9 * state["level"] + 0.1 * float(blocks.max())}
        if stored:
            stored.parent.mkdir(parents=True, exist_ok=True)
            unfinished = stored.with_suffix(".tmp")
            unfinished.write_text(json.dumps(state))
            unfinished.replace(stored)
        fraction = iteration / parameters.iterations
        event = Progress(fraction, "Look", iteration, parameters.iterations, {"level": state["level"]})
        on_progress(event)
        while iteration == (parameters.iterations + 1) // 2 and _is_held(parameters, checkpoint):
            if stop():
                raise TrainingStopped(checkpoint)
            on_progress(event)
            _PAUSE.wait(0.05)
    with torch.no_grad():
        network.level.fill_(state["level"])
    return Model(network, parameters, seed, training.class_names)


def _is_held(parameters: ToyParameters, checkpoint: Path | None) -> bool:
    return bool(parameters.hold and checkpoint) and (Path(parameters.hold) / checkpoint.name).exists()


def restore(parameters: ToyParameters, class_names, weights: bytes) -> Network:
    network = Network()
    network.load_state_dict(load(weights))
    return network.eval()
