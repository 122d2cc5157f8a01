"""torchvision's networks up to their last convolution, cut where fine-tuning cuts, with ImageNet weights or
without."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from ml.methods.vision import models
from ml.weights import WeightsUnusable, find_weights

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        channels: K, of the last convolution.
        stages: its layers in order, in stages; the last one's output is that of the last convolution with its
            activation, and it is what `fine_tune` trains (VGG's block 5).
        mean, std: of the input that the pretrained weights expect.
        options: for torchvision's builder.
    """

    channels: int
    stages: Callable[[Any], Sequence[Sequence[nn.Module]]]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    options: tuple[tuple[str, Any], ...] = ()


def _vgg(network: Any) -> list[list[nn.Module]]:
    """Blocks 1 to 5, each with the max-pool at its end, but for the last."""
    blocks: list[list[nn.Module]] = [[]]
    for layer in list(network.features)[:-1]:
        blocks[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            blocks.append([])
    return blocks


def _resnet(network: Any) -> list[list[nn.Module]]:
    stem = [network.conv1, network.bn1, network.relu, network.maxpool]
    return [[*stem, network.layer1, network.layer2, network.layer3], [network.layer4]]


def _mobilenet(network: Any) -> list[list[nn.Module]]:
    """Cut before the last block that halves the map; the others keep its size."""
    blocks = list(network.features)
    cut = max(index for index, block in enumerate(blocks) if getattr(block, "_is_cn", False))
    return [blocks[:cut], blocks[cut:]]


def _inception(network: Any) -> list[list[nn.Module]]:
    """In the order of its forward; the auxiliary classifier, between 6e and 7a, is left out."""
    layers = dict(network.named_children())
    for left_out in ("AuxLogits", "avgpool", "dropout", "fc"):
        del layers[left_out]
    last = [layers.pop(name) for name in ("Mixed_7a", "Mixed_7b", "Mixed_7c")]
    return [list(layers.values()), last]


BACKBONES: Final = {
    "vgg16": Row(512, _vgg),
    "vgg19": Row(512, _vgg),
    "resnet18": Row(512, _resnet),
    "mobilenet_v3_small": Row(576, _mobilenet),
    "mobilenet_v3_large": Row(960, _mobilenet),
    # Its ImageNet weights are Google's, which expect values from -1 to 1.
    "inception_v3": Row(
        2048, _inception, (0.5,) * 3, (0.5,) * 3, (("transform_input", False), ("init_weights", False))
    ),
}


def random_stages(name: str) -> list[nn.Sequential]:
    """The stages of a network with the random weights that torchvision starts from, by torch's generator.

    Inception starts like the others, not from its own truncated normal: its normalisations divide the
    difference out.
    """
    stages = _staged(name, _unfilled(name))
    for stage in stages:
        stage.to_empty(device="cpu")
        for layer in stage.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
    return stages


def pretrained_stages(name: str, folder: Path | None) -> tuple[list[nn.Sequential], dict[str, Tensor]]:
    """The stages of a network with its ImageNet weights, and the file's tensors by torchvision's names.

    Raises:
        WeightsUnusable: the file is missing, damaged or of another network.
    """
    path = find_weights(name, folder)
    network = _unfilled(name)
    tensors = _read(path)
    try:
        network.load_state_dict(tensors, assign=True)
    except (RuntimeError, AttributeError, TypeError) as error:
        first = str(error).splitlines()[1 if "\n" in str(error) else 0].strip()
        raise WeightsUnusable(f"{path} does not hold weights of {name}: {first}") from error
    return _staged(name, network.float()), tensors


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, without running anything that it may hold."""
    try:
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsUnusable(f"{path} can't be read as weights: {str(error).splitlines()[0]}") from error
    return tensors


def _unfilled(name: str) -> nn.Module:
    """torchvision's network without memory for its weights."""
    with torch.device("meta"):
        network: nn.Module = models.get_model(name, weights=None, **dict(BACKBONES[name].options))
    return network


def _staged(name: str, network: nn.Module) -> list[nn.Sequential]:
    return [nn.Sequential(*layers) for layers in BACKBONES[name].stages(network)]
