"""`multipath_vgg`: VGG19 with branches after max-pools 2, 3 and 4, for OK and the defect types.

Apostolopoulos, Tzani: Industrial object, machine part and defect recognition towards fully automated
industrial monitoring employing deep learning. The case of multilevel VGG19. Without the branches it is the
plain VGG19 that the paper compares with.

Score: 1 - P(OK). Map: Grad-CAM of the NG class that wins among the NG classes, at the last convolution.

Where the paper leaves something open, or this differs:

- Rotation, shift, noise, the branches' dropout, epochs and batch are not told; they are parameters.
- Statistics of batch normalisation are settled at the end of the training, in place of Keras's running means.
- A branch works on two numbers of a map instead of the map (`Branch`), so that frozen maps need not be kept.
- From random weights (weights none), which the paper does not try, freezing leaves random features;
  `train_layers` can be all.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.backbones import BACKBONES, pretrained_stages, random_stages
from ml.methods.classifier_features import Augmentation, Features
from ml.methods.classifier_training import ClassifierTraining, Recipe, SplitNetwork
from ml.methods.contract import OnProgress, Stop, TrainingSet, check_needs, ignore_progress, never_stop
from ml.methods.declarations.multipath_vgg import MULTIPATH_VGG, MultipathVggParameters
from ml.methods.grad_cam import grad_cam, strongest_ng
from ml.methods.prepared import standardised
from ml.methods.torch_model import TorchModel, load_weights
from ml.preprocessing import Preprocessing
from ml.scoring import NotOk

NETWORK: Final = "vgg19"
BRANCHES: Final = ((128, 4), (256, 8), (512, 16))  # channels and stride behind max-pools 2, 3 and 4
LAST_LAYERS: Final = 2  # of block 5: the last convolution and its ReLU


class MomentNorm(nn.BatchNorm1d):
    """Batch normalisation of maps [B, C, h, w] by their means and mean squares alone."""

    def scale_and_offset(self, mean: Tensor, mean_square: Tensor | None) -> tuple[Tensor, Tensor]:
        """What it multiplies values by and adds to them, [C] each; in training, by the batch's statistics.

        Args:
            mean, mean_square: of each map, [B, C]; the squares are needed in training alone.
        """
        if self.training and mean_square is not None:
            centre = mean.mean(dim=0)
            variance = (mean_square.mean(dim=0) - centre**2).clamp(min=0)
            self._follow(centre.detach(), variance.detach())
        else:
            centre, variance = _present(self.running_mean), _present(self.running_var)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return scale, self.bias - centre * scale

    def _follow(self, centre: Tensor, variance: Tensor) -> None:
        _present(self.num_batches_tracked).add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(_present(self.num_batches_tracked))
        _present(self.running_mean).lerp_(centre, share)
        _present(self.running_var).lerp_(variance, share)


class Branch(nn.Module):
    """A "BD" layer: batch normalisation → dropout → global average pooling (section 2.1, figure 1).

    Of a map of N cells, all three need its mean and its mean square alone. Dropout with rate p before a mean
    over many cells adds to it, by the central limit, Gaussian noise of variance p / (1 - p) · E[y²] / N.

    Args:
        channels: of the map.
        cells: N.
        dropout: p.
    """

    def __init__(self, channels: int, cells: int, dropout: float) -> None:
        super().__init__()
        self.norm = MomentNorm(channels)
        self.noise = math.sqrt(dropout / (1 - dropout) / cells)

    def forward(self, mean: Tensor, mean_square: Tensor | None = None) -> Tensor:
        """[B, C] each → [B, C]; without mean squares, as it infers."""
        scale, offset = self.norm.scale_and_offset(mean, mean_square)
        pooled = mean * scale + offset
        if not self.training or mean_square is None or self.noise == 0:
            return pooled
        square = scale**2 * mean_square + 2 * scale * offset * mean + offset**2  # E[y²]
        return pooled + self.noise * square.clamp(min=1e-12).sqrt() * torch.randn_like(pooled)


class DenseHead(nn.Module):
    """The fused vectors → 2500 neurons with ReLU → batch normalisation → dropout → a logit for each class."""

    def __init__(self, width: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(hidden, classes)

    def forward(self, fused: Tensor) -> Tensor:
        """[B, D] → logits [B, C]."""
        logits: Tensor = self.last(self.dropout(self.norm(F.relu(self.dense(fused)))))
        return logits

    def explained(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """As it infers: [B, D] → logits [B, C] and the winning NG class's gradient ∂y^c / ∂fused, [B, D]."""
        dense = self.dense(fused)
        logits = self.last(self.norm(F.relu(dense)))
        scale = _present(self.norm.weight) * torch.rsqrt(_present(self.norm.running_var) + self.norm.eps)
        slope = self.last.weight[strongest_ng(logits)] * scale * (dense > 0)
        return logits, slope @ self.dense.weight


