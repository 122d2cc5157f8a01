"""The memory that a training and a model take: straight lines through measured peaks. Imports no torch.

The figures are of `python -m tests.benchmarks.memory`, float32 on the processor, each fit in a process of its
own: a line through peaks at several sizes and numbers of images. A method joins by its declaration's
`workload`, which names a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Workload:
    """What one step of a training computes on.

    Attributes:
        network: key of `PEAKS`.
        images: in one step.
        height: of the network's input, px.
        width: of the network's input, px.
        sizes: the parameters that height and width come from.
        copies: of each image of the training set, whose frozen features are kept.
    """

    network: str
    images: int
    height: int
    width: int
    sizes: tuple[str, ...] = ("height", "width")
    copies: int = 1

    @property
    def area_px(self) -> int:
        return self.height * self.width


@dataclass(frozen=True)
class Peak:
    """Peaks of one network.

    Attributes:
        training_mb: whatever the size: the process, its libraries, weights, gradients, the optimiser's state.
        bytes_per_px: for each pixel of the input, whatever the number of images.
        bytes_per_image_px: for each pixel of each image of a step.
        kept_per_px: of what is kept of each image of the training set, for each pixel, up to `KEPT_AT_MOST`.
        serving_mb: of a process that serves it by ONNX Runtime.
        serving_per_px: for each pixel of the input, one image at a time.
    """

    training_mb: float
    bytes_per_px: float
    bytes_per_image_px: float
    serving_mb: float
    serving_per_px: float
    kept_per_px: float = 0.0

    def training(self, work: Workload, images: int = 0) -> int:
        """Bytes of a training on so many images."""
        kept = min(KEPT_AT_MOST, images * work.copies * work.area_px * self.kept_per_px)
        of_size = work.area_px * (self.bytes_per_px + work.images * self.bytes_per_image_px)
        return round(2**20 * self.training_mb + of_size + kept)

    def serving(self, work: Workload) -> int:
        """Bytes of a process that serves it."""
        return round(2**20 * self.serving_mb + work.area_px * self.serving_per_px)


KEPT_AT_MOST: Final = 2_512_000_000  # resized images and frozen features together

PEAKS: Final[Mapping[str, Peak]] = {}
