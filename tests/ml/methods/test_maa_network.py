"""The networks of `maa` against table I and its equations."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from torch import nn
from torch.nn.functional import conv2d, mse_loss

from ml.methods.maa_comparisons import FeaturePairs
from ml.methods.maa_network import (
    CODING,
    WEIGHT_DEVIATION,
    Discriminator,
    Generator,
    Memory,
    ResnetBlock,
    markov_encoder,
)
from ml.methods.maa_served import MaaNetwork, ReconstructionNetwork, residual_map


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def shapes_in(module: nn.Module, images: torch.Tensor, kind: type) -> list[tuple[int, ...]]:
    """Output shapes of every layer of a kind, in the order of the forward pass."""
    seen: list[tuple[int, ...]] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, made: seen.append(tuple(made.shape[1:])))
        for layer in module.modules()
        if isinstance(layer, kind)
    ]
    with torch.no_grad():
        module.eval()(images)
    for hook in hooks:
        hook.remove()
    return seen


def test_the_generator_has_the_sizes_of_table_one():
    shapes = shapes_in(Generator(256, 256), torch.zeros(1, 3, 256, 256), nn.BatchNorm2d)
    encoder = [(16, 256, 256), (32, 256, 256), (64, 128, 128), (128, 64, 64), (256, 32, 32)]
    decoder = [(128, 64, 64), (64, 128, 128), (32, 256, 256), (16, 256, 256), (3, 256, 256)]
    assert shapes == encoder + [(256, 32, 32)] * 12 + decoder


def test_the_generator_has_the_kernels_of_table_one():
    generator = Generator(64, 64)
    kernels = [
        (type(layer).__name__, layer.kernel_size, layer.stride)
        for part in (generator.encoder, generator.decoder)
        for layer in part.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert kernels == [
        ("Conv2d", (1, 7), (1, 1)),
        ("Conv2d", (7, 1), (1, 1)),
        *[("Conv2d", (3, 3), (2, 2))] * 3,
        *[("ConvTranspose2d", (3, 3), (2, 2))] * 3,
        ("Conv2d", (7, 1), (1, 1)),
        ("Conv2d", (1, 7), (1, 1)),
    ]
    assert [type(one) for one in generator.between] == [*[ResnetBlock] * 3, Memory, *[ResnetBlock] * 3]


def test_the_discriminator_has_the_sizes_of_table_one():
    markov, discriminator = markov_encoder(), Discriminator()
    images = torch.zeros(1, 3, 256, 256)
    assert shapes_in(markov, images, nn.Conv2d) == [
        (64, 128, 128),
        (128, 64, 64),
        (256, 32, 32),
        (512, 31, 31),
    ]
    assert [type(layer) for layer in markov][:3] == [nn.Conv2d, nn.LeakyReLU, nn.Conv2d]
    assert {layer.negative_slope for layer in markov if isinstance(layer, nn.LeakyReLU)} == {0.1}
    assert shapes_in(discriminator, markov(images), nn.Conv2d) == [(1, 30, 30), (1, 29, 29)]


def test_weights_start_as_the_table_says():
    weights = torch.cat([
        layer.weight.flatten()
        for layer in nn.ModuleList([Generator(64, 64), markov_encoder(), Discriminator()]).modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ])  # fmt: skip
    assert weights.std().item() == pytest.approx(WEIGHT_DEVIATION, rel=0.01)
    assert abs(weights.mean().item()) < 1e-4


@pytest.mark.parametrize(
    ("has_memory", "has_skips"),
    [(True, False), (False, False), (False, True)],
    ids=["maa", "dae", "dae_skip"],
)
@pytest.mark.parametrize("size", [(32, 32), (40, 96)], ids=str)
def test_every_architecture_gives_an_image_of_the_inputs_size_within_tanh(has_memory, has_skips, size):
    generator = Generator(*size, has_memory=has_memory, has_skips=has_skips)
    made = generator(torch.rand(2, 3, *size) * 2 - 1)
    assert made.shape == (2, 3, *size)
    assert made.abs().max() <= 1


def test_dae_has_neither_memory_nor_blocks():
    kinds = {type(layer) for layer in Generator(32, 32, has_memory=False).modules()}
    assert not kinds & {Memory, ResnetBlock}


def test_skip_connections_carry_what_the_bottleneck_does_not():
    """With the bottleneck cut off, only the variant with skips still sees the image."""
    for has_skips in (False, True):
        generator = Generator(32, 32, has_memory=False, has_skips=has_skips).eval()
        for weight in generator.decoder[0].parameters():
            nn.init.zeros_(weight)
        with torch.no_grad():
            made = generator(torch.rand(2, 3, 32, 32))
        assert torch.equal(made[0], made[1]) != has_skips


def test_the_memory_is_the_convlstm_of_equations_one_to_six():
    memory = Memory(3, 4).eval()
    memory.hidden.normal_(), memory.cell.normal_()
    coding = torch.randn(2, CODING, 3, 4)
    kernel = torch.cat([memory.of_hidden.weight, memory.of_coding.weight], dim=1)  # of [h, z], 512 → 1024
    assert kernel.shape == (4 * CODING, 2 * CODING, 3, 3)
    with torch.no_grad():
        joined = torch.cat([memory.hidden.expand(2, -1, -1, -1), coding], dim=1)
        c, i, f, o = conv2d(joined, kernel, memory.of_hidden.bias, padding=1).split(CODING, dim=1)
        cell = f.sigmoid() * memory.cell + i.sigmoid() * c.tanh()
        torch.testing.assert_close(memory(coding), o.sigmoid() * cell.tanh(), rtol=1e-4, atol=1e-5)


def test_training_writes_the_memory_and_judging_does_not():
    memory = Memory(3, 4)
    first = memory.train()(torch.randn(2, CODING, 3, 4))
    torch.testing.assert_close(memory.hidden, first.mean(dim=0))
    assert memory.cell.abs().max() > 0
    written = memory.hidden.clone(), memory.cell.clone()
    memory.eval()(torch.randn(5, CODING, 3, 4))
    assert torch.equal(memory.hidden, written[0])
    assert torch.equal(memory.cell, written[1])


def test_what_was_written_reaches_the_next_image_and_no_gradient_reaches_back():
    memory = Memory(3, 4).train()
    coding = torch.randn(1, CODING, 3, 4)
    first = memory(coding.requires_grad_())
    assert not memory.hidden.requires_grad
    second = memory(coding.detach())
    assert not torch.allclose(first, second)
    second.sum().backward()
    assert coding.grad is None
    assert memory.of_hidden.weight.grad.abs().max() > 0


def test_the_map_is_the_square_of_the_residuals_local_variance():
    rng = np.random.default_rng(0)
    images, made = rng.uniform(-1, 1, (2, 2, 3, 40, 30))
    residual = np.abs(images - made).mean(axis=1)
    mean, of_squares = (uniform_filter(values, (0, 9, 9)) for values in (residual, residual**2))
    expected = (of_squares - mean**2) ** 2
    given = residual_map(torch.from_numpy(images).float(), torch.from_numpy(made).float()).numpy()
    inside = np.s_[:, 4:-4, 4:-4]
    np.testing.assert_allclose(given[inside], expected[inside], rtol=1e-3)
    np.testing.assert_allclose(given[0, 0, 0], residual[0, :5, :5].var() ** 2, rtol=1e-4)


def test_an_even_residual_is_no_suspicion_however_large():
    images = torch.rand(1, 3, 32, 32) * 0.2 - 0.9
    assert residual_map(images, images + 1.5).max() < 1e-12


def test_the_map_is_hottest_at_the_defect():
    images = torch.zeros(1, 3, 64, 64)
    images[:, :, 20, 30:50] = 1.0
    heat = residual_map(images, torch.zeros_like(images))[0]
    row, column = divmod(int(heat.argmax()), 64)
    assert abs(row - 20) <= 4
    assert 26 <= column <= 54


def test_the_network_gives_features_of_both_images_and_the_map():
    network = MaaNetwork(Generator(40, 72), FeaturePairs()).eval()
    images = torch.rand(2, 3, 40, 72) * 2 - 1
    with torch.no_grad():
        raw, heat = network(images)
        features = network.markov(network.generator(images))
    assert raw.shape == (2, 2, 4 * 8, 512)
    assert heat.shape == (2, 40, 72)
    torch.testing.assert_close(raw[1, 1, 8 + 3], features[1, :, 1, 3], rtol=1e-4, atol=1e-5)


def test_dae_gives_the_mean_squared_error():
    network = ReconstructionNetwork(Generator(32, 32, has_memory=False)).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        raw, _ = network(images)
        expected = [mse_loss(network.generator(images)[one], images[one]).item() for one in range(2)]
    assert raw.tolist() == pytest.approx(expected, rel=1e-5)