class MultipathNetwork(SplitNetwork):
    """VGG19's convolutions, the branches, the dense head. Figure 1.

    Args:
        parameters: size, branches, trained layers, dense layer and dropout count.
        stages: VGG19's blocks 1 to 5.
        classes: C.
    """

    def __init__(
        self, parameters: MultipathVggParameters, stages: Sequence[nn.Sequential], classes: int
    ) -> None:
        super().__init__()
        first, second, third, fourth, fifth = stages
        self.to_pools = nn.ModuleList([nn.Sequential(*first, *second), third, fourth])
        self.between = fifth[:-LAST_LAYERS]
        self.last = fifth[-LAST_LAYERS:]
        self.branches = nn.ModuleList(
            Branch(channels, (parameters.height // stride) * (parameters.width // stride), parameters.dropout)
            for channels, stride in BRANCHES
            if parameters.branches
        )
        end = BACKBONES[NETWORK].channels
        width = end + sum(channels for channels, _ in BRANCHES if parameters.branches)
        self.head = DenseHead(width, parameters.hidden_units, classes, parameters.dropout)
        self._end = end
        self._is_all_trained = parameters.train_layers == "all"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, 3, H, W] → logits [B, C], Grad-CAM of the strongest NG class [B, h, w]."""
        maps = self._maps(images)
        activations = self.last(self.between(maps[-1]))
        vectors = [branch(found.mean(dim=(2, 3))) for branch, found in self._branched(maps)]
        logits, gradient = self.head.explained(self._fused(vectors, activations))
        return logits, grad_cam(activations, gradient[:, -self._end :])

    def frozen(self, images: Tensor) -> Features:
        return (images,) if self._is_all_trained else self._before_last(images)

    def trained(self, *features: Tensor) -> Tensor:
        if self._is_all_trained:
            features = self._before_last(features[0])
        values, *moments = features
        means, mean_squares = moments[::2], moments[1::2]
        vectors = [branch(*pair) for branch, *pair in zip(self.branches, means, mean_squares, strict=True)]
        logits: Tensor = self.head(self._fused(vectors, self.last(values)))
        return logits

    def trained_modules(self) -> Mapping[str, nn.Module]:
        trained = {"last": self.last, "branches": self.branches, "head": self.head}
        if self._is_all_trained:
            trained |= {"to_pools": self.to_pools, "between": self.between}
        return trained

    @property
    def is_all_trained(self) -> bool:
        return self._is_all_trained

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Behind max-pools 2, 3 and 4."""
        maps = []
        for layers in self.to_pools:
            images = layers(images)
            maps.append(images)
        return maps

    def _branched(self, maps: Sequence[Tensor]) -> list[tuple[nn.Module, Tensor]]:
        return list(zip(self.branches, maps[: len(self.branches)], strict=True))

    def _before_last(self, images: Tensor) -> Features:
        """What the last convolution takes, and mean and mean square of each branch's map."""
        maps = self._maps(images)
        moments = [
            moment
            for _, found in self._branched(maps)
            for moment in (found.float().mean(dim=(2, 3)), found.float().square().mean(dim=(2, 3)))
        ]
        return (self.between(maps[-1]), *moments)

    def _fused(self, vectors: Sequence[Tensor], activations: Tensor) -> Tensor:
        """The branches' vectors and the pooled end of the sequence, [B, D]."""
        return torch.cat([*vectors, F.max_pool2d(activations, 2).mean(dim=(2, 3))], dim=1)


def fit(
    training: TrainingSet,
    parameters: MultipathVggParameters,
    *,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    stop: Stop = never_stop,
    checkpoint: Path | None = None,
) -> TorchModel:
    """Trains branches, head and the last convolution. See `ml.methods.contract.Method.fit`."""
    check_needs(MULTIPATH_VGG.needs, training.counts)
    network, preprocessing = start(parameters, training, seed)
    recipe = Recipe(
        epochs=parameters.epochs,
        batch=parameters.batch,
        rate=parameters.rate,
        is_balanced=parameters.balance == "draw",
        precision=parameters.precision,
        keeps_statistics=False,
        augmentation=Augmentation(parameters.rotation, parameters.shift, parameters.flips, parameters.noise),
        copies=parameters.copies,
    )
    targets = np.asarray(training.classes, np.int64)
    ClassifierTraining(network, training, targets, parameters, recipe, preprocessing, seed).train(
        on_progress, stop, checkpoint
    )
    return TorchModel(
        MULTIPATH_VGG.name, network, NotOk(), parameters, seed, preprocessing, training.class_names
    )


def restore(parameters: MultipathVggParameters, class_names: Sequence[str], weights: bytes) -> nn.Module:
    """See `ml.methods.contract.Method.restore`."""
    return load_weights(MultipathNetwork(parameters, random_stages(NETWORK), len(class_names)), weights)


def start(
    parameters: MultipathVggParameters, training: TrainingSet, seed: int
) -> tuple[MultipathNetwork, Preprocessing]:
    """The network before its training, and the preprocessing that its first weights expect.

    Raises:
        WeightsUnusable: the file of the ImageNet weights is missing, damaged or of another network.
    """
    row = BACKBONES[NETWORK]
    preprocessing = Preprocessing(
        parameters.height, parameters.width, "rgb", row.mean, row.std, rois=training.rois
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if parameters.weights == "none":
            stages = random_stages(NETWORK)
            preprocessing = standardised(training, preprocessing, seed)
        else:
            stages, _ = pretrained_stages(NETWORK, training.weights_folder)
        network = MultipathNetwork(parameters, stages, len(training.class_names))
    return network, preprocessing


def _present(tensor: Tensor | None) -> Tensor:
    """A statistic of a normalisation that keeps statistics."""
    assert tensor is not None  # noqa: S101 - for the type checker
    return tensor
