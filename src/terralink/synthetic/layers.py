"""What a district is painted with: polygons with a colour, a tree density and a land cover."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from terralink.synthetic.curves import Points

Fill = tuple[int, int, int, int]  # red, green, blue, chance of a tree (0 to 255)


class Cover(IntEnum):
    """Classes of the land-cover truth; what is drawn later lies on top."""

    LAND = 0
    WATER = 1
    VEGETATION = 2
    FIELD = 3
    ROAD = 4
    BUILDING = 5
    SAME = 255  # paint only: the class below stays


@dataclass(frozen=True, eq=False)
class Layer:
    """``m`` polygons in painting order: all corners in one array.

    ``corners`` (n, 2) in metres, ``starts`` (m + 1,), ``fills`` (m, 4) uint8, ``covers`` (m,)
    uint8, ``bounds`` (m, 4): left, bottom, right, top.
    """

    corners: Points
    starts: NDArray[np.int64]
    fills: NDArray[np.uint8]
    covers: NDArray[np.uint8]
    bounds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.covers)

    def within(
        self, left: float, bottom: float, right: float, top: float
    ) -> Iterator[tuple[Points, Fill, int]]:
        """Corners, fill and cover of the polygons that touch the rectangle, in painting order."""
        if not len(self):
            return
        box = self.bounds
        touched = (box[:, 0] <= right) & (box[:, 2] >= left) & (box[:, 1] <= top)
        touched &= box[:, 3] >= bottom
        starts, fills, covers = self.starts.tolist(), self.fills, self.covers
        for index in np.flatnonzero(touched).tolist():
            red, green, blue, trees = fills[index].tolist()
            yield (
                self.corners[starts[index] : starts[index + 1]],
                (red, green, blue, trees),
                int(covers[index]),
            )


class Brush:
    """Collects polygons; ``layer()`` is the frozen result."""

    def __init__(self) -> None:
        self._corners: list[Points] = []
        self._counts: list[int] = []
        self._fills: list[NDArray[np.uint8]] = []
        self._covers: list[int] = []

    def add(
        self,
        polygons: Iterable[Points] | Points,
        fills: ArrayLike,
        cover: Cover = Cover.SAME,
    ) -> None:
        """Add rings; ``fills`` is one colour (3,), one fill (4,), or one per polygon."""
        rings: Sequence[Points] = list(polygons)
        if not rings:
            return
        given = np.asarray(fills, float)
        colours = np.zeros((len(rings), 4), np.uint8)
        colours[:, : given.shape[-1]] = np.minimum(np.maximum(given, 0), 255)
        self._corners += rings
        self._counts += [len(ring) for ring in rings]
        self._fills.append(colours)
        self._covers += [int(cover)] * len(rings)

    def layer(self) -> Layer:
        if not self._corners:
            nothing = np.zeros((0, 4))
            no_class = np.zeros(0, np.uint8)
            return Layer(
                np.zeros((0, 2)), np.zeros(1, int), nothing.astype(np.uint8), no_class, nothing
            )
        corners = np.concatenate(self._corners)
        starts = np.concatenate(([0], np.cumsum(self._counts)))
        low = np.minimum.reduceat(corners, starts[:-1])
        high = np.maximum.reduceat(corners, starts[:-1])
        return Layer(
            corners,
            starts,
            np.concatenate(self._fills),
            np.array(self._covers, np.uint8),
            np.hstack([low, high]),
        )


def rings_of(polygons: Sequence[shapely.Polygon] | NDArray[np.object_]) -> list[Points]:
    """The outer ring of each polygon, its first point not repeated."""
    rings = shapely.get_exterior_ring(np.asarray(polygons, dtype=object))
    counts = shapely.get_num_coordinates(rings)
    return [part[:-1] for part in np.split(shapely.get_coordinates(rings), np.cumsum(counts))[:-1]]


Brushes = dict[str, Brush]
