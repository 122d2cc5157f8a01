"""What every method takes and gives, so that the rest of the system knows one kind of object.

Importing this module does not import torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ml.preprocessing import Preprocessing, Rectangle


@dataclass(frozen=True)
class Needs:
    """The least that a training set must hold for a method."""

    ok: int = 0
    ng: int = 0
    per_class: int = 0


@dataclass(frozen=True)
class Counts:
    """How many images a training set holds, in all and by class."""

    ok: int
    ng: int
    by_class: Mapping[str, int] = field(default_factory=dict)


class NotEnoughImages(Exception):
    """A training set that can't train this method. The message tells what it has and what is needed."""

    def __init__(self, needs: Needs, has: Counts) -> None:
        self.needs = needs
        self.has = has
        super().__init__(" ".join(_shortfalls(needs, has)) or "There are not enough images.")


class TrainingStopped(Exception):
    """The stop signal was seen. `fit` with the same arguments goes on from `checkpoint`, if there is one."""

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint = checkpoint
        super().__init__(
            f"Training was stopped; it goes on from {checkpoint}." if checkpoint else "Training was stopped."
        )


class TrainingDiverged(Exception):
    """The loss is no longer a number. `checkpoint` is the last good one, or None."""

    def __init__(self, stage: str, step: int, checkpoint: Path | None) -> None:
        self.stage = stage
        self.step = step
        self.checkpoint = checkpoint
        kept = f" The last good checkpoint is {checkpoint}." if checkpoint else ""
        super().__init__(
            f"Training diverged: the loss of {stage} was not finite at step {step}. "
            f"Lower its learning rate.{kept}"
        )


def check_needs(needs: Needs, has: Counts) -> None:
    """Refuses a training set before a job is queued.

    Raises:
        NotEnoughImages: fewer images than `needs`, in all or in a class.
    """
    if _shortfalls(needs, has):
        raise NotEnoughImages(needs, has)


def _shortfalls(needs: Needs, has: Counts) -> list[str]:
    sentences = [
        f"At least {needed} {name} images are needed; there are {there}."
        for name, needed, there in (("OK", needs.ok, has.ok), ("NG", needs.ng, has.ng))
        if there < needed
    ]
    return sentences + [
        f"At least {needs.per_class} images of each class are needed; {name} has {there}."
        for name, there in sorted(has.by_class.items())
        if there < needs.per_class
    ]


@dataclass(frozen=True)
class TrainingSet:
    """Labelled images. N images; the loader decodes lazily, so a set need not fit into memory.

    Attributes:
        images: gives image i as uint8 [H, W] grey or [H, W, 3] RGB; sizes may differ.
        is_ng: bool [N].
        classes: int [N], indices into `class_names`.
        class_names: OK and the defect types; without types, ("OK", "NG").
        groups: one key an image; images of one key never part in a split.
        views: the camera or side of each image; empty strings where there is but one.
        rois: the part of the image to look at, by view (see `Preprocessing.rois`).
        weights_folder: where files of pretrained weights lie (see `ml.weights`), for methods that need one.
    """

    images: Sequence[np.ndarray]
    is_ng: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]
    groups: Sequence[str]
    views: Sequence[str]
    rois: Mapping[str, Rectangle] = field(default_factory=dict)
    weights_folder: Path | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.images), len(self.is_ng), len(self.classes), len(self.groups), len(self.views)}
        if len(lengths) != 1:
            raise ValueError(f"images, is_ng, classes, groups and views differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> Counts:
        numbers = np.bincount(np.asarray(self.classes, np.int64), minlength=len(self.class_names))
        ng = int(np.count_nonzero(self.is_ng))
        return Counts(
            len(self) - ng, ng, {name: int(n) for name, n in zip(self.class_names, numbers, strict=True)}
        )


@dataclass(frozen=True)
class Progress:
    """One event of a running fit.

    Attributes:
        fraction: done of the whole fit, 0 to 1, never falling.
        stage: the stage's name, for a person.
        iteration: done in this stage, 0 to `iterations`.
        iterations: of this stage.
        series: points of the live curves at this iteration: name to value.
        message: a line for the job's log, or empty.
    """

    fraction: float
    stage: str
    iteration: int
    iterations: int
    series: Mapping[str, float] = field(default_factory=dict)
    message: str = ""


OnProgress = Callable[[Progress], None]
Stop = Callable[[], bool]


def ignore_progress(event: Progress) -> None:
    """For callers that want none."""


def never_stop() -> bool:
    return False


@dataclass(frozen=True)
class Prediction:
    """What a model says of B images.

    Attributes:
        scores: float64 [B]; higher means more likely NG.
        maps: float32 [B, h, w] over the ROI, at the method's own resolution; higher means more suspicious.
        probabilities: float32 [B, K] over the card's classes, where the method has classes.
        descriptors: float32 [B, D], where the method can tell which images are alike.
    """

    scores: np.ndarray
    maps: np.ndarray
    probabilities: np.ndarray | None = None
    descriptors: np.ndarray | None = None


class FittedModel(Protocol):
    """A trained model in the framework that trained it."""

    preprocessing: Preprocessing

    def predict(self, images: Sequence[np.ndarray], views: Sequence[str] | None = None) -> Prediction:
        """Scores and maps of uint8 images [H, W] or [H, W, 3]. A score does not depend on the neighbours.

        Raises:
            ImageUnusable: an image that the preprocessing can't take.
        """
        ...

    def explain(self, image: np.ndarray, view: str = "") -> np.ndarray:
        """The paper's own overlay for one image, float32 [h, w] over the ROI."""
        ...

    def export(
        self,
        folder: Path,
        card_extra: Mapping[str, Any],
        parity_images: Sequence[np.ndarray],
        parity_views: Sequence[str] | None = None,
    ) -> None:
        """Writes the artefact that `ml.serving` loads: weights, ONNX, card and held images with their scores.

        Args:
            folder: made if missing; must be empty.
            card_extra: what only the caller knows: snapshot hash, metrics, score statistics, versions.
            parity_images: a few images, uint8, that every serving engine must score alike.
            parity_views: the view of each.
        """
        ...


class Method(Protocol):
    """What a method's module offers."""

    def fit(
        self,
        training: TrainingSet,
        parameters: Any,
        *,
        seed: int,
        on_progress: OnProgress = ignore_progress,
        stop: Stop = never_stop,
        checkpoint: Path | None = None,
    ) -> FittedModel:
        """Trains.

        With `checkpoint`, a folder, it saves there as it goes and goes on from what lies there; the model is
        the same as if it had never been interrupted.

        Raises:
            NotEnoughImages: the set is smaller than the method needs.
            WeightsUnusable: pretrained weights are missing, damaged or of another network.
            TrainingStopped: `stop()` was true.
            TrainingDiverged: the loss is not finite.
            ImageUnusable: an image that the preprocessing can't take.
        """
        ...

    def restore(self, parameters: Any, class_names: Sequence[str], weights: bytes) -> Any:
        """The network (a torch module: images → raw output, map) of an artefact's weights, ready to infer.

        Needs no other file: not even pretrained weights that the training started from.

        Raises:
            ValueError: the weights are not of this method, these parameters and as many classes.
        """
        ...
