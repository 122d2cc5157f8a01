"""`weak`: LNet and DNet from image-level labels, trained from scratch in three stages.

Xu, Lv, Deng, Li: A Weakly Supervised Surface Defect Detection Based on Convolutional Neural Network, IEEE
Access 2020. The network and its losses are in `weak_network`, the three stages in `weak_training`.

Score: DNet's probability of a defect, joined with that of the map's hottest cells, or alone (`score`).
Map: LNet's heat map (figure 8) in [0, 1], one value for 8 × 8 pixels; where height or width is no multiple of
8, the last row or column covers the reflected rest as well.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ml.methods.contract import OnProgress, Stop, TrainingSet, check_needs, ignore_progress, never_stop
from ml.methods.declarations import WEAK, WeakParameters
from ml.methods.torch_model import TorchModel, load_weights
from ml.methods.weak_training import WeakTraining, new_network
from ml.scoring import Sigmoid


def fit(
    training: TrainingSet,
    parameters: WeakParameters,
    *,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    stop: Stop = never_stop,
    checkpoint: Path | None = None,
) -> TorchModel:
    """Trains LNet and DNet, section III-C. See `ml.methods.contract.Method.fit`."""
    check_needs(WEAK.needs, training.counts)
    run = WeakTraining(training, parameters, seed)
    run.train(on_progress, stop, checkpoint)
    return TorchModel(
        WEAK.name, run.network, Sigmoid(), parameters, seed, run.preprocessing, training.class_names
    )


def restore(parameters: WeakParameters, class_names: Sequence[str], weights: bytes) -> nn.Module:
    """See `ml.methods.contract.Method.restore`."""
    return load_weights(new_network(parameters), weights)
