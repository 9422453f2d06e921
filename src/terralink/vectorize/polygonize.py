"""From labels to polygons: the outline of each region, with its holes, along the sides of pixels.

A ring has a point at each corner, and at each place where three regions meet, so that the polygons
of neighbours share their points as well as their edges: they are a coverage. All rings are walked
at once, by doubling: a step is known, from it two steps, four, eight.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

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
