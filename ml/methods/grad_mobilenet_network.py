"""The network of `grad_mobilenet`: MobileNetV3, the gradient of its loss with respect to the image, and what
is read off that gradient."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.backbones import BACKBONES, pretrained_stages, random_stages
from ml.methods.declarations.grad_mobilenet import GradMobileNetParameters
from ml.methods.gradients import input_gradient
from ml.weights import WeightsUnusable

GRID: Final = 16  # cells of the pooled gradient, each way
# The paper trains with one label and gives no number of outputs. With one output, every image's cross-entropy
# is 0; two are the fewest that have a gradient: "OK" and "not OK", which no image ever shows.
OUTPUTS: Final = 2
HIDDEN: Final = {"small": 1024, "large": 1280}
LUMA: Final = (0.299, 0.587, 0.114)  # OpenCV's and the paper's grey, of R, G, B
# A grey value is a multiple of 0.001: bounds between two of them are never a matter of rounding.
BETWEEN: Final = 0.4995
SMALLEST: Final = 1e-30  # below it, the logarithm of a gradient is that of this


class MobileNet(nn.Module):
    """MobileNetV3 (section 4.2) with its own head: pooled → dense → h-swish → dropout → dense."""

    def __init__(self, size: str) -> None:
        super().__init__()
        name = f"mobilenet_v3_{size}"
        self.features = nn.Sequential(*random_stages(name))
        self.dense = nn.Linear(BACKBONES[name].channels, HIDDEN[size])
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(HIDDEN[size], OUTPUTS)
        for layer in (self.dense, self.out):
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, 3, H, W] → logits [B, OUTPUTS]. y_pre, eq. (1)"""
        pooled = self.features(images).mean(dim=(2, 3))
        return self.out(self.dropout(F.hardswish(self.dense(pooled))))


def new_mobilenet(parameters: GradMobileNetParameters, weights_folder: Path | None) -> MobileNet:
    """A network to train: with ImageNet weights up to the dense layer, or random throughout.

    Raises:
        WeightsUnusable: the file of ImageNet weights is missing, damaged or of another network.
    """
    network = MobileNet(parameters.backbone)
    if parameters.weights == "imagenet":
        stages, tensors = pretrained_stages(f"mobilenet_v3_{parameters.backbone}", weights_folder)
        network.features = nn.Sequential(*stages)
        dense = {name: tensors.get(f"classifier.0.{name}") for name in ("weight", "bias")}
        for name, parameter in network.dense.named_parameters():
            loaded = dense[name]
            if loaded is None or loaded.shape != parameter.shape:
                raise WeightsUnusable(f"The file of weights has no classifier.0.{name} of this network.")
            parameter.data.copy_(loaded)
    return network


def log_loss_slope(margin: Tensor) -> Tensor:
    """log(1 − p₀) of margins [B]: what the loss's slope over the margin is, as a logarithm."""
    return -F.softplus(-margin)


def margin_of(logits: Tensor) -> Tensor:
    """How far the other outputs are above output 0, [B, K] → [B]: m = log Σₖ₍ₖ>₀₎ exp(zₖ) − z₀.

    The cross-entropy with target 0 is L = log(1 + eᵐ). Its gradient is therefore

        ∂L/∂x = (1 − p₀) · ∂m/∂x,  1 − p₀ = 1 / (1 + e⁻ᵐ),

    which is eq. (2), without the difference p₀ − 1 that float32 rounds to 0 once the model is sure (an
    overfit one is: it is trained for that), and without squares of numbers near the smallest.
    """
    return torch.logsumexp(logits[:, 1:], dim=1) - logits[:, 0]


def pooling_matrix(cells: int, length: int) -> Tensor:
    """float32 [cells, length]: means of as many equal stretches, as `adaptive_avg_pool` has them.

    As a product with a constant, pooling is one operation in every engine, for every size.
    """
    matrix = torch.zeros(cells, length)
    for cell in range(cells):
        first, last = cell * length // cells, math.ceil((cell + 1) * length / cells)
        matrix[cell, first:last] = 1 / (last - first)
    return matrix


