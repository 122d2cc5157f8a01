"""Generated images for measures of time and memory, of the size that a method asks for."""

import numpy as np

from ml.methods.contract import TrainingSet
from ml.methods.declarations import MethodDeclaration
from ml.methods.declarations.memory import Workload


def made_images(count: int, height: int, width: int, *, seed: int = 0) -> list[np.ndarray]:
    """Grey textures, uint8 [height, width]; every second one has a bright bar."""
    rng = np.random.default_rng(seed)
    images = []
    for index in range(count):
        image = rng.normal(110, 12, (height, width))
        if index % 2:
            top = int(rng.integers(0, height * 3 // 4))
            image[top : top + height // 10 + 1, width // 5 : width * 4 // 5] += 90
        images.append(image.clip(0, 255).astype(np.uint8))
    return images


def made_training_set(declaration: MethodDeclaration, work: Workload) -> TrainingSet:
    """As many OK and NG images as the method needs, and as fill a step; of the size of its input."""
    count = 2 * max(declaration.needs.ok, declaration.needs.ng, declaration.needs.per_class, work.images, 8)
    is_ng = np.arange(count) % 2 == 1
    return TrainingSet(
        images=made_images(count, work.height, work.width),
        is_ng=is_ng,
        classes=is_ng.astype(np.int64),
        class_names=("OK", "NG"),
        groups=[f"part {index}" for index in range(count)],
        views=[""] * count,
    )
