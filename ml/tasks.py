"""Training on a Celery worker. A job's row says who has it; a message is only a hint that it waits."""

import os

from celery import Task, shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.db import connection

from ml.services import jobs
from ml.services.execution import run_claimed_job


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
        train.delay(job_id)


@worker_ready.connect
def look_for_lost_jobs(**_kwargs: object) -> None:
    requeue_lost_jobs.delay()


@worker_shutting_down.connect
def give_back_jobs(sender: str, **_kwargs: object) -> None:
    """A worker that is told to end gives its jobs back, so that ending it does not count as losing it."""
    jobs.release_jobs(f"{sender}:")
    connection.close()
