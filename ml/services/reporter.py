"""What a running job says of itself, to its row and to the pages that watch; and the stop signal back."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from django.db import DatabaseError, connections, transaction
from django.db.models import QuerySet
from django.utils import timezone

from ml import events
from ml.choices import JobState
from ml.methods.contract import Progress
from ml.models import TrainingJob

from .curves import Curves

logger = logging.getLogger(__name__)

HEARTBEAT_S: Final = 2.0
FLUSH_S: Final = 1.0
MAX_LOG_CHARACTERS: Final = 200_000


def _say_nothing(line: str) -> None:
    pass


class JobReporter:
    """Carries the progress of one attempt of a job to its row, and to pages at the same time.

    The attempt owns the row only while state, worker and attempt number are still its own: a worker that was
    given up for lost and comes back finds that it does not, stops, and changes nothing more.

    Args:
        job: as claimed.
        echo: takes each log line and stage as well; for the command line.
    """

    def __init__(self, job: TrainingJob, echo: Callable[[str], None] | None = None) -> None:
        self.job = job
        self._echo = echo or _say_nothing
        self._curves = Curves(job.curves)
        self._log_lines: list[str] = []
        self._flushed_at = 0.0
        self._stop = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of job {job.pk}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()

    def should_stop(self) -> bool:
        """Whether a person cancelled the job, or it is no longer ours."""
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def on_progress(self, event: Progress) -> None:
        """Takes one event; writes and publishes at most once a second.

        A series is kept by stage, "stage | name": stages count their iterations each from 1.
        """
        self.job.progress = event.fraction
        stage_text = f"{event.stage} ({event.iteration} of {event.iterations})"
        self._curves.add(
            event.iteration, {f"{event.stage} | {name}": value for name, value in event.series.items()}
        )
        self.job.stage_text = stage_text[:200]
        if event.message:
            self.log(event.message)
        if time.monotonic() - self._flushed_at >= FLUSH_S:
            self._echo(f"{100 * event.fraction:5.1f} %  {stage_text}")
            self.flush()

    def log(self, line: str) -> None:
        self._echo(line)
        self._log_lines.append(f"{timezone.now():%Y-%m-%d %H:%M:%S} {line}")

    def flush(self, **changes: Any) -> bool:
        """Writes what is known to the row and tells the pages.

        Args:
            changes: further columns to set.

        Returns:
            False where the row is no longer ours; nothing was written then.
        """
        new_log = "".join(f"{line}\n" for line in self._log_lines)
        self._log_lines.clear()
        job = self.job
        job.log = (job.log + new_log)[-MAX_LOG_CHARACTERS:]
        job.curves = self._curves.stored()
        for name, value in changes.items():
            setattr(job, name, value)
        columns = {
            "progress": job.progress,
            "stage_text": job.stage_text,
            "curves": job.curves,
            "log": job.log,
            "heartbeat_at": timezone.now(),
        }
        is_ours = self._own_row().update(**(columns | changes))
        self._flushed_at = time.monotonic()
        if not is_ours:
            self._stop.set()
            return False
        fresh = self._curves.take_fresh()
        transaction.on_commit(lambda: events.job_progressed(job, points=fresh, log=new_log))
        return True

    def _own_row(self) -> QuerySet[TrainingJob]:
        return TrainingJob.objects.filter(
            pk=self.job.pk, state=JobState.RUNNING, worker=self.job.worker, attempts=self.job.attempts
        )

    def _beat(self) -> None:
        try:
            while not self._closed.wait(HEARTBEAT_S):
                try:
                    self._beat_once()
                except DatabaseError:
                    # One missed beat is no harm; the next may find the database free again.
                    logger.warning(
                        "The heartbeat of job %s could not be written.", self.job.pk, exc_info=True
                    )
        finally:
            connections.close_all()  # this thread's own

    def _beat_once(self) -> None:
        is_ours = self._own_row().update(heartbeat_at=timezone.now())
        if not is_ours or self._own_row().filter(is_cancel_requested=True).exists():
            self._stop.set()
