"""The fits of a job, and the scores that its figures come from.

A hold-out is one fit on the training part. K folds are K fits, each scoring what it has not seen, and then a
fit on everything for the artefact. A fold that is done leaves its scores in the checkpoint folder, so that a
job that goes on does not fit it again.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from ml.choices import ScoreSplit
from ml.methods.contract import FittedModel, Method, Progress, TrainingStopped
from ml.models import TrainingJob

from .reporter import JobReporter
from .snapshots import SnapshotImage, frozen_images
from .training_sets import StoredImages, training_set

SCORING_BATCH: Final = 8
FITS_SHARE: Final = 0.97  # of the whole job's progress; the rest is export and parity
FIT_SHARE: Final = 0.92  # of a fit with its scoring


@dataclass(frozen=True)
class ScoredImage:
    image: SnapshotImage
    score: float
    split: ScoreSplit


@dataclass(frozen=True)
class Fitting:
    """What came of a job's fits.

    Attributes:
        model: what is exported.
        scored: one score for each image of the snapshot.
        trained_on: which images `model` was fitted on, for the card.
        measured_by: where the held-out scores come from, for the card.
    """

    model: FittedModel
    scored: list[ScoredImage]
    trained_on: str
    measured_by: str


def checkpoint_folder(job: TrainingJob) -> Path:
    return Path(settings.CHECKPOINT_DIR) / f"job-{job.pk}"


def fit_job(job: TrainingJob, method: Method, parameters: Any, reporter: JobReporter) -> Fitting:
    """All fits of a job.

    Raises:
        TrainingStopped: the reporter said stop; checkpoints are kept.
        NotEnoughImages, TrainingDiverged, ImageUnusable: from the method.
        ImageMissing: an image can no longer be read.
    """
    fits = _Fits(job, method, parameters, reporter)
    return fits.cross_validate() if job.folds else fits.hold_out()


class _Fits:
    def __init__(self, job: TrainingJob, method: Method, parameters: Any, reporter: JobReporter) -> None:
        self.job = job
        self.method = method
        self.parameters = parameters
        self.reporter = reporter
        self.images = frozen_images(job.snapshot)
        self.folder = checkpoint_folder(job)
        self.folder.mkdir(parents=True, exist_ok=True)

    def hold_out(self) -> Fitting:
        training = [image for image in self.images if image.fold < 0]
        held_out = [image for image in self.images if image.fold >= 0]
        step = _Step(self.reporter, "", 0.0, FITS_SHARE)
        model = self._fit(training, "fit", step)
        scores = self._score(model, [*held_out, *training], step)
        scored = [
            ScoredImage(image, score, ScoreSplit.HELD_OUT if image.fold >= 0 else ScoreSplit.TRAINING)
            for image, score in zip([*held_out, *training], scores, strict=True)
        ]
        return Fitting(model, scored, "the training part of the split", "this model on the held-out part")

    def cross_validate(self) -> Fitting:
        folds = self.job.folds
        width = FITS_SHARE / (folds + 1)
        scored: list[ScoredImage] = []
        for fold in range(folds):
            step = _Step(self.reporter, f"Fold {fold + 1} of {folds}", fold * width, width)
            scored += self._fold(fold, step)
        model = self._fit(self.images, "final", _Step(self.reporter, "Final fit", folds * width, width))
        return Fitting(
            model,
            scored,
            "all images of the snapshot",
            f"{folds} models of the same settings, each on the fold that it had not seen",
        )

    def _fold(self, fold: int, step: "_Step") -> list[ScoredImage]:
        held_out = [image for image in self.images if image.fold == fold]
        stored = self.folder / f"fold-{fold}.json"
        if stored.exists():
            scores = json.loads(stored.read_text())
            self.reporter.log(f"{step.title}: done before; its scores are kept.")
        else:
            name = f"fold-{fold}"
            model = self._fit([image for image in self.images if image.fold != fold], name, step)
            scores = self._score(model, held_out, step)
            unfinished = stored.with_suffix(".tmp")
            unfinished.write_text(json.dumps(scores))
            unfinished.replace(stored)
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return [
            ScoredImage(image, score, ScoreSplit.HELD_OUT)
            for image, score in zip(held_out, scores, strict=True)
        ]

    def _fit(self, images: Sequence[SnapshotImage], name: str, step: "_Step") -> FittedModel:
        ng = sum(image.is_ng for image in images)
        self.reporter.log(f"{step.named('Fit')} on {len(images) - ng} OK and {ng} NG images.")
        return self.method.fit(
            training_set(self.job.snapshot, images),
            self.parameters,
            seed=self.job.seed,
            on_progress=step.on_fit,
            stop=self.reporter.should_stop,
            checkpoint=self.folder / name,
        )

    def _score(self, model: FittedModel, images: Sequence[SnapshotImage], step: "_Step") -> list[float]:
        pixels = StoredImages(images)
        scores: list[float] = []
        for start in range(0, len(images), SCORING_BATCH):
            if self.reporter.should_stop():
                raise TrainingStopped(self.folder)
            batch = images[start : start + SCORING_BATCH]
            prediction = model.predict(
                [pixels[start + index] for index in range(len(batch))], [image.view for image in batch]
            )
            scores += [float(score) for score in prediction.scores]
            step.on_scored(len(scores), len(images))
        return scores


class _Step:
    """One fit with its scoring, as a part of the whole job's progress."""

    def __init__(self, reporter: JobReporter, title: str, start: float, width: float) -> None:
        self.reporter = reporter
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
        self.reporter.on_progress(
            replace(event, fraction=self.start + self.width * event.fraction, stage=self.named(event.stage))
        )
