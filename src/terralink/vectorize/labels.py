"""Labels of a raster: polygons of labels, and components split into instances.

A polygon is the outline of a label with its holes, along the sides of pixels. A ring has a point at
each corner and at each place where three regions meet. So the polygons of neighbours share their
points as well as their edges: they are a coverage. All rings are followed at once, by pointer
doubling: 1 step, 2 steps, 4, 8.

Components are split by watersheds (Vincent and Soille 1991, scikit-image): by necks, on the
distance to the edge of the component; or by a border class, on the distance to the parts that the
border leaves.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from terralink._typing import Ints, Labels

_EAST, _SOUTH, _WEST, _NORTH = range(4)  # headings, clockwise; rows increase to the south
_BY_SIDES = ndimage.generate_binary_structure(2, 1)  # pixels are connected by their sides


def polygonize(labels: NDArray[np.integer[Any]]) -> tuple[NDArray[np.object_], Ints]:
    """The polygon of each label other than 0, in pixel coordinates (col, row), and the labels.

    labels (row, col)  each label is one region, connected by the sides of its pixels

    Polygons are valid and in the order of their labels. Each begins at the upper left corner of the
    first pixel of its region.

    >>> polygons, labels = polygonize(np.array([[7, 7], [0, 7]]))
    >>> print(polygons[0], labels)
    POLYGON ((0 0, 2 0, 2 2, 1 2, 1 1, 0 1, 0 0)) [7]
    """
    rows, cols, around = _find_corners(labels)
    leaves = _has_edge(np.roll(around, -1, 0), around)
    number = np.cumsum(leaves).reshape(leaves.shape) - 1  # of the run that leaves (heading, corner)
    next_run = _find_next_runs(rows, cols, around, number, leaves)
    first, remaining = _order_rings(next_run)
    heading, corner = np.nonzero(leaves)
    label = around[(heading + 1) % 4, corner]
    # The first pixel of a region begins the first eastward run of its outer ring: it comes first
    order = np.lexsort((-remaining, first, label))
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    return _build_polygons(cols[corner[order]], rows[corner[order]], starts, label[order])


def _find_corners(labels: NDArray[np.integer[Any]]) -> tuple[Ints, Ints, NDArray[np.integer[Any]]]:
    """Where outlines bend or meet, in row order: rows, cols, and the labels around (4, n).

    The labels are those northeast, southeast, southwest and northwest. For heading h, ``around[h]``
    is ahead to the left and ``around[h + 1]`` ahead to the right.
    """
    padded = np.pad(labels, 1)
    upper, lower = padded[:-1], padded[1:]
    beside = padded[:, :-1] == padded[:, 1:]  # (h + 2, w + 1)
    below = upper == lower  # (h + 1, w + 2)
    unchanged = (beside[:-1] & beside[1:]) | (below[:, :-1] & below[:, 1:])
    rows, cols = np.nonzero(~unchanged)
    around = np.stack(
        [padded[rows, cols + 1], padded[rows + 1, cols + 1], padded[rows + 1, cols],
         padded[rows, cols]]
    )  # fmt: skip
    return rows, cols, around


def _has_edge(right: NDArray[np.integer[Any]], left: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Whether an outline with its region on the right passes here."""
    return np.asarray((right != left) & (right != 0))


def _find_next_runs(
    rows: Ints,
    cols: Ints,
    around: NDArray[np.integer[Any]],
    number: Ints,
    leaves: NDArray[np.bool_],
) -> Ints:
    """The next run of each: left if the region continues there, else ahead, else right."""
    next_run = np.empty(np.count_nonzero(leaves), np.int64)
    by_column = np.lexsort((rows, cols))
    for heading in (_EAST, _SOUTH, _WEST, _NORTH):
        right_behind, left_behind = around[(heading + 2) % 4], around[(heading + 3) % 4]
        arrives = _has_edge(right_behind, left_behind)
        # Runs of one heading in one row (or column) do not overlap: the n-th start has the n-th end
        if heading in (_EAST, _WEST):
            start, end = np.flatnonzero(leaves[heading]), np.flatnonzero(arrives)
        else:
            start = by_column[leaves[heading][by_column]]
            end = by_column[arrives[by_column]]
        region, left = right_behind[end], around[heading][end]
        ahead = around[(heading + 1) % 4][end]
        turn = np.where(left == region, -1, np.where(ahead == region, 0, 1))
        next_run[number[heading, start]] = number[(heading + turn) % 4, end]
    return next_run


def _order_rings(next_run: Ints) -> tuple[Ints, Ints]:
    """For each run the first one of its ring, and the number of runs until that comes again."""
    first, jump = np.arange(len(next_run)), next_run
    while True:
        nearer = np.minimum(first, first[jump])
        if np.array_equal(nearer, first):
            break
        first, jump = nearer, jump[jump]
    last = next_run == first
    remaining, jump = (~last).astype(np.int64), np.where(last, np.arange(len(last)), next_run)
    while (more := remaining[jump]).any():
        remaining, jump = remaining + more, jump[jump]
    return first, remaining


def _build_polygons(
    xs: Ints, ys: Ints, starts: Ints, label: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.object_], Ints]:
    """Polygons of consecutive rings; the rings of one label are one polygon."""
    xy = np.column_stack([xs, ys]).astype(np.float64)
    stops = np.append(starts[1:], len(xy))
    points = np.insert(xy, stops, xy[starts], axis=0)
    rings = np.append(starts, len(xy)) + np.arange(len(starts) + 1)
    labels, first_ring = np.unique(label[starts], return_index=True)
    offsets = (rings, np.append(first_ring, len(starts)))
    polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, offsets)
    return np.asarray(polygons, dtype=object), labels.astype(np.int64)


