"""Fingerprints of images that were recorded without one."""

import logging
from collections.abc import Sequence
from typing import Final

from django.conf import settings

from annotation.decoding import ImageRefused, decode_image
from annotation.fingerprints import fingerprint
from annotation.models import Image

BATCH: Final = 200

logger = logging.getLogger(__name__)


def add_missing_fingerprints(image_ids: Sequence[int]) -> dict[int, str]:
    """Takes and stores the fingerprints of images that have none.

    Args:
        image_ids: of images without one.

    Returns:
        By image; one whose file can't be read is left out, for whoever uses its pixels to say so.
    """
    taken: dict[int, str] = {}
    for start in range(0, len(image_ids), BATCH):
        rows = Image.objects.filter(pk__in=image_ids[start : start + BATCH]).only("sha256", "extension")
        images = list(rows)
        for image in images:
            image.fingerprint = _fingerprint_of(image)
        Image.objects.bulk_update([one for one in images if one.fingerprint], ["fingerprint"])
        taken |= {one.pk: one.fingerprint for one in images if one.fingerprint}
    return taken


def _fingerprint_of(image: Image) -> str:
    try:
        pixels = decode_image(
            image.path, max_pixels=settings.MAX_IMAGE_PIXELS, max_bytes=settings.MAX_IMAGE_BYTES
        )
    except (ImageRefused, OSError) as error:
        logger.warning("Image %d has no fingerprint, because its file can't be read: %s", image.pk, error)
        return ""
    return fingerprint(pixels)
