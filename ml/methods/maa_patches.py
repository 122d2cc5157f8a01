"""What the residual of features f(x) - f(G(x)) is on OK images, place by place."""

from collections.abc import Callable, Iterable
from typing import Final

import torch
from torch import Tensor

from ml.methods.maa_network import PatchDistances

LEAST_VARIANCE: Final = 1e-5  # of a direction that is whitened: less is mostly the rounding of float32
LEAST_SCALE: Final = 1e-3  # of a place's distances, whose mean over all places is about 1


def fit_patches(patches: PatchDistances, residuals: Callable[[], Iterable[Tensor]], shrinkage: float) -> None:
    """Mean at each place, one covariance about these means, and the mean distance at each place; float64.

    Args:
        patches: is given all three.
        residuals: of one OK image after another, [512, n, m] each; gone through twice, so that they need not
            fit into memory.
        shrinkage: of the covariance, towards its mean variance, 0 to 1.
    """
    features, rows, columns = patches.mean.shape
    count = 0
    total = torch.zeros(features, rows * columns, dtype=torch.float64)
    products = torch.zeros(features, features, dtype=torch.float64)
    for residual in residuals():
        flat = residual.flatten(1).double().cpu()
        total += flat
        products += flat @ flat.T
        count += 1
    mean = total / count
    covariance = (products - count * mean @ mean.T) / (max(count - 1, 1) * rows * columns)
    patches.mean.copy_(mean.view_as(patches.mean))
    patches.whitening.copy_(whitening_of(covariance, shrinkage))
    patches.scale.fill_(1)
    distances = torch.zeros(rows * columns, dtype=torch.float64)
    nothing = torch.zeros_like(patches.mean).unsqueeze(0)
    for residual in residuals():
        distances += patches(residual.unsqueeze(0), nothing)[0, : rows * columns].double().cpu()
    patches.scale.copy_((distances / count).clamp_min(LEAST_SCALE).view_as(patches.scale))


def whitening_of(covariance: Tensor, shrinkage: float) -> Tensor:
    """W, [d, d], with W Σ Wᵀ = I for the shrunk covariance Σ = (1 - s) S + s τ I, τ = Tr S / d."""
    variances, directions = torch.linalg.eigh(covariance)
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.mean()
    return (directions / shrunk.clamp_min(LEAST_VARIANCE).sqrt()).T
