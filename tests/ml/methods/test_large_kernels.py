"""The convolution in the frequency domain against PyTorch's own."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from ml.methods import large_kernels
from ml.methods.large_kernels import LargeKernelConvolution
from ml.methods.onnx_export import export_onnx
from ml.preprocessing import Preprocessing


def convolution(kernel: int = 15, padding: str = "reflect") -> LargeKernelConvolution:
    torch.manual_seed(0)
    return LargeKernelConvolution(6, 10, kernel, padding)


def direct(layer: LargeKernelConvolution, values: torch.Tensor) -> torch.Tensor:
    return nn.Conv2d.forward(layer, values)


def furthest(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(autouse=True)
def _always_worthwhile(monkeypatch):
    monkeypatch.setattr(large_kernels, "WORTHWHILE_CELLS", 0)


# One tile, a tile that is just full, one cell more, several with a remainder, narrow.
@pytest.mark.parametrize("size", [(12, 9), (18, 18), (19, 18), (44, 40), (9, 100)])
@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_outputs_are_those_of_the_direct_convolution(size, padding):
    layer, values = convolution(padding=padding), torch.randn(3, 6, *size).relu()
    assert furthest(layer(values), direct(layer, values)) < 1e-5


@pytest.mark.parametrize("kernel", [3, 7, 31])
def test_any_odd_kernel_that_fits_into_a_tile_will_do(kernel):
    layer, values = convolution(kernel), torch.randn(2, 6, 40, 33)
    assert furthest(layer(values), direct(layer, values)) < 1e-5


def test_a_large_mean_costs_no_more_than_float32_does():
    layer, values = convolution(), 100 + torch.randn(1, 6, 40, 40)
    assert furthest(layer(values), direct(layer, values)) < 1e-5


def test_gradients_are_those_of_the_direct_convolution():
    layer = convolution()
    values = torch.randn(2, 6, 41, 25, requires_grad=True)
    found, expected = (
        torch.autograd.grad(forward(values).square().sum(), [values, layer.weight])
        for forward in (layer, lambda one: direct(layer, one))
    )
    assert all(furthest(*pair) < 1e-5 for pair in zip(found, expected, strict=True))


def test_an_image_does_not_depend_on_its_neighbours():
    layer, values = convolution(), torch.randn(3, 6, 40, 40)
    torch.testing.assert_close(layer(values)[1:2], layer(values[1:2]), rtol=0, atol=1e-5)


def test_under_autocast_it_stays_in_float32():
    layer, values = convolution(), torch.randn(1, 6, 40, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(values)
    assert found.dtype == torch.float32
    assert torch.equal(found, layer(values))


def test_its_weights_are_those_of_a_plain_convolution():
    assert convolution().state_dict().keys() == {"weight"}


def test_maps_of_few_cells_are_convolved_directly(monkeypatch):
    monkeypatch.setattr(large_kernels, "WORTHWHILE_CELLS", 400)
    monkeypatch.setattr(LargeKernelConvolution, "_in_tiles", lambda *_: pytest.fail("in tiles"))
    convolution()(torch.randn(1, 6, 19, 21))
    with pytest.raises(pytest.fail.Exception):
        convolution()(torch.randn(1, 6, 20, 20))


def test_the_exported_network_gives_the_same_at_any_batch(tmp_path):
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LargeKernelConvolution(1, 4, 15, "reflect")

        def forward(self, images):
            found = self.layer(images)
            return found.amax(dim=(1, 2, 3)), found.mean(dim=1)

    network = Network().eval()
    export_onnx(network, Preprocessing(40, 44, "grey"), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 3):
        images = torch.randn(count, 1, 40, 44)
        score, heat_map = session.run(["score", "map"], {"images": images.numpy()})
        expected = [one.detach().numpy() for one in network(images)]
        np.testing.assert_allclose(score, expected[0], atol=1e-5)
        np.testing.assert_allclose(heat_map, expected[1], atol=1e-5)
