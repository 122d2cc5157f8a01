"""`weak`: LNet and DNet from image-level labels, trained from scratch in three stages.

Xu, Lv, Deng, Li: A Weakly Supervised Surface Defect Detection Based on Convolutional Neural Network, IEEE
Access 2020. The network and its loss are in `weak_network`, the sampling and the stages here.

Score: DNet's probability of a defect. Map: LNet's heat map, one value for 8 × 8 pixels; where height or width
is no multiple of 8, the last row or column covers the reflected rest as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor
from torch.nn import functional as F

from ml.methods.checkpoints import CheckpointFolder, SavedState, fingerprint
from ml.methods.contract import (
    OnProgress,
    Prediction,
    Progress,
    Stop,
    TrainingDiverged,
    TrainingSet,
    TrainingStopped,
    check_needs,
    ignore_progress,
    never_stop,
)
from ml.methods.declarations import WEAK, WeakParameters
from ml.methods.onnx_export import export_onnx
from ml.methods.prepared import PreparedImages
from ml.methods.weak_network import (
    WeakNetwork,
    collaborative_factor,
    loss_ng,
    loss_ok,
    mean_heat,
)
from ml.preprocessing import Preprocessing
from ml.serving.artefact import ONNX, WEIGHTS, Card, ParityImages, write_card, write_parity
from ml.serving.predictor import sigmoid

CHECKPOINT_EVERY: Final = 50  # iterations
POINTS_A_STAGE: Final = 200  # of the live curves
FEATURES_BUDGET_BYTES: Final = 2_000_000_000
PREDICT_PX: Final = 2_000_000  # pixels of input in one forward pass


def fit(
    training: TrainingSet,
    parameters: WeakParameters,
    *,
    seed: int,
    on_progress: OnProgress = ignore_progress,
    stop: Stop = never_stop,
    checkpoint: Path | None = None,
) -> "WeakModel":
    """Trains LNet and DNet, section III-C. See `ml.methods.contract.Method.fit`."""
    check_needs(WEAK.needs, training.counts)
    run = _Run(training, parameters, seed, on_progress, stop, checkpoint)
    run.train()
    return WeakModel(run.network, parameters, seed, run.preprocessing, training.class_names)


def restore(parameters: WeakParameters, weights: bytes) -> WeakNetwork:
    """The network of an exported artefact, ready to infer.

    Raises:
        ValueError: the weights are not of this network.
    """
    network = _new_network(parameters)
    try:
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    return network.eval()


def _new_network(parameters: WeakParameters) -> WeakNetwork:
    return WeakNetwork(parameters.normalisation, parameters.pooling, parameters.initial_heat)


class WeakModel:
    """A trained network with its preprocessing."""

    def __init__(
        self,
        network: WeakNetwork,
        parameters: WeakParameters,
        seed: int,
        preprocessing: Preprocessing,
        class_names: tuple[str, ...],
    ) -> None:
        self.network = network.eval()
        self.parameters = parameters
        self.seed = seed
        self.preprocessing = preprocessing
        self.class_names = class_names

    def predict(self, images: Sequence[np.ndarray], views: Sequence[str] | None = None) -> Prediction:
        """See `ml.methods.contract.FittedModel.predict`. In float32, whatever precision it was trained in."""
        step = max(1, PREDICT_PX // (self.preprocessing.height * self.preprocessing.width))
        logits, maps = [], []
        with torch.inference_mode():
            for start in range(0, len(images), step):
                part = slice(start, start + step)
                batch = self.preprocessing.apply(images[part], views[part] if views is not None else None)
                logit, heat_map = self.network(torch.from_numpy(batch))
                logits.append(logit.numpy())
                maps.append(heat_map.numpy())
        return Prediction(sigmoid(np.concatenate(logits)), np.concatenate(maps))

    def explain(self, image: np.ndarray, view: str = "") -> np.ndarray:
        """LNet's heat map, figure 8: float32 [h, w] in [0, 1], from the same forward pass as the score."""
        return np.asarray(self.predict([image], [view]).maps[0])

    def export(
        self,
        folder: Path,
        card_extra: Mapping[str, Any],
        parity_images: Sequence[np.ndarray],
        parity_views: Sequence[str] | None = None,
    ) -> None:
        """See `ml.methods.contract.FittedModel.export`.

        Raises:
            FileExistsError: the folder holds something already.
            ValueError: there are no parity images.
        """
        if not len(parity_images):
            raise ValueError("an artefact holds at least one image to compare engines on")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty")
        views = list(parity_views) if parity_views is not None else [""] * len(parity_images)
        save_file(
            {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()},
            folder / WEIGHTS,
        )
        export_onnx(self.network, self.preprocessing, folder / ONNX)
        write_parity(folder, ParityImages(parity_images, views, self.predict(parity_images, views)))
        card = Card(
            method=WEAK.name,
            parameters=self.parameters.model_dump(mode="json"),
            seed=self.seed,
            preprocessing=self.preprocessing,
            classes=self.class_names,
            score="sigmoid",
            extra=card_extra,
            files={},
        )
        write_card(folder, card)


