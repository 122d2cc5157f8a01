"""Training on Celery workers. Rows say who has a job or a fold; a message is only a hint that it waits.

The folds of a job are the header of a chord, its final fit the callback. The chord is the quick way from the
last fold to the final fit, and no more than that: a worker that is killed takes its part of the chord along,
a broker that loses its memory the whole of it. What counts are the rows, and beat looks at them: lost folds
are asked for again in a chord of their own, and where all folds are done and nobody came, the final fit is.
So a message may come twice, late or never, and does no harm.
"""

import logging
import os
from functools import partial
from typing import Final

from celery import Task, chord, shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.db import connection, transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ml.models import Discovery, ModelVersion, TrainingJob
from ml.services import claims, discovery, lost, serving
from ml.services.execution import run_claimed_fold, run_claimed_job

logger = logging.getLogger(__name__)

# Before all else in the queue (Redis: 0 comes first): a job whose folds are done is finished before another
# one's are begun.
FINAL_FIT_PRIORITY: Final = 0


def ask_for_training(job: TrainingJob) -> None:
    """Asks workers to take a job once it is committed.

    A broker that can't be reached is no reason to fail: the job is queued, and beat asks for it soon.
    """
    transaction.on_commit(partial(_send, job.pk))


def _send(job_id: int) -> None:
    folds = lost.ask_for_folds(job_id)
    try:
        if folds:
            final = train.si(job_id).set(priority=FINAL_FIT_PRIORITY)
            chord(fit_fold.si(job_id, fold) for fold in folds)(final)
        elif not claims.open_folds(job_id):
            train.delay(job_id)
    except (OperationalError, RedisError) as error:
        lost.note_unasked(job_id)
        logger.warning("Training job %d waits, because the broker can't be reached: %s", job_id, error)


@shared_task(bind=True)
def train(self: Task, job_id: int) -> None:
    """Runs a job without folds, or the final fit of one whose folds are done.

    Does nothing where folds are left, another worker has the job, or it has ended.
    """
    if claims.open_folds(job_id):
        return
    job = claims.claim_job(job_id, worker=_worker(self))
    version = run_claimed_job(job) if job is not None else None
    if version is not None:
        ask_for_measurement(version)


def ask_for_measurement(version: ModelVersion) -> None:
    """Asks a worker to measure how quick a version is there; a line that judges by it measures on its own."""
    transaction.on_commit(partial(_send_measurement, version.pk))


def _send_measurement(version_id: int) -> None:
    try:
        measure_serving.apply_async((version_id,), priority=FINAL_FIT_PRIORITY)
    except (OperationalError, RedisError) as error:
        logger.warning("Model version %d is not measured: the broker can't be reached: %s", version_id, error)


@shared_task(bind=True)
def measure_serving(self: Task, version_id: int) -> None:
    """Measures a version on this machine; does nothing where that is done, or another process is at it."""
    version = ModelVersion.objects.filter(pk=version_id).first()
    if version is not None:
        serving.measure_version(version, worker=_worker(self))


def ask_for_discovery(row: Discovery) -> None:
    """Asks a worker to find types once the row is committed; beat asks again for one that waits."""
    transaction.on_commit(partial(_send_discovery, row.pk))


def _send_discovery(discovery_id: int) -> None:
    try:
        discover.delay(discovery_id)
    except (OperationalError, RedisError) as error:
        logger.warning("Discovery %d waits, because the broker can't be reached: %s", discovery_id, error)


@shared_task(bind=True)
def discover(self: Task, discovery_id: int) -> None:
    """Finds types of defects; does nothing where another process has the row, or it has ended."""
    taken = discovery.claim_discovery(discovery_id, worker=_worker(self))
    if taken is not None:
        discovery.run_discovery(taken)


# A chord counts its header's results, so this one task keeps its (empty) result.
@shared_task(bind=True, ignore_result=False)
def fit_fold(self: Task, job_id: int, fold: int) -> None:
    """Fits one fold that waits or was lost; does nothing where it is done or somebody else has it."""
    taken = claims.claim_fold(job_id, fold, worker=_worker(self))
    if taken is not None:
        run_claimed_fold(taken)


@shared_task
def requeue_lost_jobs() -> None:
    """Asks workers for what was lost with a worker or with a message."""
    for job_id in lost.find_lost_jobs():
        _send(job_id)
    for version_id in serving.find_lost():
        _send_measurement(version_id)
    for discovery_id in discovery.find_lost_discoveries():
        _send_discovery(discovery_id)


def _worker(task: Task) -> str:
    return f"{task.request.hostname}:{os.getpid()}"


@worker_ready.connect
def look_for_lost_jobs(**_kwargs: object) -> None:
    requeue_lost_jobs.delay()


@worker_shutting_down.connect
def give_back_jobs(sender: str, **_kwargs: object) -> None:
    """A worker that is told to end gives its jobs back, so that ending it does not count as losing it."""
    claims.release_jobs(f"{sender}:")
    serving.release_measurements(f"{sender}:")
    discovery.release_discoveries(f"{sender}:")
    connection.close()
