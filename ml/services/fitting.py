"""The fits of a job, and the scores that its figures come from.

A hold-out is one fit on the training part. K folds are K fits, each scoring what it has not seen, and then a
fit on everything for the artefact. A fold that is done leaves its scores in its row, so that a job that goes
on, here or on another machine, does not fit it again.
"""

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from django.conf import settings

from ml.choices import JobState, ScoreSplit
from ml.methods.contract import FittedModel, Method, Prediction, Progress, TrainingStopped
from ml.models import FoldFit, Snapshot, TrainingJob

from . import memory
from .claims import claim_fold, give_back_fold
from .failures import EXPLAINED
from .reporter import FITS_SHARE, FoldReporter, JobReporter, Listener
from .snapshots import SnapshotImage, frozen_images
from .training_sets import StoredImages, training_set

SCORING_BATCH: Final = 8
FIT_SHARE: Final = 0.92  # of a fit with its scoring


@dataclass(frozen=True)
class ScoredImage:
    """Attributes:
    image: as it was frozen.
    score: higher is more likely NG.
    split: whether the model that gave it had seen the image.
    probabilities: one a class of the snapshot, where the method has classes.
    descriptor: float32 [D], where it was asked for and the method has them.
    """

    image: SnapshotImage
    score: float
    split: ScoreSplit
    probabilities: tuple[float, ...] | None = None
    descriptor: np.ndarray | None = None


@dataclass(frozen=True)
class FoldOutcome:
    """What came of one fold. JSON keeps a float64 exactly, so stored and fresh ones are the same.

    Attributes:
        scores: of the held-out images, in the snapshot's order.
        probabilities: of the same images, one a class; None of methods without classes.
        seconds: that fit and scoring took.
        peak_mb: the most memory they took, MB.
        descriptors: of the same images, where they were asked for; None of methods without.
    """

    scores: list[float]
    probabilities: list[list[float]] | None
    seconds: float
    peak_mb: float
    descriptors: list[list[float]] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        return cls(**stored)


@dataclass(frozen=True)
class Trial:
    """A method with its settings on a snapshot: what is fitted on one part of it or another.

    Attributes:
        snapshot: images, labels and folds.
        method: its module.
        parameters: of the method.
        seed: of the fits.
    """

    snapshot: Snapshot
    method: Method
    parameters: Any
    seed: int

    @cached_property
    def images(self) -> list[SnapshotImage]:
        return frozen_images(self.snapshot)

    def held_out(self, fold: int) -> list[SnapshotImage]:
        return [image for image in self.images if image.fold == fold]

    def outside(self, fold: int) -> list[SnapshotImage]:
        return [image for image in self.images if image.fold != fold]


@dataclass(frozen=True)
class Fitting:
    """What came of a job's fits.

    Attributes:
        model: what is exported.
        scored: one score for each image of the snapshot.
        trained_on: which images `model` was fitted on, for the card.
        measured_by: where the held-out scores come from, for the card.
        seconds: that all the fits took, wherever and whenever they ran.
        peak_mb: the most memory that one of the folds took, MB.
    """

    model: FittedModel
    scored: list[ScoredImage]
    trained_on: str
    measured_by: str
    seconds: float
    peak_mb: float = field(default=0.0)


def checkpoint_folder(job: TrainingJob) -> Path:
    return Path(settings.CHECKPOINT_DIR) / f"job-{job.pk}"


def fit_job(job: TrainingJob, trial: Trial, reporter: JobReporter) -> Fitting:
    """All fits of a job that are left to do, one after the other.

    Raises:
        TrainingStopped: the reporter said stop; checkpoints are kept.
        NotEnoughImages, TrainingDiverged, ImageUnusable, WeightsUnusable: from the method.
        ImageMissing: an image can no longer be read.
    """
    return _cross_validate(job, trial, reporter) if job.folds else _hold_out(job, trial, reporter)


