"""The one path from a claimed job to a model version, for the page, REST and the command line."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from ml.choices import JobState
from ml.errors import JobStateRefused, ModelUnservable
from ml.methods.contract import Progress
from ml.methods.declarations import METHODS, load_method
from ml.models import ImageScore, ModelVersion, TrainingJob

from . import memory
from .artefacts import publish_artefact, remove_artefact, unfinished_artefact
from .closest_ok import keep_ok_images
from .fitting import Fitting, ScoredImage, Trial, checkpoint_folder, fit_job
from .held_out import keep_held_out
from .measuring import measure_scored
from .operating_points import save_operating_point
from .provenance import machine, versions
from .reporter import FITS_SHARE, JobReporter
from .reports import split_entry
from .training_sets import read_pixels

PARITY_IMAGES: Final = 8
SCORES_BATCH: Final = 1000


def trial_of_job(job: TrainingJob) -> Trial:
    """What the job's folds and its final fit have in common. Imports the method, and torch with it."""
    parameters = METHODS[job.method].Parameters.model_validate(job.parameters)
    return Trial(job.snapshot, load_method(job.method), parameters, job.seed)


def train_job(job: TrainingJob, reporter: JobReporter) -> ModelVersion:
    """Fits, measures, exports, checks the export, and registers a model version with a first threshold.

    Args:
        job: claimed by this process.
        reporter: of this attempt.

    Returns:
        The new version; its job is done.

    Raises:
        TrainingStopped: the reporter said stop; nothing is registered, the checkpoint is kept.
        NotEnoughImages, TrainingDiverged, ImageUnusable, ImageMissing: see `fit_job`.
        OSError: among others, a full disk. Nothing is registered and no half artefact is left.
    """
    memory.reset_peak_memory()
    reporter.log(f"Attempt {job.attempts} on {job.worker}: {job.method} on {job.dataset}, seed {job.seed}.")
    trial = trial_of_job(job)
    fitting = fit_job(job, trial, reporter)
    fitted = time.monotonic()
    classes = job.snapshot.contents["classes"]
    measured = measure_scored(METHODS[job.method], trial.parameters, fitting.scored, classes, seed=job.seed)
    with unfinished_artefact(job) as folder:
        reporter.on_progress(Progress(FITS_SHARE, "Export", 0, 1))
        _export(fitting, job, measured, folder)
        reporter.on_progress(Progress(0.99, "Parity", 0, 1))
        parity, card = _checked(folder)
        evaluation = {
            **measured,
            "split": split_entry(job.snapshot),
            "seconds": round(fitting.seconds + time.monotonic() - fitted, 2),
            "peak_mb": max(fitting.peak_mb, memory.peak_memory_mb()),
        }
        facts = {"card": card, "parity": parity, "evaluation": evaluation}
        version = _register(job, reporter, fitting.scored, folder, facts)
    shutil.rmtree(checkpoint_folder(job), ignore_errors=True)
    return version


def _export(fitting: Fitting, job: TrainingJob, measured: Mapping[str, Any], folder: Path) -> None:
    held = _parity_images(fitting.scored)
    fitting.model.export(
        folder,
        card_extra={
            "job": job.pk,
            "dataset": job.dataset.slug,
            "is_synthetic": job.dataset.is_synthetic,
            "snapshot": job.snapshot.sha256,
            "split": split_entry(job.snapshot),
            "trained_on": fitting.trained_on,
            "measured_by": fitting.measured_by,
            "metrics": measured["metrics"],
            "threshold": measured["threshold"],
            "scores": measured["scores"],
            "versions": versions(),
            "machine": machine(),
        },
        parity_images=[read_pixels(one.image) for one in held],
        parity_views=[one.image.view for one in held],
    )
    keep_held_out(
        folder, fitting.model, fitting.scored, threshold=measured["threshold"]["value"], folds=job.folds
    )
    if METHODS[job.method].is_one_class:
        keep_ok_images(folder, fitting.model, fitting.scored)


def _parity_images(scored: Sequence[ScoredImage]) -> list[ScoredImage]:
    """A few images over the whole range of scores, so that parity is tried where it matters."""
    ordered = sorted(scored, key=lambda one: (one.score, one.image.id))
    last = len(ordered) - 1
    count = min(PARITY_IMAGES, len(ordered))
    return [ordered[round(index * last / max(count - 1, 1))] for index in range(count)]


def _checked(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parity of every serving engine with the training framework, and the card, as JSON.

    PyTorch is loaded here already; the others are tried apart, as one that crashes would take the fit along.

    Raises:
        ModelUnservable: the artefact can't be served, or no engine gives the training framework's scores.
    """
    from ml.serving.artefact import ArtefactError, verify_artefact
    from ml.serving.trials import check_parity_apart

    try:
        card = verify_artefact(folder)
        parity = check_parity_apart(folder, here="torch")
    except ArtefactError as error:
        raise ModelUnservable(f"The model was trained, but can't be served: {error}") from error
    if not parity.engines:
        raise ModelUnservable(
            f"The model was trained, but can't be served: {'; '.join(parity.refused.values())}"
        )
    if not any(engine.passed for engine in parity.engines.values()):
        raise ModelUnservable(
            f"The model was trained, but served scores differ from it by up to {parity.max_difference:.3g}, "
            f"of a spread of {parity.spread:.3g}. No version was made."
        )
    return parity.to_json(), card.to_json()


def _register(
    job: TrainingJob,
    reporter: JobReporter,
    scored: Sequence[ScoredImage],
    folder: Path,
    facts: Mapping[str, Any],
) -> ModelVersion:
    """Rows and folder together: the job is done with its version, or nothing of it is there."""
    try:
        with transaction.atomic():
            return _write_rows(job, reporter, scored, publish_artefact(folder, job), facts)
    except BaseException:
        remove_artefact(job)
        raise


def _write_rows(
    job: TrainingJob,
    reporter: JobReporter,
    scored: Sequence[ScoredImage],
    artefact: str,
    facts: Mapping[str, Any],
) -> ModelVersion:
    version = ModelVersion.objects.create(
        dataset=job.dataset, job=job, method=job.method, artefact=artefact, **facts
    )
    version.evaluation = facts["evaluation"] | {"model_version": version.pk}
    version.save(update_fields=["evaluation"])
    rows = (
        ImageScore(
            model_version=version,
            image_id=one.image.id,
            is_ng=one.image.is_ng,
            class_name=one.image.class_name,
            score=one.score,
            probabilities=one.probabilities,
            fold=one.image.fold,
            split=one.split,
        )
        for one in scored
    )
    ImageScore.objects.bulk_create(rows, batch_size=SCORES_BATCH)
    threshold = version.evaluation["threshold"]
    save_operating_point(
        model_version=version, ng_at=threshold["value"], reason=threshold["reason"], author=None
    )
    reporter.log(f"Done: model version {version.pk}.")
    if not reporter.flush(state=JobState.DONE, progress=1.0, finished_at=timezone.now(), stage_text=""):
        raise JobStateRefused("The job was given to another worker; this attempt registers nothing.")
    return version
