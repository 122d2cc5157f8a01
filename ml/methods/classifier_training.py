"""The training of every classifier: epochs of shuffled batches; what is frozen is computed once."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ml.methods.checkpoints import fingerprint
from ml.methods.classifier_features import (
    NO_AUGMENTATION,
    Augmentation,
    CopiedImages,
    Copy,
    Features,
    FrozenFeatures,
)
from ml.methods.contract import OnProgress, Progress, Stop, TrainingSet
from ml.methods.devices import autocast, computes_bf16, training_device
from ml.methods.staged import Figures, Optimisers, Stage, StagedTraining, finite
from ml.preprocessing import Preprocessing

BATCH_PX: Final = 800_000  # of input in one forward and backward pass; bounds memory, not the result
FROZEN_SHARE: Final = 0.5  # of a training's progress, where the frozen layers are run once
CHECKPOINTS: Final = 10  # in a training: a VGG16 with its optimiser is 1.6 GB


class SplitNetwork(nn.Module, ABC):
    """A classifier in two parts: what a training leaves as it is, and what it trains."""

    @abstractmethod
    def frozen(self, images: Tensor) -> Features:
        """float32 [B, C, H, W] → what `trained` takes; the images themselves where nothing is frozen."""

    @abstractmethod
    def trained(self, *features: Tensor) -> Tensor:
        """→ logits [B, C]."""

    @abstractmethod
    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Those that `trained` uses and a training changes."""

    @property
    @abstractmethod
    def is_all_trained(self) -> bool:
        """Nothing is frozen, so that there is nothing to keep."""


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained.

    Attributes:
        epochs: passes over as many images as the training set has.
        batch: images in a step, about; an epoch's batches differ by at most one image.
        rate: of Adam, whose other values are its defaults.
        is_balanced: draw every class equally often, instead of every image once an epoch.
        precision: of the arithmetic (see `devices.computes_bf16`).
        keeps_statistics: batch normalisation uses the statistics that it came with and learns scale and
            offset alone: with pretrained weights, the same function in training and on the line.
        augmentation: of training images.
        copies: augmented copies of an image that the epochs go round; 0 for a new one at each epoch.
    """

    epochs: int
    batch: int
    rate: float
    is_balanced: bool
    precision: str
    keeps_statistics: bool
    augmentation: Augmentation = NO_AUGMENTATION
    copies: int = 1


class ClassifierTraining:
    """One fit. What is in a batch follows from the seed alone, so that a resumed fit sees the same.

    Args:
        network: moved to the training device, and trained there.
        targets: class of each image, int [N].
        preprocessing: from images to the network's input.
    """

    def __init__(
        self,
        network: SplitNetwork,
        training: TrainingSet,
        targets: np.ndarray,
        parameters: BaseModel,
        recipe: Recipe,
        preprocessing: Preprocessing,
        seed: int,
    ) -> None:
        self.training = training
        self.parameters = parameters
        self.recipe = recipe
        self.seed = seed
        self.device = training_device()
        self.is_bf16 = computes_bf16(recipe.precision)
        self.network = network.to(device=self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.targets = torch.from_numpy(np.asarray(targets, np.int64)).to(self.device)
        self.order = EpochOrder(targets, recipe.batch, seed, is_balanced=recipe.is_balanced)
        self.images = CopiedImages(training, preprocessing, recipe.augmentation, seed)
        self.images_at_once = max(1, BATCH_PX // (preprocessing.height * preprocessing.width))
        is_never_the_same = recipe.copies == 0 and not recipe.augmentation.is_none
        is_kept = not (network.is_all_trained or is_never_the_same)
        self.kept = FrozenFeatures(self._frozen, len(training), self.images_at_once) if is_kept else None

    def train(self, on_progress: OnProgress, stop: Stop, checkpoint: Path | None) -> None:
        """All stages, or those that a checkpoint leaves. See `StagedTraining.run`."""
        self.network.eval()  # what is frozen stays so
        self.network.requires_grad_(False)
        for module in self.network.trained_modules().values():
            module.requires_grad_(True)
            module.train()
            if self.recipe.keeps_statistics:
                for norm in _norms(module):
                    norm.eval()
        if self.kept:
            on_progress = self._prepared(self.kept, on_progress, stop)
        StagedTraining(
            self.network.trained_modules(),
            self._stages(),
            seed=self.seed,
            checkpoint=checkpoint,
            made_for=fingerprint(self.training, self.parameters, self.seed),
            on_progress=on_progress,
            stop=stop,
            note=f"Trains in {'bf16' if self.is_bf16 else 'float32'} on {self.device.type}.",
        ).run()
        self.network.eval()

    def _prepared(self, kept: FrozenFeatures, on_progress: OnProgress, stop: Stop) -> OnProgress:
        """Runs the frozen layers, once; gives what tells of the rest. A stop is the training's to act on."""
        numbers = min(self.recipe.copies, self.recipe.epochs)
        for done, total in kept.prepare(numbers):
            if stop():
                break
            on_progress(Progress(FROZEN_SHARE * done / total, "Frozen layers, once", done, total))

        def on_trained(event: Progress) -> None:
            on_progress(replace(event, fraction=FROZEN_SHARE + (1 - FROZEN_SHARE) * event.fraction))

        return on_trained

    def _stages(self) -> list[Stage]:
        iterations = self.recipe.epochs * self.order.batches
        weights = [one for module in self.network.trained_modules().values() for one in module.parameters()]
        stages = [
            Stage(
                "Train",
                iterations,
                lambda: {"weights": torch.optim.Adam(weights, lr=self.recipe.rate)},
                self._step,
                checkpoint_every=max(self.order.batches, math.ceil(iterations / CHECKPOINTS)),
            )
        ]
        if self._norms():
            stages.append(Stage("Settle the statistics", self.order.batches, dict, self._settle, cost=0.4))
        return stages

    def _step(self, optimisers: Optimisers, iteration: int) -> Figures:
        copies = self._copies(iteration)
        # Statistics over a batch need all of it at once.
        at_once = len(copies) if self._norms() else self.images_at_once
        told = []
        for start in range(0, len(copies), at_once):
            some = copies[start : start + at_once]
            targets = self.targets[[image for image, _ in some]]
            logits = self._logits(some)
            losses = F.cross_entropy(logits, targets, reduction="none")
            finite(losses.sum() / len(copies)).backward()
            told.append((losses.detach(), logits.detach().argmax(dim=1) == targets, targets > 0))
        optimisers["weights"].step()
        optimisers["weights"].zero_grad(set_to_none=True)
        losses, is_right, is_ng = (torch.cat(parts) for parts in zip(*told, strict=True))
        right = is_right.float()
        return {"Loss": losses, "Accuracy, OK": right[~is_ng], "Accuracy, NG": right[is_ng]}

    def _settle(self, optimisers: Optimisers, iteration: int) -> Figures:
        """Statistics of batch normalisation over one epoch under the final weights, without dropout.

        The running means of the training lag behind its weights: with MobileNetV3's momentum of 0.01 by
        hundreds of steps.
        """
        for module in self.network.trained_modules().values():
            module.eval()
        for norm in self._norms():
            norm.train()
            norm.momentum = None  # the plain mean over all batches
            if iteration == 0:
                norm.reset_running_stats()
        with torch.no_grad():
            self._logits(self._copies(iteration))
        return {}

    def _logits(self, copies: Sequence[Copy]) -> Tensor:
        features = self.kept.batch(copies) if self.kept else self._frozen(copies)
        with autocast(self.is_bf16):
            return self.network.trained(*features).float()

    def _frozen(self, copies: Sequence[Copy]) -> Features:
        parts = []
        for start in range(0, len(copies), self.images_at_once):
            batch = self.images.batch(copies[start : start + self.images_at_once])
            with torch.no_grad(), autocast(self.is_bf16):
                parts.append(self.network.frozen(batch.to(self.device, memory_format=torch.channels_last)))
        return tuple(torch.cat(one) for one in zip(*parts, strict=True))

    def _copies(self, iteration: int) -> list[Copy]:
        epoch = iteration // self.order.batches
        number = epoch % self.recipe.copies if self.recipe.copies else epoch
        return [(int(image), number) for image in self.order.batch(iteration)]

    def _norms(self) -> list[_BatchNorm]:
        """Batch normalisations that use a batch's statistics while training."""
        if self.recipe.keeps_statistics:
            return []
        return [norm for module in self.network.trained_modules().values() for norm in _norms(module)]


