"""A frame: one image of one view, or the reason why there is none."""

import time
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from annotation.decoding import ImageRefused, decode_image
from inspection.plc.clock import utc_now

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One view's image as it came; equal only to itself.

    Attributes:
        image: uint8 [H, W] grey or [H, W, 3] RGB; None where the frame is bad.
        encoded: the file's bytes, kept as evidence.
        name: the file's or upload's name.
        reference: what the caller knows it by (an image id of a dataset), handed through to the record.
        captured_at: UTC.
        arrived_s: monotonic clock when it came, to match it with a trigger.
        trigger_sequence: the PLC's trigger it belongs to, where the camera knows.
        error: why the frame is of no use; empty where it is good.
    """

    image: Image | None
    name: str
    encoded: bytes | None = None
    reference: str | None = None
    captured_at: datetime = field(default_factory=utc_now)
    arrived_s: float = field(default_factory=time.monotonic)
    trigger_sequence: int | None = None
    error: str = ""


def frame_from_bytes(
    encoded: bytes, name: str, *, reference: str | None = None, trigger_sequence: int | None = None
) -> Frame:
    """A frame of an encoded image as it arrives; one that cannot be decoded is a bad frame.

    Args:
        encoded: the file's bytes.
        name: the file's name, for the record.
        reference: handed through to the record.
        trigger_sequence: the trigger it belongs to, where known.
    """
    captured_at, arrived_s = utc_now(), time.monotonic()
    image, error = None, ""
    try:
        image = decode_image(encoded)
    except ImageRefused as refused:
        error = refused.reason
    return Frame(
        image=image,
        name=name,
        encoded=encoded,
        reference=reference,
        captured_at=captured_at,
        arrived_s=arrived_s,
        trigger_sequence=trigger_sequence,
        error=error,
    )


def is_blank(image: Image, blank_range: int) -> bool:
    """True where no two pixels differ by more than `blank_range` grey levels: a dead or covered camera."""
    sample = image[::8, ::8]
    if int(sample.max()) - int(sample.min()) > blank_range:
        return False
    return int(image.max()) - int(image.min()) <= blank_range
