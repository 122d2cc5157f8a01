"""The one door through which image bytes become pixels, for imports, uploads and the line alike.

An image is refused by its content (never its name), its bytes and its pixel count before a pixel is
decoded, so that a 30,000 x 30,000 PNG of a few kilobytes costs nothing. What is let in becomes uint8,
grey [H, W] or RGB [H, W, 3], by rules that are the same everywhere:

===========================  =================================================================================
stored as                    becomes
===========================  =================================================================================
1 bit, 8-bit grey            grey
8-bit RGB, YCbCr, palette    RGB
16 bits a channel            the high byte of each value (65535 is white), grey or RGB
alpha or transparency        laid on black
EXIF orientation             applied; height and width are those of the upright image
CMYK, Lab, HSV, 32-bit       refused: none of them has one agreed meaning in 8-bit grey or RGB
several pages or frames      refused (a JPEG's embedded preview is not a page)
===========================  =================================================================================
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS: Final = 100_000_000
MAX_BYTES: Final = 100_000_000
FORMATS: Final = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "BMP": "bmp", "TIFF": "tiff", "WEBP": "webp"}

_GREY_MODES: Final = {"1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N"}
_RGB_MODES: Final = {"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "YCbCr"}
_ORIENTATION_TAG: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise on damaged content; found by flipping and cutting bytes of every format.
_DAMAGE: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)

# Pillow's own guard must not fire below ours: it warns above this count and raises above twice of it.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class ImageRefused(Exception):
    """These bytes will not be taken as an image. `reason` is a sentence for the person who brought them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ImageFacts:
    """What the header says. Height and width are of the upright image; mode is what decoding will give."""

    height: int
    width: int
    mode: Literal["grey", "rgb"]
    format: str
    bytes: int

    @property
    def content_type(self) -> str:
        return f"image/{self.format}"


def inspect_image(
    source: bytes | Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> ImageFacts:
    """Reads the header, checks the limits and what can be verified without decoding (PNG checksums).

    A JPEG that was cut short passes here and is refused by `decode_image`: only its pixels show it.

    Raises:
        ImageRefused: the content is no image of ours, is damaged, or is over a limit.
        OSError: the path itself can't be read.
    """
    with _opened(source, max_pixels, max_bytes) as (image, facts):
        image.verify()
    return facts


def decode_image(
    source: bytes | Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> np.ndarray:
    """Decodes to uint8, grey [H, W] or RGB [H, W, 3], C-contiguous, after the same checks as `inspect_image`.

    Raises:
        ImageRefused: the content is no image of ours, is damaged or cut short, or is over a limit.
        OSError: the path itself can't be read.
    """
    with _opened(source, max_pixels, max_bytes) as (image, facts):
        turn = _TURNS.get(_orientation(image))
        image.load()
        flat = _flattened(image, facts.mode)
        return np.array(flat.transpose(turn) if turn is not None else flat)


@contextmanager
def _opened(
    source: bytes | Path, max_pixels: int, max_bytes: int
) -> Iterator[tuple[Image.Image, ImageFacts]]:
    size_bytes = source.stat().st_size if isinstance(source, Path) else len(source)
    if size_bytes == 0:
        raise ImageRefused("The file is empty.")
    if size_bytes > max_bytes:
        raise ImageRefused(
            f"The file has {size_bytes / 1e6:,.1f} MB; at most {max_bytes / 1e6:,.1f} MB are taken."
        )
    stream: IO[bytes] = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    with stream:
        try:
            with Image.open(stream, formats=("JPEG", "PNG", "BMP", "TIFF", "WEBP")) as image:
                yield image, _facts(image, size_bytes, max_pixels)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise ImageRefused(f"The image has more than {max_pixels / 1e6:,.0f} million pixels.") from None
        except UnidentifiedImageError:
            raise ImageRefused("The content is not a JPEG, PNG, BMP, TIFF or WebP image.") from None
        except _DAMAGE as error:
            raise ImageRefused(f"The image is damaged or cut short ({error}).") from error


def _facts(image: Image.Image, size_bytes: int, max_pixels: int) -> ImageFacts:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageRefused(
            f"The image has {width:,} x {height:,} pixels; at most {max_pixels / 1e6:,.1f} million are taken."
        )
    if image.mode not in _GREY_MODES | _RGB_MODES:
        raise ImageRefused(
            f"Pixels stored as {image.mode} are not taken; save the image as 8-bit grey or RGB."
        )
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise ImageRefused("The file holds several pages or frames; save the one to inspect by itself.")
    if _orientation(image) >= 5:
        width, height = height, width
    return ImageFacts(
        height=height,
        width=width,
        mode="grey" if image.mode in _GREY_MODES else "rgb",
        format=FORMATS[str(image.format)],
        bytes=size_bytes,
    )


def _orientation(image: Image.Image) -> int:
    try:
        # Not PNG's own getexif: it decodes the pixels to look for EXIF behind them.
        return int(Image.Image.getexif(image).get(_ORIENTATION_TAG, 1))
    except _DAMAGE:
        return 1  # a damaged EXIF block says nothing about the pixels


def _flattened(image: Image.Image, mode: Literal["grey", "rgb"]) -> Image.Image:
    """8 bits a channel, no alpha, grey or RGB."""
    if image.mode.startswith("I;16"):
        high_byte = np.asarray(image).astype(np.uint16, copy=False) >> 8
        return Image.fromarray(high_byte.astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return image.convert("L" if mode == "grey" else "RGB")
