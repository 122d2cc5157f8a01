from dataclasses import replace

import numpy as np
import pytest
import torch

from annotation.synthetic import make_parts
from ml.evaluation.metrics import auroc
from ml.methods import staged, weak, weak_training
from ml.methods.checkpoints import STATE
from ml.methods.contract import (
    NotEnoughImages,
    TrainingDiverged,
    TrainingSet,
    TrainingStopped,
)
from ml.methods.declarations import WEAK
from ml.methods.prepared import PreparedImages, standardised
from ml.methods.weak_training import Seen, WeakTraining
from ml.preprocessing import ImageUnusable, Preprocessing, Rectangle
from tests.ml.methods.builders import tiny, training_set


def weights_of(model):
    return torch.cat([weight.flatten() for weight in model.network.state_dict().values()])


class StopAt:
    """A stop signal that comes at its n-th asking."""

    def __init__(self, asked: int) -> None:
        self.left = asked

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture(scope="module")
def uninterrupted():
    return {recipe: weak.fit(training_set(), tiny(recipe=recipe), seed=3) for recipe in ("robust", "paper")}


@pytest.mark.parametrize("recipe", ["robust", "paper"])
@pytest.mark.parametrize("stopped_after", [0, 2, 4, 7, 11], ids=["start", "1", "2 at its start", "2", "3"])
def test_a_stopped_fit_goes_on_to_the_very_same_model(tmp_path, uninterrupted, recipe, stopped_after):
    fit = {"seed": 3, "checkpoint": tmp_path / "job"}
    with pytest.raises(TrainingStopped) as stopped:
        weak.fit(training_set(), tiny(recipe=recipe), stop=StopAt(stopped_after), **fit)
    assert stopped.value.checkpoint == tmp_path / "job"
    resumed = weak.fit(training_set(), tiny(recipe=recipe), **fit)
    assert torch.equal(weights_of(resumed), weights_of(uninterrupted[recipe]))


def test_a_fit_that_is_killed_goes_on_from_its_last_checkpoint(tmp_path, uninterrupted, monkeypatch):
    monkeypatch.setattr(staged, "CHECKPOINT_EVERY", 2)

    def killed(event):
        if event.stage.startswith("Stage 2") and event.iteration == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path, on_progress=killed)
    seen = []
    resumed = weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path, on_progress=seen.append)
    assert "from iteration 4" in seen[0].message
    assert torch.equal(weights_of(resumed), weights_of(uninterrupted["robust"]))


def test_another_seed_gives_another_model(uninterrupted):
    other = weak.fit(training_set(), tiny(stage1_iterations=1, stage3_iterations=0), seed=4)
    assert not torch.equal(weights_of(other), weights_of(uninterrupted["robust"]))


def test_a_fit_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    WeakTraining(training_set(), tiny(), 9)
    assert torch.equal(torch.rand(1), expected)


def test_a_checkpoint_of_other_parameters_is_not_taken(tmp_path):
    with pytest.raises(TrainingStopped):
        weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path, stop=StopAt(2))
    seen = []
    with pytest.raises(TrainingStopped):
        weak.fit(
            training_set(),
            tiny(alpha_init=7.0),
            seed=3,
            checkpoint=tmp_path,
            stop=StopAt(0),
            on_progress=seen.append,
        )
    assert "made with other images or parameters" in seen[0].message


def test_a_checkpoint_of_another_seed_is_not_taken(tmp_path):
    with pytest.raises(TrainingStopped):
        weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path, stop=StopAt(2))
    seen = []
    with pytest.raises(TrainingStopped):
        weak.fit(training_set(), tiny(), seed=4, checkpoint=tmp_path, stop=StopAt(0), on_progress=seen.append)
    assert (seen[0].iteration, "made with other" in seen[0].message) == (0, True)


