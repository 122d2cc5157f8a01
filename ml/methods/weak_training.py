"""The three stages of `weak` (section III-C): locate, decide, refine. Can be stopped and resumed anywhere."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ml.methods.checkpoints import CheckpointFolder, SavedState, fingerprint
from ml.methods.contract import (
    OnProgress,
    Progress,
    Stop,
    TrainingDiverged,
    TrainingSet,
    TrainingStopped,
)
from ml.methods.declarations import WeakParameters
from ml.methods.prepared import PreparedImages, standardised
from ml.methods.weak_network import (
    WeakNetwork,
    collaborative_factor,
    loss_ng,
    loss_ok,
    mean_heat,
    top_heat,
)
from ml.preprocessing import Preprocessing

CHECKPOINT_EVERY: Final = 100  # iterations
POINTS_A_STAGE: Final = 200  # of the live curves
BATCH_PX: Final = 800_000  # of input in one forward and backward pass; bounds memory, not the result
FEATURES_BUDGET_BYTES: Final = 2_000_000_000

# The robust recipe's weights of the paper's loss and of the term for the hottest cells.
WEAK_WEIGHT: Final = 0.3
TOP_WEIGHT: Final = 1.0
TOP_SHARE: Final = 0.01  # of a map's cells

Figures = dict[str, Tensor]  # one value an image


@dataclass(frozen=True)
class Stage:
    """One stage of the training.

    Attributes:
        title: for a person.
        iterations: of `pairs` NG and as many OK images each.
        cost: of an iteration, against the first stage's; for the progress bar.
        weights: that it trains.
        rate_at: learning rate at an iteration, counted from 0.
        losses_of: images, is_ng bool [B], iteration counted from 1 → losses [B] and figures.
    """

    title: str
    iterations: int
    cost: float
    weights: Sequence[torch.nn.Parameter]
    rate_at: Callable[[int], float]
    losses_of: Callable[[Sequence[int], Tensor, int], tuple[Tensor, Figures]]


class WeakTraining:
    """One fit. The order of images follows from the seed alone, so that a resumed fit sees the same ones."""

    def __init__(
        self,
        training: TrainingSet,
        parameters: WeakParameters,
        seed: int,
        on_progress: OnProgress,
        stop: Stop,
        checkpoint: Path | None,
    ) -> None:
        self.training = training
        self.parameters = parameters
        self.seed = seed
        self.on_progress = on_progress
        self.stop = stop
        self.checkpoints = CheckpointFolder(checkpoint, fingerprint(training, parameters, seed))
        self.preprocessing = standardised(
            training, Preprocessing(parameters.height, parameters.width, "grey", rois=training.rois), seed
        )
        self.images = PreparedImages(training, self.preprocessing)
        self.images_at_once = max(1, BATCH_PX // (parameters.height * parameters.width))
        self.frozen = FrozenFeatures(self._features_of)
        self.is_bf16 = computes_bf16(parameters.precision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = new_network(parameters)
        self.stages = self._stages()

    def train(self) -> None:
        """All stages, or those that a checkpoint leaves.

        Raises:
            TrainingStopped: `stop()` was true.
            TrainingDiverged: a loss is not finite.
        """
        saved = self._saved_state()
        self.network.train()
        for number, stage in enumerate(self.stages):
            if saved is None or number > saved.stage:
                self._run(number, stage, self._optimiser(stage), 0)
            elif number == saved.stage:
                optimiser = self._optimiser(stage)
                load_optimiser(optimiser, saved.part("optimiser."))
                self._run(number, stage, optimiser, saved.iteration)

    def _stages(self) -> tuple[Stage, ...]:
        p, network = self.parameters, self.network
        locating = [*network.shared.parameters(), *network.localise.parameters(), *network.heat.parameters()]
        deciding = [*network.decide.parameters(), *network.dense.parameters()]
        half = p.stage2_iterations // 2
        return (
            Stage(
                "Stage 1: locate", p.stage1_iterations, 1.0, locating, lambda _: p.stage1_rate, self._locate
            ),
            Stage(
                "Stage 2: decide",
                p.stage2_iterations,
                0.1,
                deciding,
                lambda iteration: p.stage2_rate if iteration < half else p.stage2_rate / 10,
                self._decide,
            ),
            Stage(
                "Stage 3: refine",
                p.stage3_iterations,
                1.1,
                [*locating, *deciding],
                lambda _: p.stage3_rate,
                self._refine,
            ),
        )

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        if self.parameters.recipe == "paper":
            return torch.optim.SGD(stage.weights, lr=stage.rate_at(0))
        return torch.optim.Adam(stage.weights, lr=stage.rate_at(0))

    def _run(self, number: int, stage: Stage, optimiser: torch.optim.Optimizer, done: int) -> None:
        """A stage from an iteration to its end."""
        orders = [self._order(number, is_ng, stage.iterations) for is_ng in (True, False)]
        curves = Curves(max(1, stage.iterations // POINTS_A_STAGE))
        for iteration in range(done, stage.iterations):
            if self.stop():
                self._save(number, iteration, optimiser)
                raise TrainingStopped(self.checkpoints.last)
            if iteration > done and iteration % CHECKPOINT_EVERY == 0:
                self._save(number, iteration, optimiser)
            for group in optimiser.param_groups:
                group["lr"] = stage.rate_at(iteration)
            for figures in self._iteration(stage, optimiser, iteration, orders):
                curves.add(figures)
            if (iteration + 1) % curves.every == 0 or iteration + 1 == stage.iterations:
                self.on_progress(self._event(number, iteration + 1, curves.drained()))
        if number + 1 < len(self.stages):
            self._save(number + 1, 0, None)

    def _iteration(
        self, stage: Stage, optimiser: torch.optim.Optimizer, iteration: int, orders: Sequence[np.ndarray]
    ) -> Iterator[Figures]:
        """NG and OK images: a step after each (the paper), or one step on all of them.

        With a step after each, what both kinds share goes up and down with them; together, it cancels out.
        """
        ng, ok = ([int(index) for index in order[iteration]] for order in orders)
        together = (
            [[*ng, *ok]]
            if self.parameters.recipe == "robust"
            else [[i] for pair in zip(ng, ok, strict=True) for i in pair]
        )
        for images in together:
            for start in range(0, len(images), self.images_at_once):
                some = images[start : start + self.images_at_once]
                losses, figures = stage.losses_of(some, self._labels(some), iteration + 1)
                loss = losses.sum() / len(images)
                if not math.isfinite(loss.item()):
                    raise TrainingDiverged(stage.title, iteration + 1, self.checkpoints.last)
                loss.backward()
                yield figures
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def _locate(self, images: Sequence[int], is_ng: Tensor, step: int) -> tuple[Tensor, Figures]:
        """Loss_weak, eqs. (3) to (6)."""
        p = self.parameters
        alpha = collaborative_factor(step, p.stage1_iterations, p.alpha_every, p.alpha_init)
        with self._autocast():
            heat_map = self.network.heat_map(self.network.features(self._batch(images)))
        losses, figures = self._losses_weak(heat_map, is_ng, alpha)
        return losses, figures | {"Collaborative factor": torch.tensor([alpha])}

    def _decide(self, images: Sequence[int], is_ng: Tensor, step: int) -> tuple[Tensor, Figures]:
        """Cross-entropy of DNet, eq. (1), on features that stage 1 left."""
        features, heat_map = (torch.cat(parts) for parts in zip(*map(self.frozen.of, images), strict=True))
        with self._autocast():
            logit = self.network.decision(features, heat_map)
        return self._losses_class(logit, is_ng)

    def _refine(self, images: Sequence[int], is_ng: Tensor, step: int) -> tuple[Tensor, Figures]:
        """Both losses, the factor at its first value (section IV-C)."""
        with self._autocast():
            features = self.network.features(self._batch(images))
            heat_map = self.network.heat_map(features)
            logit = self.network.decision(features, heat_map)
        weak, figures = self._losses_weak(heat_map, is_ng, self.parameters.alpha_init)
        decided, more = self._losses_class(logit, is_ng)
        return weak + decided, figures | more

    def _losses_weak(self, heat_map: Tensor, is_ng: Tensor, alpha: float) -> tuple[Tensor, Figures]:
        q = mean_heat(heat_map)
        losses = torch.where(is_ng, loss_ng(q), alpha * loss_ok(q))
        if self.parameters.recipe == "robust":
            top = F.binary_cross_entropy(top_heat(heat_map, TOP_SHARE), is_ng.float(), reduction="none")
            losses = WEAK_WEIGHT * losses + TOP_WEIGHT * top
        peak = heat_map.detach().amax(dim=(1, 2, 3))
        return losses, by_kind("Mean heat", q.detach(), is_ng) | by_kind("Peak heat", peak, is_ng)

    def _losses_class(self, logit: Tensor, is_ng: Tensor) -> tuple[Tensor, Figures]:
        losses = F.binary_cross_entropy_with_logits(logit, is_ng.float(), reduction="none")
        return losses, by_kind("Decision loss", losses.detach(), is_ng)

    def _labels(self, images: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.asarray(self.training.is_ng, bool)[np.asarray(images)])

    def _batch(self, images: Sequence[int]) -> Tensor:
        return torch.from_numpy(self.images.batch(images))

    def _features_of(self, image: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), self._autocast():
            features = self.network.features(self._batch([image]))
            return features, self.network.heat_map(features)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.is_bf16)

    def _order(self, stage: int, is_ng: bool, iterations: int) -> np.ndarray:
        """int64 [iterations, pairs]: permutations of the kind's images, one after the other."""
        rng = np.random.default_rng([self.seed, stage, int(is_ng)])
        images = np.flatnonzero(np.asarray(self.training.is_ng, bool) == is_ng)
        draws = iterations * self.parameters.pairs
        rounds = max(1, math.ceil(draws / len(images)))
        order = np.concatenate([rng.permutation(images) for _ in range(rounds)])
        return order[:draws].reshape(iterations, self.parameters.pairs)

    def _saved_state(self) -> SavedState | None:
        found = self.checkpoints.load()
        arithmetic = "bf16" if self.is_bf16 else "float32"
        if not isinstance(found, SavedState):
            start = f"Trains in {arithmetic}; seed {self.seed}."
            self.on_progress(self._event(0, 0, {}, f"{found} {start}" if found else start))
            return None
        self.network.load_state_dict(found.part("network."))
        message = f"Goes on from iteration {found.iteration}, in {arithmetic}."
        self.on_progress(self._event(found.stage, found.iteration, {}, message))
        return found

    def _save(self, stage: int, iteration: int, optimiser: torch.optim.Optimizer | None) -> None:
        """Saves; but never weights that are not finite, so that the last checkpoint is a good one."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        if optimiser is not None:
            tensors |= {f"optimiser.{name}": one for name, one in optimiser_tensors(optimiser).items()}
        if all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            self.checkpoints.save(SavedState(tensors, stage, iteration))

    def _event(self, number: int, iteration: int, series: Mapping[str, float], message: str = "") -> Progress:
        costs = [stage.iterations * stage.cost for stage in self.stages]
        done = sum(costs[:number]) + iteration * self.stages[number].cost
        return Progress(
            fraction=min(done / sum(costs), 1.0),
            stage=self.stages[number].title,
            iteration=iteration,
            iterations=self.stages[number].iterations,
            series=series,
            message=message,
        )


class FrozenFeatures:
    """Features and heat map of each image, computed when first asked for and kept while memory allows."""

    def __init__(
        self, compute: Callable[[int], tuple[Tensor, Tensor]], budget_bytes: int = FEATURES_BUDGET_BYTES
    ) -> None:
        self._compute = compute
        self._left_bytes = budget_bytes
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def of(self, index: int) -> tuple[Tensor, Tensor]:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        computed = self._compute(index)
        size_bytes = sum(tensor.numel() * tensor.element_size() for tensor in computed)
        if size_bytes <= self._left_bytes:
            self._kept[index] = computed
            self._left_bytes -= size_bytes
        return computed


class Curves:
    """Means of the figures since they were last drained, so that a curve has few points and little noise."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._values: dict[str, list[float]] = {}

    def add(self, figures: Figures) -> None:
        for name, value in figures.items():
            self._values.setdefault(name, []).extend(value.tolist())

    def drained(self) -> dict[str, float]:
        means = {name: sum(values) / len(values) for name, values in self._values.items() if values}
        self._values.clear()
        return means


def by_kind(name: str, values: Tensor, is_ng: Tensor) -> Figures:
    return {f"{name}, NG": values[is_ng], f"{name}, OK": values[~is_ng]}


def new_network(parameters: WeakParameters) -> WeakNetwork:
    return WeakNetwork(
        parameters.normalisation,
        parameters.pooling,
        parameters.initial_heat,
        is_map_normalised=parameters.recipe == "paper",
    )


def computes_bf16(precision: str) -> bool:
    """Whether training computes in bf16: asked for, or left open on a processor that has the instructions."""
    return precision == "bf16" or (precision == "auto" and bool(torch.cpu._is_avx512_bf16_supported()))  # noqa: SLF001


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of each weight, by "number.name"."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{name}": tensor for number, kept in state.items() for name, tensor in kept.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