def fit_fold(taken: FoldFit, trial: Trial, reporter: FoldReporter) -> None:
    """Fits one fold of a job, scores what it held out, and writes the outcome into its row.

    Raises:
        TrainingStopped: the reporter said stop, or the fold is no longer ours; its checkpoint is kept.
        NotEnoughImages, TrainingDiverged, ImageUnusable, WeightsUnusable: from the method.
        ImageMissing: an image can no longer be read.
    """
    folder = checkpoint_folder(taken.job) / f"fold-{taken.fold}"
    try:
        outcome = measure_fold(trial, taken.fold, trial.outside(taken.fold), folder, reporter)
    except EXPLAINED as error:
        error.add_note(taken.title)
        raise
    if not reporter.flush(state=JobState.DONE, progress=1.0, stage_text="", outcome=outcome.to_json()):
        raise TrainingStopped(folder)
    shutil.rmtree(folder, ignore_errors=True)


def measure_fold(
    trial: Trial,
    fold: int,
    training: Sequence[SnapshotImage],
    folder: Path,
    listener: Listener,
    *,
    with_descriptors: bool = False,
) -> FoldOutcome:
    """Fits on some images and scores those of a fold.

    Args:
        trial: what is fitted.
        fold: whose images are scored.
        training: images outside the fold.
        folder: of the fit's checkpoint.
        listener: is told of the progress.
        with_descriptors: the outcome holds them as well, where the method has them.

    Raises:
        TrainingStopped: the listener said stop; the checkpoint is kept.
        NotEnoughImages, TrainingDiverged, ImageUnusable, WeightsUnusable: from the method.
        ImageMissing: an image can no longer be read.
    """
    started = time.monotonic()
    memory.reset_peak_memory()
    step = _Step(listener)
    held_out = trial.held_out(fold)
    model = _fit(trial, training, folder, step)
    scored = _score(model, held_out, folder, step, with_descriptors=with_descriptors)
    probabilities = [list(one.probabilities) for one in scored if one.probabilities is not None]
    descriptors = [one.descriptor.tolist() for one in scored if one.descriptor is not None]
    return FoldOutcome(
        scores=[one.score for one in scored],
        probabilities=probabilities or None,
        seconds=round(time.monotonic() - started, 2),
        peak_mb=memory.peak_memory_mb(),
        descriptors=descriptors or None,
    )


def scored_by_fold(trial: Trial, fold: int, outcome: FoldOutcome) -> list[ScoredImage]:
    """The outcome of a fold with the images it belongs to."""
    given = outcome.probabilities
    return [
        ScoredImage(image, score, ScoreSplit.HELD_OUT, None if given is None else tuple(given[index]))
        for index, (image, score) in enumerate(zip(trial.held_out(fold), outcome.scores, strict=True))
    ]


def _hold_out(job: TrainingJob, trial: Trial, reporter: JobReporter) -> Fitting:
    started = time.monotonic()
    training = [image for image in trial.images if image.fold < 0]
    held_out = [image for image in trial.images if image.fold >= 0]
    folder = checkpoint_folder(job)
    step = _Step(reporter, width=FITS_SHARE)
    model = _fit(trial, training, folder / "fit", step)
    scored = _score(model, [*held_out, *training], folder, step)
    return Fitting(
        model,
        scored,
        "the training part of the split",
        "this model on the held-out part",
        time.monotonic() - started,
    )


def _cross_validate(job: TrainingJob, trial: Trial, reporter: JobReporter) -> Fitting:
    for fold in range(job.folds):
        _fit_fold_here(job, fold, trial, reporter)
    started = time.monotonic()
    width = FITS_SHARE / (job.folds + 1)
    step = _Step(reporter, "Final fit", job.folds * width, width)
    model = _fit(trial, trial.images, checkpoint_folder(job) / "final", step)
    outcomes = [FoldOutcome.from_json(row.outcome or {}) for row in job.fold_fits.order_by("fold")]
    scored = [one for fold, outcome in enumerate(outcomes) for one in scored_by_fold(trial, fold, outcome)]
    return Fitting(
        model,
        scored,
        "all images of the snapshot",
        f"{job.folds} models of the same settings, each on the fold that it had not seen",
        time.monotonic() - started + sum(outcome.seconds for outcome in outcomes),
        max(outcome.peak_mb for outcome in outcomes),
    )


