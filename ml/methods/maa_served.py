"""What is served of `maa` and its baselines: images in, raw output for the score and a map out."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.maa_comparisons import Compared, FeaturePairs, Several, Standout
from ml.methods.maa_network import Generator, markov_encoder

RESIDUAL_WINDOW: Final = 9  # px, of the local variance
LEAST_RESIDUAL: Final = (2 / 255) ** 4  # that is 1 on a map: one that varies by a grey level is no defect


def residual_map(images: Tensor, reconstructed: Tensor) -> Tensor:
    """Section III-G before normalisation: |x - G(x)|, its local variance, squared.

    [B, 3, H, W] twice, in [-1, 1] → [B, H, W]. The paper does not say what becomes of three channels: their
    residuals are averaged. At the border the window holds what there is.
    """
    residual = (images - reconstructed).abs().mean(dim=1, keepdim=True)
    # The variance does not change with this, and float32 loses less of it.
    residual = residual - residual.mean(dim=(2, 3), keepdim=True)

    def local_mean(values: Tensor) -> Tensor:
        half = RESIDUAL_WINDOW // 2
        return F.avg_pool2d(values, RESIDUAL_WINDOW, 1, half, count_include_pad=False)

    variance = (local_mean(residual**2) - local_mean(residual) ** 2).clamp_min(0)
    return (variance**2).squeeze(1)


class ReconstructionNetwork(nn.Module):
    """What is served of a `dae`: images in, mean squared error and map out.

    Args:
        generator: G.
    """

    map_scale: Tensor

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("map_scale", torch.ones(()))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, 3, H, W] → error [B]; map [B, H, W], where 1 is the OK images' 99.9th percentile."""
        made = self.generator(images)
        return ((images - made) ** 2).mean(dim=(1, 2, 3)), residual_map(images, made) / self.map_scale

    @property
    def least_scale(self) -> float:
        """The least value that may be 1 on the map, however even the OK images are."""
        return LEAST_RESIDUAL


class MaaNetwork(ReconstructionNetwork):
    """What is served of `maa`: images in, what `comparison` says of them and of G(x), and the map out.

    Args:
        generator: G.
        comparison: makes the raw output.
        maps_residual: the map is of the residual, [B, H, W], not of the distances, [B, rows, columns].
    """

    def __init__(
        self,
        generator: Generator,
        comparison: FeaturePairs | Standout | Several,
        *,
        maps_residual: bool = True,
    ) -> None:
        super().__init__(generator)
        self.markov = markov_encoder()
        self.comparison = comparison
        self.maps_residual = maps_residual

    @property
    def least_scale(self) -> float:
        return LEAST_RESIDUAL if self.maps_residual else 1.0

    def compared(self, images: Tensor) -> Compared:
        """x [B, 3, H, W] → x, G(x), f(x), f(G(x)), float32."""
        made = self.generator(images)
        return Compared(images, made, self.markov(images).float(), self.markov(made).float())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, 3, H, W] → raw output of `comparison`; map, scaled as of a `dae`."""
        compared = self.compared(images)
        raw = self.comparison(compared)
        if not (self.maps_residual or isinstance(self.comparison, FeaturePairs)):
            return raw, self.comparison.map_of(raw) / self.map_scale
        return raw, residual_map(images, compared.made) / self.map_scale
