"""What a model looks at against what it should look at: the check that found the jig deciding, not the bolt.

Noh and Hong, Appl. Sci. 2022, section 3.1: Grad-CAM on the whole image lay on background and jig; only then
was the region of interest cut out. Here the same as a number: the share of a map's heat that lies outside.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ml.preprocessing import ANY_VIEW, Preprocessing, Rectangle


def share_outside(heat_map: np.ndarray, covered: Rectangle, roi: Rectangle) -> float | None:
    """The share of a map's heat that lies outside a region of interest.

    Args:
        heat_map: [h, w], at least 0; how hot each cell is.
        covered: the part of the image that the map covers, px of the image.
        roi: where the explanation should lie, px of the image.

    Returns:
        0 (all inside) to 1 (all outside); a cell that the border crosses counts by its area. None where
        nothing is hot.

    Raises:
        ValueError: the map is not [h, w], or a value is below 0 or not finite.
    """
    values = np.asarray(heat_map, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("a map is [h, w], finite and nowhere below 0")
    total = values.sum()
    if total == 0:
        return None
    rows = _inside(values.shape[0], covered.top, covered.bottom, roi.top, roi.bottom)
    columns = _inside(values.shape[1], covered.left, covered.right, roi.left, roi.right)
    return float(np.clip(1 - rows @ values @ columns / total, 0, 1))


def _inside(cells: int, start: int, stop: int, roi_start: int, roi_stop: int) -> np.ndarray:
    """How much of each of the cells between start and stop lies between the ROI's ends, 0 to 1, [cells]."""
    edges = np.linspace(start, stop, cells + 1)
    overlap = np.minimum(edges[1:], roi_stop) - np.maximum(edges[:-1], roi_start)
    return np.asarray(overlap.clip(min=0) / np.diff(edges))


def shares_outside(
    preprocessing: Preprocessing,
    images: Sequence[np.ndarray],
    views: Sequence[str],
    maps: np.ndarray,
    rois: Mapping[str, Rectangle],
) -> list[float | None]:
    """`share_outside` of each image's map.

    Most telling of a model that was trained without a region of interest; of one that has one, its maps cover
    that region alone.

    Args:
        preprocessing: of the model, whose own regions its maps cover.
        images: uint8 [H, W] or [H, W, 3] each.
        views: the view of each.
        maps: float [B, h, w], of these images; what is below 0 is not hot.
        rois: where to look, by view; `ANY_VIEW` stands for every view without its own.

    Returns:
        One for each image; None where nothing is hot, or the view has no region.
    """
    shares: list[float | None] = []
    for image, view, heat_map in zip(images, views, maps, strict=True):
        roi = rois.get(view, rois.get(ANY_VIEW))
        whole = Rectangle(0, 0, image.shape[1], image.shape[0])
        own = preprocessing.rois
        covered = own.get(view, own.get(ANY_VIEW, whole))
        shares.append(None if roi is None else share_outside(heat_map.clip(min=0), covered, roi))
    return shares