def _fit_fold_here(job: TrainingJob, fold: int, trial: Trial, reporter: JobReporter) -> None:
    """One fold in the process that runs the whole job, unless it is done."""
    row = FoldFit.objects.get(job=job, fold=fold)
    row.job = job
    if row.state == JobState.DONE:
        reporter.log(f"{row.title}: done before; its scores are kept.")
        return
    taken = claim_fold(job.pk, fold, job.worker)
    if taken is None:
        raise TrainingStopped(checkpoint_folder(job))
    try:
        with FoldReporter(taken, reporter) as fold_reporter:
            fit_fold(taken, trial, fold_reporter)
    finally:
        give_back_fold(taken)


def _fit(trial: Trial, images: Sequence[SnapshotImage], folder: Path, step: "_Step") -> FittedModel:
    ng = sum(image.is_ng for image in images)
    step.listener.log(f"{step.named('Fit')} on {len(images) - ng} OK and {ng} NG images.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    seed_everything(trial.seed)
    return trial.method.fit(
        training_set(trial.snapshot, images),
        trial.parameters,
        seed=trial.seed,
        on_progress=step.on_fit,
        stop=step.listener.should_stop,
        checkpoint=folder,
    )


def _score(
    model: FittedModel,
    images: Sequence[SnapshotImage],
    folder: Path,
    step: "_Step",
    *,
    with_descriptors: bool = False,
) -> list[ScoredImage]:
    pixels = StoredImages(images)
    scored: list[ScoredImage] = []
    for start in range(0, len(images), SCORING_BATCH):
        if step.listener.should_stop():
            raise TrainingStopped(folder)
        batch = images[start : start + SCORING_BATCH]
        prediction = model.predict(
            [pixels[start + index] for index in range(len(batch))], [image.view for image in batch]
        )
        told = prediction if with_descriptors else replace(prediction, descriptors=None)
        scored += scored_images(batch, told)
        step.on_scored(len(scored), len(images))
    return scored


def scored_images(images: Sequence[SnapshotImage], prediction: Prediction) -> list[ScoredImage]:
    """What a model says of images of its snapshot; an image in no fold is one that it was trained on."""
    given = prediction.probabilities
    return [
        ScoredImage(
            image,
            float(score),
            ScoreSplit.HELD_OUT if image.fold >= 0 else ScoreSplit.TRAINING,
            None if given is None else tuple(float(one) for one in given[index]),
            None if prediction.descriptors is None else prediction.descriptors[index],
        )
        for index, (image, score) in enumerate(zip(images, prediction.scores, strict=True))
    ]


def seed_everything(seed: int) -> None:
    """Random numbers of Python, NumPy and PyTorch, for code that draws from their global generators.

    Fits seed each step of their own; this is for what a library draws behind their back.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False  # its choice of algorithm follows the clock
    torch.backends.cudnn.deterministic = True


class _Step:
    """One fit with its scoring, as a part of the whole progress of whoever listens."""

    def __init__(self, listener: Listener, title: str = "", start: float = 0.0, width: float = 1.0) -> None:
        self.listener = listener
        self.title = title
        self.start = start
        self.width = width

    def named(self, what: str) -> str:
        return f"{self.title}: {what[0].lower()}{what[1:]}" if self.title else what

    def on_fit(self, event: Progress) -> None:
        self._tell(replace(event, fraction=FIT_SHARE * event.fraction))

    def on_scored(self, done: int, total: int) -> None:
        fraction = FIT_SHARE + (1 - FIT_SHARE) * done / total
        self._tell(Progress(fraction, "Scoring", done, total))

    def _tell(self, event: Progress) -> None:
        self.listener.on_progress(
            replace(event, fraction=self.start + self.width * event.fraction, stage=self.named(event.stage))
        )
