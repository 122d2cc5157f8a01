"""`transfer_vgg`: VGG16 with its own classifier and a two-way softmax, from ImageNet weights, for OK or NG.

Noh, Hong: Automatic Screening of Bolts with Anti-Loosening Coating Using Grad-CAM and Transfer Learning with
Deep Convolutional Neural Networks, Appl. Sci. 2022, 12, 2029.

Score: the probability of NG, eq. (1). Map: Grad-CAM of NG at the last convolution, eqs. (2) to (4), scaled to
[0, 1].

Where the paper leaves something open, or this differs:

- Optimiser: not named; Adam. The learning rate of 0.0001 is given for fine-tuning (section 3.2) and used for
  all three recipes here.
- Hidden layers of the classifier: "a fully connected layer was used to consider the VGG16 structure". Of the
  two readings, new layers and ImageNet's, they start from ImageNet's where they are as wide.
- Input: 425 × 840 px after the ROI, before VGG16, which takes 224 × 224; the latter by default.
- `backbone`: other networks in place of VGG16, with their own classifiers; `fine_tune` trains the last stage,
  which like VGG's block 5 works on the smallest maps.
- Batch normalisation, which VGG16 has none of: from ImageNet weights its statistics stay, from random weights
  they are settled at the end (`classifier_training`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from ml.methods.backbones import BACKBONES, pretrained_stages, random_stages
from ml.methods.classifier_features import Features
from ml.methods.classifier_heads import Head, LinearHead, MobileNetHead, VggHead
from ml.methods.classifier_training import ClassifierTraining, Recipe, SplitNetwork
from ml.methods.contract import OnProgress, Stop, TrainingSet, check_needs, ignore_progress, never_stop
from ml.methods.declarations.transfer_vgg import TRANSFER_VGG, TransferVggParameters
from ml.methods.devices import training_device
from ml.methods.grad_cam import grad_cam
from ml.methods.prepared import standardised
from ml.methods.torch_model import TorchModel, load_weights
from ml.preprocessing import Preprocessing
from ml.scoring import NotOk

NG_NAME: Final = "NG"
CLASSES: Final = 2  # the paper's: defect types are not told apart

STEPS: Final = ("before", "last", "pool", "head")
MOBILENET_HIDDEN: Final = {"mobilenet_v3_small": 1024, "mobilenet_v3_large": 1280}
FIRST_TRAINED: Final = {"scratch": 0, "fine_tune": 1, "frozen": 3}  # of the steps, by recipe


class TransferNetwork(SplitNetwork):
    """Backbone → activations A of the last convolution → its classifier.

    Args:
        parameters: recipe, backbone and width of the hidden layers count.
        stages: the backbone's; the last one is trained by `fine_tune`.
    """

    def __init__(self, parameters: TransferVggParameters, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.before = nn.Sequential(*stages[:-1])
        self.last = stages[-1]
        self.head = _head(parameters)
        self._first_trained = FIRST_TRAINED[parameters.recipe]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, 3, H, W] → logits of OK and NG [B, 2], Grad-CAM of NG [B, h, w]."""
        activations = self.last(self.before(images))
        logits, gradient = self.head.explained(self.head.pool(activations))
        return logits, grad_cam(activations, gradient)

    def frozen(self, images: Tensor) -> Features:
        return (self._run(images, STEPS[: self._first_trained]),)

    def trained(self, *features: Tensor) -> Tensor:
        return self._run(features[0], STEPS[self._first_trained :])

    def trained_modules(self) -> dict[str, nn.Module]:
        modules = {"before": self.before, "last": self.last, "head": self.head}
        return {name: modules[name] for name in STEPS[self._first_trained :] if name in modules}

    @property
    def is_all_trained(self) -> bool:
        return self._first_trained == 0

    def _run(self, values: Tensor, steps: Sequence[str]) -> Tensor:
        does: dict[str, Callable[[Tensor], Tensor]] = {
            "before": self.before,
            "last": self.last,
            "pool": self.head.pool,
            "head": self.head,
        }
        for step in steps:
            values = does[step](values)
        return values


def fit(
    training: TrainingSet,
    parameters: TransferVggParameters,
    *,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    stop: Stop = never_stop,
    checkpoint: Path | None = None,
) -> TorchModel:
    """Trains by one of the three recipes, sections 2.3.1 and 3.2. See `ml.methods.contract.Method.fit`."""
    check_needs(TRANSFER_VGG.needs, training.counts)
    network, preprocessing = start(parameters, training, seed)
    recipe = Recipe(
        epochs=parameters.epochs,
        batch=parameters.batch,
        rate=parameters.rate,
        is_balanced=parameters.balance == "draw",
        precision=_precision(parameters),
        keeps_statistics=parameters.weights == "imagenet",
    )
    targets = np.asarray(training.is_ng, np.int64)
    ClassifierTraining(network, training, targets, parameters, recipe, preprocessing, seed).train(
        on_progress, stop, checkpoint
    )
    names = (training.class_names[0], NG_NAME)
    return TorchModel(TRANSFER_VGG.name, network, NotOk(), parameters, seed, preprocessing, names)


def restore(parameters: TransferVggParameters, class_names: Sequence[str], weights: bytes) -> nn.Module:
    """See `ml.methods.contract.Method.restore`."""
    if len(class_names) != CLASSES:
        raise ValueError(f"it tells OK from NG, not {len(class_names)} classes")
    return load_weights(TransferNetwork(parameters, random_stages(parameters.backbone)), weights)


def start(
    parameters: TransferVggParameters, training: TrainingSet, seed: int
) -> tuple[TransferNetwork, Preprocessing]:
    """The network before its training, and the preprocessing that its first weights expect.

    Raises:
        WeightsUnusable: the file of the ImageNet weights is missing, damaged or of another network.
    """
    row = BACKBONES[parameters.backbone]
    preprocessing = Preprocessing(
        parameters.height, parameters.width, "rgb", row.mean, row.std, rois=training.rois
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if parameters.weights == "none":
            network = TransferNetwork(parameters, random_stages(parameters.backbone))
            return network, standardised(training, preprocessing, seed)
        stages, tensors = pretrained_stages(parameters.backbone, training.weights_folder)
        network = TransferNetwork(parameters, stages)
    network.head.load_hidden(tensors)
    return network, preprocessing


def _precision(parameters: TransferVggParameters) -> str:
    """Left open, MobileNet trains in float32 on a CPU: its depthwise convolutions are no faster in bf16."""
    is_slower_in_bf16 = parameters.backbone in MOBILENET_HIDDEN and training_device().type == "cpu"
    return "float32" if parameters.precision == "auto" and is_slower_in_bf16 else parameters.precision


def _head(parameters: TransferVggParameters) -> Head:
    channels = BACKBONES[parameters.backbone].channels
    if parameters.backbone == "vgg16":
        return VggHead(channels, parameters.hidden_units, CLASSES)
    if parameters.backbone in MOBILENET_HIDDEN:
        return MobileNetHead(channels, MOBILENET_HIDDEN[parameters.backbone], CLASSES)
    return LinearHead(channels, CLASSES, dropout=0.5 if parameters.backbone == "inception_v3" else 0.0)
