"""Grad-CAM against automatic differentiation, and on a network whose answer is known."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ml.methods.classifier_heads import (
    Head,
    LinearHead,
    MobileNetHead,
    VggHead,
    hardswish_slope,
    to_grid,
)
from ml.methods.grad_cam import grad_cam, strongest_ng
from ml.methods.multipath_vgg import DenseHead


def by_autograd(head: Head, activations: torch.Tensor) -> torch.Tensor:
    """Σ_ij ∂y^c / ∂A_ij^k, traced back through pooling and classifier."""
    traced = activations.clone().requires_grad_(True)
    logits = head(head.pool(traced))
    winning = logits.gather(1, strongest_ng(logits)[:, None])
    (gradient,) = torch.autograd.grad(winning.sum(), traced)
    return gradient.sum(dim=(2, 3))


HEADS = {
    "vgg": lambda: VggHead(6, 32, 4),
    "linear": lambda: LinearHead(6, 4, 0.5),
    "mobilenet": lambda: MobileNetHead(6, 32, 4),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("size", [(2, 2), (5, 8), (14, 14), (15, 31)])
def test_every_heads_gradient_is_that_of_automatic_differentiation(name, size):
    torch.manual_seed(3)
    head = HEADS[name]().eval()
    for parameter in head.parameters():  # far enough from 0 that each ReLU and hard swish takes part
        torch.nn.init.normal_(parameter, std=0.7)
    head.eval()
    activations = torch.randn(5, 6, *size).relu()
    logits, gradient = head.explained(head.pool(activations))
    torch.testing.assert_close(logits, head(head.pool(activations)))
    assert gradient.abs().max() > 1e-3
    torch.testing.assert_close(gradient, by_autograd(head, activations), rtol=1e-4, atol=1e-4)


def test_the_dense_heads_gradient_is_that_of_automatic_differentiation():
    torch.manual_seed(0)
    head = DenseHead(10, 24, 5, 0.5).eval()
    torch.nn.init.uniform_(head.norm.weight, 0.5, 2)
    head.norm.running_var.uniform_(0.2, 3)
    head.norm.running_mean.normal_()
    fused = torch.randn(7, 10, requires_grad=True)
    logits, gradient = head.explained(fused)
    torch.testing.assert_close(logits, head(fused))
    (traced,) = torch.autograd.grad(logits.gather(1, strongest_ng(logits)[:, None]).sum(), fused)
    torch.testing.assert_close(gradient, traced)


def test_hard_swishs_slope_is_that_of_automatic_differentiation():
    values = torch.linspace(-5, 5, 101).requires_grad_(True)
    (traced,) = torch.autograd.grad(functional.hardswish(values).sum(), values)
    torch.testing.assert_close(hardswish_slope(values.detach()), traced)


@pytest.mark.parametrize("size", [(1, 2), (7, 7), (8, 5), (13, 40)])
def test_the_grid_is_that_of_adaptive_pooling(size):
    values = torch.randn(2, 3, *size)
    torch.testing.assert_close(to_grid(values, 7), functional.adaptive_avg_pool2d(values, 7))


def test_eqs_2_to_4_by_hand():
    activations = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]], [[0.0, 4.0], [1.0, 0.0]]]])  # A^1, A^2
    summed = torch.tensor([[8.0, -4.0]])  # so that a_1 = 2, a_2 = -1
    # Σ_k a_k A^k = [[2, -4], [-1, 4]]; ReLU; against the hottest cell's 4
    torch.testing.assert_close(grad_cam(activations, summed), torch.tensor([[[0.5, 0.0], [0.0, 1.0]]]))


def test_a_network_that_calls_bright_spots_ng_shows_where_they_are():
    """One channel, brightness; the logit of NG is its mean."""
    head = LinearHead(1, 2, 0.0).eval()
    with torch.no_grad():
        head.last.weight.copy_(torch.tensor([[0.0], [100.0]]))
        head.last.bias.zero_()
    image = np.zeros((1, 1, 6, 9), np.float32)
    image[0, 0, 4, 7] = 0.8
    image[0, 0, 1, 2] = 0.2
    activations = torch.from_numpy(image)
    with torch.inference_mode():
        logits, gradient = head.explained(head.pool(activations))
    torch.testing.assert_close(grad_cam(activations, gradient), activations[:, 0] / 0.8)
    assert logits[0, 1].item() == pytest.approx(100 / 54)


def test_what_speaks_against_ng_stays_dark():
    activations = torch.rand(2, 3, 4, 4)
    assert grad_cam(activations, torch.full((2, 3), -5.0)).abs().max() == 0


def test_rounding_errors_do_not_glow():
    cam = grad_cam(torch.rand(1, 3, 4, 4), torch.full((1, 3), 1e-6))
    assert 0 < cam.max() < 1e-5


def test_values_are_from_0_to_1_whatever_the_gradient():
    cam = grad_cam(torch.rand(4, 3, 5, 5) * 1e6, torch.randn(4, 3) * 1e6)
    assert cam.min() >= 0
    assert cam.max() <= 1
    assert torch.isfinite(cam).all()


def test_the_winner_among_ng_classes_is_never_ok():
    logits = torch.tensor([[9.0, 1.0, 2.0], [0.0, 3.0, 2.0], [9.0, 0.0, 0.0]])
    assert strongest_ng(logits).tolist() == [2, 1, 1]


def test_vggs_hidden_layers_start_from_a_networks_of_their_width_and_of_no_other():
    head, other = VggHead(2, 8, 2), VggHead(2, 6, 2)
    tensors = {
        "classifier.0.weight": torch.rand(8, 98), "classifier.0.bias": torch.rand(8),
        "classifier.3.weight": torch.rand(8, 8), "classifier.3.bias": torch.rand(8),
    }  # fmt: skip
    before = other.first.weight.clone()
    head.load_hidden(tensors)
    other.load_hidden(tensors)
    assert torch.equal(head.first.weight, tensors["classifier.0.weight"])
    assert torch.equal(head.second.bias, tensors["classifier.3.bias"])
    assert torch.equal(other.first.weight, before)
