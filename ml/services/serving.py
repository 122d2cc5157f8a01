"""What this machine found out about serving a model version: asked for, measured by one process, kept.

The row of version and machine says who measures; whoever took it owns it until it is done, or until nothing
was heard of it for too long. The measurement also lies beside the artefact, where a line finds it without the
database.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ml.choices import JobState
from ml.models import ModelVersion, ServingMeasurement
from ml.serving.machine import machine_key

from .snapshots import frozen_images

logger = logging.getLogger(__name__)

STALE_AFTER: Final = timedelta(minutes=6)  # a step may take as long as `ml.serving.trials.PATIENCE_S`
LOST_AFTER: Final = timedelta(minutes=10)
LEAST_VIEWS: Final = 4  # that batching is measured with, also where the dataset has but one view

Stop = Callable[[], bool]


def measurement_here(version: ModelVersion) -> ServingMeasurement | None:
    """This machine's row of a version."""
    return ServingMeasurement.objects.filter(model_version=version, machine=machine_key()).first()


def ask_again(version: ModelVersion) -> ServingMeasurement:
    """Queues a measurement on this machine, though there may be one; one under way goes on."""
    row, is_new = ServingMeasurement.objects.get_or_create(model_version=version, machine=machine_key())
    if not is_new:
        ended = ServingMeasurement.objects.filter(Q(pk=row.pk) & (~Q(state=JobState.RUNNING) | _stale()))
        ended.update(state=JobState.QUEUED, worker="", error="", progress=0.0, heartbeat_at=None)
        row.refresh_from_db()
    return row


def measure_version(
    version: ModelVersion, *, worker: str, stop: Stop = lambda: False
) -> ServingMeasurement | None:
    """Measures a version on this machine, unless that is done or another process is at it.

    Args:
        version: with its artefact in place.
        worker: names this process.
        stop: asked between two steps; the row is queued again then.

    Returns:
        The row: done, or failed with its error; None where it is another's, done before, or was stopped.
    """
    row = _take(version, worker)
    return _run(row, stop) if row is not None else None


def release_measurements(worker: str) -> int:
    """Gives back what a worker that is shutting down measures; its process sees that and stops."""
    return ServingMeasurement.objects.filter(state=JobState.RUNNING, worker__startswith=worker).update(
        state=JobState.QUEUED, worker="", heartbeat_at=None
    )


def find_lost() -> list[int]:
    """Versions whose measurement on this machine was asked for, or begun, and came to nothing."""
    is_forgotten = Q(state=JobState.QUEUED, created_at__lt=timezone.now() - LOST_AFTER)
    rows = ServingMeasurement.objects.filter(_stale() | is_forgotten, machine=machine_key())
    return list(rows.values_list("model_version_id", flat=True))


@transaction.atomic
def _take(version: ModelVersion, worker: str) -> ServingMeasurement | None:
    row, _ = ServingMeasurement.objects.get_or_create(model_version=version, machine=machine_key())
    taken = ServingMeasurement.objects.filter(Q(state=JobState.QUEUED) | _stale(), pk=row.pk).update(
        state=JobState.RUNNING,
        worker=worker[:120],
        heartbeat_at=timezone.now(),
        progress=0.0,
        error="",
        finished_at=None,
    )
    if not taken:
        return None
    return ServingMeasurement.objects.select_related("model_version__job__snapshot").get(pk=row.pk)


def _run(row: ServingMeasurement, stop: Stop) -> ServingMeasurement | None:
    from ml.serving.artefact import ArtefactError
    from ml.serving.measured import write_measured
    from ml.serving.measuring import MeasuringStopped, Plan, measure

    folder = row.model_version.artefact_path
    watch = _Watch(row)
    try:
        measured = measure(
            folder,
            Plan(threads=settings.SERVING_THREADS or None, batches=(1, _views(row.model_version))),
            on_progress=watch.on_progress,
            stop=lambda: watch.is_lost or stop(),
        )
        write_measured(folder, measured)
    except MeasuringStopped:
        watch.write(state=JobState.QUEUED, worker="", heartbeat_at=None)
        return None
    except (ArtefactError, OSError) as error:
        logger.warning("%s could not be measured: %s", row.model_version, error)
        watch.write(state=JobState.FAILED, error=str(error), finished_at=timezone.now())
    else:
        watch.write(
            state=JobState.DONE,
            measured=measured.to_json(),
            progress=1.0,
            stage_text="",
            finished_at=timezone.now(),
        )
    row.refresh_from_db()
    return row


class _Watch:
    """Writes to a row for as long as it is this process's."""

    def __init__(self, row: ServingMeasurement) -> None:
        self._own = ServingMeasurement.objects.filter(pk=row.pk, worker=row.worker, state=JobState.RUNNING)
        self.is_lost = False

    def on_progress(self, share: float, text: str) -> None:
        self.write(progress=share, stage_text=text[:200], heartbeat_at=timezone.now())

    def write(self, **changes: object) -> None:
        if not self._own.update(**changes):
            self.is_lost = True


def _views(version: ModelVersion) -> int:
    """How many images of a part are judged at once: the views that the training saw, at least some."""
    return max(LEAST_VIEWS, len({image.view for image in frozen_images(version.job.snapshot)}))


def _stale() -> Q:
    return Q(state=JobState.RUNNING, heartbeat_at__lt=timezone.now() - STALE_AFTER)
