"""The closest good one: which OK image of the training a part looks most like, by the model's descriptors.

For methods that learn from OK images alone. They say that a part is unlike the good ones; the good one that
it is least unlike shows a person what is missing. The artefact holds descriptors and numbers of the images,
not the images: the line finds the closest while it judges, and the page has the pictures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ml.serving.artefact import OK_IMAGES, ArtefactError, Card, read_card, read_verified, write_card

MAX_OK_IMAGES: Final = 500


class ClosestOk:
    """Args:
    ids: int64 [N], the caller's numbers of OK images, N at least 1.
    descriptors: float32 [N, D], of these.

    Raises:
        ValueError: shapes that do not go together, or no image.
    """

    def __init__(self, ids: np.ndarray, descriptors: np.ndarray) -> None:
        if descriptors.ndim != 2 or ids.shape != descriptors.shape[:1] or not len(ids):
            raise ValueError(
                f"{list(ids.shape)} numbers do not go with descriptors {list(descriptors.shape)}"
            )
        self.ids = ids
        self.descriptors = np.asarray(descriptors, np.float64)
        self._squares = np.square(self.descriptors).sum(axis=1)

    def of(self, descriptors: np.ndarray) -> list[int]:
        """The number of the OK image with the least Euclidean distance to each, [B, D] → B numbers.

        Raises:
            ValueError: descriptors of another width.
        """
        seen = np.asarray(descriptors, np.float64)
        if seen.ndim != 2 or seen.shape[1] != self.descriptors.shape[1]:
            raise ValueError(f"descriptors {list(seen.shape)} are not of {self.descriptors.shape[1]} numbers")
        distances = self._squares - 2 * seen @ self.descriptors.T  # less each one's own square
        return [int(self.ids[place]) for place in distances.argmin(axis=1)]


def add_ok_images(folder: Path, ids: Sequence[int], descriptors: np.ndarray) -> None:
    """Adds them to a finished artefact, and vouches for them in its card."""
    arrays: dict[str, np.ndarray] = {
        "ids": np.array(ids, np.int64),
        "descriptors": np.ascontiguousarray(descriptors, np.float32),
    }
    (folder / OK_IMAGES).write_bytes(save(arrays))
    write_card(folder, read_card(folder))


def read_closest_ok(folder: Path, card: Card) -> ClosestOk | None:
    """None where the artefact has none.

    Raises:
        ArtefactError: it was changed.
    """
    if OK_IMAGES not in card.files:
        return None
    try:
        arrays = load(read_verified(folder, card, OK_IMAGES))
        return ClosestOk(arrays["ids"], arrays["descriptors"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtefactError(f"{OK_IMAGES} can't be read: {error!r}.") from error
