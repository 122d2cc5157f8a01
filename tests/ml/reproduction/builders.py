"""A made KolektorSDD in a folder: parts kos01 and so on, a mask beside each NG image, one part copied."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from tests.ml.factories import make_pixels


def make_kolektor(folder: Path, *, parts: int = 8, copied: bool = False) -> Path:
    """Two OK images and an NG one a part; with `copied`, the last part is the first once more, byte by byte."""
    data = folder / "kolektorsdd"
    for part in range(1, parts + 1):
        place = data / f"kos{part:02d}"
        place.mkdir(parents=True)
        for number in range(3):
            is_ng = number == 2
            pixels = make_pixels(100 * part + number, is_ng=is_ng)
            Picture.fromarray(pixels).save(place / f"Part{number}.png")
            if is_ng:
                mask = np.zeros_like(pixels)
                mask[8:20, 12:52] = 255
                Picture.fromarray(mask).save(place / f"Part{number}_mask.png")
    if copied:
        shutil.copytree(data / "kos01", data / f"kos{parts + 1:02d}")
    return folder
