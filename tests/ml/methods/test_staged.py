"""The loop of every training, with a module of one number."""

import itertools

import pytest
import torch
from torch import nn

from ml.methods.checkpoints import STATE
from ml.methods.contract import TrainingDiverged, TrainingStopped, ignore_progress, never_stop
from ml.methods.staged import Stage, StagedTraining, finite


class Walk(nn.Module):
    """A number that each step moves by what it draws."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))


def stages(walk: Walk, iterations=(6, 6), **changes) -> list[Stage]:
    def step(optimisers, iteration):
        loss = finite((walk.place * torch.randn(1)).sum())
        loss.backward()
        optimisers["walk"].step()
        optimisers["walk"].zero_grad()
        return {"place": walk.place}

    return [
        Stage(
            f"Walk {n}",
            count,
            lambda: {"walk": torch.optim.Adam(walk.parameters(), 0.1)},
            step,
            **changes,
        )
        for n, count in enumerate(iterations)
    ]


def run(
    walk: Walk, some: list[Stage], checkpoint=None, stop=never_stop, on_progress=ignore_progress
) -> float:
    StagedTraining(
        {"walk": walk},
        some,
        seed=7,
        checkpoint=checkpoint,
        made_for="a walk",
        on_progress=on_progress,
        stop=stop,
    ).run()
    return walk.place.item()


@pytest.mark.parametrize("asked", range(12))
def test_random_numbers_of_a_resumed_training_are_those_of_an_uninterrupted_one(tmp_path, asked):
    walk = Walk()
    expected = run(walk, stages(walk))
    walk, left = Walk(), iter(range(asked + 1))
    with pytest.raises(TrainingStopped):
        run(walk, stages(walk), tmp_path, stop=lambda: next(left) == asked)
    walk = Walk()
    assert run(walk, stages(walk), tmp_path) == expected


def test_two_stages_and_two_iterations_draw_different_numbers():
    walk, drawn = Walk(), []

    def step(optimisers, iteration):
        drawn.append(torch.rand(1).item())
        return {}

    run(walk, [Stage("a", 3, dict, step), Stage("b", 3, dict, step)])
    assert len(set(drawn)) == 6


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    run(walk := Walk(), stages(walk))
    assert torch.equal(torch.rand(1), expected)


def test_a_stage_can_end_early_and_says_so():
    seen = []
    run(walk := Walk(), stages(walk, is_done=lambda iteration: iteration == 4), on_progress=seen.append)
    ends = [event for event in seen if event.iteration == 4]
    assert [event.stage for event in ends] == ["Walk 0", "Walk 1"]
    assert max(event.iteration for event in seen) == 4
    assert all(one.fraction <= other.fraction for one, other in itertools.pairwise(seen))


def test_a_loss_that_is_no_number_is_told_with_stage_step_and_checkpoint(tmp_path):
    walk = Walk()

    def step(optimisers, iteration):
        finite(torch.tensor(float("inf") if iteration == 4 else 0.0))
        return {}

    with pytest.raises(TrainingDiverged, match="loss of Dive was not finite at step 5") as diverged:
        run(walk, [Stage("Dive", 9, dict, step, checkpoint_every=2)], tmp_path)
    assert diverged.value.checkpoint == tmp_path


def test_weights_that_are_not_finite_are_never_a_checkpoint(tmp_path):
    walk = Walk()

    def step(optimisers, iteration):
        with torch.no_grad():
            walk.place.fill_(float("inf"))
        return {}

    left = iter(range(3))
    with pytest.raises(TrainingStopped) as stopped:
        run(walk, [Stage("Rise", 9, dict, step)], tmp_path, stop=lambda: next(left) == 2)
    assert stopped.value.checkpoint is None
    assert not (tmp_path / STATE).exists()


def test_slow_iterations_are_told_between_the_points_of_the_curves(monkeypatch):
    monkeypatch.setattr("ml.methods.staged.SILENT_S", -1.0)
    walk, told = Walk(), []
    run(walk, stages(walk, (1000,)), on_progress=told.append)
    assert [event.iteration for event in told[1:]] == list(range(1, 1001))
    assert [event.iteration for event in told if event.series] == list(range(5, 1001, 5))
