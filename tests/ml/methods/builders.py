"""Small training sets of a grey texture, where NG has a bright bar."""

import numpy as np

from ml.methods.contract import TrainingSet
from ml.methods.declarations import WeakParameters


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
