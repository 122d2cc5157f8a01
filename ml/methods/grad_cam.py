"""Grad-CAM (Selvaraju et al., ICCV 2017), as Noh and Hong, Appl. Sci. 2022, 12, 2029 use it: eqs. (2) to (4).

The gradient is not traced back: each head gives it in closed form (`ml.methods.classifier_heads`), so that
the map is a part of the network's forward pass, on the line and in every engine as in training.
"""

import torch
from torch import Tensor


def strongest_ng(logits: Tensor) -> Tensor:
    """c, the NG class that wins among the NG classes: logits [B, C], OK first → int64 [B], 1 to C - 1."""
    return logits[:, 1:].argmax(dim=1) + 1


def grad_cam(activations: Tensor, summed_gradient: Tensor) -> Tensor:
    """L^c of eq. (4), scaled to [0, 1].

    The papers leave open how colours belong to values. Here a cell's value is what the logit would gain if
    all cells were like it, against the hottest cell's. Where even that one would add less than 1 to the
    logit, it is against 1: else rounding errors would glow on an image that nothing speaks against.

    Args:
        activations: A of the last convolution, [B, K, h, w].
        summed_gradient: Σ_i Σ_j ∂y^c / ∂A_ij^k, [B, K]; z · a_k^c of eq. (2).

    Returns:
        [B, h, w].
    """
    height, width = activations.shape[-2:]
    cells = height * width  # z
    weights = summed_gradient / cells  # a_k^c, eq. (2)
    evidence = torch.relu(weights.unsqueeze(1) @ activations.flatten(2))  # [B, 1, h·w], eqs. (3) and (4)
    hottest = evidence.amax(dim=2, keepdim=True)
    return (evidence / hottest.clamp(min=1 / cells)).unflatten(2, (height, width)).squeeze(1)
