"""What a person does with a training job: ask for it, cancel it, resume it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from annotation.models import Dataset, User
from annotation.services import audit
from ml import events
from ml.choices import JobState
from ml.errors import DatasetUnsuitable, JobStateRefused, ParametersRefused, WeightsRefused
from ml.methods.contract import NotEnoughImages, check_needs
from ml.methods.declarations import METHODS, MethodDeclaration, MethodParameters
from ml.models import FoldFit, Snapshot, TrainingJob
from ml.weights import WeightsUnusable, find_weights

from .claims import NOBODY, end_if_cancelled
from .memory import check_memory
from .snapshots import SnapshotImage, compose_snapshot, count_images, frozen_images, keep_snapshot

MAX_FOLDS: Final = 20


def validate_parameters(
    declaration: MethodDeclaration, preset: str, overrides: Mapping[str, Any]
) -> MethodParameters:
    """The parameters of a job: those of the preset, or the method's defaults, with some of them changed.

    Raises:
        ParametersRefused: an unknown preset, an unknown name, a value of the wrong kind or out of range.
    """
    if preset and preset not in declaration.presets:
        known = ", ".join(declaration.presets)
        raise ParametersRefused({"preset": f"There is no “{preset}”; there are {known}."})
    base = declaration.presets[preset].model_dump() if preset else {}
    try:
        return declaration.Parameters.model_validate({**base, **overrides})
    except ValidationError as error:
        raise ParametersRefused(
            {".".join(map(str, one["loc"])) or "parameters": one["msg"] for one in error.errors()}
        ) from error


def find_method(name: str) -> MethodDeclaration:
    """Raises ParametersRefused where there is no such method."""
    if name not in METHODS:
        raise ParametersRefused({"method": f"There is no “{name}”; there are {', '.join(METHODS)}."})
    return METHODS[name]


def queue_job(
    *,
    dataset: Dataset,
    method: str,
    preset: str = "",
    parameters: Mapping[str, Any] | None = None,
    folds: int = 0,
    seed: int = 0,
    author: User | None = None,
    snapshot: Snapshot | None = None,
) -> TrainingJob:
    """Freezes the dataset and queues a training on it; the caller then asks a worker to take it.

    Called in no transaction: what takes time, looking for near-identical images, holds up no writer.

    Args:
        dataset: what to train on.
        method: a name in `METHODS`.
        preset: a starting point that the method declares, or empty for its defaults.
        parameters: those that differ from the preset.
        folds: 0 for one grouped hold-out, else K folds.
        seed: of the split and of the fit.
        author: who asked; None for a command.
        snapshot: of this dataset, with these folds, to train on once more; None freezes it as it is now.

    Raises:
        ParametersRefused: unknown method, preset or parameter, a value out of range, or a size that takes
            more memory than there is.
        WeightsRefused: pretrained weights that it would start from are not on this machine.
        DatasetUnsuitable: the training part has fewer images than the method needs.
    """
    declaration = find_method(method)
    validated = validate_parameters(declaration, preset, parameters or {})
    if folds < 0 or folds == 1 or folds > MAX_FOLDS:
        raise ParametersRefused({"folds": f"0 for one hold-out split, or 2 to {MAX_FOLDS} folds."})
    check_weights(declaration, validated)
    snapshot = snapshot or compose_snapshot(dataset=dataset, folds=folds, seed=seed)
    images = frozen_images(snapshot)
    _check_every_fit(declaration, images, snapshot.contents["classes"])
    check_memory(declaration, validated, images=len(images))
    with transaction.atomic():
        job = TrainingJob.objects.create(
            dataset=dataset,
            snapshot=keep_snapshot(snapshot),
            method=method,
            preset=preset,
            parameters=validated.model_dump(mode="json"),
            folds=folds,
            seed=seed,
            created_by=author,
            asked_at=timezone.now(),
        )
        add_folds(job)
        audit.record(
            actor=author,
            action="training.queued",
            target=job,
            details={"snapshot": snapshot.sha256, "seed": seed},
        )
    return job


def add_folds(job: TrainingJob) -> None:
    """The rows of a new job's folds."""
    FoldFit.objects.bulk_create(FoldFit(job=job, fold=fold) for fold in range(job.folds))


def cancel_job(*, job: TrainingJob, actor: User | None) -> TrainingJob:
    """Ends a queued job at once; tells a running one to stop and keep its checkpoint.

    Raises:
        JobStateRefused: the job has ended.
    """
    with transaction.atomic():
        now = timezone.now()
        rows = TrainingJob.objects.select_for_update().filter(pk=job.pk)
        is_ended = rows.filter(state=JobState.QUEUED).update(state=JobState.CANCELLED, finished_at=now)
        if not is_ended and not rows.filter(state=JobState.RUNNING).update(is_cancel_requested=True):
            raise JobStateRefused("This job has ended; there is nothing left to cancel.")
        end_if_cancelled(rows.get())
        audit.record(actor=actor, action="training.cancelled", target=job)
    return _told(job)


def resume_job(*, job: TrainingJob, actor: User | None) -> TrainingJob:
    """Queues a cancelled or failed job again; it goes on from its checkpoint. The caller asks a worker.

    Raises:
        JobStateRefused: the job has neither been cancelled nor failed.
    """
    with transaction.atomic():
        resumed = TrainingJob.objects.filter(
            pk=job.pk, state__in=[JobState.CANCELLED, JobState.FAILED]
        ).update(
            state=JobState.QUEUED, attempts=0, is_cancel_requested=False, error="", worker=NOBODY,
            heartbeat_at=None, finished_at=None, asked_at=timezone.now(),
        )  # fmt: skip
        if not resumed:
            raise JobStateRefused("Only a job that was cancelled or has failed can be resumed.")
        FoldFit.objects.filter(job=job).exclude(state=JobState.DONE).update(
            state=JobState.QUEUED, attempts=0, worker=NOBODY, heartbeat_at=None, asked_at=None
        )
        audit.record(actor=actor, action="training.resumed", target=job)
    return _told(job)


def _told(job: TrainingJob) -> TrainingJob:
    job.refresh_from_db()
    events.job_progressed(job)
    return job


def check_weights(declaration: MethodDeclaration, parameters: MethodParameters) -> None:
    """Raises WeightsRefused where pretrained weights that a fit would start from are not on this machine."""
    try:
        for network in declaration.pretrained(parameters):
            find_weights(network, Path(settings.ML_WEIGHTS_DIR))
    except WeightsUnusable as error:
        raise WeightsRefused(str(error)) from error


def _check_every_fit(
    declaration: MethodDeclaration, images: list[SnapshotImage], class_names: list[str]
) -> None:
    try:
        check_needs(declaration.needs, count_images(images, class_names))
    except NotEnoughImages as error:
        raise DatasetUnsuitable(str(error)) from error
    for fold in sorted({image.fold for image in images if image.fold >= 0}):
        training = [image for image in images if image.fold != fold]
        try:
            check_needs(declaration.needs, count_images(training, class_names))
        except NotEnoughImages as error:
            held_out = count_images([image for image in images if image.fold == fold], class_names)
            raise DatasetUnsuitable(
                f"{error} (In the training part: the split holds out {held_out.ok} OK and {held_out.ng} NG "
                "images to measure with. Label more images, or cross-validate with more folds.)"
            ) from error
