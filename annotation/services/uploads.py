"""ZIP archives on their way in: kept on disk until their import is done."""

import uuid
from pathlib import Path

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile

from annotation.errors import DomainError

from .storage import StorageFailed


class UploadTooLarge(DomainError):
    code = "upload_too_large"
    status = 413


def upload_folder() -> Path:
    return Path(settings.FILE_UPLOAD_TEMP_DIR) / "imports"


def keep_upload(upload: UploadedFile) -> Path:
    """Puts an uploaded archive where the worker finds it; one that lies on disk already is only renamed.

    Raises:
        UploadTooLarge: it is longer than MAX_UPLOAD_BYTES.
        StorageFailed: the disk is full or can't be written.
    """
    size_bytes = upload.size or 0
    if size_bytes > settings.MAX_UPLOAD_BYTES:
        raise UploadTooLarge(
            f"The archive has {size_bytes / 1e6:,.1f} MB; "
            f"at most {settings.MAX_UPLOAD_BYTES / 1e6:,.1f} MB are taken."
        )
    path = upload_folder() / f"{uuid.uuid4().hex}.zip"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(upload, TemporaryUploadedFile):
            Path(upload.temporary_file_path()).replace(path)
        else:
            with path.open("wb") as stream:
                for chunk in upload.chunks():
                    stream.write(chunk)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageFailed(f"The upload can't be kept on the server ({error.strerror}).") from error
    return path


def remove_upload(path: str) -> None:
    """Deletes a kept archive; a path that is none of them is left alone."""
    kept = Path(path)
    if kept.parent == upload_folder():
        kept.unlink(missing_ok=True)