@dataclass(frozen=True)
class _Stage:
    """One stage: its share of the whole time is iterations × cost."""

    title: str
    iterations: int
    cost: float


Figures = dict[str, Tensor | float]
StepLoss = Callable[[int, bool, int], tuple[Tensor, Figures]]


class _Run:
    """One fit. The order of images follows from the seed alone, so that a resumed run sees the same ones."""

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
        self.preprocessing = Preprocessing(parameters.height, parameters.width, "grey", rois=training.rois)
        self.images = PreparedImages(training, self.preprocessing)
        self.frozen = FrozenFeatures(self._features_of)
        self.is_bf16 = computes_bf16(parameters.precision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = _new_network(parameters)
        self.stages = (
            _Stage("Stage 1: locate", parameters.stage1_iterations, 1.0),
            _Stage("Stage 2: decide", parameters.stage2_iterations, 0.1),
            _Stage("Stage 3: refine", parameters.stage3_iterations, 1.1),
        )

    def train(self) -> None:
        """All stages that are left."""
        p, network = self.parameters, self.network
        localising = [
            *network.shared.parameters(),
            *network.localise.parameters(),
            *network.heat.parameters(),
        ]
        deciding = [*network.decide.parameters(), *network.dense.parameters()]
        first, done = self._resumed()
        network.train()
        if first <= 0:
            self._stage(
                0, done if first == 0 else 0, localising, lambda _: p.stage1_rate, self._loss_localise
            )
        if first <= 1:
            half = p.stage2_iterations // 2
            self._stage(
                1,
                done if first == 1 else 0,
                deciding,
                lambda done: p.stage2_rate if done < half else p.stage2_rate / 10,
                self._loss_decide,
            )
        self._stage(
            2, done if first == 2 else 0, [*localising, *deciding], lambda _: p.stage3_rate, self._loss_refine
        )

    def _resumed(self) -> tuple[int, int]:
        """Stage and iterations done to go on from."""
        found = self.checkpoints.load()
        arithmetic = "bf16" if self.is_bf16 else "float32"
        if isinstance(found, SavedState):
            self.network.load_state_dict(dict(found.tensors))
            self._say(
                found.stage, found.iteration, f"Goes on from iteration {found.iteration}, in {arithmetic}."
            )
            return found.stage, found.iteration
        self._say(0, 0, f"{found} Starts again." if found else f"Trains in {arithmetic}.")
        return 0, 0

    def _stage(
        self,
        number: int,
        done: int,
        weights: Sequence[torch.nn.Parameter],
        rate_at: Callable[[int], float],
        loss_of: StepLoss,
    ) -> None:
        """Iterations of one stage: an NG image and a step, an OK image and a step (section III-C).

        Raises:
            TrainingStopped: `stop()` was true.
            TrainingDiverged: a loss is not finite.
        """
        stage = self.stages[number]
        orders = [self._order(number, is_ng, stage.iterations) for is_ng in (True, False)]
        optimiser = torch.optim.SGD(weights, lr=rate_at(done))
        curves = _Curves(max(1, stage.iterations // POINTS_A_STAGE))
        for iteration in range(done, stage.iterations):
            if self.stop():
                self._save(number, iteration)
                raise TrainingStopped(self.checkpoints.last)
            if iteration > done and iteration % CHECKPOINT_EVERY == 0:
                self._save(number, iteration)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(iteration)
            for is_ng, order in zip((True, False), orders, strict=True):
                loss, figures = loss_of(int(order[iteration]), is_ng, iteration + 1)
                if not math.isfinite(loss.item()):
                    raise TrainingDiverged(stage.title, iteration + 1, self.checkpoints.last)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                curves.add(figures)
            if (iteration + 1) % curves.every == 0 or iteration + 1 == stage.iterations:
                self.on_progress(self._event(number, iteration + 1, curves.drained()))
        self._save(number + 1, 0)

    def _loss_localise(self, index: int, is_ng: bool, step: int) -> tuple[Tensor, Figures]:
        """Loss_weak, eqs. (3) to (6)."""
        alpha = self._alpha(step)
        with self._autocast():
            heat_map = self.network.heat_map(self.network.features(self._image(index)))
        loss, figures = self._loss_weak(heat_map, is_ng, alpha)
        return loss, figures | {"Collaborative factor": alpha}

    def _loss_decide(self, index: int, is_ng: bool, step: int) -> tuple[Tensor, Figures]:
        """Cross-entropy of DNet, eq. (1), on features that stage 1 left."""
        features, heat_map = self.frozen[index]
        with self._autocast():
            logit = self.network.decision(features, heat_map)
        return self._loss_class(logit, is_ng)

    def _loss_refine(self, index: int, is_ng: bool, step: int) -> tuple[Tensor, Figures]:
        """Both losses, the factor at its first value (section IV-C)."""
        with self._autocast():
            features = self.network.features(self._image(index))
            heat_map = self.network.heat_map(features)
            logit = self.network.decision(features, heat_map)
        weak, figures = self._loss_weak(heat_map, is_ng, self.parameters.alpha_init)
        decided, more = self._loss_class(logit, is_ng)
        return weak + decided, figures | more

    def _loss_weak(self, heat_map: Tensor, is_ng: bool, alpha: float) -> tuple[Tensor, Figures]:
        q = mean_heat(heat_map)
        loss = loss_ng(q) if is_ng else alpha * loss_ok(q)
        kind = "NG" if is_ng else "OK"
        return loss, {f"Mean heat, {kind}": q.detach(), f"Peak heat, {kind}": heat_map.detach().max()}

    def _loss_class(self, logit: Tensor, is_ng: bool) -> tuple[Tensor, Figures]:
        loss = F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, float(is_ng)))
        return loss, {f"Decision loss, {'NG' if is_ng else 'OK'}": loss.detach()}

    def _alpha(self, step: int) -> float:
        p = self.parameters
        return collaborative_factor(step, p.stage1_iterations, p.alpha_every, p.alpha_init)

    def _image(self, index: int) -> Tensor:
        return torch.from_numpy(self.images.batch(index))

    def _features_of(self, index: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), self._autocast():
            features = self.network.features(self._image(index))
            return features, self.network.heat_map(features)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.is_bf16)

    def _order(self, stage: int, is_ng: bool, draws: int) -> np.ndarray:
        """int64 [draws]: permutations of the kind's images, one after the other."""
        rng = np.random.default_rng([self.seed, stage, int(is_ng)])
        images = np.flatnonzero(np.asarray(self.training.is_ng, bool) == is_ng)
        rounds = -(-draws // len(images))
        return np.concatenate([rng.permutation(images) for _ in range(max(rounds, 1))])[:draws]

    def _save(self, stage: int, iteration: int) -> None:
        if all(bool(torch.isfinite(weight).all()) for weight in self.network.parameters()):
            self.checkpoints.save(SavedState(self.network.state_dict(), stage, iteration))

    def _say(self, stage: int, iteration: int, message: str) -> None:
        if stage < len(self.stages):
            self.on_progress(self._event(stage, iteration, {}, message))

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

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        computed = self._compute(index)
        size_bytes = sum(tensor.numel() * tensor.element_size() for tensor in computed)
        if size_bytes <= self._left_bytes:
            self._kept[index] = computed
            self._left_bytes -= size_bytes
        return computed


class _Curves:
    """Means of the figures since they were last drained, so that a curve has few points and little noise."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._sums: dict[str, list[float]] = {}

    def add(self, figures: Figures) -> None:
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(float(value))

    def drained(self) -> dict[str, float]:
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        self._sums.clear()
        return means


def computes_bf16(precision: str) -> bool:
    """Whether training computes in bf16: asked for, or left open on a processor that has the instructions."""
    return precision == "bf16" or (precision == "auto" and bool(torch.cpu._is_avx512_bf16_supported()))  # noqa: SLF001
