"""Work for the queue `io`."""

import logging

from celery import shared_task

from annotation.services import importing

logger = logging.getLogger(__name__)


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
