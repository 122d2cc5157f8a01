"""Bringing a folder or a ZIP into a dataset: batch by batch, each whole or not at all.

Reading, checking and storing files goes on in threads; records are written by the caller's thread alone. A
batch's records and its counts are one transaction, so an import that was killed goes on after the last
batch, and two workers that believe to run the same import can't both write: only one of them still finds
`files_done` as it left it.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotation.choices import ImportLayout, ImportState
from annotation.decoding import ImageRefused
from annotation.errors import DomainError
from annotation.formats import (
    Entry,
    FolderTree,
    Reading,
    Refusal,
    Tree,
    Unreadable,
    ZipTree,
    open_source,
    read_source,
)
from annotation.models import Dataset, ImportJob, User

from . import audit, uploads
from .import_records import BatchRecorder, PreparedFile
from .storage import is_in_place, keep_files_in_place, store_content

logger = logging.getLogger(__name__)

BATCH_FILES: Final = 200
BATCH_SECONDS: Final = 0.7
STALE_AFTER: Final = timedelta(seconds=60)
ASK_AGAIN_AFTER: Final = timedelta(minutes=2)

Progress = Callable[[ImportJob], None]


class ImportLost(Exception):
    """Another worker runs this import now; whatever this one had not yet written is dropped."""


class ImportNotRepeatable(DomainError):
    """The import can't be run again."""

    code = "import_not_repeatable"


@dataclass(frozen=True)
class Batch:
    """Files in their order, and what came of each."""

    outcomes: list[PreparedFile | Refusal]


def queue_import(
    *,
    dataset: Dataset,
    source: Path,
    source_name: str,
    layout: str = ImportLayout.AUTO,
    is_upload: bool = False,
    created_by: User | None = None,
) -> ImportJob:
    """An import that waits for a worker; the caller then asks one to take it."""
    return ImportJob.objects.create(
        dataset=dataset,
        source=str(source),
        source_name=source_name[:255],
        is_upload=is_upload,
        layout=layout,
        created_by=created_by,
    )


def claim_import(job_id: int) -> ImportJob | None:
    """Takes a queued import, or one whose worker was lost; None when it is somebody else's or over."""
    now = timezone.now()
    free = Q(state=ImportState.QUEUED) | Q(state=ImportState.RUNNING, heartbeat_at__lt=now - STALE_AFTER)
    claimed = ImportJob.objects.filter(free, pk=job_id).update(
        state=ImportState.RUNNING, heartbeat_at=now, error=""
    )
    if not claimed:
        return None
    return ImportJob.objects.select_related("dataset", "created_by").get(pk=job_id)


def lost_imports() -> list[int]:
    """Imports that a worker must be asked to take (again), marked as asked for now.

    Those that run without a sign of life, and those that wait so long that the request may be lost.
    """
    now = timezone.now()
    waiting = Q(state=ImportState.QUEUED) & (
        Q(heartbeat_at__lt=now - ASK_AGAIN_AFTER)
        | Q(heartbeat_at__isnull=True, created_at__lt=now - ASK_AGAIN_AFTER)
    )
    running = Q(state=ImportState.RUNNING, heartbeat_at__lt=now - STALE_AFTER)
    lost = list(ImportJob.objects.filter(waiting | running).values_list("pk", flat=True))
    ImportJob.objects.filter(pk__in=lost, state=ImportState.QUEUED).update(heartbeat_at=now)
    return lost


def repeat_import(*, job: ImportJob) -> ImportJob:
    """Queues a failed import again; it goes on where it stopped. The caller then asks a worker to take it.

    Raises:
        ImportNotRepeatable: it did not fail.
    """
    queued = ImportJob.objects.filter(pk=job.pk, state=ImportState.FAILED).update(
        state=ImportState.QUEUED, error="", finished_at=None, heartbeat_at=None
    )
    if not queued:
        raise ImportNotRepeatable("Only an import that failed can be run again.")
    job.refresh_from_db()
    return job


def run_import(job: ImportJob, *, progress: Progress | None = None) -> ImportJob:
    """Runs a claimed import to its end.

    Every file that can't be used is written down with its reason and the rest goes in. What can't go on at
    all (no ZIP, no such folder, a full disk) ends the job as failed, with what was stored so far kept.

    Args:
        job: as `claim_import` gave it.
        progress: called after every batch.

    Returns:
        The job, done or failed.

    Raises:
        ImportLost: another worker has taken the job over.
    """
    try:
        with closing(_Source(job)) as source:
            _start(job, source.reading)
            for batch in _batches(source.reading.tree, source.remaining(job)):
                _commit(job, source.reading.tree, batch)
                if progress:
                    progress(job)
        _finish(job)
    except DomainError as error:
        fail_import(job, str(error))
    return job


def fail_import(job: ImportJob, error: str) -> None:
    """Ends a running import as failed, with a sentence that says why."""
    _end(job, ImportState.FAILED, error)


