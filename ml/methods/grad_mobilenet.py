"""`grad_mobilenet`: one-class judgement and defect types from the gradient of an overfit network's loss.

Xiao, Liu, Yan, Wang: Grad-MobileNet: A Gradient-Based Unsupervised Learning Method for Laser Welding Surface
Defect Classification, Sensors 2023. The network and equations (1) to (3) are in `grad_mobilenet_network`, the
training in `grad_mobilenet_training`, defect types (section 4.4.2) in `discovery`.

Score: minus the decision function of a one-class SVM (section 4.4.1) on the gradient's features; above 0 is
outside of what the OK images fill. Map: the gradient's norm, eq. (3), one value a pixel, where 1 is what the
OK images reach in their top thousandth. Descriptors: the standardised features.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from ml.methods.contract import OnProgress, Stop, TrainingSet, check_needs, ignore_progress, never_stop
from ml.methods.declarations.grad_mobilenet import GRAD_MOBILENET, GradMobileNetParameters
from ml.methods.grad_mobilenet_network import GradMobileNet, MobileNet
from ml.methods.grad_mobilenet_training import GradMobileNetTraining, OkGradients
from ml.methods.gradients import export_with_gradients, with_folded_normalisation
from ml.methods.torch_model import TorchModel, load_weights
from ml.scoring import OneClassSvm

MAX_SVM_IMAGES: Final = 1000  # the card holds a share of them as support vectors
DIGITS: Final = 6  # of standardised features, as the card holds them
# Deviations below which OK images are alike: differences are then rounding, or a single pixel.
LEAST_DEVIATION_LOG: Final = 0.01  # of a logarithm: one hundredth of the value
LEAST_DEVIATION_LINEAR: Final = 0.01  # of the mean
LEAST_DEVIATION: Final = 1e-30  # where that is 0
LEAST_DEVIATION_SHARE: Final = 0.0001  # of the landmark's share


def fit(
    training: TrainingSet,
    parameters: GradMobileNetParameters,
    *,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    stop: Stop = never_stop,
    checkpoint: Path | None = None,
) -> TorchModel:
    """Overfits MobileNetV3 to the OK images, section 4.1. See `ml.methods.contract.Method.fit`.

    Raises:
        WeightsUnusable: ImageNet weights are asked for, and their file can't be used.
    """
    check_needs(GRAD_MOBILENET.needs, training.counts)
    run = GradMobileNetTraining(training, parameters, seed)
    network = run.train(on_progress, stop, checkpoint)
    network.map_scale.fill_(_map_scale(run.gradients))
    return TorchModel(
        GRAD_MOBILENET.name,
        network,
        fit_one_class(run.gradients.features.numpy(), parameters, seed),
        parameters,
        seed,
        run.preprocessing,
        training.class_names,
        exporter=export_with_gradients,
    )


def restore(parameters: GradMobileNetParameters, class_names: Sequence[str], weights: bytes) -> nn.Module:
    """See `ml.methods.contract.Method.restore`."""
    mobilenet = with_folded_normalisation(MobileNet(parameters.backbone))
    network = GradMobileNet(mobilenet, parameters.height, parameters.width, parameters.scale)
    return load_weights(network, weights)


def fit_one_class(features: np.ndarray, parameters: GradMobileNetParameters, seed: int) -> OneClassSvm:
    """The one-class SVM of the OK images' features [N, F]: cells, mean, landmark; section 4.4.1.

    The paper names neither kernel nor ν: RBF with scikit-learn's own γ, 1 / (F · variance), and ν as a
    parameter. Of more than `MAX_SVM_IMAGES` images it takes a sample.
    """
    from sklearn.svm import OneClassSVM

    rows = features.astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    deviation = np.maximum(deviation, _least_deviation(mean, parameters.scale))
    if parameters.weighting == "blocks":
        deviation[:-2] *= np.sqrt(
            len(deviation) - 2
        )  # the squares of all cells together: those of one feature
    sample = np.random.default_rng([seed, 2]).permutation(len(rows))[:MAX_SVM_IMAGES]
    standardised = np.round((rows[np.sort(sample)] - mean) / deviation, DIGITS)
    machine = OneClassSVM(kernel="rbf", gamma="scale", nu=parameters.nu).fit(standardised)
    return OneClassSvm(
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        support_vectors=tuple(tuple(row) for row in machine.support_vectors_.tolist()),
        coefficients=tuple(machine.dual_coef_[0].tolist()),
        gamma=float(machine._gamma),  # noqa: SLF001 - scikit-learn has no other place for it
        offset=float(-machine.intercept_[0]),
    )


def _least_deviation(mean: np.ndarray, scale: str) -> np.ndarray:
    """[F]; the last feature is the landmark."""
    least = np.full_like(mean, LEAST_DEVIATION_LOG)
    if scale == "linear":
        least = np.maximum(LEAST_DEVIATION_LINEAR * np.abs(mean), LEAST_DEVIATION)
    least[-1] = LEAST_DEVIATION_SHARE
    return least


def _map_scale(gradients: OkGradients) -> float:
    """The middle OK image's: a few images whose gradient is of another order don't decide."""
    return max(float(gradients.peaks.median()), float(np.finfo(np.float32).tiny))
