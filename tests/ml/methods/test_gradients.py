"""Gradients with respect to the input, and their way into ONNX."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from ml.methods.gradients import (
    export_with_gradients,
    forward_only,
    input_gradient,
    with_folded_normalisation,
)
from ml.preprocessing import Preprocessing


class Slope(nn.Module):
    """A small network of every kind of layer that MobileNetV3 has, and the gradient of its sum."""

    def __init__(self, **convolution) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, **{"kernel_size": 3, "padding": 1} | convolution), nn.Hardswish()
        )
        self.squeeze = nn.Conv2d(6, 6, 1)
        self.dense = nn.Linear(6, 2)
        self.requires_grad_(False)

    def value(self, images):
        seen = self.layers(images)
        seen = functional.relu(
            seen * functional.hardsigmoid(self.squeeze(seen.mean(dim=(2, 3), keepdim=True)))
        )
        return torch.logsumexp(self.dense(seen.mean(dim=(2, 3))), dim=1)

    def forward(self, images):
        values, gradients = input_gradient(self.value, images)
        return values, gradients.square().sum(dim=1).sqrt()


def images(count: int, height: int = 9, width: int = 11) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_the_gradient_is_that_of_finite_differences():
    network, batch = Slope().double(), images(2, 5, 4).double()
    _values, gradients = input_gradient(network.value, batch)
    step = 1e-5
    for place in np.ndindex(*batch.shape):
        up, down = batch.clone(), batch.clone()
        up[place] += step
        down[place] -= step
        slope = (network.value(up) - network.value(down)).sum() / (2 * step)
        assert gradients[place].item() == pytest.approx(slope.item(), rel=1e-6, abs=1e-9)


def test_a_gradient_is_its_own_images_alone_in_inference_mode_too():
    network, batch = Slope(), images(3)
    with torch.inference_mode():
        _values, together = input_gradient(network.value, batch)
        _value, alone = input_gradient(network.value, batch[1:2])
    torch.testing.assert_close(alone[0], together[1], rtol=1e-5, atol=1e-8)
    assert together.abs().sum() > 0


KINDS = {
    "plain": {},
    "square 1 x 1": {"kernel_size": 1, "padding": 0},
    "stride that divides": {"stride": 2, "kernel_size": 3},
    "stride with a rest": {"stride": 2, "kernel_size": 4, "padding": 0},
    "groups": {"groups": 3},
    "dilated": {"dilation": 2, "padding": 2},
    "more padding than the kernel has rim": {"kernel_size": 1, "padding": 1},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [10, 11])
def test_written_as_forward_operations_it_is_the_same(kind, width):
    network = Slope(**KINDS[kind]).eval()
    graph = forward_only(network, Preprocessing(9, width, "rgb", (0.5,) * 3, (0.5,) * 3))
    for count in (1, 3):
        for given, expected in zip(
            graph(images(count, 9, width)), network(images(count, 9, width)), strict=True
        ):
            torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-7)
    targets = {str(node.target) for node in graph.graph.nodes}
    assert not [name for name in targets if "backward" in name]


def test_the_gradient_runs_in_onnx_for_any_number_of_images(tmp_path):
    network = Slope(stride=2).eval()
    preprocessing = Preprocessing(9, 11, "rgb", (0.5,) * 3, (0.5,) * 3)
    export_with_gradients(network, preprocessing, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 2, 5):
        values, maps = session.run(["score", "map"], {"images": images(count).numpy()})
        expected_values, expected_maps = network(images(count))
        np.testing.assert_allclose(values, expected_values, rtol=1e-5)
        np.testing.assert_allclose(maps, expected_maps, rtol=1e-4, atol=1e-7)


def test_folded_normalisation_is_the_same_function_and_leaves_the_original():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), nn.Conv2d(4, 2, 1)
    )
    network[0][1].running_mean.normal_()
    network[0][1].running_var.uniform_(0.5, 2)
    network.eval()
    folded = with_folded_normalisation(network)
    torch.testing.assert_close(folded(images(2)), network(images(2)), rtol=1e-5, atol=1e-6)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert isinstance(network[0][1], nn.BatchNorm2d)


def test_a_normalisation_that_follows_no_convolution_is_refused():
    with pytest.raises(ValueError, match="does not follow a convolution"):
        with_folded_normalisation(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)))
