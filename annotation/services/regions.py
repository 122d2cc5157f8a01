"""Where to look on a view, and what to ignore."""

from collections.abc import Sequence
from typing import Final

from django.db import transaction
from django.db.models import Max

from annotation.errors import DomainError
from annotation.models import Dataset, Image, Region, User

from . import audit

MIN_SIDE_PX: Final = 8
MAX_POLYGONS: Final = 100
MAX_POINTS: Final = 1000


class RegionRefused(DomainError):
    """The rectangle or a polygon can't be looked at or ignored."""

    code = "region_refused"
    status = 400


Polygon = Sequence[Sequence[float]]


@transaction.atomic
def set_region(
    *,
    dataset: Dataset,
    top: int,
    left: int,
    height: int,
    width: int,
    view: str = "",
    ignored: Sequence[Polygon] = (),
    author: User | None = None,
) -> Region:
    """A new version of the region of one view.

    Args:
        dataset: whose images.
        top, left, height, width: the rectangle to look at, in pixels of the original image.
        view: which view; empty for datasets that have one.
        ignored: polygons of (x, y) points, in pixels of the original image, whose inside does not count.
        author: who says so.

    Raises:
        RegionRefused: the rectangle is smaller than 8 px or reaches beyond the view's images, or a polygon
            is none.
    """
    _check_rectangle(dataset, view, top, left, height, width)
    polygons = [_checked_polygon(polygon) for polygon in ignored]
    if len(polygons) > MAX_POLYGONS:
        raise RegionRefused(f"There are {len(polygons)} areas to ignore; at most {MAX_POLYGONS} are taken.")
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    same_view = Region.objects.filter(dataset=dataset, view=view)
    version = (same_view.aggregate(highest=Max("version"))["highest"] or 0) + 1
    region = Region.objects.create(
        dataset=dataset,
        view=view,
        version=version,
        top=top,
        left=left,
        height=height,
        width=width,
        ignored=polygons,
        author=author,
    )
    details = {"view": view, "version": version, "rectangle": [top, left, height, width]}
    audit.record(actor=author, action="region.set", target=dataset, details=details)
    return region


def _check_rectangle(dataset: Dataset, view: str, top: int, left: int, height: int, width: int) -> None:
    if min(top, left) < 0 or min(height, width) < MIN_SIDE_PX:
        raise RegionRefused(f"The region must be at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels.")
    images = Image.objects.filter(dataset=dataset)
    if view:
        images = images.filter(sources__view=view)
    largest = images.aggregate(height=Max("height"), width=Max("width"))
    if largest["height"] is None:
        return
    if top + height > largest["height"] or left + width > largest["width"]:
        raise RegionRefused(
            f"The region reaches to ({top + height}, {left + width}), but the largest image has "
            f"({largest['height']}, {largest['width']}) pixels (height, width)."
        )


def _checked_polygon(polygon: Polygon) -> list[list[float]]:
    if not 3 <= len(polygon) <= MAX_POINTS:
        raise RegionRefused(f"An area to ignore has 3 to {MAX_POINTS} points.")
    if any(len(point) != 2 or min(point) < 0 for point in polygon):
        raise RegionRefused("A point is (x, y) in pixels, neither below 0.")
    return [[float(x), float(y)] for x, y in polygon]
