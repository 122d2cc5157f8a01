"""Live curves, thinned as they grow, so that a long training costs no more than a short one."""

from collections.abc import Mapping
from typing import Final

MAX_POINTS: Final = 600

Points = dict[str, list[list[float]]]


class Curves:
    """Series of (step, value), each of at most `MAX_POINTS` points.

    A series keeps every point until it is full; then every second one goes, and from there on only each
    second one is taken, and so on. The newest point is always given out, taken or not.
    """

    def __init__(self, stored: Points | None = None) -> None:
        self._kept: Points = {name: list(points) for name, points in (stored or {}).items()}
        self._stride = {name: _stride_of(points) for name, points in self._kept.items()}
        self._newest: dict[str, list[float]] = {}
        self._fresh: Points = {}

    def add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._add(name, [step, value])

    def stored(self) -> Points:
        return {
            name: points
            if name not in self._newest or self._newest[name][0] <= points[-1][0]
            else [*points, self._newest[name]]
            for name, points in self._kept.items()
        }

    def take_fresh(self) -> Points:
        """The points kept since the last call."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def _add(self, name: str, point: list[float]) -> None:
        kept = self._kept.setdefault(name, [])
        stride = self._stride.setdefault(name, 0.0)
        self._newest[name] = point
        if kept and (point[0] <= kept[-1][0] or point[0] < kept[-1][0] + stride):
            return
        kept.append(point)
        self._fresh.setdefault(name, []).append(point)
        if len(kept) >= MAX_POINTS:
            del kept[1::2]
            self._stride[name] = _stride_of(kept)


def _stride_of(points: list[list[float]]) -> float:
    """The mean distance of neighbouring steps once a series has been thinned; 0 while it is short."""
    if len(points) < MAX_POINTS // 2:
        return 0.0
    return (points[-1][0] - points[0][0]) / (len(points) - 1)
