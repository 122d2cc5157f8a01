"""Training on a Celery worker. A job's row says who has it; a message is only a hint that it waits."""

import logging
import os
from functools import partial

from celery import Task, shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.db import connection, transaction
from kombu.exceptions import OperationalError

from ml.models import TrainingJob
from ml.services import jobs
from ml.services.execution import run_claimed_job

logger = logging.getLogger(__name__)


def ask_for_training(job: TrainingJob) -> None:
    """Asks a worker to take a job once it is committed.

    A broker that can't be reached is no reason to fail: the job is queued, and beat asks for it soon.
    """
    transaction.on_commit(partial(_send, job.pk))


def _send(job_id: int) -> None:
    try:
        train.delay(job_id)
    except OperationalError as error:
        jobs.note_unasked(job_id)
        logger.warning("Training job %d waits, because the broker can't be reached: %s", job_id, error)


@shared_task(bind=True)
def train(self: Task, job_id: int) -> None:
    """Runs a job that is queued or lost; does nothing where another worker has it or it has ended."""
    job = jobs.claim_job(job_id, worker=f"{self.request.hostname}:{os.getpid()}")
    if job is not None:
        run_claimed_job(job)


@shared_task
def requeue_lost_jobs() -> None:
    """Asks workers to take the jobs whose worker was killed, and those whose message was lost."""
    for job_id in jobs.find_lost_jobs():
        _send(job_id)


@worker_ready.connect
def look_for_lost_jobs(**_kwargs: object) -> None:
    requeue_lost_jobs.delay()


@worker_shutting_down.connect
def give_back_jobs(sender: str, **_kwargs: object) -> None:
    """A worker that is told to end gives its jobs back, so that ending it does not count as losing it."""
    jobs.release_jobs(f"{sender}:")
    connection.close()
