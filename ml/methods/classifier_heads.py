"""What follows a network's last convolution: from its activations to a logit for each class.

Each head also gives, in closed form, the gradient that Grad-CAM asks for: that of the winning NG class's
logit with respect to the last convolution's activations, summed over the map. A sum is enough (eq. (2)), and
it is why pooling needs no attention: a maximum hands its gradient on to one cell, an average to several in
equal parts, and the sum stays the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.grad_cam import strongest_ng

VGG_GRID: Final = 7  # cells of the last map that VGG's classifier sees, each way
VGG_DROPOUT: Final = 0.5


class Head(nn.Module, ABC):
    """From activations to logits. `pool` has no weights, so that frozen features may end behind it."""

    @abstractmethod
    def pool(self, activations: Tensor) -> Tensor:
        """[B, K, h, w] → [B, D]."""

    @abstractmethod
    def forward(self, pooled: Tensor) -> Tensor:
        """[B, D] → logits [B, C]."""

    @abstractmethod
    def explained(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """As it infers: [B, D] → logits [B, C] and Σ_ij ∂y^c / ∂A_ij^k [B, K] for c = `strongest_ng`."""

    def load_hidden(self, tensors: Mapping[str, Tensor]) -> None:
        """Starts hidden layers from those of torchvision's network, by its names, where they are as wide."""


class VggHead(Head):
    """VGG's own classifier: max-pool 5, 7 × 7 cells, two hidden layers with ReLU and dropout, one layer.

    Other inputs than 224 × 224 are averaged to the 7 × 7 cells, as torchvision does.
    """

    def __init__(self, channels: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels * VGG_GRID**2, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, classes)
        self.summed_first: Tensor
        self.register_buffer("summed_first", torch.zeros(hidden, channels), persistent=False)
        for layer in (self.first, self.second, self.last):  # torchvision's start
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.zeros_(layer.bias)

    def train(self, mode: bool = True) -> Self:
        """Going over to inference sums the first layer over its cells once, instead of for each image."""
        if not mode:
            with torch.no_grad():
                self.summed_first = self.first.weight.unflatten(1, (-1, VGG_GRID**2)).sum(dim=2)
        return super().train(mode)

    def pool(self, activations: Tensor) -> Tensor:
        """[B, K, h, w] → [B, K · 49]."""
        return to_grid(F.max_pool2d(activations, 2), VGG_GRID).flatten(1)

    def forward(self, pooled: Tensor) -> Tensor:
        first = F.dropout(F.relu(self.first(pooled)), VGG_DROPOUT, self.training)
        second = F.dropout(F.relu(self.second(first)), VGG_DROPOUT, self.training)
        logits: Tensor = self.last(second)
        return logits

    def explained(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        first = self.first(pooled)
        second = self.second(F.relu(first))
        logits = self.last(F.relu(second))
        slope = self.last.weight[strongest_ng(logits)]  # ∂y^c / ∂ the second layer's outputs, [B, hidden]
        slope = (slope * (second > 0)) @ self.second.weight
        return logits, (slope * (first > 0)) @ self.summed_first

    def load_hidden(self, tensors: Mapping[str, Tensor]) -> None:
        _load_where_it_fits(self.first, tensors, "classifier.0")
        _load_where_it_fits(self.second, tensors, "classifier.3")


class LinearHead(Head):
    """Mean over the map, dropout, one layer: ResNet's (without dropout) and Inception's."""

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.last = nn.Linear(channels, classes)

    def pool(self, activations: Tensor) -> Tensor:
        """[B, K, h, w] → [B, K]."""
        return activations.mean(dim=(2, 3))

    def forward(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.last(F.dropout(pooled, self.dropout, self.training))
        return logits

    def explained(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.last(pooled)
        return logits, self.last.weight[strongest_ng(logits)]


class MobileNetHead(Head):
    """Mean over the map, a hidden layer with hard swish and dropout, one layer: MobileNetV3's."""

    DROPOUT: Final = 0.2

    def __init__(self, channels: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels, hidden)
        self.last = nn.Linear(hidden, classes)
        for layer in (self.first, self.last):  # torchvision's start
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.zeros_(layer.bias)

    def pool(self, activations: Tensor) -> Tensor:
        """[B, K, h, w] → [B, K]."""
        return activations.mean(dim=(2, 3))

    def forward(self, pooled: Tensor) -> Tensor:
        first = F.dropout(F.hardswish(self.first(pooled)), self.DROPOUT, self.training)
        logits: Tensor = self.last(first)
        return logits

    def explained(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        first = self.first(pooled)
        logits = self.last(F.hardswish(first))
        slope = self.last.weight[strongest_ng(logits)] * hardswish_slope(first)
        return logits, slope @ self.first.weight

    def load_hidden(self, tensors: Mapping[str, Tensor]) -> None:
        _load_where_it_fits(self.first, tensors, "classifier.0")


def _load_where_it_fits(layer: nn.Linear, tensors: Mapping[str, Tensor], name: str) -> None:
    if tensors[f"{name}.weight"].shape == layer.weight.shape:
        layer.load_state_dict({part: tensors[f"{name}.{part}"] for part in ("weight", "bias")})


def hardswish_slope(values: Tensor) -> Tensor:
    """The derivative of x · min(max(x + 3, 0), 6) / 6."""
    between = torch.where(values <= -3, torch.zeros_like(values), values / 3 + 0.5)
    return torch.where(values >= 3, torch.ones_like(values), between)


def to_grid(values: Tensor, cells: int) -> Tensor:
    """Averages of a map over a grid: [B, K, h, w] → [B, K, cells, cells].

    What `adaptive_avg_pool2d` computes, as two matrix products: that operator has no ONNX form for sizes that
    the grid does not divide.
    """
    height, width = values.shape[-2:]
    if (height, width) == (cells, cells):
        return values
    rows = _averages(height, cells).to(values)
    columns = _averages(width, cells).to(values)
    return rows @ values @ columns.T


def _averages(size: int, cells: int) -> Tensor:
    """[cells, size]: row i averages from floor(i · size / cells) to ceil((i + 1) · size / cells)."""
    matrix = torch.zeros(cells, size)
    for cell in range(cells):
        start, stop = cell * size // cells, -(-(cell + 1) * size // cells)
        matrix[cell, start:stop] = 1 / (stop - start)
    return matrix
