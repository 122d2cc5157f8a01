"""The classifiers' training: batches, balance, copies, what is frozen, stopping and going on, statistics."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from ml.methods import transfer_vgg
from ml.methods.classifier_features import NO_AUGMENTATION, Augmentation, CopiedImages, FrozenFeatures
from ml.methods.classifier_training import ClassifierTraining, EpochOrder, Recipe, SplitNetwork
from ml.methods.contract import TrainingDiverged, TrainingStopped, ignore_progress, never_stop
from ml.methods.declarations.transfer_vgg import TransferVggParameters
from ml.preprocessing import Preprocessing
from tests.ml.methods.builders import training_set

SIZE = Preprocessing(16, 16, "rgb", (0.5,) * 3, (0.5,) * 3)


class TestEpochOrder:
    def test_every_image_comes_once_an_epoch(self):
        order = EpochOrder(np.array([0] * 9 + [1] * 4), 4, seed=0, is_balanced=False)
        for epoch in range(3):
            batches = [order.batch(epoch * order.batches + number) for number in range(order.batches)]
            assert sorted(np.concatenate(batches)) == list(range(13))

    def test_balanced_every_class_comes_equally_often(self):
        targets = np.array([0] * 90 + [1] * 6 + [2] * 3)
        order = EpochOrder(targets, 16, seed=0, is_balanced=True)
        seen = np.concatenate([order.batch(number) for number in range(order.batches)])
        assert Counter(targets[seen]) == {0: 33, 1: 33, 2: 33}
        assert max(Counter(seen[targets[seen] == 0]).values()) == 1
        assert set(seen[targets[seen] == 2]) == {96, 97, 98}

    def test_balanced_a_class_without_images_takes_no_place(self):
        order = EpochOrder(np.array([0] * 6 + [3] * 2), 4, seed=0, is_balanced=True)
        seen = np.concatenate([order.batch(number) for number in range(order.batches)])
        assert Counter(np.where(seen < 6, 0, 3)) == {0: 4, 3: 4}

    def test_balanced_all_common_images_come_over_the_epochs(self):
        order = EpochOrder(np.array([0] * 20 + [1] * 2), 4, seed=0, is_balanced=True)
        seen = np.concatenate([order.batch(number) for number in range(12 * order.batches)])
        assert set(seen) == set(range(22))

    @pytest.mark.parametrize("count", range(2, 40))
    @pytest.mark.parametrize("batch", [2, 3, 16])
    def test_no_batch_is_of_one_image(self, count, batch):
        order = EpochOrder(np.zeros(count, int), batch, seed=0, is_balanced=False)
        sizes = [len(order.batch(number)) for number in range(order.batches)]
        assert min(sizes) >= 2
        assert max(sizes) <= batch + 1

    def test_it_follows_from_the_seed_and_the_place_alone(self):
        targets = np.arange(30) % 3
        first, second = (EpochOrder(targets, 8, seed=5, is_balanced=True) for _ in range(2))
        later = first.batch(11)
        for iteration in (2, 11):
            again = second.batch(iteration)
        assert later.tolist() == again.tolist()
        other = EpochOrder(targets, 8, seed=6, is_balanced=True)
        assert other.batch(11).tolist() != later.tolist()


class TestAugmentation:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8).astype(np.uint8)

    def test_nothing_is_nothing(self):
        assert NO_AUGMENTATION.is_none
        np.testing.assert_array_equal(NO_AUGMENTATION(self.pixels, np.random.default_rng(0)), self.pixels)

    @pytest.mark.parametrize("pixels", [pixels, np.dstack([pixels] * 3)])
    def test_shape_and_type_stay(self, pixels):
        changed = Augmentation(20, 0.2, True, 0.1)(pixels, np.random.default_rng(1))
        assert (changed.shape, changed.dtype) == (pixels.shape, np.uint8)
        assert (changed != pixels).any()

    def test_flips_give_the_four_mirror_images_equally_often(self):
        rng = np.random.default_rng(0)
        seen = Counter(Augmentation(flips=True)(self.pixels, rng).tobytes() for _ in range(400))
        mirrored = [self.pixels, self.pixels[::-1], self.pixels[:, ::-1], self.pixels[::-1, ::-1]]
        assert seen.keys() == {one.tobytes() for one in mirrored}
        assert all(60 < times < 140 for times in seen.values())

    def test_noise_has_the_standard_deviation_that_was_asked_for(self):
        grey = np.full((200, 200), 128, np.uint8)
        noisy = Augmentation(noise=0.04)(grey, np.random.default_rng(0)).astype(float)
        assert noisy.std() == pytest.approx(0.04 * 255, rel=0.05)
        assert noisy.mean() == pytest.approx(128, abs=0.3)

    def test_a_shift_is_bounded_and_the_edge_goes_on(self):
        ramp = np.tile(np.arange(0, 200, 2, np.uint8), (10, 1))  # 100 wide; a step of 2 a pixel
        for seed in range(20):
            shifted = Augmentation(shift=0.1)(ramp, np.random.default_rng(seed)).astype(int)
            assert np.abs(shifted - ramp).max() <= 2 * 10
            assert np.diff(shifted, axis=1).min() >= 0  # no black border

    def test_a_rotation_keeps_the_middle_and_turns_the_rest(self):
        pixels = np.zeros((21, 21), np.uint8)
        pixels[10, :] = 255
        turned = Augmentation(rotation_deg=45)(pixels, np.random.default_rng(3))
        assert turned[10, 10] > 200
        assert turned[10, 0] < 200

    def test_a_copy_follows_from_seed_image_and_number_alone(self):
        images = CopiedImages(training_set(4), SIZE, Augmentation(20, 0.2, True, 0.1), seed=3)
        alone = images.batch([(1, 2)])
        assert torch.equal(images.batch([(0, 2), (1, 2)])[1:], alone)
        assert not torch.equal(images.batch([(1, 3)]), alone)
        other = CopiedImages(training_set(4), SIZE, Augmentation(20, 0.2, True, 0.1), seed=4)
        assert not torch.equal(other.batch([(1, 2)]), alone)


class TestFrozenFeatures:
    def features(self, budget_bytes: int, images: int = 10, chunk: int = 4) -> tuple[FrozenFeatures, list]:
        asked: list = []

        def compute(copies):
            asked.append(list(copies))
            return (torch.tensor([[100.0 * image, number] for image, number in copies]),)

        return FrozenFeatures(compute, images, chunk, budget_bytes), asked

    def test_each_chunk_is_computed_once(self):
        features, asked = self.features(10_000)
        for _ in range(3):
            (found,) = features.batch([(9, 0), (1, 0), (9, 0)])
        assert found.tolist() == [[900, 0], [100, 0], [900, 0]]
        assert asked[1:] == [[(8, 0), (9, 0)], [(0, 0), (1, 0), (2, 0), (3, 0)]]  # the first measured a size

    def test_without_room_everything_is_computed_anew_and_nothing_is_kept(self):
        features, asked = self.features(0)
        for _ in range(2):
            (found,) = features.batch([(9, 1), (1, 0)])
        assert found.tolist() == [[900, 1], [100, 0]]
        assert asked[1:] == [[(9, 1), (1, 0)]] * 2

    def test_what_is_kept_does_not_hang_on_what_was_asked_first(self):
        room_for_8 = 8 * 2 * 4
        for first in ([(9, 0)], [(0, 0)]):
            features, asked = self.features(room_for_8)
            features.batch(first)
            features.batch([(0, 0), (5, 0), (9, 0)])
            asked.clear()
            features.batch([(0, 0), (5, 0), (9, 0)])
            assert asked == [[(9, 0)]]

    def test_preparing_computes_all_that_fits_and_tells_how_far_it_is(self):
        features, asked = self.features(10_000)
        assert list(features.prepare(2)) == [(done, 6) for done in range(1, 7)]
        asked.clear()
        features.batch([(image, number) for image in range(10) for number in range(2)])
        assert asked == []


class Tiny(SplitNetwork):
    """A frozen mean over colours; a convolution, a normalisation and a layer that train."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.freeze = nn.Conv2d(3, 2, 1)
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4, momentum=0.01), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.LazyLinear(classes))
        self.head(self.body(self.freeze(torch.zeros(1, 3, 16, 16))))

    def frozen(self, images):
        return (self.freeze(images),)

    def trained(self, *features):
        return self.head(self.body(features[0]))

    def trained_modules(self):
        return {"body": self.body, "head": self.head}

    @property
    def is_all_trained(self) -> bool:
        return False


