"""A convolution with a large kernel, in the frequency domain: the same result for a fraction of the work.

At 64 → 512 channels, a 15 × 15 kernel costs 225 multiplications for each pair of channels and output. In
tiles of 32 × 32, of which 18 × 18 are outputs, it costs 544 complex ones for 324 outputs. The discrete
Fourier transforms are products with constant matrices, laid out so that no operand is ever transposed in
memory: on a processor, and in each engine that runs the exported network, everything is a matrix product.
"""

import math
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Padding = Literal["reflect", "replicate"]

TILE: Final = 32
BINS: Final = TILE // 2 + 1  # of a real signal; the others are their conjugates
WORTHWHILE_CELLS: Final = 1500  # of one output map; below, transforming the kernels costs more than it saves


class LargeKernelConvolution(nn.Conv2d):
    """`nn.Conv2d` of stride 1 for large square kernels; its weights and its result, to 1e-5 of the largest.

    Computes in float32, also under autocast: rounding a spectrum to bf16 spreads the error of the mean over
    all outputs. On a graphics processor, and for maps of few cells, it is `nn.Conv2d` as it stands.

    Args:
        channels: of the input.
        filters: of the output.
        kernel: odd, 3 to `TILE` − 1.
        padding_mode: of `nn.Conv2d`; the output has the size of the input.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, channels: int, filters: int, kernel: int, padding_mode: Padding) -> None:
        super().__init__(
            channels, filters, kernel, padding=kernel // 2, padding_mode=padding_mode, bias=False
        )
        angles = torch.arange(TILE, dtype=torch.float64)
        angles = 2 * math.pi / TILE * torch.outer(angles, angles)
        self.register_buffer("cosines", angles.cos().float(), persistent=False)
        self.register_buffer("sines", angles.sin().float(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, h, w] → [B, O, h, w]."""
        if values.is_cuda or values.shape[-2] * values.shape[-1] < WORTHWHILE_CELLS:
            return super().forward(values)
        with torch.autocast(values.device.type, enabled=False):
            return self._in_tiles(values.float())

    def _in_tiles(self, values: Tensor) -> Tensor:
        count, channels, height, width = values.shape
        kernel = self.kernel_size[0]
        useful = TILE - kernel + 1  # rows and columns of outputs in a tile
        rows, columns = -(-height // useful), -(-width // useful)
        padded = F.pad(values, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        padded = F.pad(padded, (0, columns * useful - width, 0, rows * useful - height))
        tiles = padded.unfold(2, TILE, useful).unfold(3, TILE, useful).permute(4, 5, 0, 2, 3, 1)
        real, imaginary = self._spectrum(tiles.reshape(TILE, TILE, -1))
        real, imaginary = self._product(
            real.view(BINS * TILE, -1, channels), imaginary.view(BINS * TILE, -1, channels)
        )
        outputs = self._signal(real, imaginary, useful)
        outputs = outputs.view(useful, useful, count, rows, columns, -1).permute(2, 5, 3, 1, 4, 0)
        return outputs.reshape(count, -1, rows * useful, columns * useful)[:, :, :height, :width]

    def _spectrum(self, signals: Tensor) -> tuple[Tensor, Tensor]:
        """2-D transform of many signals, zero beyond their rows: [r, q, n] → two of [BINS, TILE, n]."""
        rows, columns, _ = signals.shape
        cosines, sines = self.cosines[:, :rows], self.sines[:, :rows]
        by_column = torch.cat([self.cosines[:BINS, :columns], -self.sines[:BINS, :columns]])
        transformed = torch.bmm(by_column.expand(rows, -1, -1), signals)
        real, imaginary = transformed[:, :BINS].transpose(0, 1), transformed[:, BINS:].transpose(0, 1)
        return (
            torch.bmm(_each(cosines), real).baddbmm_(_each(sines), imaginary),
            torch.bmm(_each(cosines), imaginary).baddbmm_(_each(-sines), real),
        )

    def _product(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra of the tiles with the conjugate spectra of the kernels: [bins, n, C] → [bins, n, O]."""
        kernels = self.weight.permute(2, 3, 1, 0)
        side, _, channels, filters = kernels.shape
        kernel_real, kernel_imaginary = (
            part.view(-1, channels, filters) for part in self._spectrum(kernels.reshape(side, side, -1))
        )
        return (
            torch.bmm(real, kernel_real).baddbmm_(imaginary, kernel_imaginary),
            torch.bmm(imaginary, kernel_real).baddbmm_(real, kernel_imaginary, alpha=-1),
        )

    def _signal(self, real: Tensor, imaginary: Tensor, useful: int) -> Tensor:
        """The outputs that no edge of a tile has touched: [bins, n, O] → [columns, rows · n · O]."""
        cosines, sines = self.cosines[:useful], self.sines[:useful]
        real, imaginary = real.reshape(BINS, TILE, -1), imaginary.reshape(BINS, TILE, -1)
        by_row_real = torch.bmm(_each(cosines), real).baddbmm_(_each(-sines), imaginary)
        by_row_imaginary = torch.bmm(_each(cosines), imaginary).baddbmm_(_each(sines), real)
        twice = torch.full((BINS,), 2 / TILE**2)  # a bin and its conjugate; the first and the last have none
        twice[0] = twice[-1] = 1 / TILE**2
        return torch.addmm(
            (cosines[:, :BINS] * twice) @ by_row_real.view(BINS, -1),
            -sines[:, :BINS] * twice,
            by_row_imaginary.view(BINS, -1),
        )


def _each(matrix: Tensor) -> Tensor:
    return matrix.expand(BINS, -1, -1)
