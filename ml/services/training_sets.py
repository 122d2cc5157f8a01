"""From a snapshot's rows to what a method trains on; images are decoded as they are asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from django.conf import settings

from annotation.decoding import ImageRefused, decode_image
from annotation.models import Image
from ml.methods.contract import TrainingSet
from ml.models import Snapshot
from ml.preprocessing import Rectangle

from .snapshots import SnapshotImage


class ImageMissing(Exception):
    """An image of the snapshot can no longer be read. The message names it."""


class StoredImages(Sequence[np.ndarray]):
    """Images as uint8 [H, W] or [H, W, 3], decoded anew each time one is asked for."""

    def __init__(self, images: Sequence[SnapshotImage]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        """Raises:
        ImageMissing: the file is gone or damaged.
        """
        if isinstance(index, slice):
            return StoredImages(self._images[index])
        return read_pixels(self._images[index])


def read_pixels(image: SnapshotImage) -> np.ndarray:
    """Raises:
    ImageMissing: the file is gone or damaged.
    """
    try:
        return decode_image(
            image_path(image), max_pixels=settings.MAX_IMAGE_PIXELS, max_bytes=settings.MAX_IMAGE_BYTES
        )
    except (ImageRefused, OSError) as error:
        raise ImageMissing(
            f"Image {image.id} ({image.file}) can no longer be read: {error}. Import it again, then resume."
        ) from error


def image_path(image: SnapshotImage) -> Path:
    return Image(sha256=image.sha256, extension=image.extension).path


def regions_of_interest(regions: Sequence[Mapping[str, Any]]) -> dict[str, Rectangle]:
    """By view, from the rows of a snapshot's "regions"."""
    return {
        region["view"]: Rectangle(
            left=region["left"],
            top=region["top"],
            right=region["left"] + region["width"],
            bottom=region["top"] + region["height"],
        )
        for region in regions
    }


def training_set(snapshot: Snapshot, images: Sequence[SnapshotImage]) -> TrainingSet:
    """What a method's `fit` takes, over some of a snapshot's images."""
    class_names = tuple(snapshot.contents["classes"])
    number = {name: index for index, name in enumerate(class_names)}
    return TrainingSet(
        images=StoredImages(images),
        is_ng=np.array([image.is_ng for image in images], bool),
        classes=np.array([number[image.class_name] for image in images], np.int64),
        class_names=class_names,
        groups=[image.group for image in images],
        views=[image.view for image in images],
        rois=regions_of_interest(snapshot.contents["regions"]),
        weights_folder=Path(settings.ML_WEIGHTS_DIR),
    )
