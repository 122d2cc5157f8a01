"""Who runs a job, and who each of its folds. A row says so; a message to a worker is only a hint.

A job is run by one process, from its first fold to its model: its row names the worker. Or its folds are
fanned out over the workers: then each fold's row names one, and the job's row none until somebody takes the
final fit. Whoever changes both a job and its folds holds the job's row while it does.
"""

import os
import socket
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from ml import events
from ml.choices import JobState
from ml.models import FoldFit, TrainingJob

STALE_AFTER: Final = timedelta(seconds=15)
MAX_ATTEMPTS: Final = 3

NOBODY: Final = ""


def worker_name(kind: str = "worker") -> str:
    """Who runs a job: kind, machine, process."""
    return f"{kind}@{socket.gethostname()}:{os.getpid()}"[:120]


def is_stale(now: datetime) -> Q:
    """Rows of jobs or folds whose worker has not been heard of for too long."""
    return Q(state=JobState.RUNNING, heartbeat_at__lt=now - STALE_AFTER)


def open_folds(job_id: int) -> list[int]:
    """The folds of a job that have no scores yet, lowest first."""
    rows = FoldFit.objects.filter(job=job_id).exclude(state=JobState.DONE)
    return list(rows.order_by("fold").values_list("fold", flat=True))


@transaction.atomic
def claim_job(job_id: int, worker: str) -> TrainingJob | None:
    """Takes all that is left of a job for one process; None where somebody else is at it.

    It may be queued, or its worker lost, or its folds were fanned out and are all done.
    """
    now = timezone.now()
    job = _locked(job_id)
    if job is None or job.is_cancel_requested or job.attempts >= MAX_ATTEMPTS:
        return None
    is_left = job.state == JobState.RUNNING and _is_unowned(job, now) and not _is_fanned_out(job, now)
    if job.state != JobState.QUEUED and not is_left:
        return None
    TrainingJob.objects.filter(pk=job_id).update(
        state=JobState.RUNNING, worker=worker, heartbeat_at=now, attempts=F("attempts") + 1, error="",
        started_at=Coalesce("started_at", now),
    )  # fmt: skip
    job = TrainingJob.objects.select_related("snapshot", "dataset").get(pk=job_id)
    transaction.on_commit(lambda: events.job_progressed(job))
    return job


@transaction.atomic
def claim_fold(job_id: int, fold: int, worker: str) -> FoldFit | None:
    """Takes one fold of a job; None where it is done, or somebody else has it or the whole job."""
    now = timezone.now()
    job = _locked(job_id)
    if job is None or job.is_cancel_requested or not _has_room(job, worker, now):
        return None
    claimed = FoldFit.objects.filter(
        Q(state=JobState.QUEUED) | is_stale(now), job=job, fold=fold, attempts__lt=MAX_ATTEMPTS
    ).update(state=JobState.RUNNING, worker=worker, heartbeat_at=now, attempts=F("attempts") + 1)
    if not claimed:
        return None
    if job.worker != worker:
        TrainingJob.objects.filter(pk=job_id).update(
            state=JobState.RUNNING, worker=NOBODY, heartbeat_at=now, error="",
            started_at=Coalesce("started_at", now),
        )  # fmt: skip
    taken = FoldFit.objects.select_related("job__snapshot", "job__dataset").get(job=job_id, fold=fold)
    transaction.on_commit(lambda: events.job_progressed(taken.job))
    return taken


@transaction.atomic
def give_back_fold(taken: FoldFit) -> None:
    """Queues a fold that stopped short. The last one at work on a cancelled job ends the job with that."""
    job = _locked(taken.job_id)
    FoldFit.objects.filter(
        pk=taken.pk, state=JobState.RUNNING, worker=taken.worker, attempts=taken.attempts
    ).update(state=JobState.QUEUED, worker=NOBODY, heartbeat_at=None, attempts=F("attempts") - 1)
    if job is not None:
        end_if_cancelled(job)


def end_if_cancelled(job: TrainingJob) -> bool:
    """Ends a cancelled job once nobody is at work on it any more. The caller holds its row."""
    now = timezone.now()
    is_asked = job.state == JobState.RUNNING and job.is_cancel_requested
    is_over = is_asked and _is_unowned(job, now) and not _has_fresh_folds(job, now)
    if is_over:
        TrainingJob.objects.filter(pk=job.pk).update(state=JobState.CANCELLED, finished_at=now)
        job.refresh_from_db()
        transaction.on_commit(lambda: events.job_progressed(job))
    return is_over


@transaction.atomic
def release_jobs(worker: str) -> int:
    """Gives back what a worker that is shutting down runs: queued again, no attempt counted.

    Their processes see that they no longer own the rows, stop, and leave their checkpoints.
    """
    theirs = Q(state=JobState.RUNNING, worker__startswith=worker, attempts__gt=0)
    queued = {
        "state": JobState.QUEUED, "worker": NOBODY, "heartbeat_at": None, "asked_at": None,
        "attempts": F("attempts") - 1,
    }  # fmt: skip
    # In the order in which everybody locks: jobs first.
    jobs = TrainingJob.objects.filter(theirs, is_cancel_requested=False).update(**queued)
    return jobs + FoldFit.objects.filter(theirs).update(**queued)


def _locked(job_id: int) -> TrainingJob | None:
    return TrainingJob.objects.select_for_update().defer("curves", "log").filter(pk=job_id).first()


def _is_unowned(job: TrainingJob, now: datetime) -> bool:
    """Nobody runs the job as a whole, or whoever did is lost."""
    return job.worker == NOBODY or job.heartbeat_at is None or job.heartbeat_at < now - STALE_AFTER


def _is_fanned_out(job: TrainingJob, now: datetime) -> bool:
    """Its folds are the workers': one is being fitted, or waits for its turn."""
    is_waiting = job.worker == NOBODY and bool(open_folds(job.pk))
    return is_waiting or _has_fresh_folds(job, now)


def _has_fresh_folds(job: TrainingJob, now: datetime) -> bool:
    running = FoldFit.objects.filter(job=job, state=JobState.RUNNING)
    return running.filter(heartbeat_at__gte=now - STALE_AFTER).exists()


def _has_room(job: TrainingJob, worker: str, now: datetime) -> bool:
    """Whether this worker may take a fold of the job."""
    if job.state == JobState.QUEUED:
        return True
    return job.state == JobState.RUNNING and (job.worker == worker or _is_unowned(job, now))
