"""Edges of buildings in a raster: where an outline has its corners, and how blurred it is.

The outline of a slanted wall is a staircase, and its corners swing a pixel around the wall. The
midpoints of the pixels' sides swing half as much, so it is these that are simplified (Douglas and
Peucker 1973); a corner of the staircase stands for the two midpoints beside it.

A mask that was blurred by a Gaussian of ``s`` pixels rises at a straight edge by phi(z) / s a
pixel, where phi is the normal density and z where the edge is cut: 0 at a threshold of one half.
"""

from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Polygons = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Rings:
    """The points of all rings of all polygons.

    xy (p, 2)            closed rings, one after the other
    begins (k + 1,)      where each ring begins
    of_polygon (n + 1,)  the first ring of each polygon
    """

    xy: Floats
    begins: Ints
    of_polygon: Ints

    @classmethod
    def of(cls, polygons: Polygons) -> "Rings":
        _, xy, (begins, of_polygon) = shapely.to_ragged_array(polygons)
        return cls(xy, begins, of_polygon)

    @property
    def owner(self) -> Ints:
        """(k,) the polygon that each ring is of."""
        return np.repeat(np.arange(len(self.of_polygon) - 1), np.diff(self.of_polygon))

    def of_points(self) -> Ints:
        """(p,) the polygon that each point is of."""
        return np.repeat(self.owner, np.diff(self.begins))

    def begun_at(self, points: Ints) -> "Rings":
        """Each ring from another of its points (k,)."""
        counts = np.diff(self.begins)
        ring = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(ring)) - self.begins[ring] + (points - self.begins[:-1])[ring]
        # the last point of a ring is its first again
        return replace(self, xy=self.xy[self.begins[ring] + place % (counts - 1)[ring]])

    def farthest(self) -> Ints:
        """(k,) the point of each ring that is farthest from its middle."""
        counts = np.diff(self.begins)
        ring = np.repeat(np.arange(len(counts)), counts)
        middle = np.stack([np.bincount(ring, axis) / counts for axis in self.xy.T], axis=1)
        away = np.hypot(*(self.xy - middle[ring]).T)
        far = np.flatnonzero(away == np.maximum.reduceat(away, self.begins[:-1])[ring])
        return np.asarray(far[np.unique(ring[far], return_index=True)[1]])

    def built(self) -> Polygons:
        offsets = (self.begins, self.of_polygon)
        made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, self.xy, offsets)
        return np.asarray(made, dtype=object)


@dataclass(frozen=True, eq=False)
class Sides:
    """Sides in walking order, ring after ring.

    ring (m,)         the ring that each is of
    start, stop (m,)  the points of ``rings`` between which it is
    """

    rings: Rings
    ring: Ints
    start: Ints
    stop: Ints

    def simplified(self) -> Polygons:
        """The polygons of the corners; None where a ring has no three."""
        return closed(self.rings, self.ring, self.rings.xy[self.start])


def outline_sides(polygons: Polygons, *, within_m: float, stair_m: float) -> Sides:
    """The sides of outlines whose stairs are ``stair_m`` long, each within ``within_m``."""
    return _sides(Rings.of(polygons), np.full(len(polygons), within_m), stair_m)


def corner_sides(
    polygons: Polygons, *, within_m: Floats, stair_m: float, blurred: NDArray[np.bool_]
) -> Sides:
    """Sides that begin and end at corners, each within ``within_m`` (n,).

    A ring's first point is kept whatever is simplified, also in the middle of a wall: it is the
    point that is farthest out. Of a blurred outline that may be the middle of a wing's end: there
    it is done once more, from the sharpest corner that was found.
    """
    rings = Rings.of(polygons)
    farthest = rings.farthest()
    found = _sides(rings := rings.begun_at(farthest), within_m, stair_m)
    if not blurred.any():
        return found
    begins = np.where(blurred[rings.owner], _sharpest(found), rings.begins[:-1])
    return _sides(rings.begun_at(begins), within_m, stair_m)


def _sides(rings: Rings, within_m: Floats, stair_m: float) -> Sides:
    # The number of its point rides along as the third coordinate of each middle.
    corners = _simplified(_softened(rings, stair_m / 2), within_m[rings.owner])
    point = corners[:, 2].astype(np.int64)
    ring = np.searchsorted(rings.begins, point, side="right") - 1
    # Neither from ring to ring is a side, nor from one middle beside a corner to the other.
    real = np.flatnonzero((ring[1:] == ring[:-1]) & (point[1:] != point[:-1]))
    return Sides(rings, ring[real], point[real], point[real + 1])


def _sharpest(sides: Sides) -> Ints:
    """(k,) of each ring the corner that is farthest from the line between its neighbours.

    Its first point is none, unless it has no other.
    """
    xy, begins = sides.rings.xy, sides.rings.begins
    at = np.flatnonzero(sides.ring[1:] == sides.ring[:-1]) + 1  # sides that begin at a corner
    before, here, after = (
        xy[points] for points in (sides.start[at - 1], sides.start[at], sides.stop[at])
    )
    step, way = after - before, here - before
    away = np.abs(step[:, 0] * way[:, 1] - step[:, 1] * way[:, 0])
    away /= np.maximum(np.hypot(*step.T), 1e-9)
    found = begins[:-1].copy()
    order = np.lexsort((-away, sides.ring[at]))
    ring, most = np.unique(sides.ring[at][order], return_index=True)
    found[ring] = sides.start[at[order[most]]]
    return found


