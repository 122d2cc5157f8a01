"""`multipath_vgg`: branches from moments against PyTorch's own layers, the network's parts, defect types."""

import numpy as np
import pytest
import torch
from torch import nn

from ml.methods.contract import NotEnoughImages
from ml.methods.declarations.multipath_vgg import MULTIPATH_VGG, MultipathVggParameters
from ml.methods.grad_cam import strongest_ng
from ml.methods.multipath_vgg import Branch, fit, restore, start
from tests.ml.methods.builders import bar_images, training_set

CLASSES = ("OK", "bar", "spot")


def parameters(**fields) -> MultipathVggParameters:
    values = {
        "weights": "none", "height": 36, "width": 40, "epochs": 3, "batch": 6, "hidden_units": 32, "copies": 1,
        "precision": "float32",
    }  # fmt: skip
    return MultipathVggParameters(**(values | fields))


def three_classes(count: int = 18):
    images, _ = bar_images(count)
    kinds = np.arange(count) % 3
    for index, (pixels, kind) in enumerate(zip(images, kinds, strict=True)):
        pixels[:] = np.random.default_rng(index).normal(110, 12, pixels.shape).clip(0, 255)
        if kind == 1:
            pixels[20:28] = 250
        elif kind == 2:
            pixels[20:44, 20:44] = 5
    return training_set(count, images=images, classes=kinds, is_ng=kinds > 0, class_names=CLASSES)


