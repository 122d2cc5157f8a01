"""Public datasets in miniature: parts kos01 and so on with masks, one copied; tiles with a labels.csv."""

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


def make_tiles(folder: Path, *, ok: int = 12, each: int = 6) -> Path:
    """OK images, and two types of NG: a bright bar and a dark one. Two OK images have an NG one's group."""
    data = folder / "magnetic_tile"
    data.mkdir(parents=True)
    kinds = [("free", ok), ("fray", each), ("crack", each)]
    rows = ["file,label,class"]
    for kind, count in kinds:
        for number in range(count):
            pixels = make_pixels(1000 * len(kind) + number, is_ng=kind == "fray")
            if kind == "crack":
                pixels[:, 30:34] = 5
            Picture.fromarray(pixels).save(data / f"{kind}{number}.png")
            rows.append(
                f"{kind}{number}.png,{'OK' if kind == 'free' else 'NG'},{'' if kind == 'free' else kind}"
            )
    (data / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
