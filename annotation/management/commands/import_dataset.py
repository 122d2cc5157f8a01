"""manage.py import_dataset PATH --name N: bring a folder or ZIP of images into a dataset."""

import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from annotation.choices import ImportLayout, ImportState, RemarkKind
from annotation.errors import DomainError
from annotation.models import Dataset, ImportJob
from annotation.selectors.datasets import counts_of_one, file_totals
from annotation.services import datasets, importing


class Command(BaseCommand):
    help = "Bring a folder or a ZIP of images into a dataset. Run again, it adds nothing twice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="folder or ZIP on this machine")
        parser.add_argument("--name", required=True, help="dataset; made when there is none of this name")
        parser.add_argument("--layout", choices=ImportLayout.values, default=ImportLayout.AUTO)

    def handle(self, *, path: Path, name: str, layout: str, **options: Any) -> None:
        if not path.exists():
            raise CommandError(f"There is nothing at “{path}”.")
        found = Dataset.objects.filter(name__iexact=name.strip()).first()
        try:
            dataset = found or datasets.create_dataset(name=name)
        except DomainError as error:
            raise CommandError(str(error)) from error
        job = self._run(dataset, path, layout)
        self._report(job)
        if job.state == ImportState.FAILED:
            if found is None and not dataset.images.exists():
                datasets.delete_dataset(dataset=dataset, actor=None)
            raise CommandError(job.error)

    def _run(self, dataset: Dataset, path: Path, layout: str) -> ImportJob:
        queued = importing.queue_import(
            dataset=dataset, source=path.resolve(), source_name=path.name, layout=layout
        )
        job = importing.claim_import(queued.pk)
        if job is None:
            raise CommandError("A worker has taken this import; see its page.")
        progress = _Progress(sys.stderr)
        try:
            importing.run_import(job, progress=progress.show)
        except KeyboardInterrupt:
            importing.fail_import(job, "Interrupted. Run the same command again to go on.")
        except importing.ImportLost:
            raise CommandError("A worker has taken this import over; see its page.") from None
        finally:
            progress.end()
        return job

    def _report(self, job: ImportJob) -> None:
        for remark in job.remarks.filter(kind=RemarkKind.REFUSED).iterator():
            self.stderr.write(f"refused    {remark.file}: {remark.reason}")
        for remark in job.remarks.filter(kind=RemarkKind.DUPLICATE).iterator():
            self.stderr.write(f"duplicate  {remark.file}: {remark.reason}")
        if not job.layout_found:
            return
        counts, totals = counts_of_one(job.dataset), file_totals(job.dataset)
        lines = {
            "layout": f"{job.layout_found} ({job.layout_reason})",
            "files": job.files_done,
            "new": job.images_added,
            "already-there": job.already_there,
            "byte-identical": job.duplicates,
            "refused": job.refused,
            "dataset": f"{job.dataset.name} ({job.dataset.slug})",
            "  images": f"{totals.files} ({totals.ok} OK, {totals.ng} NG) of {totals.items} items",
            "  distinct": f"{counts.images} ({counts.ok} OK, {counts.ng} NG, {counts.unlabelled} unlabelled)",
        }
        for name, value in lines.items():
            self.stdout.write(f"{name:<15} {value}")


class _Progress:
    """One line that moves on a terminal; one line now and then in a log."""

    LOG_EVERY_S = 5.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said_at = time.monotonic()
        self._is_open = False

    def show(self, job: ImportJob) -> None:
        text = f"{job.files_done} of {job.files_total} files, {job.images_added} new, {job.refused} refused"
        if self._stream.isatty():
            self._stream.write(f"\r{text}\x1b[K")
            self._is_open = True
        elif job.files_done == job.files_total or time.monotonic() - self._said_at > self.LOG_EVERY_S:
            self._stream.write(f"{text}\n")
            self._said_at = time.monotonic()
        self._stream.flush()

    def end(self) -> None:
        if self._is_open:
            self._stream.write("\n")
