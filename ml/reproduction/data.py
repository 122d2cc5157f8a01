"""Public images on this machine, as a dataset of this installation."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from annotation.choices import ImportState
from annotation.errors import DomainError
from annotation.models import Dataset
from annotation.services import datasets, importing

from .recipes import PublicData

VARIABLE: Final = "INSPECTION_DATA_DIR"


class DataMissing(DomainError):
    """The images that a recipe needs are not here. The message says where they are looked for."""

    code = "data_missing"


def dataset_of(data: PublicData, folder: Path | None, say: Callable[[str], None]) -> Dataset:
    """The dataset with these images; imported if need be, which adds nothing twice.

    Args:
        data: which images.
        folder: that holds them, or their folder; None for the one that the environment names. Without either,
            what was imported before is taken.
        say: is told what is done.

    Raises:
        DataMissing: no folder was named and none was imported; or the images are not in it.
    """
    dataset = Dataset.objects.filter(name=data.name).first()
    folder = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if folder is None:
        if dataset is None or not dataset.images.exists():
            raise DataMissing(
                f"{data.name} is not here yet. Say where its images are: --data FOLDER, or set {VARIABLE} to "
                f"a folder that holds {data.folder}/ with {data.marks}."
            )
        return dataset
    source = folder / data.folder if (folder / data.folder).is_dir() else folder
    if not source.is_dir() or not any(source.iterdir()):
        raise DataMissing(f"There are no images in {source}. It should hold {data.marks}.")
    dataset = dataset or datasets.create_dataset(name=data.name)
    _import(dataset, source, say)
    return dataset


def _import(dataset: Dataset, source: Path, say: Callable[[str], None]) -> None:
    queued = importing.queue_import(dataset=dataset, source=source.resolve(), source_name=source.name)
    job = importing.claim_import(queued.pk)
    if job is None:
        raise DataMissing(f"A worker has taken the import of {source}; see its page, then run this again.")
    job = importing.run_import(job)
    if job.state == ImportState.FAILED:
        if not dataset.images.exists():
            datasets.delete_dataset(dataset=dataset, actor=None)
        raise DataMissing(f"{source} can't be imported: {job.error} It should hold {dataset.name}.")
    say(f"{dataset.name}: {job.images_added} new images, {job.duplicates} copies, {job.refused} refused.")
