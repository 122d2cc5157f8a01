"""The network of `weak`: shared layers, LNet and DNet (tables 1 to 3, figures 1 and 2), and its loss."""

import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.large_kernels import LargeKernelConvolution, Padding

STRIDE: Final = 8  # S1 to S10 in all
LARGE_KERNEL: Final = 15  # from here on, the frequency domain is the cheaper place
CHANNELS_PER_GROUP: Final = 8
TOP_SHARE: Final = 0.01  # of a map's cells, that count as its hottest
LSE_SHARPNESS: Final = 5.0  # r; 0 would be the mean, infinity the maximum


class Row(NamedTuple):
    """One row of tables 1 to 3. Every stride is 1, but for the pools'."""

    name: str
    layer: Literal["conv", "max_pool"]
    filters: int
    kernel: int


SHARED: Final = (
    Row("S1", "conv", 32, 3),
    Row("S2", "conv", 32, 3),
    Row("S3", "max_pool", 32, 2),
    Row("S4", "conv", 64, 3),
    Row("S5", "conv", 64, 3),
    Row("S6", "max_pool", 64, 2),
    Row("S7", "conv", 128, 3),
    Row("S8", "conv", 128, 3),
    Row("S9", "max_pool", 128, 2),
    Row("S10", "conv", 128, 3),
)
LNET: Final = (
    Row("L1", "conv", 64, 5),
    Row("L2", "conv", 64, 5),
    Row(
        "L3", "conv", 512, 15
    ),  # table 2 prints stride 2; the text says that every step is 1, and 1/8 needs it
)  # L4 is the head: 1x1, one channel, sigmoid
DNET: Final = (
    Row("D2", "conv", 64, 3),
    Row("D3", "max_pool", 64, 2),
    Row("D4", "conv", 64, 3),
    Row("D5", "max_pool", 64, 2),
    Row("D6", "conv", 128, 3),
    Row("D7", "max_pool", 128, 2),
    Row("D8", "conv", 256, 3),
)  # D1 is the attention, D9 the pooling, D10 and D11 the dense layers
HIDDEN: Final = 266  # D10


def group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


def instance_norm(channels: int) -> nn.Module:
    """What batch normalisation computes at batch 1 in training, and here on the line as well."""
    return nn.GroupNorm(channels, channels)


NORMALISATIONS: Final = {"group": group_norm, "instance": instance_norm}


class ScaledHead(nn.Module):
    """L4 without normalisation: a 1 × 1 convolution, divided by the root of its inputs' number.

    Undivided, the first steps move all 512 weights one way, and every map to 0, where the loss has no slope
    left. The paper's normalisation avoids that too, but gives the map of every image, OK or NG, one spread.
    """

    def __init__(self, channels: int, initial_q: float) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(channels)
        self.weight = nn.Parameter(torch.randn(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.full((1,), math.log(initial_q / (1 - initial_q))))

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, h, w] → [B, 1, h, w]."""
        return F.conv2d(values, self.weight * self.scale, self.bias)


class NormalisedHead(nn.Module):
    """L4 as in table 2, normalised over one image: what batch normalisation computes at batch 1."""

    def __init__(self, channels: int, initial_q: float) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 1, 1, bias=False)
        self.norm = nn.GroupNorm(1, 1)
        nn.init.constant_(self.norm.bias, math.log(initial_q / (1 - initial_q)))

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, h, w] → [B, 1, h, w]."""
        normalised: Tensor = self.norm(self.convolution(values))
        return normalised


