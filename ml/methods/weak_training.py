"""The three stages of `weak` (section III-C): locate, decide, refine."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.artificial import with_defects
from ml.methods.checkpoints import fingerprint
from ml.methods.contract import OnProgress, Stop, TrainingSet
from ml.methods.declarations import WeakParameters
from ml.methods.devices import autocast, computes_bf16, training_device
from ml.methods.prepared import PreparedImages, standardised
from ml.methods.staged import Figures, Optimisers, Stage, StagedTraining, finite
from ml.methods.weak_network import (
    TOP_SHARE,
    WeakNetwork,
    collaborative_factor,
    loss_ng,
    loss_ok,
    mean_heat,
    place_loss,
    top_logit,
)
from ml.preprocessing import Preprocessing

BATCH_PX: Final = 1_500_000  # of input in one forward and backward pass; bounds memory, not the result
FEATURES_BUDGET_BYTES: Final = 2_000_000_000

# Of the robust recipe's terms, against 1 of the hottest cells'.
WEAK_WEIGHT: Final = 0.3  # the paper's loss
PLACE_WEIGHT: Final = 0.3  # the places of artificial defects


class Seen(NamedTuple):
    """An image as a step sees it: its number, and whether it is upside down or left side right."""

    image: int
    is_flipped_down: bool = False
    is_flipped_across: bool = False


@dataclass(frozen=True)
class Phase:
    """What tells one stage from another.

    Attributes:
        number: 0, 1, 2.
        title: for a person.
        iterations: of `pairs` NG and as many OK images each.
        cost: of an iteration, against the first stage's.
        weights: that it trains.
        rate_at: learning rate at an iteration.
        losses_of: views of images, is_ng bool [B], iteration → losses [B] and figures.
        locates: LNet is among the weights, and learns from artificial defects as well.
    """

    number: int
    title: str
    iterations: int
    cost: float
    weights: Sequence[nn.Parameter]
    rate_at: Callable[[int], float]
    losses_of: Callable[[Sequence[Seen], Tensor, int], tuple[Tensor, Figures]]
    locates: bool


class WeakTraining:
    """One fit. The order of images follows from the seed alone, so that a resumed fit sees the same ones."""

    def __init__(self, training: TrainingSet, parameters: WeakParameters, seed: int) -> None:
        self.training = training
        self.parameters = parameters
        self.seed = seed
        self.preprocessing = standardised(
            training, Preprocessing(parameters.height, parameters.width, "grey", rois=training.rois), seed
        )
        self.images = PreparedImages(training, self.preprocessing)
        self.images_at_once = max(1, BATCH_PX // (parameters.height * parameters.width))
        self.frozen = FrozenFeatures(self._features_of)
        self.device = training_device()
        self.is_bf16 = computes_bf16(parameters.precision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = new_network(parameters).to(self.device)

    def train(self, on_progress: OnProgress, stop: Stop, checkpoint: Path | None) -> None:
        """All stages, or those that a checkpoint leaves. See `StagedTraining.run`."""
        self.network.train()
        StagedTraining(
            {"network": self.network},
            [self._stage(phase) for phase in self._phases()],
            seed=self.seed,
            checkpoint=checkpoint,
            made_for=fingerprint(self.training, self.parameters, self.seed),
            on_progress=on_progress,
            stop=stop,
            note=f"Trains in {'bf16' if self.is_bf16 else 'float32'} on {self.device.type}.",
        ).run()

    def _phases(self) -> tuple[Phase, ...]:
        p, network = self.parameters, self.network
        locating = [*network.shared.parameters(), *network.localise.parameters(), *network.heat.parameters()]
        deciding = [*network.decide.parameters(), *network.dense.parameters()]
        half = p.stage2_iterations // 2
        return (
            Phase(
                0,
                "Stage 1: locate",
                p.stage1_iterations,
                1.0,
                locating,
                lambda _: p.stage1_rate,
                self._locate,
                locates=True,
            ),
            Phase(
                1,
                "Stage 2: decide",
                p.stage2_iterations,
                0.1,
                deciding,
                lambda iteration: p.stage2_rate if iteration < half else p.stage2_rate / 10,
                self._decide,
                locates=False,
            ),
            Phase(
                2,
                "Stage 3: refine",
                p.stage3_iterations,
                1.1,
                [*locating, *deciding],
                lambda _: p.stage3_rate,
                self._refine,
                locates=True,
            ),
        )

    def _stage(self, phase: Phase) -> Stage:
        ng, ok = (self._order(phase.number, is_ng, phase.iterations) for is_ng in (True, False))
        kind = torch.optim.SGD if self.parameters.recipe == "paper" else torch.optim.Adam
        return Stage(
            phase.title,
            phase.iterations,
            lambda: {"weights": kind(phase.weights, lr=phase.rate_at(0))},
            lambda optimisers, iteration: self._step(
                phase, optimisers, iteration, ng[iteration], ok[iteration]
            ),
            cost=phase.cost,
        )

    def _step(
        self, phase: Phase, optimisers: Optimisers, iteration: int, ng: Sequence[Seen], ok: Sequence[Seen]
    ) -> Figures:
        """NG and OK images: a step after each (the paper), or one step on all of them.

        With a step after each, what both kinds share goes up and down with them; together, it cancels out.
        """
        optimiser = optimisers["weights"]
        for group in optimiser.param_groups:
            group["lr"] = phase.rate_at(iteration)
        places = self._learn_places(phase, iteration) if phase.locates else {}
        together = (
            [[*ng, *ok]]
            if self.parameters.recipe == "robust"
            else [[image] for pair in zip(ng, ok, strict=True) for image in pair]
        )
        told: list[Figures] = []
        for images in together:
            for start in range(0, len(images), self.images_at_once):
                some = images[start : start + self.images_at_once]
                losses, figures = phase.losses_of(some, self._labels(some), iteration)
                finite(losses.sum() / len(images)).backward()
                told.append(figures)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        seen = {name: torch.cat([one[name].detach().flatten() for one in told]) for name in told[0]}
        return seen | places

    def _learn_places(self, phase: Phase, iteration: int) -> dict[str, Tensor]:
        """Adds the gradients of `place_loss` on OK images with artificial defects; none in the paper."""
        count = self.parameters.artificial
        told: list[Tensor] = []
        for start in range(0, count, self.images_at_once):
            numbers = range(start, min(count, start + self.images_at_once))
            images, masks = self._artificial([(self.seed, phase.number, iteration, one) for one in numbers])
            with autocast(self.is_bf16):
                logits = self.network.heat_logits(self.network.features(images))
            losses = place_loss(logits, masks)
            finite(PLACE_WEIGHT * losses.sum() / count).backward()
            told.append(losses.detach())
        return {"Place loss, artificial": torch.cat(told)} if told else {}

    def _artificial(self, seeds: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """One OK image with defects for each seed: float32 [B, 1, H, W], bool [B, 1, H, W]."""
        ok = np.flatnonzero(~np.asarray(self.training.is_ng, bool))
        drawn = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            drawn.append(with_defects(self.images.batch([int(rng.choice(ok))])[0], rng))
        images, masks = (torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True))
        return images.to(self.device), masks.unsqueeze(1).to(self.device)

    def _locate(
        self, images: Sequence[Seen], is_ng: Tensor, iteration: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss_weak, eqs. (3) to (6)."""
        p = self.parameters
        alpha = collaborative_factor(iteration + 1, p.stage1_iterations, p.alpha_every, p.alpha_init)
        with autocast(self.is_bf16):
            logits = self.network.heat_logits(self.network.features(self._batch(images)))
        losses, figures = self._losses_weak(logits, is_ng, alpha)
        return losses, figures | {"Collaborative factor": torch.tensor([alpha])}

    def _decide(
        self, images: Sequence[Seen], is_ng: Tensor, iteration: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of DNet, eq. (1), on features that stage 1 left."""
        features, heat_map = (torch.cat(parts) for parts in zip(*map(self.frozen.of, images), strict=True))
        with autocast(self.is_bf16):
            logit = self.network.decision(features, heat_map)
        return self._losses_class(logit, is_ng)

    def _refine(
        self, images: Sequence[Seen], is_ng: Tensor, iteration: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Both losses, the factor at its first value (section IV-C)."""
        with autocast(self.is_bf16):
            features = self.network.features(self._batch(images))
            heat_logits = self.network.heat_logits(features)
            logit = self.network.decision(features, torch.sigmoid(heat_logits))
        weak, figures = self._losses_weak(heat_logits, is_ng, self.parameters.alpha_init)
        decided, more = self._losses_class(logit, is_ng)
        return weak + decided, figures | more

    def _losses_weak(self, logits: Tensor, is_ng: Tensor, alpha: float) -> tuple[Tensor, dict[str, Tensor]]:
        heat_map = torch.sigmoid(logits)
        q = mean_heat(heat_map)
        losses = torch.where(is_ng, loss_ng(q), alpha * loss_ok(q))
        if self.parameters.recipe == "robust":
            losses = WEAK_WEIGHT * losses + F.binary_cross_entropy_with_logits(
                top_logit(logits, TOP_SHARE), is_ng.float(), reduction="none"
            )
        peak = heat_map.detach().amax(dim=(1, 2, 3))
        return losses, by_kind("Mean heat", q.detach(), is_ng) | by_kind("Peak heat", peak, is_ng)

    def _losses_class(self, logit: Tensor, is_ng: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        losses = F.binary_cross_entropy_with_logits(logit, is_ng.float(), reduction="none")
        return losses, by_kind("Decision loss", losses.detach(), is_ng)

    def _labels(self, seen: Sequence[Seen]) -> Tensor:
        is_ng = np.asarray(self.training.is_ng, bool)
        return torch.from_numpy(is_ng[[one.image for one in seen]]).to(self.device)

    def _batch(self, seen: Sequence[Seen]) -> Tensor:
        images = self.images.batch([one.image for one in seen])
        for row, one in enumerate(seen):
            down, across = (-1 if is_flipped else 1 for is_flipped in one[1:])
            images[row] = images[row, :, ::down, ::across].copy()
        return torch.from_numpy(images).to(self.device)

    def _features_of(self, seen: Seen) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), autocast(self.is_bf16):
            features = self.network.features(self._batch([seen]))
            return features, self.network.heat_map(features)

    def _order(self, stage: int, is_ng: bool, iterations: int) -> list[list[Seen]]:
        """By iteration, `pairs` of the kind's images: permutations of all of them, one after the other."""
        rng = np.random.default_rng([self.seed, stage, int(is_ng)])
        images = np.flatnonzero(np.asarray(self.training.is_ng, bool) == is_ng)
        draws = iterations * self.parameters.pairs
        rounds = max(1, math.ceil(draws / len(images)))
        order = np.concatenate([rng.permutation(images) for _ in range(rounds)])
        flips = rng.random((draws, 2)) < (0.5 if self.parameters.flips else 0.0)
        seen = [Seen(int(image), *map(bool, flip)) for image, flip in zip(order[:draws], flips, strict=True)]
        return [
            seen[start : start + self.parameters.pairs] for start in range(0, draws, self.parameters.pairs)
        ]


class FrozenFeatures:
    """Features and heat map of each image, computed when first asked for and kept while memory allows."""

    def __init__(
        self, compute: Callable[[Seen], tuple[Tensor, Tensor]], budget_bytes: int = FEATURES_BUDGET_BYTES
    ) -> None:
        self._compute = compute
        self._left_bytes = budget_bytes
        self._kept: dict[Seen, tuple[Tensor, Tensor]] = {}

    def of(self, seen: Seen) -> tuple[Tensor, Tensor]:
        kept = self._kept.get(seen)
        if kept is not None:
            return kept
        computed = self._compute(seen)
        size_bytes = sum(tensor.numel() * tensor.element_size() for tensor in computed)
        if size_bytes <= self._left_bytes:
            self._kept[seen] = computed
            self._left_bytes -= size_bytes
        return computed


def by_kind(name: str, values: Tensor, is_ng: Tensor) -> dict[str, Tensor]:
    return {f"{name}, NG": values[is_ng], f"{name}, OK": values[~is_ng]}


def new_network(parameters: WeakParameters) -> WeakNetwork:
    return WeakNetwork(
        parameters.normalisation,
        parameters.pooling,
        parameters.initial_heat,
        is_map_normalised=parameters.recipe == "paper",
        joins_map=parameters.score == "joined",
    )
