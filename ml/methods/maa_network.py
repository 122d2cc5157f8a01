"""The networks of `maa` (table I): generator with its memory, discriminator with the Markov encoder f(·).

Images are in [-1, 1], the range of the decoder's Tanh: section III-E scales to 0 to 1, which Tanh exceeds.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

STRIDE: Final = 8  # of the encoder in all
CODING: Final = 256  # channels of the encoder's output, of the hidden and of the cell state
FEATURES: Final = 512  # channels of f(·)
GATES: Final = 4  # of the memory's 1024 channels: candidate, input, forget, output
BLOCKS: Final = 3  # ResNet blocks before the memory, and as many after it
SLOPE: Final = 0.1  # of LeakyReLU
WEIGHT_DEVIATION: Final = 0.02  # σ of the first weights


class Row(NamedTuple):
    """A row of table I. Padding keeps height and width at stride 1; stride 2 halves or doubles them."""

    kernel: tuple[int, int]
    stride: int
    channels: int  # that it gives


ENCODER: Final = (
    Row((1, 7), 1, 16),
    Row((7, 1), 1, 32),
    Row((3, 3), 2, 64),
    Row((3, 3), 2, 128),
    Row((3, 3), 2, 256),
)
DECODER: Final = (  # stride 2: transposed convolutions
    Row((3, 3), 2, 128),
    Row((3, 3), 2, 64),
    Row((3, 3), 2, 32),
    Row((7, 1), 1, 16),
    Row((1, 7), 1, 3),
)
MARKOV: Final = (  # f(·): the discriminator's first four rows
    Row((4, 4), 2, 64),
    Row((4, 4), 2, 128),
    Row((4, 4), 2, 256),
    Row((4, 4), 1, 512),
)


class ResnetBlock(nn.Module):
    """Two 3 × 3 convolutions beside the identity. The paper names the block and its place only.

    Its form is that of CycleGAN (the paper's [21]), from which the name comes: no ReLU after the sum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, h, w] → [B, C, h, w]."""
        return values + self.layers(values)


class Memory(nn.Module):
    """One ConvLSTM cell with one hidden and one cell state for all images, eqs. (1) to (6).

    The paper leaves open how its states outlive a batch. Here each training step writes the mean of what the
    batch's images would write, without a gradient into the past; in eval mode the states are read-only, so
    that a score does not depend on what was judged before it or beside it.

    The 3 × 3 convolution 512 → 1024 of [h, z] is computed as the sum of its halves, which is the same: h is
    one for all images, and its half is computed once a batch.

    Args:
        height, width: of the coding.
    """

    hidden: Tensor
    cell: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.of_hidden = nn.Conv2d(CODING, GATES * CODING, 3, padding=1)
        self.of_coding = nn.Conv2d(CODING, GATES * CODING, 3, padding=1, bias=False)
        self.register_buffer("hidden", torch.zeros(CODING, height, width))  # h
        self.register_buffer("cell", torch.zeros(CODING, height, width))  # C

    def forward(self, coding: Tensor) -> Tensor:
        """z [B, 256, h, w] → memory-coding z' = h_t [B, 256, h, w]."""
        joined = self.of_coding(coding) + self.of_hidden(self.hidden.unsqueeze(0))
        candidate, write, keep, read = joined.chunk(GATES, dim=1)
        cell = torch.sigmoid(keep) * self.cell + torch.sigmoid(write) * torch.tanh(candidate)  # (1) to (4)
        hidden = torch.sigmoid(read) * torch.tanh(cell)  # (5), (6)
        if self.training:
            self.hidden = hidden.detach().float().mean(dim=0)
            self.cell = cell.detach().float().mean(dim=0)
        return hidden


class Generator(nn.Module):
    """G: encoder, memory between ResNet blocks, decoder (figure 3).

    The baselines are the same code: `dae` has neither memory nor blocks; with skip connections each decoder
    stage is given the sum of its input and the encoder's output of that size, so that table I's widths hold.

    Args:
        height, width: of the images, px, multiples of 8.
        has_memory: memory and blocks.
        has_skips: encoder outputs are added to the decoder's inputs.
    """

    def __init__(self, height: int, width: int, *, has_memory: bool = True, has_skips: bool = False) -> None:
        super().__init__()
        self.has_skips = has_skips
        self.encoder = nn.ModuleList(_stages(3, ENCODER, upwards=False))
        self.between: nn.Module = nn.Identity()
        if has_memory:
            self.between = nn.Sequential(
                *(ResnetBlock(CODING) for _ in range(BLOCKS)),
                Memory(height // STRIDE, width // STRIDE),
                *(ResnetBlock(CODING) for _ in range(BLOCKS)),
            )
        *stages, last = _stages(CODING, DECODER, upwards=True)
        last[-1] = nn.Tanh()
        self.decoder = nn.ModuleList([*stages, last])
        self.apply(first_weights)

    def forward(self, images: Tensor) -> Tensor:
        """x [B, 3, H, W] → G(x) [B, 3, H, W], float32 in [-1, 1]."""
        values, seen = images, []
        for stage in self.encoder:
            values = stage(values)
            seen.append(values)
        values = self.between(values)
        for number, stage in enumerate(self.decoder):
            if self.has_skips and 0 < number < len(self.decoder) - 1:
                values = values + seen[-1 - number]
            values = stage(values)
        return values.float()


class Discriminator(nn.Module):
    """D of a trained f(·): table I's last two rows on top of it, one logit a patch (figure 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.Sequential(nn.Conv2d(FEATURES, 1, 4, padding=1), nn.Conv2d(1, 1, 4, padding=1))
        self.apply(first_weights)

    def forward(self, features: Tensor) -> Tensor:
        """f(x) [B, 512, n, m] → logits of "this patch is of an image" [B, n - 2, m - 2], float32."""
        return self.heads(features).squeeze(1).float()


def markov_encoder() -> nn.Sequential:
    """f(·), section III-D: [B, 3, H, W] → [B, 512, n, m], n = H / 8 - 1, m = W / 8 - 1; no BN on row 1."""
    layers: list[nn.Module] = []
    channels = 3
    for number, row in enumerate(MARKOV):
        layers.append(nn.Conv2d(channels, row.channels, row.kernel, row.stride, padding=1, bias=number == 0))
        if number:
            layers.append(nn.BatchNorm2d(row.channels))
        layers.append(nn.LeakyReLU(SLOPE))
        channels = row.channels
    return nn.Sequential(*layers).apply(first_weights)


def first_weights(module: nn.Module) -> None:
    """Table I: weights N(0, 0.02), biases 0. Batch norms keep gain 1: drawn about 0 they would shut all."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, WEIGHT_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _stages(channels: int, rows: Sequence[Row], *, upwards: bool) -> list[nn.Sequential]:
    """Convolution, batch norm, ReLU for each row. A bias before a batch norm would do nothing."""
    stages = []
    for row in rows:
        padding = (row.kernel[0] // 2, row.kernel[1] // 2)
        convolution: nn.Module
        if upwards and row.stride > 1:
            convolution = nn.ConvTranspose2d(
                channels, row.channels, row.kernel, row.stride, padding, output_padding=1, bias=False
            )
        else:
            convolution = nn.Conv2d(channels, row.channels, row.kernel, row.stride, padding, bias=False)
        stages.append(nn.Sequential(convolution, nn.BatchNorm2d(row.channels), nn.ReLU(inplace=True)))
        channels = row.channels
    return stages
