"""What was lost with a worker or with the broker: found by the rows alone, and asked for again."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from ml import events
from ml.choices import JobState
from ml.models import FoldFit, TrainingJob

from .claims import MAX_ATTEMPTS, NOBODY, end_if_cancelled, is_stale

ASK_AGAIN_AFTER: Final = timedelta(minutes=10)
# A chord's last fold asks for the final fit at once; where the chord was lost, nobody does.
ASK_FOR_FINAL_FIT_AFTER: Final = timedelta(minutes=1)

_ADVICE: Final = (
    "Most often it ran out of memory: choose a smaller input size, or look into the worker's log. "
    "Resuming goes on from the last checkpoint."
)


def find_lost_jobs() -> list[int]:
    """Ends what can't go on, and gives the jobs that workers should be asked for.

    These are jobs and folds whose heartbeat is stale, those whose message may have been lost, and jobs whose
    folds are all done while nobody was asked for the final fit.
    """
    now = timezone.now()
    _end_hopeless(now)
    lost_folds = FoldFit.objects.filter(_is_to_be_asked_for(now), job=OuterRef("pk"))
    unfinished_folds = FoldFit.objects.filter(~Q(state=JobState.DONE), job=OuterRef("pk"))
    is_owned = ~Q(worker=NOBODY)
    asked_long_ago = Q(asked_at__isnull=True) | Q(asked_at__lt=now - ASK_FOR_FINAL_FIT_AFTER)
    is_fanned_out = Q(state=JobState.RUNNING, worker=NOBODY)
    lost = TrainingJob.objects.filter(
        Q(_is_unasked(now), state=JobState.QUEUED)
        | is_stale(now) & is_owned
        | is_fanned_out & Exists(lost_folds)
        | is_fanned_out & asked_long_ago & ~Exists(unfinished_folds)
    )
    ids = list(lost.order_by("id").values_list("pk", flat=True))
    TrainingJob.objects.filter(pk__in=ids).update(asked_at=now)
    return ids


@transaction.atomic
def ask_for_folds(job_id: int) -> list[int]:
    """The folds of a job that a worker is to be asked for now: those waiting unasked, and those lost."""
    now = timezone.now()
    rows = FoldFit.objects.select_for_update().filter(_is_to_be_asked_for(now), job=job_id)
    folds = sorted(rows.values_list("fold", flat=True))
    FoldFit.objects.filter(job=job_id, fold__in=folds).update(asked_at=now)
    return folds


def note_unasked(job_id: int) -> None:
    """No worker could be asked: what waits is found as lost at the next look, not after the wait."""
    TrainingJob.objects.filter(pk=job_id).update(asked_at=None)
    FoldFit.objects.filter(job=job_id, state=JobState.QUEUED).update(asked_at=None)


def _is_unasked(now: datetime) -> Q:
    return Q(asked_at__isnull=True) | Q(asked_at__lt=now - ASK_AGAIN_AFTER)


def _is_to_be_asked_for(now: datetime) -> Q:
    return Q(_is_unasked(now), state=JobState.QUEUED) | is_stale(now)


def _end_hopeless(now: datetime) -> None:
    """Ends cancelled jobs at which nobody is at work, and those that lost too many workers."""
    cancelled = TrainingJob.objects.filter(state=JobState.RUNNING, is_cancel_requested=True)
    for job_id in cancelled.values_list("pk", flat=True):
        with transaction.atomic():
            end_if_cancelled(TrainingJob.objects.select_for_update().get(pk=job_id))
    jobs = TrainingJob.objects.filter(is_stale(now), ~Q(worker=NOBODY), attempts__gte=MAX_ATTEMPTS)
    for job in jobs:
        _fail_lost(job, job.attempts, job.worker, "")
    folds = FoldFit.objects.filter(
        is_stale(now), attempts__gte=MAX_ATTEMPTS, job__state=JobState.RUNNING, job__worker=NOBODY
    )
    for fold in folds.select_related("job"):
        _fail_lost(fold.job, fold.attempts, fold.worker, f"{fold.title}: ")


def _fail_lost(job: TrainingJob, attempts: int, worker: str, where: str) -> None:
    changes: dict[str, Any] = {
        "state": JobState.FAILED,
        "finished_at": timezone.now(),
        "error": (
            f"{where}The worker was lost {attempts} times while it ran this job (last: {worker}). {_ADVICE}"
        ),
    }
    same_attempt = TrainingJob.objects.filter(pk=job.pk, state=JobState.RUNNING, attempts=job.attempts)
    if same_attempt.update(**changes):
        job.refresh_from_db()
        events.job_progressed(job)
