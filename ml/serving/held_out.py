"""The images on which a lower precision must prove itself, and those from which int8 takes its scales.

Both lie in the artefact as the network sees them (uint8, after region and resize), so that the gate can be
held on any machine that has the artefact and nothing else. Their number is bounded; where there are more,
those nearest to the threshold are taken first: these are the ones that would flip.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ml.preprocessing import Preprocessing
from ml.serving.artefact import (
    HELD_OUT,
    ArtefactError,
    Card,
    metadata_of,
    read_card,
    read_verified,
    write_card,
)

MAX_IMAGES: Final = 128
MAX_BYTES: Final = 48_000_000
CALIBRATION_IMAGES: Final = 32
_CALIBRATION_SHARE: Final = 0.25


@dataclass(frozen=True)
class HeldOut:
    """N held-out and M OK images.

    Attributes:
        images: uint8 [N, H, W] or [N, H, W, 3], as `Preprocessing.resized` gives them.
        ids: int64 [N], the caller's numbers of the images.
        is_ng: bool [N], as labelled.
        expected: float64 [N], the scores that the training framework gave.
        of: how many held-out images there were to take these from.
        calibration: uint8 [M, …], OK images of the training, M at least 1.
    """

    images: np.ndarray
    ids: np.ndarray
    is_ng: np.ndarray
    expected: np.ndarray
    of: int
    calibration: np.ndarray


def image_limit(preprocessing: Preprocessing) -> int:
    """How many held-out images of this size an artefact holds at most."""
    return max(8, min(MAX_IMAGES, int(MAX_BYTES * (1 - _CALIBRATION_SHARE)) // _bytes(preprocessing)))


def calibration_limit(preprocessing: Preprocessing) -> int:
    """How many OK images of this size an artefact holds at most."""
    return max(4, min(CALIBRATION_IMAGES, int(MAX_BYTES * _CALIBRATION_SHARE) // _bytes(preprocessing)))


def choose_held_out(scores: Sequence[float], threshold: float, limit: int) -> list[int]:
    """Which images to hold: half of them those nearest to the threshold, the rest over the whole range.

    Args:
        scores: of the candidates.
        threshold: the first one's.
        limit: how many at most.

    Returns:
        Indices, rising.
    """
    values = np.asarray(scores, np.float64)
    if len(values) <= limit:
        return list(range(len(values)))
    nearest = np.argsort(np.abs(values - threshold), kind="stable")[: limit // 2]
    others = np.setdiff1d(np.argsort(values, kind="stable"), nearest, assume_unique=True)
    others = others[np.argsort(values[others], kind="stable")]
    spread = others[np.linspace(0, len(others) - 1, limit - len(nearest)).round().astype(int)]
    return sorted({*nearest.tolist(), *spread.tolist()})


def add_held_out(folder: Path, held: HeldOut) -> None:
    """Adds the images to a finished artefact, and vouches for them in its card."""
    arrays = {
        "images": np.ascontiguousarray(held.images),
        "ids": held.ids.astype(np.int64),
        "is_ng": held.is_ng.astype(np.uint8),
        "expected": held.expected.astype(np.float64),
        "calibration": np.ascontiguousarray(held.calibration),
    }
    (folder / HELD_OUT).write_bytes(save(arrays, metadata={"of": json.dumps(held.of)}))
    write_card(folder, read_card(folder))


def read_held_out(folder: Path, card: Card) -> HeldOut:
    """Raises:
    ArtefactError: the artefact has none, or it was changed.
    """
    content = read_verified(folder, card, HELD_OUT)
    try:
        arrays = load(content)
        return HeldOut(
            images=arrays["images"],
            ids=arrays["ids"],
            is_ng=arrays["is_ng"].astype(bool),
            expected=arrays["expected"],
            of=int(json.loads(metadata_of(content)["of"])),
            calibration=arrays["calibration"],
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtefactError(f"{HELD_OUT} can't be read: {error!r}.") from error


def _bytes(preprocessing: Preprocessing) -> int:
    return preprocessing.channels * preprocessing.height * preprocessing.width