class EpochOrder:
    """Which images are in which batch.

    A class that is rare in the training set is as rare in its batches, and the least of the loss is soon to
    call everything by the commonest name. Drawn evenly, every class has the same say; an epoch then shows a
    rare image several times and leaves out some of the common ones. (Weighting the loss instead has the same
    mean gradient, but rests it on the few batches that hold a rare image.)

    Args:
        targets: class of each image, int [N].
        batch: images in a batch, about.
        seed: of the shuffling.
        is_balanced: draw every class that there is equally often.
    """

    def __init__(self, targets: np.ndarray, batch: int, seed: int, *, is_balanced: bool) -> None:
        self._members = [np.arange(len(targets))]
        if is_balanced:
            self._members = [np.flatnonzero(targets == one) for one in np.unique(targets)]
        self._count = len(targets)
        self._seed = seed
        self._last: tuple[int, list[np.ndarray]] = (-1, [])
        # No batch of one image: it has no statistics.
        self.batches = max(1, min(math.ceil(self._count / batch), self._count // 2))

    def batch(self, iteration: int) -> np.ndarray:
        """Indices of the images of a batch, counted over all epochs."""
        epoch, number = divmod(iteration, self.batches)
        if self._last[0] != epoch:
            self._last = (epoch, np.array_split(self._epoch(epoch), self.batches))
        return self._last[1][number]

    def _epoch(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch])
        shares = np.array_split(np.arange(self._count), len(self._members))
        drawn = [
            np.concatenate([rng.permutation(members) for _ in range(math.ceil(len(share) / len(members)))])
            for share, members in zip(shares, self._members, strict=True)
        ]
        drawn = [some[: len(share)] for some, share in zip(drawn, shares, strict=True)]
        return rng.permutation(np.concatenate(drawn))


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [one for one in module.modules() if isinstance(one, _BatchNorm)]
