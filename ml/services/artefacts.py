"""Making a model's artefact: written under a temporary name, then renamed: no half one is ever seen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from ml.models import TrainingJob


def artefact_name(job: TrainingJob) -> str:
    return f"{job.dataset.slug[:80]}-{job.method}-job{job.pk}"


@contextmanager
def unfinished_artefact(job: TrainingJob) -> Iterator[Path]:
    """A folder to write the artefact into; gone afterwards unless it was renamed."""
    folder = Path(settings.ARTEFACT_DIR) / f".unfinished-{artefact_name(job)}"
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_artefact(folder: Path, job: TrainingJob) -> str:
    """Renames a finished artefact to its name, which it gives back."""
    name = artefact_name(job)
    target = Path(settings.ARTEFACT_DIR) / name
    shutil.rmtree(target, ignore_errors=True)  # of an attempt that was killed before its row was written
    folder.rename(target)
    return name


def remove_artefact(job: TrainingJob) -> None:
    """Takes back what `publish_artefact` did."""
    shutil.rmtree(Path(settings.ARTEFACT_DIR) / artefact_name(job), ignore_errors=True)