def test_a_torn_checkpoint_is_told_and_the_fit_starts_again(tmp_path):
    with pytest.raises(TrainingStopped):
        weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path, stop=StopAt(2))
    content = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(content[: len(content) // 2])
    seen = []
    with pytest.raises(TrainingStopped):
        weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path, stop=StopAt(0), on_progress=seen.append)
    assert "can't be read" in seen[0].message
    assert seen[0].iteration == 0


def test_progress_never_falls_and_ends_at_one():
    seen = []
    weak.fit(training_set(), tiny(), seed=0, on_progress=seen.append)
    fractions = [event.fraction for event in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert [event.stage[:7] for event in seen if event.iteration == event.iterations] == [
        "Stage 1",
        "Stage 2",
        "Stage 3",
    ]
    assert {"Mean heat, NG", "Peak heat, OK", "Collaborative factor"} <= seen[1].series.keys()
    assert all(np.isfinite(value) for event in seen for value in event.series.values())


def test_a_stage_has_at_most_two_hundred_points(monkeypatch):
    monkeypatch.setattr(staged, "POINTS_A_STAGE", 3)
    seen = []
    weak.fit(training_set(), tiny(stage1_iterations=1, stage3_iterations=0), seed=0, on_progress=seen.append)
    assert [event.iteration for event in seen if event.stage.startswith("Stage 2")] == [2, 4, 6]


def test_too_few_ng_images_are_refused_before_anything_is_read():
    with pytest.raises(NotEnoughImages, match="5 NG images are needed; there are 4"):
        weak.fit(training_set(9), tiny(), seed=0)


def test_an_image_smaller_than_its_roi_stops_the_fit_with_its_reason():
    with pytest.raises(ImageUnusable, match="region of interest"):
        weak.fit(training_set(rois={"": Rectangle(0, 0, 65, 64)}), tiny(), seed=0)


def test_a_loss_that_is_no_number_ends_the_fit_with_stage_step_and_last_good_checkpoint(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(staged, "CHECKPOINT_EVERY", 1)
    real = WeakTraining._decide

    def poisoned(self, images, is_ng, iteration):
        losses, figures = real(self, images, is_ng, iteration)
        return (losses * float("nan"), figures) if iteration == 2 else (losses, figures)

    monkeypatch.setattr(WeakTraining, "_decide", poisoned)
    with pytest.raises(TrainingDiverged, match="Stage 2: decide was not finite at step 3") as diverged:
        weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path)
    assert diverged.value.checkpoint == tmp_path
    monkeypatch.setattr(WeakTraining, "_decide", real)
    seen = []
    with pytest.raises(TrainingStopped):
        weak.fit(training_set(), tiny(), seed=3, checkpoint=tmp_path, on_progress=seen.append, stop=StopAt(0))
    assert "from iteration 2" in seen[0].message


def test_a_rate_far_too_high_never_ends_in_a_model_of_nans():
    try:
        model = weak.fit(training_set(), tiny(recipe="paper", stage1_rate=1.0), seed=0)
    except TrainingDiverged:
        return
    assert torch.isfinite(weights_of(model)).all()


def test_every_ng_image_comes_as_often_as_every_other():
    run = WeakTraining(training_set(22), tiny(pairs=3, stage1_iterations=11), 0)
    ng, ok = (run._order(0, is_ng, 11) for is_ng in (True, False))
    assert {len(some) for some in [*ng, *ok]} == {3}
    assert (len(ng), len(ok)) == (11, 11)
    assert set(np.bincount([one.image for some in ng for one in some])[1::2]) == {3}
    assert set(np.bincount([one.image for some in ok for one in some])[::2]) == {3}


@pytest.mark.parametrize(("flips", "views"), [(True, 4), (False, 1)])
def test_images_are_seen_mirrored_each_way_unless_that_is_switched_off(flips, views):
    run = WeakTraining(training_set(22), tiny(flips=flips, pairs=3, stage1_iterations=40), 0)
    seen = [one for some in run._order(0, True, 40) for one in some]
    counts = np.unique([one[1:] for one in seen], axis=0, return_counts=True)[1]
    assert len(counts) == views
    assert counts.min() > 0.6 * len(seen) / views


def test_a_mirrored_image_is_the_networks_input_mirrored():
    run = WeakTraining(training_set(), tiny(), 0)
    plain, down, across = run._batch(
        [Seen(1), Seen(1, is_flipped_down=True), Seen(1, is_flipped_across=True)]
    )
    assert not torch.equal(plain, down)
    assert torch.equal(down, plain.flip(1))
    assert torch.equal(across, plain.flip(2))


def test_the_paper_steps_after_each_image_and_the_robust_recipe_after_all(monkeypatch):
    steps = {"paper": 0, "robust": 0}
    for recipe, name in (("paper", "SGD"), ("robust", "Adam")):
        real = getattr(torch.optim, name).step

        def counted(self, *args, _real=real, _recipe=recipe):
            steps[_recipe] += 1
            return _real(self, *args)

        monkeypatch.setattr(getattr(torch.optim, name), "step", counted)
        weak.fit(training_set(), tiny(recipe=recipe, pairs=2, stage3_iterations=0), seed=0)
    assert steps == {"paper": 4 * (4 + 6), "robust": 4 + 6}


def test_a_batch_that_is_split_for_memory_gives_the_same_step(monkeypatch):
    def weights_after_a_step() -> torch.Tensor:
        run = WeakTraining(training_set(), tiny(pairs=3, artificial=3), 0)
        phase = run._phases()[0]
        # Plain descent: Adam would make a step of its own size of what is mere rounding.
        optimisers = {"weights": torch.optim.SGD(phase.weights, lr=phase.rate_at(0))}
        run._step(phase, optimisers, 0, [Seen(1), Seen(3), Seen(5)], [Seen(0), Seen(2), Seen(4)])
        return weights_of(run)

    whole = weights_after_a_step()
    monkeypatch.setattr(weak_training, "BATCH_PX", 2 * 64 * 64)
    torch.testing.assert_close(weights_after_a_step(), whole, atol=1e-6, rtol=1e-5)


def test_frozen_features_are_computed_once_a_view_of_an_image(monkeypatch):
    computed = []
    real = WeakTraining._features_of
    monkeypatch.setattr(
        WeakTraining, "_features_of", lambda self, image: computed.append(image) or real(self, image)
    )
    weak.fit(training_set(), tiny(stage1_iterations=1, stage2_iterations=40, stage3_iterations=0), seed=0)
    assert len(computed) == len(set(computed))
    assert {seen.image for seen in computed} == set(range(12))


def test_stage_two_leaves_shared_layers_and_lnet_alone():
    run = WeakTraining(training_set(), tiny(), 0)
    before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    stage = run._stage(run._phases()[1])
    optimisers = stage.optimisers()
    for iteration in range(stage.iterations):
        stage.step(optimisers, iteration)
    changed = {
        name.split(".")[0]
        for name, tensor in run.network.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"decide", "dense"}


def test_the_rate_of_stage_two_falls_to_a_tenth_half_way():
    run = WeakTraining(training_set(), tiny(stage2_iterations=7), 0)
    rates = [run._phases()[1].rate_at(iteration) for iteration in range(7)]
    assert rates == pytest.approx([0.001] * 3 + [0.0001] * 4)


def test_images_beyond_the_budget_are_read_again_and_come_out_alike():
    reads = []

    class Counted(list):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    training = training_set()
    counted = replace(training, images=Counted(training.images))
    prepared = PreparedImages(counted, Preprocessing(64, 64), budget_bytes=2 * 64 * 64)
    first = prepared.batch([0, 1, 2])
    assert np.array_equal(prepared.batch([0, 1, 2]), first)
    assert reads == [0, 1, 2, 2]


def test_input_is_standardised_by_the_training_images():
    training = training_set()
    preprocessing = standardised(training, Preprocessing(64, 64), seed=0)
    batch = preprocessing.apply(training.images)
    assert abs(batch.mean()) < 0.01
    assert batch.std() == pytest.approx(1.0, abs=0.01)


def test_blank_images_have_a_deviation_too():
    blank = training_set(images=[np.full((64, 64), 90, np.uint8)] * 12)
    assert np.isfinite(standardised(blank, Preprocessing(64, 64), seed=0).apply(blank.images)).all()


@pytest.mark.slow
def test_the_demo_finds_the_defects_of_other_parts_and_where_they_are():
    parts = list(make_parts(ok=56, ng=34, seed=7))
    is_ng = np.array([part.class_name != "OK" for part in parts])
    training = TrainingSet(
        images=[part.image for part in parts],
        is_ng=is_ng,
        classes=is_ng.astype(np.int64),
        class_names=("OK", "NG"),
        groups=[part.item for part in parts],
        views=[""] * len(parts),
    )
    model = weak.fit(training, WEAK.presets["demo"], seed=0)
    others = list(make_parts(ok=60, ng=24, seed=8))
    are_ng = np.array([part.class_name != "OK" for part in others])
    told = model.predict([part.image for part in others])
    assert auroc(told.scores, are_ng) > 0.99
    distances_px = [
        distance_px(heat_map, part.mask)
        for heat_map, part, ng in zip(told.maps, others, are_ng, strict=True)
        if ng
    ]
    assert np.mean(np.array(distances_px) <= 24) >= 0.9  # a cell is 21 pixels wide


def distance_px(heat_map: np.ndarray, mask: np.ndarray) -> float:
    """From the centre of the hottest cell to the nearest pixel of the defect."""
    cell_px = np.array(mask.shape) / heat_map.shape
    hottest = (np.array(np.unravel_index(heat_map.argmax(), heat_map.shape)) + 0.5) * cell_px
    return float(np.linalg.norm(np.argwhere(mask) + 0.5 - hottest, axis=1).min())


def test_artificial_defects_teach_the_map_where_a_defect_is():
    run = WeakTraining(training_set(), tiny(artificial=2), 0)
    stage = run._stage(run._phases()[0])
    figures = stage.step(stage.optimisers(), 0)
    assert figures["Place loss, artificial"].shape == (2,)
    assert "Place loss, artificial" not in run._step(
        run._phases()[1], run._stage(run._phases()[1]).optimisers(), 0, [Seen(1)], [Seen(0)]
    )


def test_the_paper_has_no_artificial_defects():
    run = WeakTraining(training_set(), tiny(recipe="paper"), 0)
    stage = run._stage(run._phases()[0])
    assert "Place loss, artificial" not in stage.step(stage.optimisers(), 0)
