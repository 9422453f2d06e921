"""Labels of a raster: touching instances split, and polygons of labels.

A polygon is the outline of a label with its holes, along the sides of pixels. A ring has a point at
each corner, and at each place where three regions meet, so that the polygons of neighbours share
their points as well as their edges: they are a coverage. All rings are followed at once, by
doubling: a step is known, from it two steps, four, eight.

Instances are split by watersheds (Vincent and Soille 1991, scikit-image): one on the distance to
the component's edge, one on the distance to what the border class leaves of it.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

Ints = NDArray[np.int64]

_EAST, _SOUTH, _WEST, _NORTH = range(4)  # headings, clockwise; rows count southward


def outlines(labels: NDArray[np.integer[Any]]) -> tuple[NDArray[np.object_], Ints]:
    """The polygon of each label other than 0, in pixel coordinates (col, row), and the labels.

    labels (row, col)  regions that are each in one piece, hanging together by sides of pixels

    Polygons are in the order of their labels and valid; each begins at the upper left corner of
    the region's first pixel.

    >>> polygons, labels = outlines(np.array([[7, 7], [0, 7]]))
    >>> print(polygons[0], labels)
    POLYGON ((0 0, 2 0, 2 2, 1 2, 1 1, 0 1, 0 0)) [7]
    """
    rows, cols, around = _corners(labels)
    leaves = _differs(np.roll(around, -1, 0), around)
    number = np.cumsum(leaves).reshape(leaves.shape) - 1  # of the run that leaves (heading, corner)
    following = _following(rows, cols, around, number, leaves)
    first, to_go = _walked(following)
    heading, corner = np.nonzero(leaves)
    label = around[(heading + 1) % 4, corner]
    # A region's first pixel begins the first eastward run of its outer ring: that ring comes first.
    order = np.lexsort((-to_go, first, label))
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    return _built(cols[corner[order]], rows[corner[order]], starts, label[order])


def _corners(labels: NDArray[np.integer[Any]]) -> tuple[Ints, Ints, NDArray[np.integer[Any]]]:
    """Where outlines bend or meet, in row order: rows, cols, and (4, n) the labels around.

    The labels are those northeast, southeast, southwest and northwest: of heading h, ``around[h]``
    is ahead on the left and ``around[h + 1]`` ahead on the right.
    """
    padded = np.pad(labels, 1)
    upper, lower = padded[:-1], padded[1:]
    beside = padded[:, :-1] == padded[:, 1:]  # (h + 2, w + 1)
    below = upper == lower  # (h + 1, w + 2)
    plain = (beside[:-1] & beside[1:]) | (below[:, :-1] & below[:, 1:])
    rows, cols = np.nonzero(~plain)
    around = np.stack(
        [padded[rows, cols + 1], padded[rows + 1, cols + 1], padded[rows + 1, cols],
         padded[rows, cols]]
    )  # fmt: skip
    return rows, cols, around


def _differs(right: NDArray[np.integer[Any]], left: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Whether an outline passes with its region on the right."""
    return np.asarray((right != left) & (right != 0))


def _following(
    rows: Ints,
    cols: Ints,
    around: NDArray[np.integer[Any]],
    number: Ints,
    leaves: NDArray[np.bool_],
) -> Ints:
    """The run that follows each: left where the region goes on there, else ahead, else right."""
    following = np.empty(np.count_nonzero(leaves), np.int64)
    by_column = np.lexsort((rows, cols))
    for heading in (_EAST, _SOUTH, _WEST, _NORTH):
        right_behind, left_behind = around[(heading + 2) % 4], around[(heading + 3) % 4]
        arrives = _differs(right_behind, left_behind)
        # Runs of one heading in one row (or column) do not overlap: the n-th start has the n-th end
        if heading in (_EAST, _WEST):
            start, end = np.flatnonzero(leaves[heading]), np.flatnonzero(arrives)
        else:
            start = by_column[leaves[heading][by_column]]
            end = by_column[arrives[by_column]]
        region, left = right_behind[end], around[heading][end]
        ahead = around[(heading + 1) % 4][end]
        turn = np.where(left == region, -1, np.where(ahead == region, 0, 1))
        following[number[heading, start]] = number[(heading + turn) % 4, end]
    return following


def _walked(following: Ints) -> tuple[Ints, Ints]:
    """For each run the first one of its ring, and how many there are to go until that comes."""
    first, jump = np.arange(len(following)), following
    while True:
        nearer = np.minimum(first, first[jump])
        if np.array_equal(nearer, first):
            break
        first, jump = nearer, jump[jump]
    last = following == first
    to_go, jump = (~last).astype(np.int64), np.where(last, np.arange(len(last)), following)
    while (more := to_go[jump]).any():
        to_go, jump = to_go + more, jump[jump]
    return first, to_go


def _built(
    xs: Ints, ys: Ints, starts: Ints, label: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.object_], Ints]:
    """Polygons of rings that follow each other; those of one label are one polygon."""
    xy = np.column_stack([xs, ys]).astype(np.float64)
    stops = np.append(starts[1:], len(xy))
    closed = np.insert(xy, stops, xy[starts], axis=0)
    rings = np.append(starts, len(xy)) + np.arange(len(starts) + 1)
    labels, first_ring = np.unique(label[starts], return_index=True)
    offsets = (rings, np.append(first_ring, len(starts)))
    polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, closed, offsets)
    return np.asarray(polygons, dtype=object), labels.astype(np.int64)