def closed(rings: Rings, ring: Ints, corner: Floats) -> Polygons:
    """``rings`` with other points: ``corner`` (m, 2) of ``ring`` (m,), in order.

    None for polygons of which a ring has fewer than three, or one that is nan.
    """
    corners = np.bincount(ring, minlength=len(rings.owner))
    whole = np.ones(len(rings.of_polygon) - 1, bool)
    whole[rings.owner[corners < 3]] = False
    whole[rings.owner[ring[np.isnan(corner).any(axis=1)]]] = False
    kept = corners[whole[rings.owner]]
    xy = corner[whole[rings.owner[ring]]]
    stops = np.cumsum(kept)
    begins = np.append(0, np.cumsum(kept + 1))
    of_polygon = np.append(0, np.cumsum(np.diff(rings.of_polygon)[whole]))
    polygons = np.full(len(whole), None, dtype=object)
    polygons[whole] = Rings(
        np.insert(xy, stops, xy[stops - kept], axis=0), begins, of_polygon
    ).built()
    return polygons


def _simplified(rings: Rings, within_m: Floats) -> Floats:
    """The (x, y, number) that are left of all rings, each within its ``within_m``.

    Each ring by itself is thirty times as quick as polygons with their topology; what crosses
    itself is refused when shapes are fitted.
    """
    of_ring = np.repeat(np.arange(len(rings.owner)), np.diff(rings.begins))
    lines = shapely.linestrings(rings.xy, indices=of_ring)
    quick = shapely.simplify(lines, within_m, preserve_topology=False)
    return np.asarray(shapely.get_coordinates(quick, include_z=True))


def _softened(rings: Rings, half_m: float) -> Rings:
    """The points ``half_m`` before and after each, as (x, y, number); half of the way at most."""
    opens = np.zeros(len(rings.xy), bool)
    opens[rings.begins[:-1]] = True
    number = np.flatnonzero(~opens)  # all but the first of each ring, which is its last again
    back = rings.xy[number - 1] - rings.xy[number]
    following = np.arange(len(number)) + 1
    first = rings.begins - np.arange(len(rings.begins))
    following[first[1:] - 1] = first[:-1]
    away = -back[following]
    points = rings.xy[number]
    pair = np.stack([points + _shortened(back, half_m), points + _shortened(away, half_m)], axis=1)
    numbered = np.concatenate([pair, np.repeat(number[:, None, None], 2, axis=1)], axis=2)
    xyz = numbered.reshape(-1, 3)
    stops = 2 * first[1:]
    return Rings(
        np.insert(xyz, stops, xyz[2 * first[:-1]], axis=0),
        2 * first + np.arange(len(first)),
        rings.of_polygon,
    )


def _shortened(step: Floats, length_m: float) -> Floats:
    length = np.maximum(np.hypot(*step.T), 1e-9)
    return np.asarray(step * np.minimum(length_m / length, 0.5)[:, None])


_CRISP_PX = 0.8  # what an edge from 0 to 1 from one pixel to the next looks like, as measured here
_HIGHEST = 0.98  # of the most that a roof has: nearer to it nothing rises


def blurs_px(
    labels: NDArray[np.int32], level: NDArray[np.uint8], *, least: int
) -> NDArray[np.float64]:
    """The blur of each label 0.. (that of 0 is 0): the median over its edge; 0 for a mask.

    labels (row, col)  roofs, 0 beside them
    level (row, col)   probabilities as bytes; ``least`` is the lowest that is roof
    """
    blur = np.zeros(int(labels.max(initial=0)) + 1)
    if not ((level - np.uint8(1)) < 254).any():
        return blur
    rows, cols = np.nonzero(_at_edge(labels))
    label = labels[rows, cols]
    if not len(label):
        return blur
    most = np.asarray(ndimage.maximum(level, labels, np.arange(len(blur))), float)[label]
    rise = _rise(level, rows, cols) / np.maximum(most, 1)
    z = ndtri(np.minimum(least / np.maximum(most, 1), _HIGHEST))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    seen_px = density / np.maximum(rise, 1e-3)
    numbers, median_px = _medians(label, seen_px)
    blur[numbers] = np.sqrt(np.maximum(median_px**2 - _CRISP_PX**2, 0))
    return blur


def _at_edge(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of a roof with a pixel beside them that is of none."""
    roof = labels > 0
    edge = np.zeros_like(roof)
    edge[1:] |= ~roof[:-1]
    edge[:-1] |= ~roof[1:]
    edge[:, 1:] |= ~roof[:, :-1]
    edge[:, :-1] |= ~roof[:, 1:]
    return edge & roof


def _rise(
    level: NDArray[np.uint8], rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How steep the levels are at pixels: half the difference of the two neighbours each way."""
    height, width = level.shape
    above, below = np.maximum(rows - 1, 0), np.minimum(rows + 1, height - 1)
    left, right = np.maximum(cols - 1, 0), np.minimum(cols + 1, width - 1)
    along = level[below, cols].astype(float) - level[above, cols]
    across = level[rows, right].astype(float) - level[rows, left]
    return np.asarray(np.hypot(along, across) / 2)


def _medians(
    label: NDArray[np.int32], value: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The labels that are there, and the median of the values of each."""
    order = np.lexsort((value, label))
    numbers, first, count = np.unique(label[order], return_index=True, return_counts=True)
    return numbers, value[order][first + count // 2]
