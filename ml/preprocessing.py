"""From a decoded image to a network's input: the one way in training, in evaluation and on the line.

ROI crop → grey or RGB → resize → scale → normalise, by NumPy and OpenCV alone. It is part of a model and
stands in its card: `Preprocessing.to_json` and `from_json` are inverse.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Self

import cv2
import numpy as np

ANY_VIEW: Final = ""


class ImageUnusable(Exception):
    """A decoded image that this preprocessing can't take. The message is for the person or the line's log."""


class Rectangle(NamedTuple):
    """Pixels of the upright original image: x in [left, right), y in [top, bottom)."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Preprocessing:
    """What happens to an image before the network sees it.

    Attributes:
        height: rows of the network's input, px.
        width: columns of the network's input, px.
        colour: what the network sees: one grey channel, or three of RGB.
        mean: per channel, subtracted after scaling to [0, 1].
        std: per channel, divided by after that.
        rois: the part of the image to look at, by view; `ANY_VIEW` stands for every view without its own.
    """

    height: int
    width: int
    colour: Literal["grey", "rgb"] = "grey"
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    rois: Mapping[str, Rectangle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"size {self.height} x {self.width} has no pixels")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need one number for each of {self.channels} channels")
        if not all(math.isfinite(value) for value in self.mean):
            raise ValueError("mean must be finite")
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            raise ValueError("std must be finite and above 0")
        for view, roi in self.rois.items():
            if not (0 <= roi.left < roi.right and 0 <= roi.top < roi.bottom):
                raise ValueError(
                    f"region of view {view!r} is empty or starts outside the image: {tuple(roi)}"
                )

    @property
    def channels(self) -> int:
        return 1 if self.colour == "grey" else 3

    def region(self, image: np.ndarray, view: str = ANY_VIEW) -> np.ndarray:
        """The part of one image inside the view's ROI, uint8 [h, w] or [h, w, 3], not copied.

        Raises:
            ImageUnusable: not uint8 [H, W] or [H, W, 3], or smaller than the ROI.
        """
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ImageUnusable(
                f"an image is uint8 [H, W] or [H, W, 3], not {image.dtype} {list(image.shape)}"
            )
        if image.size == 0:
            raise ImageUnusable("the image has no pixels")
        roi = self.rois.get(view, self.rois.get(ANY_VIEW))
        if roi is None:
            return image
        height, width = image.shape[:2]
        if roi.right > width or roi.bottom > height:
            raise ImageUnusable(
                f"the image has {width} x {height} pixels, but its region of interest reaches to "
                f"({roi.right}, {roi.bottom})"
            )
        return image[roi.top : roi.bottom, roi.left : roi.right]

    def resized(self, image: np.ndarray, view: str = ANY_VIEW) -> np.ndarray:
        """ROI, colour and size, still uint8: [height, width] or [height, width, 3]. What a map is laid over.

        Raises:
            ImageUnusable: see `region`.
        """
        region = self.region(image, view)
        if self.colour == "grey" and region.ndim == 3:
            region = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
        elif self.colour == "rgb" and region.ndim == 2:
            region = cv2.cvtColor(region, cv2.COLOR_GRAY2RGB)
        if region.shape[:2] == (self.height, self.width):
            return region
        shrinks = self.height * self.width <= region.shape[0] * region.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(region, (self.width, self.height), interpolation=interpolation))

    def apply(self, images: Sequence[np.ndarray], views: Sequence[str] | None = None) -> np.ndarray:
        """The network's input for a batch.

        Args:
            images: uint8 [H, W] grey or [H, W, 3] RGB each; sizes may differ.
            views: the view of each image, where ROIs differ by view.

        Returns:
            float32 [B, channels, height, width], normalised.

        Raises:
            ImageUnusable: see `region`.
        """
        seen_from = views if views is not None else [ANY_VIEW] * len(images)
        return self.normalised([self.resized(*one) for one in zip(images, seen_from, strict=True)])

    def normalised(self, resized: Sequence[np.ndarray]) -> np.ndarray:
        """Images of `resized` as the network's input: float32 [B, channels, height, width]."""
        batch = np.empty((len(resized), self.channels, self.height, self.width), np.float32)
        for index, pixels in enumerate(resized):
            batch[index] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        gain = 1.0 / (255.0 * np.asarray(self.std, np.float64))
        offset = np.asarray(self.mean, np.float64) / np.asarray(self.std, np.float64)
        batch *= gain.astype(np.float32).reshape(1, -1, 1, 1)
        batch -= offset.astype(np.float32).reshape(1, -1, 1, 1)
        return batch

    def to_json(self) -> dict[str, Any]:
        return {
            "height": self.height,
            "width": self.width,
            "colour": self.colour,
            "mean": list(self.mean),
            "std": list(self.std),
            "rois": {view: list(roi) for view, roi in self.rois.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: a value is missing or out of range.
        """
        try:
            if stored["colour"] not in ("grey", "rgb"):
                raise ValueError(f"colour {stored['colour']!r} is neither grey nor rgb")
            return cls(
                height=int(stored["height"]),
                width=int(stored["width"]),
                colour=stored["colour"],
                mean=tuple(float(value) for value in stored["mean"]),
                std=tuple(float(value) for value in stored["std"]),
                rois={str(view): Rectangle(*map(int, roi)) for view, roi in stored["rois"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"preprocessing can't be read: {error!r}") from error
