"""Work for the queue `io`."""

import logging
from functools import partial

from celery import shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

from annotation.models import ImportJob
from annotation.services import importing

logger = logging.getLogger(__name__)


def ask_for_import(job: ImportJob) -> None:
    """Asks a worker to take an import once it is committed.

    A broker that can't be reached is no reason to lose an upload: beat asks again for what nobody took.
    """
    transaction.on_commit(partial(_send, job.pk))


def _send(job_id: int) -> None:
    try:
        run_import.delay(job_id)
    except OperationalError as error:
        logger.warning("Import %d waits, because the broker can't be reached: %s", job_id, error)


@shared_task
def run_import(job_id: int) -> None:
    """Runs an import unless somebody else does; safe to be sent twice."""
    job = importing.claim_import(job_id)
    if job is None:
        return
    try:
        importing.run_import(job)
    except importing.ImportLost:
        logger.warning("Import %d was taken over by another worker.", job_id)
    except Exception:
        logger.exception("Import %d failed unexpectedly.", job_id)
        importing.fail_import(
            job, "The import failed unexpectedly; what went in so far is kept. The worker's log says why."
        )
        raise


@shared_task
def requeue_lost_imports() -> None:
    """Asks workers to take imports that lost theirs, or that nobody has taken for long."""
    for job_id in importing.lost_imports():
        run_import.delay(job_id)