RECIPE = Recipe(
    epochs=6, batch=4, rate=0.01, is_balanced=True, precision="float32", keeps_statistics=False,
    augmentation=Augmentation(10, 0.1, True, 0.02), copies=2,
)  # fmt: skip


def run(recipe: Recipe = RECIPE, *, checkpoint=None, stop=never_stop, on_progress=ignore_progress, images=14):
    torch.manual_seed(1)
    network = Tiny()
    training = training_set(images)
    parameters = TransferVggParameters()
    fit = ClassifierTraining(network, training, training.is_ng, parameters, recipe, SIZE, seed=2)
    fit.train(on_progress, stop, checkpoint)
    return network


def test_only_what_is_to_be_trained_changes():
    torch.manual_seed(1)
    before, after = Tiny(), run()
    assert torch.equal(before.freeze.weight, after.freeze.weight)
    assert not torch.equal(before.body[0].weight, after.body[0].weight)
    assert not after.training


@pytest.mark.parametrize("copies", [0, 2])
@pytest.mark.parametrize("stop_at", [1, 7, 20, 27])
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path, stop_at, copies):
    recipe = Recipe(**(vars(RECIPE) | {"copies": copies}))
    whole = run(recipe).state_dict()
    told = []

    def stop() -> bool:
        return sum(event.stage != "Frozen layers, once" for event in told) > stop_at

    with pytest.raises(TrainingStopped) as stopped:
        run(recipe, checkpoint=tmp_path, stop=stop, on_progress=told.append)
    assert stopped.value.checkpoint == tmp_path
    resumed = run(recipe, checkpoint=tmp_path).state_dict()
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=0, msg=name)


