"""Artificial defects: lines, blotches and misplaced texture drawn into OK images, so that where is known.

Not in the papers. A label of a whole image says that something is wrong, not where; a handful of NG images
also has other things in common, which a network may learn instead. Defects of a known place show it what a
defect looks like and where the map must light up. After CutPaste (Li et al., CVPR 2021) and DRAEM (Zavrtanik
et al., ICCV 2021).
"""

import math
from typing import Final

import cv2
import numpy as np

MOST_DEFECTS: Final = 3  # in one image
VISIBLE: Final = 0.2  # of a defect's full strength; from here on a pixel belongs to it
LEAST_CONTRAST: Final = 0.15  # standard deviation of grey values that a surface without texture counts as
SUBPIXEL_BITS: Final = 3  # of OpenCV's coordinates


def with_defects(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A copy with one to three defects.

    Args:
        image: float32 [C, H, W], normalised; of any size from 1 × 1.
        rng: what is drawn, and where.

    Returns:
        float32 [C, H, W], and bool [H, W]: where a defect is, one pixel of it at least.
    """
    changed = image.copy()
    mask = np.zeros(image.shape[1:], bool)
    for _ in range(rng.integers(1, MOST_DEFECTS + 1)):
        mask |= _add_defect(changed, rng)
    return changed, mask


def _add_defect(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws one into the image; where it is, bool [H, W]."""
    height, width = image.shape[1:]
    y, x = int(rng.integers(height)), int(rng.integers(width))
    shape = _line if rng.random() < 1 / 3 else _blotch
    strength = shape((height, width), (y, x), rng)
    strength[y, x] = 1.0
    if rng.random() < 0.8:
        strength = cv2.GaussianBlur(strength, (0, 0), float(rng.uniform(0.4, 1.2)))
    contrast = max(_contrast_at(image, y, x), LEAST_CONTRAST)
    if rng.random() < 2 / 3:
        darker_or_brighter = rng.choice([-1.0, -1.0, 1.0]) * rng.uniform(1.5, 5) * contrast
        image += (strength * darker_or_brighter).astype(np.float32)
    else:
        other = _turned(image, rng) + np.float32(rng.normal(0, contrast))
        image += strength * (other - image)
    return strength >= min(VISIBLE, strength.max())


def _line(size: tuple[int, int], start: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A scratch or crack: a walk whose direction changes a little with each step."""
    steps = int(rng.integers(3, 12))
    length_px = min(size) * rng.uniform(0.02, 0.09)
    directions = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, 0.5, steps))
    moves = length_px * np.stack([np.cos(directions), np.sin(directions)], axis=1)
    points = np.array([start[::-1]]) + np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    strength = np.zeros(size, np.float32)
    fixed_point = np.round(points * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.polylines(strength, [fixed_point], False, 1.0, int(rng.integers(1, 3)), cv2.LINE_AA, SUBPIXEL_BITS)
    return strength


def _blotch(size: tuple[int, int], centre: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A stain or chip: an ellipse with a ragged edge."""
    axes = np.maximum(1, min(size) * rng.uniform(0.02, 0.12, 2))
    strength = np.zeros(size, np.float32)
    whole = (int(axes[0]), int(axes[1]))
    cv2.ellipse(strength, centre[::-1], whole, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    ragged = cv2.GaussianBlur(
        rng.standard_normal(size, np.float32), (0, 0), float(max(1.0, 0.3 * axes.min()))
    )
    return strength * (ragged > rng.uniform(-1.5, 0.3) * ragged.std())


def _contrast_at(image: np.ndarray, y: int, x: int) -> float:
    """Standard deviation of the surface around a pixel, a third of the image's shorter side wide."""
    reach = max(1, min(image.shape[1:]) // 6)
    around = image[:, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return float(around.std())


def _turned(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with its pixels elsewhere: shifted around, perhaps mirrored."""
    shift = (int(rng.integers(image.shape[1])), int(rng.integers(image.shape[2])))
    shifted = np.roll(image, shift, axis=(1, 2))
    return shifted[:, :: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
