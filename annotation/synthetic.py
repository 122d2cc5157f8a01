"""A seeded generator of synthetic parts: brushed metal plates under drifting light.

For trying the product without images of one's own. Four kinds of defect, from obvious to faint: `hole`,
`scratch`, `crack`, `stain`. Everything made from it is marked as synthetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

DEFECTS = ("hole", "scratch", "crack", "stain")
SIZE_PX = 256
VISIBLE = 15  # grey values by which a defect changes a pixel that counts as its own


@dataclass(frozen=True)
class SyntheticPart:
    """One picture.

    Attributes:
        name: file name, unique within a run of the generator.
        item: serial of the physical part.
        class_name: "OK" or one of `DEFECTS`.
        image: uint8 [SIZE_PX, SIZE_PX].
        mask: where the defect is, bool [SIZE_PX, SIZE_PX].
    """

    name: str
    item: str
    class_name: str
    image: np.ndarray
    mask: np.ndarray

    def png(self) -> bytes:
        """The picture as a PNG file."""
        return cv2.imencode(".png", self.image)[1].tobytes()


def make_parts(*, ok: int, ng: int, seed: int, prefix: str = "part") -> Iterator[SyntheticPart]:
    """Make `ok` good parts and `ng` defective ones, shuffled, kinds of defect in turn.

    Args:
        ok: number of OK parts.
        ng: number of NG parts.
        seed: the same seed gives the same pixels.
        prefix: begins every name and serial.
    """
    rng = np.random.default_rng(seed)
    classes = ["OK"] * ok + [DEFECTS[i % len(DEFECTS)] for i in range(ng)]
    rng.shuffle(classes)
    for number, class_name in enumerate(classes, start=1):
        image = _surface(rng, drift=number / max(1, len(classes)))
        before = image.copy()
        if class_name != "OK":
            _ADD_DEFECT[class_name](image, rng)
        noisy = image + rng.normal(0, 2.0, image.shape).astype(np.float32)
        yield SyntheticPart(
            name=f"{prefix}-{number:04d}.png",
            item=f"{prefix}-{number:04d}",
            class_name=class_name,
            image=np.clip(noisy, 0, 255).astype(np.uint8),
            mask=np.abs(image - before) > VISIBLE,
        )


def _surface(rng: np.random.Generator, drift: float) -> np.ndarray:
    """A brushed plate, float32 [SIZE_PX, SIZE_PX] in 0 to 255; `drift` in 0 to 1 moves the light."""
    noise = rng.normal(0, 1, (SIZE_PX, SIZE_PX)).astype(np.float32)
    brushed = cv2.blur(noise, (61, 1)) * 42 + cv2.blur(noise, (9, 3)) * 10
    angle = rng.uniform(-2, 2)
    turn = cv2.getRotationMatrix2D((SIZE_PX / 2, SIZE_PX / 2), angle, 1.08)
    brushed = cv2.warpAffine(brushed, turn, (SIZE_PX, SIZE_PX), borderMode=cv2.BORDER_REFLECT)
    y, x = np.mgrid[0:SIZE_PX, 0:SIZE_PX].astype(np.float32) / SIZE_PX
    light_x, light_y = 0.3 + 0.4 * drift, 0.5 + rng.uniform(-0.1, 0.1)
    light = 150 - 8 * drift - 55 * ((x - light_x) ** 2 + (y - light_y) ** 2)
    return (light + brushed + rng.uniform(-5, 5)).astype(np.float32)


def _somewhere(rng: np.random.Generator, margin: int) -> tuple[int, int]:
    x, y = rng.integers(margin, SIZE_PX - margin, 2)
    return int(x), int(y)


def _blend(image: np.ndarray, mask: np.ndarray, strength: float) -> None:
    image += cv2.GaussianBlur(mask, (0, 0), 0.9) * strength


def _add_hole(image: np.ndarray, rng: np.random.Generator) -> None:
    mask = np.zeros_like(image)
    axes = (int(rng.integers(6, 13)), int(rng.integers(6, 13)))
    centre = _somewhere(rng, 30)
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    _blend(image, mask, -rng.uniform(75, 100))
    rim = np.zeros_like(image)
    cv2.ellipse(rim, centre, (axes[0] + 1, axes[1] + 1), 0, 200, 320, 1.0, 2)
    _blend(image, rim, 45)


def _add_scratch(image: np.ndarray, rng: np.random.Generator) -> None:
    mask = np.zeros_like(image)
    x, y = _somewhere(rng, 60)
    length, angle = rng.uniform(60, 110), rng.uniform(0.5, 2.6)
    end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
    cv2.line(mask, (x, y), end, 1.0, 2, cv2.LINE_AA)
    _blend(image, mask, rng.uniform(65, 90))


def _add_crack(image: np.ndarray, rng: np.random.Generator) -> None:
    mask = np.zeros_like(image)
    point = np.array(_somewhere(rng, 60), dtype=float)
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(9, 15))):
        heading += rng.normal(0, 0.5)
        step = point + rng.uniform(5, 9) * np.array([np.cos(heading), np.sin(heading)])
        cv2.line(mask, tuple(point.astype(int)), tuple(step.astype(int)), 1.0, 2, cv2.LINE_AA)
        point = step
    _blend(image, mask, -rng.uniform(55, 75))


def _add_stain(image: np.ndarray, rng: np.random.Generator) -> None:
    mask = np.zeros_like(image)
    centre = np.array(_somewhere(rng, 45))
    for _ in range(5):
        offset = rng.normal(0, 8, 2).astype(int)
        cv2.circle(mask, tuple(int(v) for v in centre + offset), int(rng.integers(8, 15)), 1.0, -1)
    image -= cv2.GaussianBlur(mask, (0, 0), 3) * rng.uniform(24, 32)


_ADD_DEFECT = {"hole": _add_hole, "scratch": _add_scratch, "crack": _add_crack, "stain": _add_stain}
