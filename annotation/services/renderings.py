"""What a browser is shown of an image: made once, kept below MEDIA_ROOT/thumbnails by content."""

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as Picture

from annotation.decoding import ImageRefused, decode_image
from annotation.errors import DomainError
from annotation.models import Image

from .storage import thumbnail_folder, write_atomically

THUMBNAIL_SIDE_PX: Final = 320
SHOWN_BY_BROWSERS: Final = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
}


class ImageFileLost(DomainError):
    """The record is there, but its file is not, or is damaged."""

    code = "image_file_lost"
    status = 404


def thumbnail(image: Image) -> Path:
    """A JPEG of at most 320 px a side.

    Raises:
        ImageFileLost: the image's own file is gone or damaged.
        StorageFailed: the thumbnail can't be written.
    """
    path = thumbnail_folder(image.sha256) / f"{image.sha256}.jpg"
    if not path.is_file():
        picture = Picture.fromarray(_pixels(image))
        picture.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), Picture.Resampling.BOX)
        write_atomically(path, _encoded(picture, "JPEG", quality=85))
    return path


def shown_file(image: Image) -> Path:
    """The image as a browser can show it, in full size: itself, or a PNG of what browsers don't know.

    Raises:
        ImageFileLost: the image's own file is gone or damaged.
        StorageFailed: the PNG can't be written.
    """
    if image.extension in SHOWN_BY_BROWSERS:
        if not image.path.is_file():
            raise ImageFileLost(f"The file of image {image.pk} is missing on the server.")
        return image.path
    path = thumbnail_folder(image.sha256) / f"{image.sha256}.full.png"
    if not path.is_file():
        write_atomically(path, _encoded(Picture.fromarray(_pixels(image)), "PNG"))
    return path


def _pixels(image: Image) -> np.ndarray:
    try:
        return decode_image(image.path)
    except (ImageRefused, OSError) as error:
        raise ImageFileLost(f"The file of image {image.pk} is missing or damaged on the server.") from error


def _encoded(picture: Picture.Image, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