def moments(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return maps.mean(dim=(2, 3)), maps.square().mean(dim=(2, 3))


class TestBranch:
    """Against batch normalisation → dropout → global average pooling on the maps themselves."""

    @pytest.fixture
    def maps(self):
        torch.manual_seed(0)
        return torch.randn(6, 5, 9, 11).relu() * torch.rand(5, 1, 1) * 4 + torch.rand(5, 1, 1)

    @pytest.fixture
    def pair(self):
        branch, norm = Branch(5, 99, 0.0), nn.BatchNorm2d(5)
        for one in (branch.norm, norm):
            one.load_state_dict(
                {
                    "weight": torch.tensor([0.5, 1.0, -1.5, 2.0, 1.0]), "bias": torch.arange(5.0),
                    "running_mean": torch.rand(5, generator=torch.Generator().manual_seed(1)),
                    "running_var": torch.arange(1.0, 6.0), "num_batches_tracked": torch.tensor(0),
                }
            )  # fmt: skip
        return branch, norm

    def test_as_it_infers(self, maps, pair):
        branch, norm = (one.eval() for one in pair)
        torch.testing.assert_close(branch(maps.mean(dim=(2, 3))), norm(maps).mean(dim=(2, 3)))

    def test_as_it_trains_with_its_gradient_and_its_statistics(self, maps, pair):
        branch, norm = pair
        given, expected = maps.clone().requires_grad_(), maps.clone().requires_grad_()
        weights = torch.randn(6, 5)
        for _ in range(3):
            mine, theirs = branch(*moments(given)), norm(expected).mean(dim=(2, 3))
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
        (mine.square() * weights).sum().backward()
        (theirs.square() * weights).sum().backward()
        torch.testing.assert_close(given.grad, expected.grad, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(branch.norm.weight.grad, norm.weight.grad, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(branch.norm.running_mean, norm.running_mean)
        torch.testing.assert_close(branch.norm.running_var, norm.running_var, rtol=0.01, atol=0)

    def test_statistics_may_be_the_plain_mean_over_all_batches(self, maps, pair):
        branch, norm = pair
        for one in (branch.norm, norm):
            one.momentum = None
        for part in (maps[:3], maps[3:]):
            branch(*moments(part))
            norm(part)
        torch.testing.assert_close(branch.norm.running_mean, norm.running_mean)
        torch.testing.assert_close(branch.norm.running_var, norm.running_var, rtol=0.01, atol=0)

    @pytest.mark.parametrize("rate", [0.2, 0.5])
    def test_its_noise_is_dropouts(self, maps, rate):
        torch.manual_seed(1)
        branch, norm = Branch(5, 99, rate), nn.BatchNorm2d(5)
        normalised = norm(maps).detach()
        dropped = torch.stack([nn.functional.dropout(normalised, rate).mean(dim=(2, 3)) for _ in range(4000)])
        noisy = torch.stack([branch(*moments(maps)).detach() for _ in range(4000)])
        torch.testing.assert_close(noisy.mean(0), dropped.mean(0), rtol=0, atol=0.02)
        torch.testing.assert_close(noisy.std(0), dropped.std(0), rtol=0.08, atol=0)


class TestNetwork:
    @pytest.mark.parametrize("branches", [True, False])
    @pytest.mark.parametrize("train_layers", ["last_conv", "all"])
    def test_what_is_frozen_and_what_is_trained_make_the_network(self, branches, train_layers):
        chosen = parameters(branches=branches, train_layers=train_layers)
        network = start(chosen, three_classes(), 0)[0].eval()
        images = torch.rand(2, 3, 36, 40)
        with torch.no_grad():
            torch.testing.assert_close(network.trained(*network.frozen(images)), network(images)[0])

    def test_the_switch_takes_the_branches_away_and_nothing_else(self):
        multi, single = (start(parameters(branches=on), three_classes(), 0)[0] for on in (True, False))
        assert multi.head.dense.in_features == 128 + 256 + 512 + 512
        assert single.head.dense.in_features == 512
        names = {name for name in multi.state_dict() if not name.startswith("branches")}
        assert names == set(single.state_dict())

    def test_its_map_is_the_grad_cam_of_automatic_differentiation(self):
        torch.manual_seed(4)
        network = start(parameters(height=96, width=80), three_classes(), 0)[0].eval()
        torch.nn.init.normal_(network.head.last.weight, std=3)
        images = torch.rand(3, 3, 96, 80)
        kept = []
        network.last.register_forward_hook(lambda _module, _given, made: kept.append(made) or made)
        logits, heat_map = network(images)
        winning = logits.gather(1, strongest_ng(logits)[:, None]).sum()
        (gradient,) = torch.autograd.grad(winning, kept[0])
        expected = (gradient.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1).relu()
        hottest = expected.amax(dim=(1, 2), keepdim=True).clamp(min=1 / (6 * 5))
        torch.testing.assert_close(heat_map, expected / hottest, rtol=1e-3, atol=1e-4)
        assert heat_map.max() > 0.01

    def test_the_papers_recipe_freezes_all_but_the_last_convolution(self):
        network = start(parameters(), three_classes(), 0)[0]
        trained = network.trained_modules()
        convolutions = [one for one in trained["last"].modules() if isinstance(one, nn.Conv2d)]
        assert [tuple(one.weight.shape) for one in convolutions] == [(512, 512, 3, 3)]
        assert trained.keys() == {"last", "branches", "head"}


class TestFit:
    def test_it_tells_defect_types_apart(self):
        training = three_classes()
        model = fit(training, parameters(epochs=8), seed=1)
        said = model.predict(training.images)
        assert model.class_names == CLASSES
        assert said.probabilities.shape == (18, 3)
        np.testing.assert_allclose(said.scores, 1 - said.probabilities[:, 0], atol=1e-6)
        assert (said.probabilities.argmax(axis=1) == training.classes).mean() > 0.9

    def test_training_changes_the_last_convolution_alone_of_all(self):
        before = start(parameters(), three_classes(), 1)[0].state_dict()
        after = fit(three_classes(), parameters(epochs=1), seed=1).network.state_dict()
        changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
        assert changed == {"last", "branches", "head"}

    def test_everything_is_trained_where_that_is_asked_for(self):
        chosen = parameters(epochs=1, train_layers="all", rate=1e-4)
        before = start(chosen, three_classes(), 1)[0].state_dict()
        after = fit(three_classes(), chosen, seed=1).network.state_dict()
        changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
        assert changed == {"to_pools", "between", "last", "branches", "head"}

    @pytest.mark.parametrize("copies", [0, 3])
    def test_the_same_seed_gives_the_same_model_also_with_augmentation(self, copies):
        chosen = parameters(epochs=2, copies=copies)
        first, second = (fit(three_classes(), chosen, seed=4) for _ in range(2))
        images = three_classes().images
        np.testing.assert_array_equal(first.predict(images).scores, second.predict(images).scores)

    def test_a_class_without_images_is_refused_by_name(self):
        training = training_set(12, class_names=("OK", "NG", "crack"))
        with pytest.raises(NotEnoughImages, match="crack has 0"):
            fit(training, parameters(), seed=0)

    def test_constant_images_of_one_pixel_give_finite_scores(self):
        images = [np.full((1, 1), 90 + index, np.uint8) for index in range(12)]
        said = fit(training_set(12, images=images), parameters(epochs=1), seed=0).predict(images)
        assert np.isfinite(said.scores).all()
        assert np.isfinite(said.maps).all()

    def test_weights_for_another_number_of_classes_are_refused(self):
        from safetensors.torch import save

        network = start(parameters(), three_classes(), 0)[0]
        with pytest.raises(ValueError, match="size mismatch"):
            restore(parameters(), ("OK", "NG"), save(dict(network.state_dict())))


def test_presets_are_the_papers_and_its_baseline():
    paper, vgg19 = MULTIPATH_VGG.presets["paper"], MULTIPATH_VGG.presets["vgg19"]
    assert (paper.train_layers, paper.hidden_units, paper.dropout, paper.rate) == (
        "last_conv",
        2500,
        0.5,
        0.001,
    )
    assert (paper.copies, paper.balance, paper.weights) == (0, "none", "imagenet")
    assert vgg19 == paper.model_copy(update={"branches": False})
    assert MULTIPATH_VGG.pretrained(paper) == ("vgg19",)
