"""Image files under their content's address: one file per distinct content, whole or not there at all."""

import errno
import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection, transaction

from annotation.decoding import ImageRefused, decode_image, inspect_image
from annotation.errors import DomainError
from annotation.fingerprints import fingerprint
from annotation.models import Dataset, Image, ImageSource

_EXTENSIONS: Final = {"jpeg": ".jpg", "png": ".png", "bmp": ".bmp", "tiff": ".tif", "webp": ".webp"}
# Any number that no other advisory lock of the database has.
_FILES_LOCK: Final = 0x66696C65
_NO_SPACE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StorageFailed(DomainError):
    """The file could not be written; nothing of it is kept."""

    code = "storage_failed"
    status = 507


class UploadRefused(DomainError):
    """The content is not an image that is taken."""

    code = "image_refused"
    status = 400


@dataclass(frozen=True)
class StoredFile:
    """A file that is in place under its content's address, what its header says and how it looks."""

    sha256: str
    extension: str
    height: int
    width: int
    size_bytes: int
    fingerprint: str


@dataclass(frozen=True)
class StoredImage:
    """What came of one image: its record, and whether that is new."""

    image: Image
    is_new: bool


def store_content(content: bytes) -> StoredFile:
    """Checks that the bytes are an image, to its last pixel, and puts them in place. Touches no record.

    Raises:
        ImageRefused: they are none that is taken.
        StorageFailed: the disk is full or can't be written.
    """
    limits = {"max_pixels": settings.MAX_IMAGE_PIXELS, "max_bytes": settings.MAX_IMAGE_BYTES}
    facts = inspect_image(content, **limits)
    pixels = decode_image(content, **limits)
    stored = StoredFile(
        sha256=hashlib.sha256(content).hexdigest(),
        extension=_EXTENSIONS[facts.format],
        height=facts.height,
        width=facts.width,
        size_bytes=len(content),
        fingerprint=fingerprint(pixels),
    )
    if not is_in_place(stored):
        write_atomically(image_record(stored).path, content)
    return stored


def is_in_place(stored: StoredFile) -> bool:
    """Whether the content's file is there, and whole."""
    path = image_record(stored).path
    return path.is_file() and path.stat().st_size == stored.size_bytes


def keep_files_in_place() -> None:
    """Until this transaction ends, no file is removed for want of a record. Call within the transaction.

    Whoever records contents calls this, then looks whether their files are still in place: another
    dataset's deletion may have removed one between its being stored and its being recorded.
    """
    _lock_files("pg_advisory_xact_lock_shared")


def _lock_files(lock: str) -> None:
    # On SQLite every transaction has had the write lock since it began.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {lock}(%s)", [_FILES_LOCK])


def image_record(stored: StoredFile, **fields: object) -> Image:
    """An unsaved record of a stored file."""
    return Image(
        sha256=stored.sha256,
        extension=stored.extension,
        height=stored.height,
        width=stored.width,
        size_bytes=stored.size_bytes,
        fingerprint=stored.fingerprint,
        **fields,
    )


def store_image(
    *,
    dataset: Dataset,
    content: bytes,
    name: str,
    item: str = "",
    view: str = "",
    captured_at: datetime | None = None,
) -> StoredImage:
    """Brings one image into a dataset; content that is there already is not stored again.

    Args:
        dataset: where to.
        content: the file as it came.
        name: the name it came under; not trusted for anything.
        item: the physical part it shows, if known.
        view: which view of the part, if known.
        captured_at: when the camera took it, if known.

    Returns:
        The image's record: the one that was there, when the content was.

    Raises:
        UploadRefused: the content is no image that is taken.
        StorageFailed: the disk is full or can't be written; there is no record either.
    """
    try:
        stored = store_content(content)
    except ImageRefused as error:
        raise UploadRefused(error.reason) from error
    with transaction.atomic():
        keep_files_in_place()
        if not is_in_place(stored):
            write_atomically(image_record(stored).path, content)
        facts = ("extension", "height", "width", "size_bytes", "fingerprint")
        defaults = {field: getattr(stored, field) for field in facts}
        image, is_new = Image.objects.get_or_create(
            dataset=dataset,
            sha256=stored.sha256,
            defaults={**defaults, "name": name, "captured_at": captured_at},
        )
        ImageSource.objects.get_or_create(
            image=image, name=name, defaults={"dataset": dataset, "item": item, "view": view}
        )
    return StoredImage(image, is_new)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: under another name first, on the disk, then renamed.

    Raises:
        StorageFailed: the disk is full or can't be written.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if error.errno in _NO_SPACE:
            raise StorageFailed("The server's disk is full; make room, then try again.") from error
        raise StorageFailed(f"The server can't write images ({error.strerror}).") from error


def remove_unused_files(images: list[tuple[str, str]]) -> int:
    """Deletes the files, and thumbnails, of contents that no record of any dataset holds any longer.

    Args:
        images: (sha256, extension) of records that were deleted.

    Returns:
        How many contents were removed.
    """
    removed = 0
    for sha256, extension in images:
        with transaction.atomic():
            _lock_files("pg_advisory_xact_lock")
            if Image.objects.filter(sha256=sha256).exists():
                continue
            Image(sha256=sha256, extension=extension).path.unlink(missing_ok=True)
        for rendering in thumbnail_folder(sha256).glob(f"{sha256}*"):
            rendering.unlink(missing_ok=True)
        removed += 1
    return removed


def thumbnail_folder(sha256: str) -> Path:
    return Path(settings.MEDIA_ROOT) / "thumbnails" / sha256[:2]
