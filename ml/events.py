"""What is told to the pages that watch a training job. One sender; the consumer only checks who may see."""

import logging
from typing import Any, Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.utils.translation import gettext, ngettext
from redis.exceptions import RedisError

from ml.choices import JobState
from ml.models import FoldFit, TrainingJob

logger = logging.getLogger(__name__)
_untold: set[int] = set()

# What `job_state` reads of a job's row, and what may change while its folds run.
SHOWN_COLUMNS: Final = (
    "state", "progress", "stage_text", "error", "attempts", "is_cancel_requested", "started_at",
    "finished_at",
)  # fmt: skip


def job_group(job_id: int) -> str:
    return f"job.{job_id}"


def job_state(job: TrainingJob) -> dict[str, Any]:
    """What changes while a job runs, without its curves and log."""
    return {
        "id": job.pk,
        "state": job.state,
        "state_text": job.get_state_display(),
        "progress": job.progress,
        "stage_text": waiting_text(job) or job.stage_text,
        "error": job.error,
        "attempts": job.attempts,
        "is_cancel_requested": job.is_cancel_requested,
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "is_finished": job.is_finished,
        "model_url": job.model_version.get_absolute_url() if job.state == JobState.DONE else "",
        "folds": fold_states(job),
    }


def waiting_text(job: TrainingJob) -> str:
    """What a queued job waits for; empty for any other."""
    if job.state != JobState.QUEUED:
        return ""
    unfinished = TrainingJob.objects.filter(state__in=(JobState.QUEUED, JobState.RUNNING))
    before = unfinished.filter(pk__lt=job.pk).count()
    if not before:
        return gettext("waits for a worker")
    return ngettext("waits for %(count)s training", "waits for %(count)s trainings", before) % {
        "count": before
    }


def fold_states(job: TrainingJob) -> list[dict[str, Any]]:
    """How far each fold is; empty without cross-validation."""
    if not job.folds:
        return []
    rows = FoldFit.objects.filter(job=job).order_by("fold")
    columns = rows.values("fold", "state", "progress", "stage_text", "worker", "attempts")
    return [{**row, "state_text": str(JobState(row["state"]).label)} for row in columns]


def job_curves(job: TrainingJob) -> dict[str, list[list[float]]]:
    """The curves of each fold in its order, then those of the job's own fit."""
    curves: dict[str, list[list[float]]] = {}
    if job.folds:
        for of_fold in FoldFit.objects.filter(job=job).order_by("fold").values_list("curves", flat=True):
            curves |= of_fold
    return curves | job.curves


def job_row(job: TrainingJob) -> dict[str, Any]:
    """All that a page shows of a running job; sent when it connects."""
    return {"kind": "row", "job": job_state(job), "curves": job_curves(job), "log": job.log}


def job_progressed(
    job: TrainingJob, *, points: dict[str, list[list[float]]] | None = None, log: str = ""
) -> None:
    """Tell the pages that watch this job.

    Args:
        job: as just stored.
        points: of each series, those since the last event.
        log: the lines since the last event.
    """
    message = {"kind": "progress", "job": job_state(job), "points": points or {}, "log": log}
    send = async_to_sync(get_channel_layer().group_send)
    try:
        send(job_group(job.pk), {"type": "job.event", "message": message})
    except (RedisError, OSError) as error:
        # The row is what counts, and a page reads it when its socket comes back.
        if job.pk not in _untold:
            _untold.add(job.pk)
            logger.warning("Nobody can be told of job %s as it runs: %s", job.pk, error)
