"""How `maa` compares an image with its reconstruction: what a comparison is given, and what it says."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_DISTANCE: Final = 1e-3  # of an image's median place; distances are about 1 on OK images


class Compared(NamedTuple):
    """A batch of images and what the networks make of them.

    Attributes:
        seen: x, [B, 3, H, W] in [-1, 1].
        made: G(x), alike.
        of_seen: f(x), [B, 512, n, m].
        of_made: f(G(x)), alike.
    """

    seen: Tensor
    made: Tensor
    of_seen: Tensor
    of_made: Tensor

    @property
    def descriptors(self) -> Tensor:
        """The mean of f(x), [B, 512]: by it the nearest OK image is found."""
        return self.of_seen.mean(dim=(2, 3))


EachOk = Callable[[], Iterable[Compared]]  # OK images one by one, as often as it is called


class FeaturePairs(nn.Module):
    """What eq. (7) compares: the features of image and reconstruction, as they are."""

    def forward(self, compared: Compared) -> Tensor:
        """f(x), f(G(x)) [B, 512, n, m] → [B, 2, n · m, 512]."""
        return torch.stack([compared.of_seen, compared.of_made], dim=1).flatten(3).transpose(2, 3)


class Standout(nn.Module):
    """How far each place of an image stands out from what it is on OK images; not in the paper.

    Eq. (7) pools all places: a crack of two patches in a thousand moves neither their mean nor their
    covariance.

    Args:
        rows, columns: places.
    """

    top_share: ClassVar[float]  # of the places, whose distances make the score
    scale: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(rows, columns))

    def measured(self, compared: Compared) -> Tensor:
        """[B, rows, columns], at least 0, before it is set against OK images."""
        raise NotImplementedError

    def fit(self, each_ok: EachOk) -> None:
        """Learns what is usual at each place."""
        raise NotImplementedError

    def mean_of(self, each_ok: EachOk) -> Tensor:
        """What is measured at each place of OK images on average, float64 [rows, columns]."""
        total, count = torch.zeros(self.scale.shape, dtype=torch.float64), 0
        for compared in each_ok():
            total += self.measured(compared)[0].double().cpu()
            count += 1
        return total / count

    def distances(self, compared: Compared) -> Tensor:
        """1 at each place on OK images' average: [B, rows, columns]."""
        return self.measured(compared) / self.scale

    def forward(self, compared: Compared) -> Tensor:
        """Distances, then the descriptors: [B, rows · columns + 512]."""
        return torch.cat([self.distances(compared).flatten(1), compared.descriptors], dim=1)

    def map_of(self, raw: Tensor) -> Tensor:
        """Distances over the image's median one, as the score takes them → [B, rows, columns]."""
        distances = raw[:, : self.scale.numel()]
        median = distances.sort(dim=1).values[:, self.scale.numel() // 2].clamp_min(LEAST_DISTANCE)
        return (distances / median[:, None]).unflatten(1, self.scale.shape)


class Several(nn.Module):
    """Comparisons side by side: all their distances, and the largest of their maps.

    Args:
        parts: in the order in which their distances stand.
    """

    part_scales: Tensor

    def __init__(self, parts: Sequence[Standout]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.register_buffer("part_scales", torch.ones(len(parts)))

    @property
    def each(self) -> list[Standout]:
        return list(self.parts)  # type: ignore[arg-type]

    def forward(self, compared: Compared) -> Tensor:
        """The distances of each part, then the descriptors."""
        distances = [part.distances(compared).flatten(1) for part in self.each]
        return torch.cat([*distances, compared.descriptors], dim=1)

    def fit(self, each_ok: EachOk) -> None:
        for part in self.each:
            part.fit(each_ok)

    def maps_of(self, raw: Tensor) -> list[Tensor]:
        """Each part's own map."""
        places = [part.scale.numel() for part in self.each]
        distances = raw[:, : sum(places)].split(places, dim=1)
        return [part.map_of(one) for part, one in zip(self.each, distances, strict=True)]

    def map_of(self, raw: Tensor) -> Tensor:
        """The largest of the maps over their `part_scales`, as fine as the finest: [B, rows, columns]."""
        maps = self.maps_of(raw)
        finest = max((one.shape[1:] for one in maps), key=math.prod)
        scaled = [
            F.interpolate((one / scale)[:, None], size=finest)[:, 0]
            for one, scale in zip(maps, self.part_scales, strict=True)
        ]
        return torch.stack(scaled).amax(dim=0)