class GradMobileNet(nn.Module):
    """Images → features of the loss's gradient and its map. Each image's gradient is its own.

    Args:
        mobilenet: in eval mode, trained.
        height, width: of the images.
        scale: of the gradient's features: "relative", "log" or "linear".

    Buffers, set once training is done:
        grey_gain [3], grey_offset: from the input's channels to grey values 0 to 255.
        landmark [2]: least and greatest grey value of the artificial landmark.
        map_scale: the gradient norm that the map shows as 1.
    """

    pool_rows: Tensor
    pool_columns: Tensor
    grey_gain: Tensor
    grey_offset: Tensor
    landmark: Tensor
    map_scale: Tensor

    def __init__(self, mobilenet: nn.Module, height: int, width: int, scale: str) -> None:
        super().__init__()
        self.mobilenet = mobilenet.requires_grad_(False)
        self.scale = scale
        self.register_buffer("pool_rows", pooling_matrix(GRID, height), persistent=False)
        self.register_buffer("pool_columns", pooling_matrix(GRID, width).T.contiguous(), persistent=False)
        self.register_buffer("grey_gain", torch.ones(3))
        self.register_buffer("grey_offset", torch.zeros(1))
        self.register_buffer("landmark", torch.tensor([0.0, 50.0]))
        self.register_buffer("map_scale", torch.ones(1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, 3, H, W] → features [B, GRID² + 2] and map [B, H, W].

        The features: the gradient norm's mean in each cell of the grid, its mean over the image, the
        landmark. The norms are logarithms unless `scale` is linear; those of cells are against the image's
        where it is relative.
        """
        margin, slopes = input_gradient(lambda batch: margin_of(self.mobilenet(batch)), images)
        norm = slopes.square().sum(dim=1).sqrt()  # of ∂m/∂x
        log_slope = log_loss_slope(margin)
        heat_map = norm * (log_slope.exp() / self.map_scale).reshape(-1, 1, 1)  # ‖Grad‖₂, eq. (3)
        cells = (self.pool_rows @ norm @ self.pool_columns).flatten(1)
        mean = norm.mean(dim=(1, 2)).unsqueeze(1)
        features = [*self._scaled(cells, mean, log_slope.unsqueeze(1)), self.landmark_share(images)]
        return torch.cat(features, dim=1), heat_map

    def _scaled(self, cells: Tensor, mean: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
        """Norms of ∂m/∂x, cells [B, GRID²] and mean [B, 1], as features of the gradient."""
        if self.scale == "linear":
            return cells * log_slope.exp(), mean * log_slope.exp()
        log_cells, log_mean = (norm.clamp_min(SMALLEST).log() for norm in (cells, mean))
        if self.scale == "relative":
            return log_cells - log_mean, log_mean + log_slope
        return log_cells + log_slope, log_mean + log_slope

    def landmark_share(self, images: Tensor) -> Tensor:
        """The share of pixels whose grey value is in the landmark's range (section 4.3), [B, 1] in [0, 1]."""
        grey = (images * self.grey_gain.reshape(1, 3, 1, 1)).sum(dim=1) + self.grey_offset
        is_inside = (grey > self.landmark[0] - BETWEEN) & (grey < self.landmark[1] + BETWEEN)
        return is_inside.to(images.dtype).mean(dim=(1, 2)).unsqueeze(1)

    def set_grey(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """From what the preprocessing subtracts and divides by, per channel of [0, 1]."""
        luma = torch.tensor(LUMA, dtype=torch.float64) * 255
        self.grey_gain.copy_(luma * torch.tensor(std, dtype=torch.float64))
        self.grey_offset.copy_((luma * torch.tensor(mean, dtype=torch.float64)).sum())
