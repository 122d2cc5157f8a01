"""torchvision's networks in stages; their weight files."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from ml.methods.backbones import BACKBONES, pretrained_stages, random_stages
from ml.methods.vision import models
from ml.weights import WEIGHT_FILES, WeightFile, WeightsUnusable
from tests.ml.methods.builders import SMALL_NETWORK, put_file, whole_network

QUICK = ["resnet18", "mobilenet_v3_small"]


def test_the_files_are_those_that_torchvision_offers_first():
    assert WEIGHT_FILES.keys() == BACKBONES.keys()
    for network, file in WEIGHT_FILES.items():
        offered = models.get_model_weights(network).DEFAULT
        assert file.url == offered.url
        assert file.mebibytes == offered.meta["_file_size"]


@pytest.mark.parametrize("name", BACKBONES)
def test_the_input_is_normalised_as_the_weights_expect(name):
    expected = models.get_model_weights(name).DEFAULT.transforms()
    if name == "inception_v3":  # torchvision turns ImageNet's into Google's inside the network
        assert (BACKBONES[name].mean, BACKBONES[name].std) == ((0.5,) * 3, (0.5,) * 3)
    else:
        assert list(BACKBONES[name].mean) == expected.mean
        assert list(BACKBONES[name].std) == expected.std


@pytest.mark.parametrize("name", BACKBONES)
def test_the_last_stages_output_has_the_channels_of_the_last_convolution(name):
    size = 96
    with torch.inference_mode():
        values = torch.rand(1, 3, size, size)
        for stage in random_stages(name):
            values = stage.eval()(values)
    assert values.shape[1] == BACKBONES[name].channels
    assert values.min() >= (-0.375 if name.startswith("mobilenet") else 0)  # behind its activation
    assert torch.isfinite(values).all()


@pytest.mark.parametrize("name", [*QUICK, pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_stages_from_a_file_compute_what_torchvisions_network_does(name, tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = whole_network(name)
    put_file(tmp_path, monkeypatch, network.state_dict(), name)
    stages, tensors = pretrained_stages(name, tmp_path)
    classifier = network.classifier if hasattr(network, "classifier") else network.fc
    with torch.inference_mode():
        images = torch.rand(2, 3, 96, 128)
        values = images
        for stage in stages:
            values = stage.eval()(values)
        pooled = functional.adaptive_avg_pool2d(values, 1).flatten(1)
        torch.testing.assert_close(classifier(pooled), network(images))
    assert tensors.keys() == network.state_dict().keys()
    assert all(one.requires_grad for stage in stages for one in stage.parameters())


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_vggs_stages_are_its_five_blocks(name):
    blocks = random_stages(name)
    convolutions = [sum(isinstance(one, nn.Conv2d) for one in block) for block in blocks]
    assert convolutions == ([2, 2, 3, 3, 3] if name == "vgg16" else [2, 2, 4, 4, 4])
    assert [isinstance(block[-1], nn.MaxPool2d) for block in blocks] == [True] * 4 + [False]
    assert isinstance(blocks[-1][-1], nn.ReLU)


def test_random_stages_follow_from_torchs_seed():
    def first_weight(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(random_stages(SMALL_NETWORK)[0].parameters())

    assert torch.equal(first_weight(1), first_weight(1))
    assert not torch.equal(first_weight(1), first_weight(2))


def test_a_missing_file_is_never_replaced_by_random_weights(tmp_path):
    with pytest.raises(WeightsUnusable, match="mobilenet_v3_small-047dcff4"):
        pretrained_stages(SMALL_NETWORK, tmp_path)


def test_weights_of_another_architecture_are_told(tmp_path, monkeypatch):
    put_file(tmp_path, monkeypatch, models.resnet18().state_dict())
    with pytest.raises(WeightsUnusable, match=f"does not hold weights of {SMALL_NETWORK}: Missing key"):
        pretrained_stages(SMALL_NETWORK, tmp_path)


def test_weights_of_a_wider_network_of_the_same_names_are_told(tmp_path, monkeypatch):
    tensors = whole_network(SMALL_NETWORK).state_dict()
    tensors["features.0.0.weight"] = torch.zeros(99, 3, 3, 3)
    put_file(tmp_path, monkeypatch, tensors)
    with pytest.raises(WeightsUnusable, match=r"size mismatch for features\.0\.0\.weight"):
        pretrained_stages(SMALL_NETWORK, tmp_path)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, "Trap"])
def test_a_file_of_something_else_is_refused_and_never_run(tmp_path, monkeypatch, content):
    sprung = tmp_path / "sprung"
    put_file(tmp_path / "weights", monkeypatch, Trap(sprung) if content == "Trap" else content)
    with pytest.raises(WeightsUnusable):
        pretrained_stages(SMALL_NETWORK, tmp_path / "weights")
    assert not sprung.exists()


def test_a_file_that_is_no_archive_at_all_is_refused(tmp_path, monkeypatch):
    content = b"<html>404</html>"
    name = f"{SMALL_NETWORK}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(WEIGHT_FILES, SMALL_NETWORK, WeightFile(SMALL_NETWORK, name, 0.0))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsUnusable, match="can't be read as weights"):
        pretrained_stages(SMALL_NETWORK, tmp_path)
