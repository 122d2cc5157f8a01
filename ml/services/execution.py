"""Running a claimed job to one of its ends; the same for a worker and for the command line."""

import errno
import os
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from annotation.errors import DomainError
from ml.choices import JobState
from ml.methods.contract import NotEnoughImages, TrainingDiverged, TrainingStopped
from ml.models import ModelVersion, TrainingJob
from ml.preprocessing import ImageUnusable
from ml.weights import WeightsUnusable

from .reporter import JobReporter
from .training import train_job
from .training_sets import ImageMissing

# What a person can do something about; the text says what.
_EXPLAINED = (NotEnoughImages, WeightsUnusable, TrainingDiverged, ImageUnusable, ImageMissing, DomainError)


def run_claimed_job(
    job: TrainingJob,
    *,
    echo: Callable[[str], None] | None = None,
    watch: Callable[[JobReporter], None] | None = None,
) -> ModelVersion | None:
    """Trains, and settles the job's row: done, failed with a reason, or cancelled with its checkpoint kept.

    Args:
        job: as `claim_job` gave it.
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
            version = train_job(job, reporter)
        except TrainingStopped:
            # Where the job was given back or lost, this writes nothing: its row is no longer ours.
            _settle(reporter, JobState.CANCELLED, line="Stopped. The checkpoint is kept to resume from.")
        except _EXPLAINED as error:
            _settle(reporter, JobState.FAILED, error=str(error))
        except Exception as error:
            if is_disk_full(error):
                _settle(reporter, JobState.FAILED, error=disk_full_text(error))
                return None
            _settle(
                reporter,
                JobState.FAILED,
                error=f"Unexpected {type(error).__name__}: {error}. The worker's log has the details.",
            )
            raise
        else:
            return version
    return None


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is the file system's "no space".

    Libraries that write through their own code (safetensors, torch) say so only in their text.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if os.strerror(errno.ENOSPC) in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def disk_full_text(error: BaseException) -> str:
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return (
        f"The disk is full{where}. No model was made. Free some space, then resume: "
        "the job goes on from its last checkpoint."
    )


def _settle(reporter: JobReporter, state: JobState, *, error: str = "", line: str = "") -> None:
    reporter.log(line or error)
    changes: dict[str, Any] = {"state": state, "finished_at": timezone.now(), "error": error}
    reporter.flush(**changes)
