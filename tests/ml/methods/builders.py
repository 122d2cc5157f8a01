"""Small training sets of a grey texture, where NG has a bright bar; and made files of pretrained weights."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from ml.methods.backbones import BACKBONES
from ml.methods.contract import TrainingSet
from ml.methods.declarations import WeakParameters
from ml.methods.vision import models
from ml.weights import WEIGHT_FILES, WeightFile

SMALL_NETWORK: Final = "mobilenet_v3_small"


def bar_images(
    count: int, height: int = 64, width: int = 64, seed: int = 0
) -> tuple[list[np.ndarray], np.ndarray]:
    """uint8 [height, width] each, every other one NG, and is_ng bool [count]."""
    rng = np.random.default_rng(seed)
    is_ng = np.arange(count) % 2 == 1
    images = []
    for ng in is_ng:
        pixels = rng.normal(110, 12, (height, width))
        if ng:
            top = int(rng.integers(8, height - 16))
            pixels[top : top + 6, 10 : width - 10] += 90
        images.append(pixels.clip(0, 255).astype(np.uint8))
    return images, is_ng


def training_set(count: int = 12, *, height: int = 64, width: int = 64, **fields) -> TrainingSet:
    images, is_ng = bar_images(count, height, width)
    values = {
        "images": images,
        "is_ng": is_ng,
        "classes": is_ng.astype(np.int64),
        "class_names": ("OK", "NG"),
        "groups": [str(index) for index in range(count)],
        "views": [""] * count,
    }
    return TrainingSet(**(values | fields))


def tiny(**fields) -> WeakParameters:
    """As small as the network goes: a fit of seconds on one core."""
    values = {
        "height": 64,
        "width": 64,
        "pairs": 1,
        "stage1_iterations": 4,
        "stage2_iterations": 6,
        "stage3_iterations": 2,
        "precision": "float32",
    }
    return WeakParameters(**(values | fields))


def put_file(folder: Path, monkeypatch, content: object, network: str = SMALL_NETWORK) -> Path:
    """A file of this content where the network's is looked for, its hash in its name."""
    folder.mkdir(exist_ok=True)
    unnamed = folder / "unnamed"
    torch.save(content, unnamed)
    name = f"{network}-{hashlib.sha256(unnamed.read_bytes()).hexdigest()[:8]}.pth"
    monkeypatch.setitem(WEIGHT_FILES, network, WeightFile(network, name, unnamed.stat().st_size / 2**20))
    return unnamed.rename(folder / name)


def whole_network(name: str) -> nn.Module:
    options = dict(BACKBONES[name].options)
    network = models.get_model(name, weights=None, **options).eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
    return network
