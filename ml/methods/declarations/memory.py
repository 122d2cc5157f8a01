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
        bytes_per_image_px: for each pixel of each image that is computed at once.
        serving_mb: of a process that serves it by ONNX Runtime.
        serving_per_px: for each pixel of the input, one image at a time.
        pass_px: of the images that are computed at once, at most; None where a step is computed whole.
        image_bytes: for each pixel of each image of the training set, which is kept up to `IMAGES_KEPT`.
        features_per_px: of frozen features, for each pixel of each copy, kept up to `FEATURES_KEPT`.
    """

    training_mb: float
    bytes_per_px: float
    bytes_per_image_px: float
    serving_mb: float
    serving_per_px: float
    pass_px: int | None = None
    image_bytes: int = 3
    features_per_px: float = 0.0

    def training(self, work: Workload, images: int = 0) -> int:
        """Bytes of a training on so many images."""
        of_size = work.area_px * self.bytes_per_px + self.px_at_once(work) * self.bytes_per_image_px
        return round(2**20 * self.training_mb + of_size + self._kept(work, images))

    def serving(self, work: Workload) -> int:
        """Bytes of a process that serves it."""
        return round(2**20 * self.serving_mb + work.area_px * self.serving_per_px)

    def px_at_once(self, work: Workload) -> int:
        """Pixels of the images that go forward and backward together."""
        at_once = work.images
        if self.pass_px is not None:
            at_once = min(at_once, max(1, self.pass_px // work.area_px))
        return at_once * work.area_px

    def _kept(self, work: Workload, images: int) -> float:
        pixels = images * work.area_px
        features = pixels * work.copies * self.features_per_px
        return min(IMAGES_KEPT, pixels * self.image_bytes) + min(FEATURES_KEPT, features)


IMAGES_KEPT: Final = 512_000_000
FEATURES_KEPT: Final = 2_000_000_000

PEAKS: Final[Mapping[str, Peak]] = {
    "weak": Peak(981, 0.0, 1572.0, 1013, 319.2, pass_px=1_500_000, image_bytes=1, features_per_px=8.1),
    "weak small": Peak(611, 109.9, 1607.8, 265, 0.0, pass_px=1_500_000, image_bytes=1, features_per_px=8.1),
    "maa": Peak(664, 0.0, 2929.8, 307, 1338.5),
    "multipath_vgg": Peak(872, 33.4, 70.6, 384, 940.8, pass_px=800_000, features_per_px=8.1),
    "grad_mobilenet small": Peak(638, 346.9, 198.1, 114, 677.3),
    "grad_mobilenet large": Peak(738, 0.0, 603.9, 168, 1448.4),
    "transfer_vgg resnet18 part": Peak(717, 114.2, 18.2, 257, 0.0, features_per_px=4.0),
    "transfer_vgg resnet18 whole": Peak(711, 0.0, 472.0, 255, 166.3),
    "transfer_vgg vgg16 part": Peak(3232, 321.1, 19.1, 1632, 1.1, features_per_px=8.0),
}
