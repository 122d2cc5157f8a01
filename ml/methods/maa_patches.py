"""Features' residual f(x) - f(G(x)) at each place against what it is on OK images; not in the paper."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from ml.methods.maa_comparisons import Compared, EachOk, Standout
from ml.methods.maa_network import FEATURES

LEAST_VARIANCE: Final = 1e-5  # of a direction that is whitened: less is mostly the rounding of float32
LEAST_SCALE: Final = 1e-3  # of a place's distances, whose mean over all places is about 1


class PatchDistances(Standout):
    """How far f(x) - f(G(x)) lies, at each place, from what it is on OK images.

    The squared Mahalanobis distance from the OK images' mean at that place, with one covariance for all
    places, over what it is on OK images there.

    Args:
        rows, columns: n, m: places of f(·).
        shrinkage: of the covariance, towards its mean variance, 0 to 1.
    """

    top_share = 0.01
    mean: Tensor
    whitening: Tensor

    def __init__(self, rows: int, columns: int, shrinkage: float) -> None:
        super().__init__(rows, columns)
        self.shrinkage = shrinkage
        self.register_buffer("mean", torch.zeros(FEATURES, rows, columns))
        self.register_buffer("whitening", torch.eye(FEATURES))

    def measured(self, compared: Compared) -> Tensor:
        centred = compared.of_seen - compared.of_made - self.mean
        white = F.conv2d(centred, self.whitening[:, :, None, None])
        return (white**2).mean(dim=1)

    def fit(self, each_ok: EachOk) -> None:
        """Mean at each place, one covariance about these means, and the mean distance at each place; float64.

        The images are gone through twice, so that they need not fit into memory.
        """
        features, rows, columns = self.mean.shape
        count = 0
        total = torch.zeros(features, rows * columns, dtype=torch.float64)
        products = torch.zeros(features, features, dtype=torch.float64)
        for compared in each_ok():
            flat = (compared.of_seen - compared.of_made)[0].flatten(1).double().cpu()
            total += flat
            products += flat @ flat.T
            count += 1
        mean = total / count
        covariance = (products - count * mean @ mean.T) / (max(count - 1, 1) * rows * columns)
        self.mean.copy_(mean.view_as(self.mean))
        self.whitening.copy_(whitening_of(covariance, self.shrinkage))
        self.scale.copy_(self.mean_of(each_ok).clamp_min(LEAST_SCALE))


def whitening_of(covariance: Tensor, shrinkage: float) -> Tensor:
    """W, [d, d], with W Σ Wᵀ = I for the shrunk covariance Σ = (1 - s) S + s τ I, τ = Tr S / d."""
    variances, directions = torch.linalg.eigh(covariance)
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.mean()
    return (directions / shrunk.clamp_min(LEAST_VARIANCE).sqrt()).T
