"""A perceptual hash of an image: near-identical pictures differ in few of its bits."""

from typing import Final

import imagehash
import numpy as np
from PIL import Image

SIDE: Final = 16  # 16 × 16 signs of the lowest frequencies: 256 bits


def fingerprint(pixels: np.ndarray) -> str:
    """pHash: which of the image's lowest 16 × 16 cosine frequencies are above their median.

    Encoding, size, noise and brightness change a few bits, a shift by a hundredth of the width about 20;
    unlike images differ in about 128.

    Args:
        pixels: uint8 [H, W] grey or [H, W, 3] RGB.

    Returns:
        64 hexadecimal digits.
    """
    return str(imagehash.phash(Image.fromarray(pixels), hash_size=SIDE))
