"""The loop that every training runs in: stages of iterations, stopped and resumed anywhere."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from ml.methods.checkpoints import CheckpointFolder, SavedState
from ml.methods.contract import OnProgress, Progress, Stop, TrainingDiverged, TrainingStopped
from ml.methods.devices import training_device

CHECKPOINT_EVERY: Final = 100  # iterations
SILENT_S: Final = 5.0  # at most, between two points of a long stage's curves
POINTS_A_STAGE: Final = 200  # of the live curves

Figures = Mapping[str, Tensor]  # one value or several for each curve
Optimisers = Mapping[str, torch.optim.Optimizer]


class LossNotFinite(ArithmeticError):
    """Raised by `finite` before a step is taken with such a loss."""


def finite(loss: Tensor) -> Tensor:
    """The loss, if it is a number; the weights are then still those of the step before.

    Raises:
        LossNotFinite: it is not.
    """
    if not math.isfinite(loss.item()):
        raise LossNotFinite
    return loss


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Attributes:
        title: for a person.
        iterations: at most so many.
        optimisers: makes them, by name, when the stage begins.
        step: takes them and the iteration, counted from 0; computes the losses, moves the weights, returns
            figures for the curves. What it draws from torch's random numbers follows from seed, stage and
            iteration alone.
        cost: of an iteration, against the other stages'; for the progress bar.
        is_done: asked after each iteration with its number, counted from 1; ends the stage early.
        checkpoint_every: iterations; None for `CHECKPOINT_EVERY`.
    """

    title: str
    iterations: int
    optimisers: Callable[[], Optimisers]
    step: Callable[[Optimisers, int], Figures]
    cost: float = 1.0
    is_done: Callable[[int], bool] = lambda _iteration: False
    checkpoint_every: int | None = None


class StagedTraining:
    """Runs stages; saves, stops, resumes and tells as it goes.

    A resumed training gives the weights of one that was never interrupted: optimisers are saved as well, and
    random numbers are seeded anew at each iteration.

    Args:
        modules: everything with weights or buffers that a checkpoint must hold, by name.
        stages: in order.
        seed: of what the steps draw.
        checkpoint: folder to save in and to go on from, or None.
        made_for: what a checkpoint must have been made for (`checkpoints.fingerprint`).
        on_progress: is told of curves and messages.
        stop: asked before each iteration.
        note: what a person should know of this run: its arithmetic, say.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        stages: Sequence[Stage],
        *,
        seed: int,
        checkpoint: Path | None,
        made_for: str,
        on_progress: OnProgress,
        stop: Stop,
        note: str = "",
    ) -> None:
        self._modules = modules
        self._stages = stages
        self._seed = seed
        self._checkpoints = CheckpointFolder(checkpoint, made_for)
        self._on_progress = on_progress
        self._stop = stop
        self._note = note

    def run(self) -> None:
        """All stages, or those that a checkpoint leaves.

        Raises:
            TrainingStopped: `stop()` was true.
            TrainingDiverged: a loss is not finite.
        """
        saved = self._saved_state()
        for number, stage in enumerate(self._stages):
            if saved is None or number > saved.stage:
                self._run(number, stage, stage.optimisers(), 0)
            elif number == saved.stage:
                optimisers = stage.optimisers()
                for name, optimiser in optimisers.items():
                    _load_optimiser(optimiser, saved.part(f"optimiser.{name}."))
                self._run(number, stage, optimisers, saved.iteration)

    def _run(self, number: int, stage: Stage, optimisers: Optimisers, done: int) -> None:
        curves = _Curves(max(1, stage.iterations // POINTS_A_STAGE))
        devices = [torch.cuda.current_device()] if training_device().type == "cuda" else []
        told_s = time.monotonic()
        for iteration in range(done, stage.iterations):
            if self._stop():
                self._save(number, iteration, optimisers)
                raise TrainingStopped(self._checkpoints.last)
            if iteration > done and iteration % (stage.checkpoint_every or CHECKPOINT_EVERY) == 0:
                self._save(number, iteration, optimisers)
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(_seed_of(self._seed, number, iteration))
                try:
                    curves.add(stage.step(optimisers, iteration))
                except LossNotFinite:
                    raise TrainingDiverged(stage.title, iteration + 1, self._checkpoints.last) from None
                is_last = iteration + 1 == stage.iterations or stage.is_done(iteration + 1)
            if is_last or (iteration + 1) % curves.every == 0:
                self._on_progress(self._event(number, iteration + 1, curves.drained()))
                told_s = time.monotonic()
            elif time.monotonic() - told_s > SILENT_S:
                self._tell(number, iteration + 1)
                told_s = time.monotonic()
            if is_last:
                break
        if number + 1 < len(self._stages):
            self._save(number + 1, 0, {})

    def _saved_state(self) -> SavedState | None:
        found = self._checkpoints.load()
        if not isinstance(found, SavedState):
            self._tell(0, 0, found or "", self._note, f"Seed {self._seed}.")
            return None
        for name, module in self._modules.items():
            module.load_state_dict(found.part(f"{name}."))
        self._tell(found.stage, found.iteration, f"Goes on from iteration {found.iteration}.", self._note)
        return found

    def _save(self, stage: int, iteration: int, optimisers: Optimisers) -> None:
        """Saves; but never weights that are not finite, so that the last checkpoint is a good one."""
        tensors = {
            f"{name}.{key}": tensor
            for name, module in self._modules.items()
            for key, tensor in module.state_dict().items()
        }
        for name, optimiser in optimisers.items():
            tensors |= {f"optimiser.{name}.{key}": one for key, one in _optimiser_tensors(optimiser).items()}
        if all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            self._checkpoints.save(SavedState(tensors, stage, iteration))

    def _tell(self, stage: int, iteration: int, *sentences: str) -> None:
        self._on_progress(self._event(stage, iteration, {}, " ".join(filter(None, sentences))))

    def _event(self, number: int, iteration: int, series: Mapping[str, float], message: str = "") -> Progress:
        costs = [stage.iterations * stage.cost for stage in self._stages]
        done = sum(costs[:number]) + iteration * self._stages[number].cost
        return Progress(
            fraction=min(done / sum(costs), 1.0),
            stage=self._stages[number].title,
            iteration=iteration,
            iterations=self._stages[number].iterations,
            series=series,
            message=message,
        )


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class _Curves:
    """Means of the figures since they were last drained, so that a curve has few points and little noise."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._values: dict[str, list[float]] = {}

    def add(self, figures: Figures) -> None:
        for name, values in figures.items():
            self._values.setdefault(name, []).extend(values.detach().flatten().tolist())

    def drained(self) -> dict[str, float]:
        means = {name: sum(values) / len(values) for name, values in self._values.items() if values}
        self._values.clear()
        return means


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of each weight, by "number.name"."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{name}": tensor for number, kept in state.items() for name, tensor in kept.items()}


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `_optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
