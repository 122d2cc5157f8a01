"""`transfer_vgg`: recipes, backbones, weights, and what the page may send it."""

import hashlib

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save

from ml.methods.contract import NotEnoughImages
from ml.methods.declarations.transfer_vgg import TRANSFER_VGG, TransferVggParameters
from ml.methods.onnx_export import export_onnx
from ml.methods.torch_model import TorchModel
from ml.methods.transfer_vgg import TransferNetwork, fit, restore, start
from ml.methods.vision import models
from ml.weights import WEIGHT_FILES, WeightFile, WeightsUnusable
from tests.ml.methods.builders import training_set

SMALL = "mobilenet_v3_small"


def parameters(**fields) -> TransferVggParameters:
    values = {
        "backbone": SMALL, "recipe": "frozen", "weights": "none", "height": 40, "width": 48, "epochs": 2,
        "batch": 8, "hidden_units": 16, "precision": "float32",
    }  # fmt: skip
    return TransferVggParameters(**(values | fields))


def saved(model: TorchModel) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in model.network.state_dict().items()})


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """Weights of MobileNetV3 small as a file of its own hash, and a training set that finds it."""
    torch.manual_seed(7)
    network = models.get_model(SMALL, weights=None)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
    unnamed = tmp_path / "unnamed"
    torch.save(network.state_dict(), unnamed)
    name = f"{SMALL}-{hashlib.sha256(unnamed.read_bytes()).hexdigest()[:8]}.pth"
    monkeypatch.setitem(WEIGHT_FILES, SMALL, WeightFile(SMALL, name, 9.8))
    unnamed.rename(tmp_path / name)
    return network, training_set(24, weights_folder=tmp_path)


class TestParameters:
    def test_the_preset_paper_is_the_papers(self):
        paper = TRANSFER_VGG.presets["paper"]
        assert (paper.recipe, paper.backbone, paper.weights) == ("fine_tune", "vgg16", "imagenet")
        assert (paper.rate, paper.epochs, paper.batch) == (0.0001, 50, 32)
        assert (paper.hidden_units, paper.height, paper.width, paper.balance) == (4096, 224, 224, "none")
        assert TRANSFER_VGG.presets["paper-scratch"].epochs == 100

    def test_scratch_and_pretrained_weights_contradict_each_other(self):
        with pytest.raises(ValidationError, match="choose weights none"):
            TransferVggParameters(recipe="scratch")

    def test_inception_needs_an_input_that_it_does_not_shrink_to_nothing(self):
        with pytest.raises(ValidationError, match="75"):
            TransferVggParameters(backbone="inception_v3", height=64)

    def test_only_pretrained_weights_call_for_a_file(self):
        assert TRANSFER_VGG.pretrained(TransferVggParameters(backbone="resnet18")) == ("resnet18",)
        assert TRANSFER_VGG.pretrained(parameters()) == ()

    def test_ten_images_of_each_are_needed(self):
        with pytest.raises(NotEnoughImages, match="At least 10 OK images are needed; there are 9"):
            fit(training_set(18), parameters(), seed=0)


class TestRecipes:
    @pytest.mark.parametrize(
        ("recipe", "trained"),
        [("scratch", {"before", "last", "head"}), ("fine_tune", {"last", "head"}), ("frozen", {"head"})],
    )
    def test_a_recipe_trains_its_part_and_nothing_else(self, recipe, trained):
        training = training_set(24)
        chosen = parameters(recipe=recipe, epochs=1, rate=0.01)
        before = start(chosen, training, 3)[0].state_dict()
        after = fit(training, chosen, seed=3).network.state_dict()
        changed = {
            name.split(".")[0]
            for name, tensor in after.items()
            if tensor.is_floating_point() and not torch.equal(tensor, before[name])
        }
        assert changed == trained

    def test_what_is_frozen_and_what_is_trained_make_the_network(self):
        for recipe in ("scratch", "fine_tune", "frozen"):
            network = start(parameters(recipe=recipe), training_set(24), 0)[0].eval()
            images = torch.rand(2, 3, 40, 48)
            with torch.no_grad():
                logits = network.trained(*network.frozen(images))
                torch.testing.assert_close(logits, network(images)[0])

    def test_fine_tuning_vgg16_trains_block_5_and_the_classifier(self):
        network = start(parameters(backbone="vgg16", recipe="fine_tune"), training_set(24), 0)[0]
        convolutions = [one for one in network.last if isinstance(one, torch.nn.Conv2d)]
        assert [tuple(one.weight.shape[:2]) for one in convolutions] == [(512, 512)] * 3
        assert network.trained_modules().keys() == {"last", "head"}