class WeakNetwork(nn.Module):
    """Shared layers → LNet → heat map; features and heat map → DNet → one number.

    Batch normalisation of the tables is replaced by a normalisation over one image, since at the paper's
    batch of one it computes one function in training and another on the line. In DNet it is always over
    groups: its last maps may hold a few cells, of which one channel's statistics say nothing.

    Args:
        normalisation: key of `NORMALISATIONS`, for shared layers and LNet.
        pooling: D9 and the heat map's pooling: log-sum-exp or average.
        initial_q: the heat map's value before training, 0 to 1.
        is_map_normalised: L4 as in table 2, or without its normalisation.
        joins_map: the score is of DNet and of the map's hottest cells, or of DNet alone.
    """

    def __init__(
        self,
        normalisation: str,
        pooling: str,
        initial_q: float,
        *,
        is_map_normalised: bool = False,
        joins_map: bool = False,
    ) -> None:
        super().__init__()
        self.joins_map = joins_map
        norm = NORMALISATIONS[normalisation]
        self.pooling = pooling
        self.shared = _layers(SHARED, 1, norm, "reflect")
        self.localise = _layers(LNET, SHARED[-1].filters, norm, "reflect")
        head = NormalisedHead if is_map_normalised else ScaledHead
        self.heat = head(LNET[-1].filters, initial_q)
        self.decide = _layers(DNET, SHARED[-1].filters, group_norm, "replicate")
        self.dense = nn.Sequential(nn.Linear(DNET[-1].filters + 1, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def features(self, images: Tensor) -> Tensor:
        """Shared layers, table 1: float [B, 1, H, W] → [B, 128, h, w], h = ceil(H / 8), w = ceil(W / 8)."""
        height, width = images.shape[-2:]
        below, right = -height % STRIDE, -width % STRIDE
        if below or right:
            images = F.pad(images, (0, right, 0, below), mode="reflect")
        return self.shared(images)

    def heat_logits(self, features: Tensor) -> Tensor:
        """LNet, table 2, but for its sigmoid: [B, 128, h, w] → [B, 1, h, w], float32."""
        logits: Tensor = self.heat(self.localise(features)).float()
        return logits

    def heat_map(self, features: Tensor) -> Tensor:
        """LNet, table 2: [B, 128, h, w] → [B, 1, h, w] in (0, 1), float32."""
        return torch.sigmoid(self.heat_logits(features))

    def decision(self, features: Tensor, heat_map: Tensor) -> Tensor:
        """DNet, table 3: features and heat map → logit [B] of "there is a defect", float32."""
        attended = features * heat_map.to(features.dtype) + features  # D1, figure 2b
        pooled = torch.cat(
            [self._pooled(self.decide(attended).float()), self._pooled(heat_map)], dim=1
        )  # [B, 257]
        return self.dense(pooled).squeeze(1).float()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, 1, H, W] → logit [B], heat map [B, h, w]."""
        features = self.features(images)
        heat_logits = self.heat_logits(features)
        heat_map = torch.sigmoid(heat_logits)
        logit = self.decision(features, heat_map)
        if self.joins_map:
            logit = (logit + top_logit(heat_logits, TOP_SHARE)) / 2
        return logit, heat_map.squeeze(1)

    def _pooled(self, values: Tensor) -> Tensor:
        """[B, C, h, w] → [B, C]; D9."""
        if self.pooling == "average":
            return values.mean(dim=(2, 3))
        flat = values.flatten(2) * LSE_SHARPNESS
        return (torch.logsumexp(flat, dim=2) - math.log(flat.shape[2])) / LSE_SHARPNESS


def _layers(
    rows: Sequence[Row], channels: int, norm: Callable[[int], nn.Module], padding: Padding
) -> nn.Sequential:
    modules: list[nn.Module] = []
    for row in rows:
        if row.layer == "max_pool":
            modules.append(nn.MaxPool2d(row.kernel, ceil_mode=True))
            continue
        convolution: nn.Conv2d
        if row.kernel >= LARGE_KERNEL:
            convolution = LargeKernelConvolution(channels, row.filters, row.kernel, padding)
        else:
            convolution = nn.Conv2d(
                channels, row.filters, row.kernel, padding=row.kernel // 2, padding_mode=padding, bias=False
            )
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        modules += [convolution, norm(row.filters), nn.ReLU(inplace=True)]
        channels = row.filters
    return nn.Sequential(*modules)


def loss_ng(q: Tensor) -> Tensor:
    """Loss_positive, eq. (3): minus the entropy of Q, the mean of an NG image's heat map; [B] → [B]."""
    return q * torch.log(q) + (1 - q) * torch.log1p(-q)


def loss_ok(q: Tensor) -> Tensor:
    """Loss_negative, eq. (4): cross-entropy of Q against 0; [B] → [B]. Eq. (5)'s square is a misprint."""
    return -torch.log1p(-q)


def mean_heat(heat_map: Tensor) -> Tensor:
    """Q, [B, 1, h, w] → [B], kept a hair inside (0, 1) so that its logarithms are finite."""
    return heat_map.mean(dim=(1, 2, 3)).clamp(1e-7, 1 - 1e-7)


def top_logit(heat_logits: Tensor, share: float) -> Tensor:
    """Mean logit of the hottest cells, [B, 1, h, w] → [B]; not in the paper.

    Eq. (3) asks an NG image for any split of its cells, and is content with one that has nothing to do with
    the defect. Cross-entropy of this asks that an NG image has hot cells and an OK image has none.

    Args:
        heat_logits: the heat map before its sigmoid: where that is saturated, these still have a slope.
        share: of the cells that count, 0 to 1; at least one does.
    """
    return hottest(heat_logits.flatten(1), share).mean(dim=1)


def place_loss(heat_logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of the heat map, cell by cell, where the defects' places are known; not in the paper.

    Cells with a defect, cells without, and the hottest of those without weigh the same, however few they are.
    Cells beside a defect count for neither.

    Args:
        heat_logits: the heat map before its sigmoid, [B, 1, h, w].
        masks: where defects are, bool [B, 1, H, W]; a cell that one touches has a defect.

    Returns:
        [B].
    """
    defect = F.adaptive_max_pool2d(masks.to(heat_logits.dtype), heat_logits.shape[-2:])
    far = F.max_pool2d(defect, 3, stride=1, padding=1) == 0
    losses = F.binary_cross_entropy_with_logits(heat_logits, defect, reduction="none")
    return torch.stack(
        [
            mean_of(one[at > 0]) + mean_of(one[away]) + mean_of(hottest(one[away][None], TOP_SHARE))
            for one, at, away in zip(losses, defect, far, strict=True)
        ]
    )


def mean_of(values: Tensor) -> Tensor:
    """Their mean; 0 of none."""
    return values.sum() / max(1, values.numel())


def hottest(values: Tensor, share: float) -> Tensor:
    """The highest of each row, [B, n] → [B, share · n], one at least if there is any."""
    cells = values.shape[1]
    return values.topk(min(cells, max(1, round(share * cells))), dim=1).values


def collaborative_factor(step: int, steps: int, every: int, alpha_init: float) -> float:
    """α at a step counted from 1, eq. (6): α_init at first, half of it midway, α_init again at the end."""
    updates = max(round(steps / every), 1)  # k
    update = min(step // every, updates)  # i
    return alpha_init * (math.cos(update / updates * 2 * math.pi) + 3) / 4
