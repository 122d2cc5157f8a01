"""What a running job says of itself, to its rows and to the pages that watch; and the stop signal back."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

from django.db import DatabaseError, connections, transaction
from django.db.models import F, QuerySet, Sum, TextField, Value
from django.db.models.functions import Concat, Right
from django.utils import timezone

from ml import events
from ml.choices import JobState
from ml.methods.contract import Progress
from ml.models import FoldFit, TrainingJob

from .curves import Curves, Points

logger = logging.getLogger(__name__)

HEARTBEAT_S: Final = 2.0
FLUSH_S: Final = 1.0
MAX_LOG_CHARACTERS: Final = 200_000
FITS_SHARE: Final = 0.97  # of the whole job's progress; the rest is export and parity

Echo = Callable[[str], None]


class Listener(Protocol):
    """Whoever a fit tells of its progress and asks whether to stop."""

    def on_progress(self, event: Progress) -> None: ...

    def log(self, line: str) -> None: ...

    def should_stop(self) -> bool: ...


def say_nothing(line: str) -> None:
    pass


class Reporter(ABC):
    """Carries the progress of one attempt to its row, and to pages at the same time; beats while it runs.

    The attempt owns the row only while state, worker and attempt number are still its own: a worker that was
    given up for lost and comes back finds that it does not, stops, and changes nothing more.

    Args:
        name: of the heartbeat's thread.
        curves: as stored so far.
        echo: takes each log line and stage as well; for the command line.
    """

    def __init__(self, name: str, curves: Points, echo: Echo | None) -> None:
        self.echo = echo or say_nothing
        self._curves = Curves(curves)
        self._log_lines: list[str] = []
        self._changed: dict[str, Any] = {}
        self._flushed_at = 0.0
        self._stop = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {name}", daemon=True)

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
        """Whether a person cancelled the job, or the row is no longer ours."""
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def on_progress(self, event: Progress) -> None:
        """Takes one event; writes and publishes at most once a second.

        A series is kept by stage, "stage | name": stages count their iterations each from 1.
        """
        stage = self._stage(event.stage)
        stage_text = f"{stage} ({event.iteration} of {event.iterations})"
        self._changed |= {"progress": event.fraction, "stage_text": stage_text[:200]}
        self._curves.add(
            event.iteration, {f"{stage} | {name}": value for name, value in event.series.items()}
        )
        if event.message:
            self.log(event.message)
        if time.monotonic() - self._flushed_at >= FLUSH_S:
            self.flush()
            self.echo(f"{100 * self._whole_progress():5.1f} %  {stage_text}")

    def log(self, line: str) -> None:
        self.echo(line)
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
        columns = {
            **self._changed, "curves": self._curves.stored(), "heartbeat_at": timezone.now(), **changes,
        }  # fmt: skip
        self._changed.clear()
        is_ours = self._write(columns, new_log)
        self._flushed_at = time.monotonic()
        if not is_ours:
            self._stop.set()
            return False
        fresh = self._curves.take_fresh()
        transaction.on_commit(lambda: self._tell(fresh, new_log))
        return True

    @abstractmethod
    def _own_rows(self) -> QuerySet[Any]:
        """The row of this attempt, while it is still its own."""

    @abstractmethod
    def _write(self, columns: Mapping[str, Any], new_log: str) -> bool:
        """To the own row and what goes with it; False where it is no longer ours."""

    @abstractmethod
    def _is_cancelled(self) -> bool: ...

    @abstractmethod
    def _tell(self, points: Points, new_log: str) -> None: ...

    @abstractmethod
    def _whole_progress(self) -> float:
        """Of the job, 0 to 1."""

    def _stage(self, stage: str) -> str:
        return stage

    def _beat(self) -> None:
        try:
            while not self._closed.wait(HEARTBEAT_S):
                try:
                    self._beat_once()
                except DatabaseError:
                    # One missed beat is no harm; the next may find the database free again.
                    logger.warning("The %s could not be written.", self._thread.name, exc_info=True)
        finally:
            connections.close_all()  # this thread's own

    def _beat_once(self) -> None:
        is_ours = self._own_rows().update(heartbeat_at=timezone.now())
        if not is_ours or self._is_cancelled():
            self._stop.set()


class JobReporter(Reporter):
    """Of a process that runs a whole job, or what is left of it.

    Args:
        job: as claimed.
        echo: see `Reporter`.
    """

    def __init__(self, job: TrainingJob, echo: Echo | None = None) -> None:
        super().__init__(f"job {job.pk}", job.curves, echo)
        self.job = job

    def _own_rows(self) -> QuerySet[TrainingJob]:
        return TrainingJob.objects.filter(
            pk=self.job.pk, state=JobState.RUNNING, worker=self.job.worker, attempts=self.job.attempts
        )

    def _write(self, columns: Mapping[str, Any], new_log: str) -> bool:
        if not self._own_rows().update(**columns, **_appended(new_log)):
            return False
        for name, value in columns.items():
            setattr(self.job, name, value)
        return True

    def _is_cancelled(self) -> bool:
        return self._own_rows().filter(is_cancel_requested=True).exists()

    def _tell(self, points: Points, new_log: str) -> None:
        events.job_progressed(self.job, points=points, log=new_log)

    def _whole_progress(self) -> float:
        return self.job.progress


class FoldReporter(Reporter):
    """Of a process that fits one fold. The job's row shows the progress of all its folds together.

    Args:
        taken: the fold as claimed.
        owner: reports of the whole job, where this process runs it; its stop is this one's too.
        echo: see `Reporter`.
    """

    def __init__(self, taken: FoldFit, owner: JobReporter | None = None, echo: Echo | None = None) -> None:
        echo = echo or (owner.echo if owner else None)
        super().__init__(f"{taken} of job {taken.job_id}", taken.curves, echo)
        self.taken = taken
        self._owner = owner

    def should_stop(self) -> bool:
        return super().should_stop() or (self._owner is not None and self._owner.should_stop())

    def log(self, line: str) -> None:
        super().log(f"{self.taken.title}: {line}")

    def _stage(self, stage: str) -> str:
        return f"{self.taken.title}: {stage[:1].lower()}{stage[1:]}"

    def _own_rows(self) -> QuerySet[FoldFit]:
        return FoldFit.objects.filter(
            pk=self.taken.pk,
            state=JobState.RUNNING,
            worker=self.taken.worker,
            attempts=self.taken.attempts,
            job__state=JobState.RUNNING,
        )

    @transaction.atomic
    def _write(self, columns: Mapping[str, Any], new_log: str) -> bool:
        job = self.taken.job
        # In the order in which everybody locks: the job first.
        TrainingJob.objects.select_for_update().only("pk").get(pk=job.pk)
        if not self._own_rows().update(**columns):
            return False
        done = FoldFit.objects.filter(job=job).aggregate(done=Sum("progress"))["done"]
        shown = {"progress": FITS_SHARE * done / (job.folds + 1), "heartbeat_at": columns["heartbeat_at"]}
        if "stage_text" in columns:
            shown["stage_text"] = columns["stage_text"]
        TrainingJob.objects.filter(pk=job.pk).update(**shown, **_appended(new_log))
        job.refresh_from_db(fields=events.SHOWN_COLUMNS)
        return True

    def _is_cancelled(self) -> bool:
        return TrainingJob.objects.filter(pk=self.taken.job_id, is_cancel_requested=True).exists()

    def _tell(self, points: Points, new_log: str) -> None:
        events.job_progressed(self.taken.job, points=points, log=new_log)

    def _whole_progress(self) -> float:
        return self.taken.job.progress


def _appended(new_log: str) -> dict[str, Right]:
    """The log with these lines at its end, cut at its beginning; by one update, whoever else writes."""
    if not new_log:
        return {}
    whole = Concat(F("log"), Value(new_log), output_field=TextField())
    return {"log": Right(whole, MAX_LOG_CHARACTERS)}