class TestPretrained:
    def test_frozen_layers_are_the_files_to_the_bit(self, imagenet):
        network, training = imagenet
        model = fit(training, parameters(weights="imagenet"), seed=0)
        given = [*network.features.state_dict().values()]
        kept = [*model.network.before.state_dict().values(), *model.network.last.state_dict().values()]
        assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))
        assert model.preprocessing.mean == (0.485, 0.456, 0.406)

    def test_fine_tuning_keeps_the_statistics_that_the_weights_came_with(self, imagenet):
        network, training = imagenet
        model = fit(training, parameters(weights="imagenet", recipe="fine_tune", rate=0.01), seed=0)
        given = network.features[-1][1]  # the last convolution's normalisation
        tuned = model.network.last[-1][1]
        assert torch.equal(given.running_mean, tuned.running_mean)
        assert not torch.equal(given.weight, tuned.weight)

    def test_mobilenets_hidden_layer_starts_from_the_file(self, imagenet):
        network, training = imagenet
        made, _ = start(parameters(weights="imagenet"), training, 0)
        assert torch.equal(made.head.first.weight, network.classifier[0].weight)

    def test_without_the_file_there_is_no_training_and_no_random_start(self, tmp_path):
        with pytest.raises(WeightsUnusable, match=f"{SMALL}.*is not in"):
            fit(training_set(24, weights_folder=tmp_path), parameters(weights="imagenet"), seed=0)

    def test_a_model_is_restored_without_the_file(self, imagenet):
        model = fit(imagenet[1], parameters(weights="imagenet"), seed=0)
        restored = restore(model.parameters, ("OK", "NG"), saved(model))
        images = torch.rand(1, 3, 40, 48)
        with torch.inference_mode():
            torch.testing.assert_close(restored(images)[0], model.network(images)[0])
            torch.testing.assert_close(restored(images)[1], model.network(images)[1])


class TestUglyInput:
    @pytest.mark.parametrize("size", [(8, 8), (1, 1), (500, 3)])
    def test_tiny_constant_and_identical_images_give_finite_scores(self, size):
        images = [np.full(size, 128, np.uint8)] * 24
        model = fit(training_set(24, images=images), parameters(), seed=0)
        said = model.predict(images[:2])
        assert np.isfinite(said.scores).all()
        assert said.scores[0] == said.scores[1]
        assert np.isfinite(said.maps).all()

    def test_grey_and_colour_may_be_mixed(self):
        training = training_set(24)
        images = [np.dstack([one] * 3) if index % 3 else one for index, one in enumerate(training.images)]
        model = fit(training_set(24, images=images), parameters(), seed=0)
        grey, colour = model.predict([training.images[0], np.dstack([training.images[0]] * 3)]).scores
        assert grey == pytest.approx(colour)

    def test_defect_types_are_all_ng(self):
        kinds = np.tile([0, 1, 0, 2], 6)
        training = training_set(
            24, classes=kinds, is_ng=kinds > 0, class_names=("good", "scratch", "dent", "never seen")
        )
        model = fit(training_set(24, classes=kinds > 0, is_ng=kinds > 0), parameters(), seed=0)
        named = fit(training, parameters(), seed=0)
        assert named.class_names == ("good", "NG")
        np.testing.assert_array_equal(
            named.predict(training.images).scores, model.predict(training.images).scores
        )

    def test_weights_of_another_backbone_or_more_classes_are_refused(self):
        model = fit(training_set(24), parameters(), seed=0)
        with pytest.raises(ValueError, match="Missing key"):
            restore(parameters(backbone="resnet18"), ("OK", "NG"), saved(model))
        with pytest.raises(ValueError, match="not 3 classes"):
            restore(parameters(), ("OK", "a", "b"), saved(model))


@pytest.mark.parametrize(
    "backbone",
    [
        "vgg16",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("resnet18", "mobilenet_v3_large", "inception_v3")
        ),
    ],
)
def test_every_backbone_gives_the_same_map_and_logits_as_onnx(backbone, tmp_path):
    """Sizes that the grid of 7 × 7 does not divide."""
    chosen = parameters(backbone=backbone, height=80, width=112)
    network, preprocessing = start(chosen, training_set(24), 0)
    assert isinstance(network.eval(), TransferNetwork)
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.mul_(20)  # a classifier that is sure of something
    network.eval()
    export_onnx(network, preprocessing, tmp_path / "model.onnx")
    images = torch.rand(3, 3, 80, 112)
    with torch.inference_mode():
        logits, heat_map = network(images)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    given_logits, given_map = session.run(["score", "map"], {"images": images.numpy()})
    np.testing.assert_allclose(given_logits, logits, rtol=1e-3, atol=1e-4 * float(logits.abs().max()))
    np.testing.assert_allclose(given_map, heat_map, atol=1e-3)
    assert heat_map.max() > 0