def drop_small_holes(polygons: NDArray[np.object_], min_area: float) -> NDArray[np.object_]:
    """The polygons without holes whose area is less than ``min_area``.

    >>> square = shapely.box(0, 0, 9, 9) - shapely.box(1, 1, 2, 2) - shapely.box(4, 4, 8, 8)
    >>> len(drop_small_holes(np.array([square]), 4)[0].interiors)
    1
    """
    if not len(polygons):
        return polygons
    rings, of_polygon = shapely.get_rings(polygons, return_index=True)
    outer = np.diff(of_polygon, prepend=-1) > 0
    stays = outer | (shapely.area(shapely.polygons(rings)) >= min_area)
    points = np.append(0, np.cumsum(shapely.get_num_coordinates(rings[stays])))
    begins = np.append(np.flatnonzero(outer[stays]), np.count_nonzero(stays))
    xy = shapely.get_coordinates(rings[stays])
    large = shapely.from_ragged_array(shapely.GeometryType.POLYGON, xy, (points, begins))
    return np.asarray(large, dtype=object)


def split_at_necks(component: NDArray[np.bool_], *, neck: float, min_px: float) -> Labels:
    """Labels 1.. of the parts of a component (row, col) that are connected by necks only.

    A neck is narrower than ``neck`` times the largest width of the narrower of its two parts. Parts
    of fewer than ``min_px`` pixels stay with their neighbour.
    """
    distance = ndimage.distance_transform_edt(np.pad(component, 1))[1:-1, 1:-1]
    if not _may_have_neck(distance, neck):
        return np.asarray(component, np.int32)
    basins = watershed(-distance, mask=component)  # type: ignore[no-untyped-call]
    count = int(basins.max())
    if count < 2:
        return np.asarray(component, np.int32)
    segments = _Segments(ndimage.maximum(distance, basins, np.arange(1, count + 1)), basins)
    for first, second, width in _find_saddles(basins, distance):
        segments.merge(first, second, width, neck=neck, min_px=min_px)
    return segments.labels(basins)


def split_at_borders(
    component: NDArray[np.bool_], border: NDArray[np.bool_], *, min_px: float
) -> Labels:
    """Labels 1.. of a component that is cut at ``border``; border pixels go to the nearest part."""
    seeds, count = ndimage.label(component & ~border)
    large = np.bincount(seeds.ravel(), minlength=count + 1) >= min_px
    large[0] = False
    if np.count_nonzero(large) < 2:
        return np.asarray(component, np.int32)
    seeds = np.where(large, np.cumsum(large), 0)[seeds]
    distance = ndimage.distance_transform_edt(seeds == 0)
    parts = watershed(distance, seeds, mask=component)  # type: ignore[no-untyped-call]
    return np.asarray(parts, np.int32)


def _may_have_neck(distance: NDArray[np.float64], neck: float) -> bool:
    """Whether the component may have a neck: a quick test that misses none.

    A part with the largest distance ``p`` is separate at all distances from ``neck * p`` to ``p``.
    So it is enough to test distances of which each is ``neck`` times the one before.
    """
    depth = neck * float(distance.max(initial=0))
    while depth >= 1:  # all pixels have a distance of 1 and more
        if ndimage.label(distance > depth, _BY_SIDES)[1] > 1:
            return True
        depth *= neck
    return False


class _Segments:
    """Basins merged to segments, with the largest distance and the area of each (union-find)."""

    def __init__(self, peak: NDArray[np.float64], basins: Labels) -> None:
        self._peak = [0.0, *peak]
        self._area: list[int] = np.bincount(basins.ravel()).tolist()
        self._parent = list(range(len(self._peak)))

    def find(self, basin: int) -> int:
        while self._parent[basin] != basin:
            basin = self._parent[basin]
        return basin

    def merge(self, first: int, second: int, width: float, *, neck: float, min_px: float) -> None:
        """Merge the segments of two basins, unless the saddle of this width between is a neck."""
        a, b = self.find(first), self.find(second)
        narrower = min(self._peak[a], self._peak[b])
        smaller = min(self._area[a], self._area[b])
        if a == b or (width < neck * narrower and smaller >= min_px):
            return
        root, other = (a, b) if self._peak[a] >= self._peak[b] else (b, a)
        self._parent[other] = root
        self._area[root] += self._area[other]

    def labels(self, basins: Labels) -> Labels:
        roots = [self.find(basin) for basin in range(len(self._parent))]
        return np.unique(roots, return_inverse=True)[1].astype(np.int32)[basins]


def _find_saddles(basins: Labels, distance: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Pairs of basins that touch, with half the width of the widest saddle; widest first."""
    pairs, widths = [], []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        a, b = basins[one], basins[other]
        touches = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.sort(np.column_stack([a[touches], b[touches]]), axis=1))
        widths.append(np.minimum(distance[one], distance[other])[touches])
    pair, width = np.concatenate(pairs), np.concatenate(widths)
    order = np.lexsort((pair[:, 1], pair[:, 0], -width))
    return [(int(a), int(b), float(w)) for (a, b), w in zip(pair[order], width[order], strict=True)]
