"""Small real images, folders and archives, made where a test needs them."""

import io
import zipfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from annotation.models import Dataset, Image
from annotation.services.datasets import create_dataset
from annotation.services.storage import store_image

_seeds = count(1)


def picture(seed: int | None = None, fmt: str = "PNG", size: tuple[int, int] = (24, 32)) -> bytes:
    """An image file; another one on every call unless the seed is the same."""
    rng = np.random.default_rng(next(_seeds) if seed is None else 10_000 + seed)
    stream = io.BytesIO()
    Picture.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(stream, fmt)
    return stream.getvalue()


def mask(is_marked: bool, fmt: str = "PNG") -> bytes:
    pixels = np.zeros((24, 32), np.uint8)
    pixels[3:5, 3:5] = 255 if is_marked else 0
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, fmt)
    return stream.getvalue()


def folder(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """A folder with these files in it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def archive(path: Path, files: Mapping[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A ZIP with these files in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def dataset(name: str = "Bracket") -> Dataset:
    return create_dataset(name=name)


def image(in_dataset: Dataset, **fields: str) -> Image:
    """One more image of a dataset, with its file."""
    at = next(_seeds)
    named = {"name": f"part{at}.png", **fields}
    return store_image(dataset=in_dataset, content=picture(), **named).image


def images(in_dataset: Dataset, number: int) -> list[Image]:
    """Many records at once, without files: for lists and counts."""
    first = next(_seeds) * 1_000_000
    return Image.objects.bulk_create(
        [
            Image(
                dataset=in_dataset,
                sha256=f"{first + at:064x}",
                name=f"part{at}.png",
                extension=".png",
                height=24,
                width=32,
                size_bytes=100,
            )
            for at in range(number)
        ]
    )
