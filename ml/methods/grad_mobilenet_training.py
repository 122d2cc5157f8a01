"""The training of `grad_mobilenet`: overfit to one label, then look at the OK images' gradients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.backbones import BACKBONES
from ml.methods.checkpoints import fingerprint
from ml.methods.contract import OnProgress, Stop, TrainingSet
from ml.methods.declarations.grad_mobilenet import GradMobileNetParameters
from ml.methods.devices import training_device
from ml.methods.grad_mobilenet_network import GRID, GradMobileNet, new_mobilenet
from ml.methods.gradients import with_folded_normalisation
from ml.methods.prepared import PreparedImages, standardised
from ml.methods.staged import Figures, Optimisers, Stage, StagedTraining, finite
from ml.preprocessing import Preprocessing

FEATURES: Final = GRID * GRID + 2
MEASURED_IMAGES: Final = 64  # OK images that the loss is measured on, and the landmark is proposed from
LANDMARK_SHARE: Final = 0.0001  # of the OK images' pixels that a proposed landmark counts
MAP_QUANTILE: Final = 0.999  # of the OK images' gradient norms: the map's 1
GRADIENT_BATCH_PX: Final = 400_000  # of input in one forward and backward pass; bounds memory


class OkGradients(nn.Module):
    """What the trained model gives for the OK images; a module, so that checkpoints hold it.

    Buffers: features [N, FEATURES]; peaks [N], the quantile `MAP_QUANTILE` of each image's gradient norm.
    """

    features: Tensor
    peaks: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(count, FEATURES))
        self.register_buffer("peaks", torch.zeros(count))


class GradMobileNetTraining:
    """One fit. Uses the OK images alone."""

    def __init__(self, training: TrainingSet, parameters: GradMobileNetParameters, seed: int) -> None:
        self.training = training
        self.parameters = parameters
        self.seed = seed
        self.ok = np.flatnonzero(~np.asarray(training.is_ng, bool))
        self.device = training_device()
        self.preprocessing = self._preprocessing()
        self.images = PreparedImages(training, self.preprocessing)
        self.measured = np.random.default_rng([seed, 0]).permutation(self.ok)[:MEASURED_IMAGES]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.mobilenet = new_mobilenet(parameters, training.weights_folder).to(self.device)
        self.gradients = OkGradients(len(self.ok))
        self.network: GradMobileNet | None = None
        self._last_loss = float("inf")

    def train(self, on_progress: OnProgress, stop: Stop, checkpoint: Path | None) -> GradMobileNet:
        """Both stages, or what a checkpoint leaves of them. See `StagedTraining.run`.

        Returns:
            The network that is served: batch normalisation folded away, in eval mode.
        """
        p = self.parameters
        steps = max(1, round(len(self.ok) / p.batch))  # in an epoch
        size_px = p.height * p.width
        at_once = max(1, min(p.batch, GRADIENT_BATCH_PX // size_px))
        parts = [
            range(first, min(first + at_once, len(self.ok))) for first in range(0, len(self.ok), at_once)
        ]
        StagedTraining(
            {"mobilenet": self.mobilenet, "gradients": self.gradients},
            [
                Stage(
                    "Overfit to the OK images",
                    p.epochs * steps,
                    lambda: {"weights": torch.optim.Adam(self.mobilenet.parameters(), lr=p.rate)},
                    lambda optimisers, iteration: self._step(optimisers, iteration, steps),
                    is_done=lambda _iteration: self._is_overfit(),
                ),
                Stage(
                    "Gradients of the OK images",
                    len(parts),
                    dict,
                    lambda _optimisers, iteration: self._look(parts[iteration]),
                ),
            ],
            seed=self.seed,
            checkpoint=checkpoint,
            made_for=fingerprint(self.training, p, self.seed),
            on_progress=on_progress,
            stop=stop,
            note=f"Trains in float32 on {self.device.type}.",
        ).run()
        return self._frozen()

    def _preprocessing(self) -> Preprocessing:
        """What the weights expect: ImageNet's mean and deviation, or those of the OK images."""
        p = self.parameters
        row = BACKBONES[f"mobilenet_v3_{p.backbone}"]
        preprocessing = Preprocessing(p.height, p.width, "rgb", row.mean, row.std, self.training.rois)
        if p.weights == "imagenet":
            return preprocessing
        return standardised(_only(self.training, self.ok), preprocessing, self.seed)

    def _step(self, optimisers: Optimisers, iteration: int, steps: int) -> Figures:
        """One batch: cross-entropy with label 0 for every image, section 4.1."""
        epoch, part = divmod(iteration, steps)
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(self.ok)
        images = self._batch(np.array_split(order, steps)[part])
        optimiser = optimisers["weights"]
        self.mobilenet.train()
        loss = finite(_loss(self.mobilenet(images)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        self._last_loss = loss.item()
        return {"Loss": loss}

    def _is_overfit(self) -> bool:
        """Whether the loss of the model as it will judge is below the limit.

        A training lasts a dozen steps. The running averages of batch normalisation (torchvision's move by a
        hundredth a step) are then still those of the first weights, and in eval mode the model is another
        function than the one that was trained: they are taken anew from the OK images.
        """
        if self._last_loss >= self.parameters.loss_limit:
            return False
        self._settle()
        with torch.inference_mode():
            losses = [_loss(self.mobilenet(self._batch(part))) * len(part) for part in self._measured_parts()]
        return float(sum(losses)) / len(self.measured) < self.parameters.loss_limit

    def _settle(self) -> None:
        """Batch normalisation's averages: those of the measured OK images. Leaves eval mode."""
        self.mobilenet.eval()
        with _averaging(self.mobilenet), torch.no_grad():
            for part in self._measured_parts():
                self.mobilenet(self._batch(part))

    def _measured_parts(self) -> list[np.ndarray]:
        """Never of one image: a normalisation over one value has no deviation."""
        return np.array_split(self.measured, max(1, len(self.measured) // self.parameters.batch))

    def _look(self, rows: range) -> Figures:
        if self.network is None:
            self.network = self._frozen().to(self.device)
        with torch.inference_mode():
            features, heat_maps = self.network(self._batch(self.ok[rows.start : rows.stop]))
            peaks = torch.quantile(heat_maps.flatten(1), MAP_QUANTILE, dim=1)
        self.gradients.features[rows.start : rows.stop] = features.cpu()
        self.gradients.peaks[rows.start : rows.stop] = peaks.cpu()
        return {"Mean gradient norm": heat_maps.mean(dim=(1, 2))}

    def _frozen(self) -> GradMobileNet:
        """The served network of the weights as they are now."""
        p = self.parameters
        if self.network is None:
            self._settle()
            folded = with_folded_normalisation(self.mobilenet).cpu()
            self.network = GradMobileNet(folded, p.height, p.width, p.scale).eval()
            self.network.set_grey(self.preprocessing.mean, self.preprocessing.std)
            self.network.landmark.copy_(torch.tensor(self._landmark(), dtype=torch.float32))
        return self.network

    def _landmark(self) -> tuple[int, int]:
        """The artificial landmark's grey values (section 4.3): given, or proposed from the OK histogram."""
        p = self.parameters
        if p.landmark == "fixed":
            return p.landmark_from, p.landmark_to
        counts = np.zeros(256, np.int64)
        for image in self.measured:
            grey = cv2.cvtColor(self.images.resized(int(image)), cv2.COLOR_RGB2GRAY)
            counts += np.bincount(grey.ravel(), minlength=256)
        return 0, int(np.searchsorted(np.cumsum(counts), LANDMARK_SHARE * counts.sum()))

    def _batch(self, images: Sequence[int] | np.ndarray) -> Tensor:
        return torch.from_numpy(self.images.batch([int(image) for image in images])).to(self.device)


def _loss(logits: Tensor) -> Tensor:
    """Mean cross-entropy with label 0. L of eq. (2)"""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


@contextmanager
def _averaging(network: nn.Module) -> Iterator[None]:
    """Batch normalisations average anew over what passes, each batch alike; the rest stays as it is."""
    normalisations = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in normalisations]
    for module in normalisations:
        module.reset_running_stats()
        module.momentum = None
        module.train()
    try:
        yield
    finally:
        for module, momentum in zip(normalisations, momenta, strict=True):
            module.momentum = momentum
            module.eval()


def _only(training: TrainingSet, rows: np.ndarray) -> TrainingSet:
    """Some of a training set's images, decoded as lazily as there."""
    return TrainingSet(
        images=_Picked(training.images, rows),
        is_ng=np.asarray(training.is_ng)[rows],
        classes=np.asarray(training.classes)[rows],
        class_names=training.class_names,
        groups=[training.groups[row] for row in rows],
        views=[training.views[row] for row in rows],
        rois=training.rois,
        weights_folder=training.weights_folder,
    )


class _Picked(Sequence[np.ndarray]):
    def __init__(self, images: Sequence[np.ndarray], rows: np.ndarray) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return self._images[int(self._rows[index])]