class _Source:
    """The job's folder or archive, open and understood."""

    def __init__(self, job: ImportJob) -> None:
        self._tree: FolderTree | ZipTree = open_source(
            Path(job.source), max_total_bytes=settings.MAX_UPLOAD_BYTES
        )
        try:
            self.reading: Reading = read_source(self._tree, job.layout)
        except DomainError:
            self.close()
            raise

    def remaining(self, job: ImportJob) -> Iterator[Entry | Refusal]:
        return islice(self.reading.listing.entries, job.files_done, None)

    def close(self) -> None:
        if isinstance(self._tree, ZipTree):
            self._tree.close()


def _start(job: ImportJob, reading: Reading) -> None:
    """Writes down how the source was understood; one that changed since is begun anew."""
    has_changed = job.files_done and job.files_total != reading.listing.count
    if has_changed:
        job.remarks.all().delete()
        job.files_done = job.images_added = job.already_there = 0
        job.duplicates = job.labels_added = job.refused = 0
    job.files_total = reading.listing.count
    job.layout_found = reading.layout
    job.layout_reason = reading.reason[:400]
    counts = ["files_done", "images_added", "already_there", "duplicates", "labels_added", "refused"]
    job.save(update_fields=["files_total", "layout_found", "layout_reason", *counts])


def _batches(tree: Tree, entries: Iterable[Entry | Refusal]) -> Iterator[Batch]:
    """By number of files, and by time, so that somebody who watches sees it move."""
    outcomes: list[PreparedFile | Refusal] = []
    started = time.monotonic()
    for outcome in _prepared(tree, entries):
        outcomes.append(outcome)
        if len(outcomes) >= BATCH_FILES or time.monotonic() - started > BATCH_SECONDS:
            yield Batch(outcomes)
            outcomes, started = [], time.monotonic()
    if outcomes:
        yield Batch(outcomes)


def _prepared(tree: Tree, entries: Iterable[Entry | Refusal]) -> Iterator[PreparedFile | Refusal]:
    """Each file stored or refused, in order; threads run a few files ahead, so that memory stays flat."""
    workers = max(2, min(8, os.cpu_count() or 2))
    ahead: deque[Future[PreparedFile | Refusal]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="import")
    try:
        for entry in entries:
            ahead.append(pool.submit(_prepare, tree, entry))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(tree: Tree, entry: Entry | Refusal) -> PreparedFile | Refusal:
    if isinstance(entry, Refusal):
        return entry
    try:
        stored = store_content(tree.read(entry.path, settings.MAX_IMAGE_BYTES))
    except (Unreadable, ImageRefused) as error:
        return Refusal(entry.path, error.reason)
    if entry.sha256 and entry.sha256 != stored.sha256:
        return Refusal(entry.path, "Its content is not what labels.csv's sha256 says; it was changed.")
    return PreparedFile(entry, stored)


def _still_in_place(tree: Tree, outcome: PreparedFile | Refusal) -> PreparedFile | Refusal:
    """Stores a file again that was removed with another dataset since."""
    if isinstance(outcome, Refusal) or is_in_place(outcome.stored):
        return outcome
    return _prepare(tree, outcome.entry)


@transaction.atomic
def _commit(job: ImportJob, tree: Tree, batch: Batch) -> None:
    keep_files_in_place()
    counts = BatchRecorder(job).record([_still_in_place(tree, outcome) for outcome in batch.outcomes])
    done_before = job.files_done
    after: dict[str, Any] = {
        "files_done": done_before + len(batch.outcomes),
        "images_added": job.images_added + counts.images_added,
        "already_there": job.already_there + counts.already_there,
        "duplicates": job.duplicates + counts.duplicates,
        "labels_added": job.labels_added + counts.labels_added,
        "refused": job.refused + counts.refused,
        "heartbeat_at": timezone.now(),
    }
    own = ImportJob.objects.filter(pk=job.pk, state=ImportState.RUNNING, files_done=done_before)
    if not own.update(**after):
        raise ImportLost(f"Import {job.pk} is no longer ours.")
    for field, value in after.items():
        setattr(job, field, value)


def _finish(job: ImportJob) -> None:
    if job.files_total == job.refused:
        why = f"all {job.files_total} files were refused" if job.files_total else "the source names no images"
        fail_import(job, f"Nothing could be imported: {why}.")
        return
    _end(job, ImportState.DONE)
    if job.is_upload:
        uploads.remove_upload(job.source)


@transaction.atomic
def _end(job: ImportJob, state: ImportState, error: str = "") -> None:
    now = timezone.now()
    ended = ImportJob.objects.filter(pk=job.pk, state=ImportState.RUNNING, files_done=job.files_done).update(
        state=state, error=error, finished_at=now, heartbeat_at=now
    )
    if not ended:
        raise ImportLost(f"Import {job.pk} is no longer ours.")
    job.state, job.error, job.finished_at, job.heartbeat_at = state, error, now, now
    counts = {
        name: getattr(job, name)
        for name in ("files_done", "images_added", "already_there", "duplicates", "labels_added", "refused")
    }
    audit.record(
        actor=job.created_by,
        action=f"import.{state.value}",
        target=job.dataset,
        details={"source": job.source_name, "layout": job.layout_found, "error": error, **counts},
    )
