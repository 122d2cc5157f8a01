"""Thin lines of an image, cracks and scratches, against those of OK images; not in the paper."""

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.methods.maa_comparisons import Compared, EachOk, Standout

WIDTH: Final = 1.0  # px: σ of a line's profile, so that lines of one to three pixels answer
LENGTH: Final = 16  # px: twice the σ along the line
DIRECTIONS: Final = 12  # 15° apart
STRIDE: Final = 2  # px from place to place
BORDER: Final = 4  # places along each side that are left out: half of a filter would look at guesses
SMOOTHED: Final = 9  # places on a side of a neighbourhood
LEAST_SCALE: Final = 1e-3  # of a response; images are in [-1, 1]


class LineResponses(Standout):
    """How strong the strongest thin line through each place of x is, darker or brighter.

    Matched filters after Chaudhuri et al., IEEE Transactions on Medical Imaging 1989: along a line its
    contrast adds up, while that of a texture's grains averages out. They look at x and not at x - G(x): on a
    surface without structure a good G(x) has grains of its own, which a residual adds.

    Args:
        height, width: of the images, px.
    """

    top_share = 0.001
    filters: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__(*(-(-side // STRIDE) - 2 * BORDER for side in (height, width)))
        self.register_buffer("filters", line_filters(), persistent=False)

    def measured(self, compared: Compared) -> Tensor:
        around = F.pad(compared.seen.mean(dim=1, keepdim=True), (LENGTH,) * 4, mode="reflect")
        answers = F.conv2d(around, self.filters, stride=STRIDE).abs().amax(dim=1)
        return answers[:, BORDER:-BORDER, BORDER:-BORDER]

    def fit(self, each_ok: EachOk) -> None:
        """The mean response at each place, or around it if that is larger: a few images tell it better."""
        mean = self.mean_of(each_ok)
        around = F.avg_pool2d(mean[None], SMOOTHED, 1, SMOOTHED // 2, count_include_pad=False)[0]
        self.scale.copy_(torch.maximum(mean, around).clamp_min(LEAST_SCALE))

    def map_of(self, raw: Tensor) -> Tensor:
        """[B, H / 2, W / 2]: 0 along the border."""
        return F.pad(super().map_of(raw), (BORDER,) * 4)


def line_filters() -> Tensor:
    """[12, 1, 33, 33], each of mean 0 and norm 1.

    Across the line the second derivative of a Gaussian, along it a Gaussian.
    """
    reach = torch.arange(-LENGTH, LENGTH + 1, dtype=torch.float64)
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    filters = []
    for turn in range(DIRECTIONS):
        angle = math.pi * turn / DIRECTIONS
        across = x * math.cos(angle) + y * math.sin(angle)
        along = y * math.cos(angle) - x * math.sin(angle)
        profile = (1 - (across / WIDTH) ** 2) * torch.exp(-((across / WIDTH) ** 2) / 2)
        line = profile * torch.exp(-((along / (LENGTH / 2)) ** 2) / 2)
        line = line - line.mean()
        filters.append(line / line.norm())
    return torch.stack(filters).unsqueeze(1).float()