def without_small_holes(polygons: NDArray[np.object_], least: float) -> NDArray[np.object_]:
    """The polygons without those holes whose area is less than ``least``.

    >>> square = shapely.box(0, 0, 9, 9) - shapely.box(1, 1, 2, 2) - shapely.box(4, 4, 8, 8)
    >>> len(without_small_holes(np.array([square]), 4)[0].interiors)
    1
    """
    if not len(polygons):
        return polygons
    rings, of_polygon = shapely.get_rings(polygons, return_index=True)
    outer = np.diff(of_polygon, prepend=-1) > 0
    kept = outer | (shapely.area(shapely.polygons(rings)) >= least)
    points = np.append(0, np.cumsum(shapely.get_num_coordinates(rings[kept])))
    begins = np.append(np.flatnonzero(outer[kept]), np.count_nonzero(kept))
    xy = shapely.get_coordinates(rings[kept])
    made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, xy, (points, begins))
    return np.asarray(made, dtype=object)


Labels = NDArray[np.int32]

_CROSS = ndimage.generate_binary_structure(2, 1)  # pixels hang together by their sides


def split_at_necks(piece: NDArray[np.bool_], *, neck: float, least_px: float) -> Labels:
    """Labels 1.. of the parts of a piece (row, col) that hang together by a neck only.

    A neck is narrower than ``neck`` times the narrower of the two parts that it joins, each at its
    widest. Parts of fewer than ``least_px`` pixels stay with their neighbour.
    """
    distance = ndimage.distance_transform_edt(np.pad(piece, 1))[1:-1, 1:-1]
    if not _may_have_neck(distance, neck):
        return np.asarray(piece, np.int32)
    basins = watershed(-distance, mask=piece)  # type: ignore[no-untyped-call]
    count = int(basins.max())
    if count < 2:
        return np.asarray(piece, np.int32)
    parts = _Parts(ndimage.maximum(distance, basins, np.arange(1, count + 1)), basins)
    for first, second, width in _passes(basins, distance):
        parts.join(first, second, width, neck=neck, least_px=least_px)
    return parts.labels(basins)


def split_at_borders(
    piece: NDArray[np.bool_], border: NDArray[np.bool_], *, least_px: float
) -> Labels:
    """Labels 1.. of a piece that is cut where ``border`` is; its pixels go to the nearest part."""
    seeds, count = ndimage.label(piece & ~border)
    large = np.bincount(seeds.ravel(), minlength=count + 1) >= least_px
    large[0] = False
    if np.count_nonzero(large) < 2:
        return np.asarray(piece, np.int32)
    seeds = np.where(large, np.cumsum(large), 0)[seeds]
    distance = ndimage.distance_transform_edt(seeds == 0)
    parts = watershed(distance, seeds, mask=piece)  # type: ignore[no-untyped-call]
    return np.asarray(parts, np.int32)


def _may_have_neck(distance: NDArray[np.float64], neck: float) -> bool:
    """Whether the piece falls apart at a depth: a quick look that misses no neck.

    A part that is ``p`` deep behind a neck is on its own at all depths from ``neck * p`` to ``p``;
    so one of depths that are ``neck`` times each other tells.
    """
    depth = neck * float(distance.max(initial=0))
    while depth >= 1:  # all of the piece is that deep
        if ndimage.label(distance > depth, _CROSS)[1] > 1:
            return True
        depth *= neck
    return False


class _Parts:
    """Basins that are joined to parts: how wide and how large each is; union by find."""

    def __init__(self, peak: NDArray[np.float64], basins: Labels) -> None:
        self._peak = [0.0, *peak]
        self._area: list[int] = np.bincount(basins.ravel()).tolist()
        self._head = list(range(len(self._peak)))

    def find(self, part: int) -> int:
        while self._head[part] != part:
            part = self._head[part]
        return part

    def join(self, first: int, second: int, width: float, *, neck: float, least_px: float) -> None:
        """Join two parts that a pass of this width joins, unless that is a neck."""
        a, b = self.find(first), self.find(second)
        narrower = min(self._peak[a], self._peak[b])
        smaller = min(self._area[a], self._area[b])
        if a == b or (width < neck * narrower and smaller >= least_px):
            return
        keep, gone = (a, b) if self._peak[a] >= self._peak[b] else (b, a)
        self._head[gone] = keep
        self._area[keep] += self._area[gone]

    def labels(self, basins: Labels) -> Labels:
        heads = [self.find(part) for part in range(len(self._head))]
        return np.unique(heads, return_inverse=True)[1].astype(np.int32)[basins]


def _passes(basins: Labels, distance: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Pairs of basins that touch, with half the width of the widest pass; widest first."""
    pairs, widths = [], []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        a, b = basins[one], basins[other]
        meet = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.sort(np.column_stack([a[meet], b[meet]]), axis=1))
        widths.append(np.minimum(distance[one], distance[other])[meet])
    pair, width = np.concatenate(pairs), np.concatenate(widths)
    order = np.lexsort((pair[:, 1], pair[:, 0], -width))
    return [(int(a), int(b), float(w)) for (a, b), w in zip(pair[order], width[order], strict=True)]