def test_a_stop_while_the_frozen_layers_run_is_heeded_at_once():
    told = []
    with pytest.raises(TrainingStopped):
        run(on_progress=told.append, stop=lambda: bool(told))
    assert [event.stage for event in told if event.iteration] == ["Frozen layers, once"]


def test_progress_never_falls_and_ends_at_1():
    told = []
    run(on_progress=told.append)
    fractions = [event.fraction for event in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert {"Loss", "Accuracy, OK", "Accuracy, NG"} == set().union(*(event.series for event in told))


def test_statistics_are_settled_to_those_of_the_training_images():
    """Momentum 0.01 alone would leave them near their start after these few steps."""
    network = run(
        Recipe(**(vars(RECIPE) | {"epochs": 2, "augmentation": NO_AUGMENTATION, "is_balanced": False}))
    )
    images = CopiedImages(training_set(14), SIZE, NO_AUGMENTATION, 0).batch(
        [(image, 0) for image in range(14)]
    )
    with torch.no_grad():
        values = network.body[0](network.freeze(images))
    norm = network.body[1]
    torch.testing.assert_close(norm.running_mean, values.mean(dim=(0, 2, 3)), rtol=0.05, atol=0.02)
    torch.testing.assert_close(norm.running_var, values.var(dim=(0, 2, 3)), rtol=0.2, atol=0.02)


def test_kept_statistics_stay_as_they_came_while_scale_and_offset_learn():
    torch.manual_seed(1)
    before = Tiny().body[1]
    after = run(Recipe(**(vars(RECIPE) | {"keeps_statistics": True}))).body[1]
    assert torch.equal(before.running_mean, after.running_mean)
    assert torch.equal(before.running_var, after.running_var)
    assert not torch.equal(before.weight, after.weight)


def test_a_step_in_parts_is_the_step_of_the_whole_batch(monkeypatch):
    recipe = Recipe(**(vars(RECIPE) | {"keeps_statistics": True, "batch": 14}))
    monkeypatch.setattr(nn.Dropout, "forward", lambda _, values: values)
    whole = run(recipe).state_dict()
    monkeypatch.setattr("ml.methods.classifier_training.BATCH_PX", 3 * 16 * 16)
    for name, tensor in run(recipe).state_dict().items():
        torch.testing.assert_close(tensor, whole[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_loss_that_is_no_number_ends_the_training_with_its_step(monkeypatch):
    stages = transfer_vgg.random_stages

    def broken(name):
        made = stages(name)
        next(made[-1].parameters()).data.fill_(float("nan"))
        return made

    monkeypatch.setattr(transfer_vgg, "random_stages", broken)
    parameters = TransferVggParameters(
        backbone="mobilenet_v3_small", weights="none", recipe="fine_tune", height=32, width=32, epochs=1
    )
    with pytest.raises(TrainingDiverged, match="not finite at step 1"):
        transfer_vgg.fit(training_set(24), parameters, seed=0)
