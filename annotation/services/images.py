"""Single images on their way in: from the page, from REST."""

from datetime import datetime
from pathlib import PurePosixPath

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from annotation.choices import LabelHow
from annotation.formats.contract import MAX_NAME
from annotation.models import Dataset, LabelClass, User

from .labels import label_images
from .storage import StoredImage, UploadRefused, store_image


def add_upload(
    *,
    dataset: Dataset,
    upload: UploadedFile,
    author: User | None,
    how: LabelHow,
    label_class: LabelClass | None = None,
    item: str = "",
    view: str = "",
    captured_at: datetime | None = None,
) -> StoredImage:
    """Brings one uploaded image into a dataset and, where its class is known, labels it.

    Args:
        dataset: where to.
        upload: the file as the browser or client sent it.
        author: who brought it.
        how: by what means its class is said.
        label_class: what it is, if known.
        item: the physical part it shows, if known.
        view: which view of the part, if known.
        captured_at: when the camera took it, if known.

    Raises:
        UploadRefused: the content is no image that is taken.
        StorageFailed: the disk is full or can't be written.
    """
    if (upload.size or 0) > settings.MAX_IMAGE_BYTES:
        raise UploadRefused(
            f"The file has {(upload.size or 0) / 1e6:,.1f} MB; "
            f"at most {settings.MAX_IMAGE_BYTES / 1e6:,.1f} MB are taken."
        )
    stored = store_image(
        dataset=dataset,
        content=upload.read(),
        name=shown_name(upload.name or ""),
        item=item,
        view=view,
        captured_at=captured_at,
    )
    if label_class:
        label_images(images=[stored.image], label_class=label_class, author=author, how=how)
        stored.image.refresh_from_db()
    return stored


def shown_name(name: str) -> str:
    """The last part of a name as a client gave it, with nothing in it that can't be shown."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[-MAX_NAME:] or "image"
