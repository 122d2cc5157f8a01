"""Grad-MobileNet: the paper's equations, the landmark, what it does with awkward images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch.nn import functional

from ml.methods.contract import NotEnoughImages, TrainingDiverged, TrainingStopped
from ml.methods.declarations import METHODS, GradMobileNetParameters
from ml.methods.grad_mobilenet import fit, restore
from ml.methods.grad_mobilenet_network import (
    GradMobileNet,
    MobileNet,
    margin_of,
    new_mobilenet,
    pooling_matrix,
)
from ml.methods.gradients import input_gradient, with_folded_normalisation
from ml.weights import WeightsUnusable
from tests.ml.methods.builders import put_file, training_set, whole_network


def tiny(**fields) -> GradMobileNetParameters:
    values = {"weights": "none", "height": 32, "width": 32, "epochs": 4, "loss_limit": 0.5}
    return GradMobileNetParameters(**(values | fields))


def small_network(scale: str = "log", height: int = 32, width: int = 40) -> GradMobileNet:
    torch.manual_seed(0)
    return GradMobileNet(MobileNet("small").eval(), height, width, scale).eval()


def images(count: int = 2, height: int = 32, width: int = 40) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_the_gradient_is_that_of_the_cross_entropy_with_target_0():
    network = small_network().double()
    batch = images().double().requires_grad_()
    loss = functional.cross_entropy(
        network.mobilenet(batch), torch.zeros(2, dtype=torch.long), reduction="sum"
    )
    (expected,) = torch.autograd.grad(loss, batch)
    _raw, heat_map = network(batch.detach())
    torch.testing.assert_close(heat_map, expected.square().sum(dim=1).sqrt(), rtol=1e-9, atol=1e-20)


def test_the_gradients_norm_is_that_of_finite_differences():
    torch.manual_seed(0)
    network = small_network().double()
    batch, step = images(1).double(), 1e-4

    def loss(one):
        return functional.cross_entropy(network.mobilenet(one), torch.zeros(1, dtype=torch.long)).item()

    heat_map = network(batch)[1][0]
    for row, column in [(0, 0), (5, 17), (31, 39)]:
        slopes = []
        for channel in range(3):
            up, down = batch.clone(), batch.clone()
            up[0, channel, row, column] += step
            down[0, channel, row, column] -= step
            slopes.append((loss(up) - loss(down)) / (2 * step))
        assert heat_map[row, column].item() == pytest.approx(np.linalg.norm(slopes), rel=1e-4)


def test_a_model_that_is_sure_still_has_a_gradient():
    logits = torch.tensor([[60.0, 0.0]], requires_grad=True)
    (plain,) = torch.autograd.grad(functional.cross_entropy(logits, torch.zeros(1, dtype=torch.long)), logits)
    assert plain[0, 0] == 0  # what float32 makes of p₀ − 1
    network = small_network()
    with torch.no_grad():
        network.mobilenet.out.bias.copy_(torch.tensor([60.0, 0.0]))
    raw, heat_map = network(images())
    assert (heat_map > 0).any()
    assert torch.isfinite(raw).all()


def test_the_margin_of_many_outputs_gives_the_cross_entropy():
    logits = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(logits, torch.zeros(5, dtype=torch.long), reduction="none")
    torch.testing.assert_close(functional.softplus(margin_of(logits)), expected)


@pytest.mark.parametrize("length", [16, 32, 37, 5])
def test_cells_are_pooled_as_adaptive_pooling_does(length):
    values = torch.randn(1, 1, length, length, generator=torch.Generator().manual_seed(0))
    matrix = pooling_matrix(16, length)
    torch.testing.assert_close(
        matrix @ values[0, 0] @ matrix.T, functional.adaptive_avg_pool2d(values, 16)[0, 0]
    )


def test_the_features_are_the_cells_the_mean_and_the_landmark():
    logs, norms = small_network("log"), small_network("linear")
    raw, heat_map = norms(images())
    assert raw.shape == (2, 258)
    cells = functional.adaptive_avg_pool2d(heat_map.unsqueeze(1), 16).flatten(1)
    torch.testing.assert_close(raw[:, :256], cells, rtol=1e-4, atol=1e-12)
    torch.testing.assert_close(raw[:, 256], heat_map.mean(dim=(1, 2)), rtol=1e-4, atol=1e-12)
    torch.testing.assert_close(logs(images())[0][:, :257], raw[:, :257].log(), rtol=1e-4, atol=1e-4)
    relative = small_network("relative")(images())[0]
    expected = torch.cat([raw[:, :256] / raw[:, 256:257], raw[:, 256:257]], dim=1).log()
    torch.testing.assert_close(relative[:, :257], expected, rtol=1e-4, atol=1e-4)


def test_the_landmark_is_the_share_of_grey_values_in_its_range():
    training = training_set(40, height=32, width=32)
    model = fit(training, tiny(landmark="fixed", landmark_from=90, landmark_to=110), seed=0)
    grey = training.images[0]
    batch = torch.from_numpy(model.preprocessing.apply([grey]))
    share = model.network.landmark_share(batch).item()
    assert share == pytest.approx(np.mean((grey >= 90) & (grey <= 110)), abs=1e-6)


def test_a_colours_grey_value_is_opencvs():
    network = small_network(height=16, width=16)
    network.set_grey((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    network.landmark.copy_(torch.tensor([124.0, 124.0]))
    colour = torch.tensor([200, 100, 50]) / 255  # 0.299 · 200 + 0.587 · 100 + 0.114 · 50 = 124.2
    pixels = ((colour - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.3, 0.4])).reshape(1, 3, 1, 1)
    assert network.landmark_share(pixels.expand(1, 3, 16, 16)).item() == 1
    network.landmark.copy_(torch.tensor([125.0, 255.0]))
    assert network.landmark_share(pixels.expand(1, 3, 16, 16)).item() == 0


def test_the_proposed_landmark_counts_one_in_ten_thousand_of_the_ok_images_pixels():
    training = training_set(40, height=32, width=32)
    model = fit(training, tiny(), seed=0)
    low, high = model.network.landmark.tolist()
    ok = np.stack([image for image, ng in zip(training.images, training.is_ng, strict=True) if not ng])
    assert low == 0
    assert np.mean(ok < high) < 0.0001 <= np.mean(ok <= high) < 0.001


def test_ng_images_change_nothing():
    training = training_set(48, height=32, width=32)
    ok = np.flatnonzero(~training.is_ng)
    alone = replace(
        training, images=[training.images[row] for row in ok], is_ng=training.is_ng[ok], classes=training.classes[ok],
        groups=[training.groups[row] for row in ok], views=[""] * len(ok),
    )  # fmt: skip
    both = [fit(one, tiny(), seed=3).predict(training.images[:4]).scores for one in (training, alone)]
    np.testing.assert_array_equal(*both)


def test_training_ends_at_the_loss_limit_of_the_model_as_it_judges():
    events = []
    training = training_set(40, height=32, width=32)
    model = fit(training, tiny(epochs=50, loss_limit=0.01), seed=0, on_progress=events.append)
    steps = [event.iteration for event in events if event.stage.startswith("Overfit")]
    assert 0 < max(steps) < 150
    ok = [image for image, ng in zip(training.images, training.is_ng, strict=True) if not ng]
    with torch.inference_mode():
        logits = model.network.mobilenet(torch.from_numpy(model.preprocessing.apply(ok)))
    assert functional.cross_entropy(logits, torch.zeros(len(ok), dtype=torch.long)).item() < 0.01


def stopping_after(calls: int):
    counter = iter(range(calls))
    return lambda: next(counter, None) is None


@pytest.mark.parametrize("calls", [2, 5, 8])
def test_a_stopped_fit_goes_on_to_the_same_model(tmp_path, calls):
    training = training_set(48, height=32, width=32)
    parameters = tiny(epochs=4, loss_limit=1e-9)
    whole = fit(training, parameters, seed=2).predict(training.images).scores
    with pytest.raises(TrainingStopped):
        fit(training, parameters, seed=2, checkpoint=tmp_path, stop=stopping_after(calls))
    resumed = fit(training, parameters, seed=2, checkpoint=tmp_path).predict(training.images).scores
    np.testing.assert_array_equal(resumed, whole)


def test_a_loss_that_is_no_number_ends_the_training_with_its_step(monkeypatch, tmp_path):
    forward = MobileNet.forward
    calls = iter(range(3))

    def sick_from_the_third_step_on(self, batch):
        return forward(self, batch) * (1.0 if next(calls, None) is not None else float("nan"))

    monkeypatch.setattr(MobileNet, "forward", sick_from_the_third_step_on)
    with pytest.raises(TrainingDiverged, match="Overfit to the OK images was not finite at step 4"):
        fit(training_set(40, height=32, width=32), tiny(loss_limit=1e-9), seed=0, checkpoint=tmp_path)


@pytest.mark.parametrize("shade", [0, 127, 255])
def test_constant_and_tiny_images_are_judged_too(shade):
    model = fit(training_set(40, height=32, width=32), tiny(), seed=0)
    odd = [
        np.full((32, 32), shade, np.uint8),
        np.full((8, 8), shade, np.uint8),
        np.full((8, 8, 3), shade, np.uint8),
    ]
    prediction = model.predict(odd)
    assert np.isfinite(prediction.scores).all()
    assert np.isfinite(prediction.maps).all()


def test_identical_ok_images_train_a_model_that_tells_others_apart():
    training = training_set(40, height=32, width=32)
    same = replace(
        training, images=[training.images[0]] * 40, is_ng=np.zeros(40, bool), classes=np.zeros(40, np.int64)
    )
    scores = fit(same, tiny(), seed=0).predict([training.images[0], training.images[1]]).scores
    assert scores[1] > scores[0]


def test_too_few_ok_images_are_refused_with_both_counts():
    with pytest.raises(NotEnoughImages, match="At least 20 OK images are needed; there are 6"):
        fit(training_set(12), tiny(), seed=0)


def test_imagenet_weights_that_are_not_there_are_refused(tmp_path):
    training = replace(training_set(40), weights_folder=tmp_path)
    with pytest.raises(WeightsUnusable, match="mobilenet_v3_small-047dcff4"):
        fit(training, tiny(weights="imagenet"), seed=0)


def test_a_file_of_weights_fills_the_network_up_to_its_dense_layer(tmp_path, monkeypatch):
    torch.manual_seed(0)
    donor = whole_network("mobilenet_v3_small")
    put_file(tmp_path, monkeypatch, donor.state_dict())
    network = new_mobilenet(tiny(weights="imagenet"), tmp_path).eval()
    batch = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = donor.classifier[:2](donor.avgpool(donor.features(batch)).flatten(1))
        given = functional.hardswish(network.dense(network.features(batch).mean(dim=(2, 3))))
    torch.testing.assert_close(given, expected)
    fit(replace(training_set(40), weights_folder=tmp_path), tiny(weights="imagenet", epochs=1), seed=0)


def test_a_file_of_another_network_is_refused(tmp_path, monkeypatch):
    put_file(tmp_path, monkeypatch, whole_network("resnet18").state_dict())
    with pytest.raises(WeightsUnusable, match="mobilenet_v3_small"):
        new_mobilenet(tiny(weights="imagenet"), tmp_path)


def test_weights_of_the_other_size_are_refused():
    network = GradMobileNet(with_folded_normalisation(MobileNet("small").eval()), 32, 32, "log")
    with pytest.raises(ValueError, match="mobilenet"):
        restore(tiny(backbone="large"), ("OK", "NG"), save(network.state_dict()))


def test_the_paper_preset_has_the_papers_numbers():
    paper = METHODS["grad_mobilenet"].presets["paper"]
    assert (paper.height, paper.width, paper.loss_limit) == (256, 256, 0.001)
    assert (paper.landmark, paper.landmark_from, paper.landmark_to) == ("fixed", 0, 50)
    assert (paper.scale, paper.weighting, paper.weights) == ("linear", "features", "imagenet")


def test_a_landmark_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="landmark_from must not be above landmark_to"):
        GradMobileNetParameters(landmark_from=80, landmark_to=50)


def test_the_values_are_the_sum_of_nothing_but_the_image():
    values, gradients = input_gradient(lambda batch: batch.square().sum(dim=(1, 2, 3)) / 2, images())
    torch.testing.assert_close(gradients, images())
    assert values.shape == (2,)
