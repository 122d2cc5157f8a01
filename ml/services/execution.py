"""Running what was claimed to one of its ends; the same for a worker and for the command line."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils import timezone

from ml import events
from ml.choices import JobState
from ml.methods.contract import TrainingStopped
from ml.models import FoldFit, ModelVersion, TrainingJob

from .claims import give_back_fold
from .failures import explained
from .fitting import fit_fold
from .reporter import Echo, FoldReporter, JobReporter
from .training import train_job, trial_of_job


def run_claimed_job(
    job: TrainingJob, *, echo: Echo | None = None, watch: Callable[[JobReporter], None] | None = None
) -> ModelVersion | None:
    """Trains, and settles the job's row: done, failed with a reason, or cancelled with its checkpoint kept.

    Args:
        job: as `claim_job` gave it. Folds that have no scores yet are fitted here, one after the other.
        echo: takes each line of progress and log.
        watch: is given the reporter before the start, to be able to stop it.

    Returns:
        The model version; None where the job did not get there, with the reason on its row.

    Raises:
        Exception: whatever nobody foresaw, after the job was set to failed.
    """
    with JobReporter(job, echo) as reporter:
        if watch is not None:
            watch(reporter)
        try:
            return train_job(job, reporter)
        except TrainingStopped:
            # Where the job was given back or lost, this writes nothing: its row is no longer ours.
            reporter.log("Stopped. The checkpoint is kept to resume from.")
            reporter.flush(state=JobState.CANCELLED, finished_at=timezone.now())
        except Exception as error:
            text = _explained(error, job)
            reporter.log(text or unforeseen(error))
            reporter.flush(state=JobState.FAILED, finished_at=timezone.now(), error=text or unforeseen(error))
            if text is None:
                raise
    return None


def run_claimed_fold(taken: FoldFit) -> None:
    """Fits one fold, and settles its row: done, or given back where it was stopped; or the job has failed.

    Args:
        taken: as `claim_fold` gave it.

    Raises:
        Exception: whatever nobody foresaw, after the job was set to failed.
    """
    with FoldReporter(taken) as reporter:
        try:
            trial = trial_of_job(taken.job)
            reporter.log(f"Attempt {taken.attempts} on {taken.worker}.")
            fit_fold(taken, trial, reporter)
        except TrainingStopped:
            reporter.log("Stopped. The checkpoint is kept to resume from.")
            reporter.flush()
        except Exception as error:
            text = _explained(error, taken.job)
            _fail_job(taken, reporter, text or unforeseen(error))
            if text is None:
                raise
        finally:
            give_back_fold(taken)


def _explained(error: BaseException, job: TrainingJob) -> str | None:
    images = job.snapshot.ok_count + job.snapshot.ng_count
    return explained(error, job.parameters, job.method, images)


def unforeseen(error: BaseException) -> str:
    where = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    return f"{where}Unexpected {type(error).__name__}: {error}. The worker's log has the details."


@transaction.atomic
def _fail_job(taken: FoldFit, reporter: FoldReporter, text: str) -> None:
    """Ends the job, if the fold is still ours; its other folds see it and stop."""
    reporter.log(text)
    if not reporter.flush():
        return
    failed: dict[str, Any] = {"state": JobState.FAILED, "finished_at": timezone.now(), "error": text}
    TrainingJob.objects.filter(pk=taken.job_id, state=JobState.RUNNING).update(**failed)
    job = TrainingJob.objects.get(pk=taken.job_id)
    transaction.on_commit(lambda: events.job_progressed(job))
