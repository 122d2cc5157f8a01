"""The life of a training job: asked for, taken by a worker, cancelled, resumed, ended; found when lost."""

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from pydantic import ValidationError

from annotation.models import Dataset, User
from annotation.services import audit
from ml import events
from ml.choices import JobState
from ml.errors import DatasetUnsuitable, JobStateRefused, ParametersRefused
from ml.methods.contract import NotEnoughImages, check_needs
from ml.methods.declarations import METHODS, MethodDeclaration, MethodParameters
from ml.models import TrainingJob

from .snapshots import SnapshotImage, count_images, freeze_dataset, frozen_images

STALE_AFTER: Final = timedelta(seconds=15)
ASK_AGAIN_AFTER: Final = timedelta(minutes=10)
MAX_ATTEMPTS: Final = 3


def worker_name(kind: str = "worker") -> str:
    """Who runs a job: kind, machine, process."""
    return f"{kind}@{socket.gethostname()}:{os.getpid()}"[:120]


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


@transaction.atomic
def queue_job(
    *,
    dataset: Dataset,
    method: str,
    preset: str = "",
    parameters: Mapping[str, Any] | None = None,
    folds: int = 0,
    seed: int = 0,
    author: User | None = None,
) -> TrainingJob:
    """Freezes the dataset and queues a training on it; the caller then asks a worker to take it.

    Args:
        dataset: what to train on.
        method: a name in `METHODS`.
        preset: a starting point that the method declares, or empty for its defaults.
        parameters: those that differ from the preset.
        folds: 0 for one grouped hold-out, else K folds.
        seed: of the split and of the fit.
        author: who asked; None for a command.

    Raises:
        ParametersRefused: unknown method, preset or parameter, or a value out of range.
        DatasetUnsuitable: the training part has fewer images than the method needs.
    """
    declaration = find_method(method)
    validated = validate_parameters(declaration, preset, parameters or {})
    if folds < 0 or folds == 1 or folds > 20:
        raise ParametersRefused({"folds": "0 for one hold-out split, or 2 to 20 folds."})
    snapshot = freeze_dataset(dataset=dataset, folds=folds, seed=seed)
    _check_every_fit(declaration, frozen_images(snapshot), snapshot.contents["classes"])
    job = TrainingJob.objects.create(
        dataset=dataset,
        snapshot=snapshot,
        method=method,
        preset=preset,
        parameters=validated.model_dump(mode="json"),
        folds=folds,
        seed=seed,
        created_by=author,
        asked_at=timezone.now(),
    )
    audit.record(
        actor=author,
        action="training.queued",
        target=job,
        details={"snapshot": snapshot.sha256, "seed": seed},
    )
    return job


def claim_job(job_id: int, worker: str) -> TrainingJob | None:
    """Takes a queued job, or one whose worker is lost, for this worker; None where somebody else has it."""
    now = timezone.now()
    is_free = Q(state=JobState.QUEUED) | Q(state=JobState.RUNNING, heartbeat_at__lt=now - STALE_AFTER)
    claimed = TrainingJob.objects.filter(
        is_free, pk=job_id, attempts__lt=MAX_ATTEMPTS, is_cancel_requested=False
    ).update(
        state=JobState.RUNNING, worker=worker, heartbeat_at=now, attempts=F("attempts") + 1, error=""
    )  # fmt: skip
    if not claimed:
        return None
    TrainingJob.objects.filter(pk=job_id, started_at__isnull=True).update(started_at=now)
    job = TrainingJob.objects.select_related("snapshot", "dataset").get(pk=job_id)
    events.job_progressed(job)
    return job


def cancel_job(*, job: TrainingJob, actor: User | None) -> TrainingJob:
    """Ends a queued job at once; tells a running one to stop and keep its checkpoint.

    Raises:
        JobStateRefused: the job has ended.
    """
    with transaction.atomic():
        now = timezone.now()
        rows = TrainingJob.objects.filter(pk=job.pk)
        is_ended = rows.filter(state=JobState.QUEUED).update(state=JobState.CANCELLED, finished_at=now)
        if not is_ended and not rows.filter(state=JobState.RUNNING).update(is_cancel_requested=True):
            raise JobStateRefused("This job has ended; there is nothing left to cancel.")
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
            state=JobState.QUEUED, attempts=0, is_cancel_requested=False, error="", worker="",
            heartbeat_at=None, finished_at=None, asked_at=timezone.now(),
        )  # fmt: skip
        if not resumed:
            raise JobStateRefused("Only a job that was cancelled or has failed can be resumed.")
        audit.record(actor=actor, action="training.resumed", target=job)
    return _told(job)


def release_jobs(worker: str) -> int:
    """Gives back the running jobs of a worker that is shutting down: queued again, no attempt counted.

    Their processes see that they no longer own the row, stop, and leave their checkpoints.
    """
    return TrainingJob.objects.filter(
        state=JobState.RUNNING, worker__startswith=worker, is_cancel_requested=False, attempts__gt=0
    ).update(
        state=JobState.QUEUED, worker="", heartbeat_at=None, asked_at=None, attempts=F("attempts") - 1
    )  # fmt: skip


def find_lost_jobs() -> list[int]:
    """Ends what can't go on, and gives the jobs that a worker should be asked to take.

    These are running ones whose heartbeat is stale, and queued ones whose message may have been lost.
    """
    now = timezone.now()
    stale = TrainingJob.objects.filter(state=JobState.RUNNING, heartbeat_at__lt=now - STALE_AFTER)
    for job in stale.filter(Q(is_cancel_requested=True) | Q(attempts__gte=MAX_ATTEMPTS)):
        _end_lost(job)
    waiting = Q(state=JobState.QUEUED) & (Q(asked_at__isnull=True) | Q(asked_at__lt=now - ASK_AGAIN_AFTER))
    lost = TrainingJob.objects.filter(
        Q(pk__in=stale.filter(attempts__lt=MAX_ATTEMPTS, is_cancel_requested=False).values("pk")) | waiting
    )
    ids = list(lost.order_by("id").values_list("pk", flat=True))
    TrainingJob.objects.filter(pk__in=ids).update(asked_at=now)
    return ids


def note_unasked(job_id: int) -> None:
    """No worker could be asked for a queued job: it is found as lost at the next look, not after the wait."""
    TrainingJob.objects.filter(pk=job_id, state=JobState.QUEUED).update(asked_at=None)


def _end_lost(job: TrainingJob) -> None:
    if job.is_cancel_requested:
        changes: dict[str, Any] = {"state": JobState.CANCELLED}
    else:
        changes = {
            "state": JobState.FAILED,
            "error": (
                f"The worker was lost {job.attempts} times while it ran this job (last: {job.worker}). "
                "Most often it ran out of memory: choose a smaller input size, or look into the "
                "worker's log. Resuming goes on from the last checkpoint."
            ),
        }
    ended = TrainingJob.objects.filter(pk=job.pk, state=JobState.RUNNING, attempts=job.attempts).update(
        finished_at=timezone.now(), **changes
    )
    if ended:
        _told(job)


def _told(job: TrainingJob) -> TrainingJob:
    job.refresh_from_db()
    events.job_progressed(job)
    return job


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
