"""`maa`: memory-augmented adversarial autoencoder, trained on OK images alone; and its baselines `dae`.

Niu, Li, Li, Qiu, Niu: Positive-Sample-Based Surface Defect Detection Using Memory-Augmented Adversarial
Autoencoders, IEEE/ASME Transactions on Mechatronics 2021. Table I's networks are in `maa_network`,
Algorithm 1 in `maa_training`, the Fréchet Markov distance, eq. (7), in `ml.scoring.frechet`.

Map: the local variance of |x - G(x)|, squared (section III-G), at the input's size; or, by default, the
patches' distances that the score is made of, [n, m]. 1 is what one value in a thousand of OK images reaches.
"""

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from ml.methods.contract import OnProgress, Stop, TrainingSet, check_needs, ignore_progress, never_stop
from ml.methods.declarations import MAA, MaaParameters
from ml.methods.maa_network import STRIDE
from ml.methods.maa_training import MaaTraining, new_network
from ml.methods.torch_model import TorchModel, load_weights


def fit(
    training: TrainingSet,
    parameters: MaaParameters,
    *,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    stop: Stop = never_stop,
    checkpoint: Path | None = None,
) -> TorchModel:
    """Trains on the OK images, section III-E. See `ml.methods.contract.Method.fit`."""
    check_needs(MAA.needs, training.counts)
    run = MaaTraining(training, parameters, seed)
    run.train(on_progress, stop, checkpoint)
    return TorchModel(
        MAA.name, run.network, run.scoring, parameters, seed, run.preprocessing, training.class_names
    )


def restore(parameters: MaaParameters, class_names: Sequence[str], weights: bytes) -> nn.Module:
    """See `ml.methods.contract.Method.restore`. The memory tells for which size of image it was trained."""
    try:
        hidden = load(weights).get("generator.between.3.hidden")
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if hidden is None and parameters.architecture == "maa":
        raise ValueError("there is no memory among the weights")
    height, width = hidden.shape[-2:] if hidden is not None else (1, 1)  # a dae takes any size
    return load_weights(new_network(parameters, height * STRIDE, width * STRIDE), weights)
