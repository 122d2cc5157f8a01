"""What a classifier's training sees of an image: a copy of it, and what the frozen layers make of that."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from ml.methods.contract import TrainingSet
from ml.methods.prepared import PreparedImages
from ml.preprocessing import Preprocessing

BUDGET_BYTES: Final = 2_000_000_000

Copy = tuple[int, int]  # image and which copy of it
Features = tuple[Tensor, ...]


@dataclass(frozen=True)
class Augmentation:
    """How copies of a training image differ from it. Zeros and False leave it as it is.

    Attributes:
        rotation_deg: up to so much, either way.
        shift: up to so much of height and width, either way.
        flips: upside down and left to right, each with even odds.
        noise: standard deviation of Gaussian noise, of the full range of values.
    """

    rotation_deg: float = 0.0
    shift: float = 0.0
    flips: bool = False
    noise: float = 0.0

    @property
    def is_none(self) -> bool:
        return not (self.rotation_deg or self.shift or self.flips or self.noise)

    def __call__(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One copy of uint8 [H, W] or [H, W, 3]; beyond the edge, the edge goes on, as in Keras."""
        angle, down, right = rng.uniform(-1, 1, 3)
        upside_down, mirrored = rng.random(2) < 0.5
        height, width = pixels.shape[:2]
        if self.rotation_deg or self.shift:
            matrix = cv2.getRotationMatrix2D(
                ((width - 1) / 2, (height - 1) / 2), angle * self.rotation_deg, 1.0
            )
            matrix[:, 2] += (right * self.shift * width, down * self.shift * height)
            pixels = np.asarray(
                cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
            )
        if self.flips:
            pixels = pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
        if self.noise:
            noisy = pixels + rng.normal(0, 255 * self.noise, pixels.shape)
            pixels = np.rint(noisy).clip(0, 255).astype(np.uint8)
        return pixels


NO_AUGMENTATION: Final = Augmentation()


class CopiedImages:
    """Copies of training images. A copy follows from seed, image and its number alone."""

    def __init__(
        self, training: TrainingSet, preprocessing: Preprocessing, augmentation: Augmentation, seed: int
    ) -> None:
        self._images = PreparedImages(training, preprocessing)
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._seed = seed

    def batch(self, copies: Sequence[Copy]) -> Tensor:
        """As the network takes them, float32 [B, C, H, W].

        Raises:
            ImageUnusable: the preprocessing can't take an image.
        """
        return torch.from_numpy(self._preprocessing.normalised([self._copy(*one) for one in copies]))

    def _copy(self, image: int, number: int) -> np.ndarray:
        pixels = self._images.resized(image)
        if self._augmentation.is_none:
            return pixels
        return self._augmentation(pixels, np.random.default_rng([self._seed, image, number]))


class FrozenFeatures:
    """What the frozen layers make of copies, computed when first asked for and kept while memory allows.

    Copies are computed in chunks that are always the same, and which ones are kept follows from their
    numbers: a training that goes on from a checkpoint sees to the bit what it would have seen.

    Args:
        compute: copies → features, [B, …] each.
        images: how many the training set has.
        chunk: images computed at once.
        budget_bytes: of what is kept.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Copy]], Features],
        images: int,
        chunk: int,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        self._compute = compute
        self._images = images
        self._chunk = chunk
        self._budget_bytes = budget_bytes
        self._kept: dict[Copy, Features] = {}

    def prepare(self, numbers: int) -> Iterator[tuple[int, int]]:
        """Computes what can be kept of the first copies of each image; yields chunks done and in all."""
        starts = [
            (image, number)
            for number in range(numbers)
            for image in range(0, self._images, self._chunk)
            if self._has_room((image, number))
        ]
        for done, start in enumerate(starts, 1):
            self._keep(start)
            yield done, len(starts)

    def batch(self, copies: Sequence[Copy]) -> Features:
        """[B, …] each."""
        for copy in copies:
            if self._has_room(copy):
                self._keep(copy)
        others = [copy for copy in copies if copy not in self._kept]
        found = dict(zip(others, _rows(self._compute(others)), strict=True)) if others else {}
        rows = [self._kept[copy] if copy in self._kept else found[copy] for copy in copies]
        return tuple(torch.stack(parts) for parts in zip(*rows, strict=True))

    def _keep(self, copy: Copy) -> None:
        if copy not in self._kept:
            chunk = self._chunk_of(copy)
            self._kept |= dict(zip(chunk, _rows(self._compute(chunk)), strict=True))

    def _chunk_of(self, copy: Copy) -> list[Copy]:
        image, number = copy
        first = image - image % self._chunk
        return [(one, number) for one in range(first, min(first + self._chunk, self._images))]

    def _has_room(self, copy: Copy) -> bool:
        last, number = self._chunk_of(copy)[-1]
        return number * self._images + last < self._capacity

    @cached_property
    def _capacity(self) -> int:
        """Copies that the budget holds."""
        one = self._compute([(0, 0)])
        return self._budget_bytes // sum(tensor.numel() * tensor.element_size() for tensor in one)


def _rows(features: Features) -> list[Features]:
    """[B, …] each → B times [ …] each."""
    return list(zip(*(tensor.unbind() for tensor in features), strict=True))
