"""Edges of buildings: where an outline of pixels has its corners, and how blurred it is.

The outline of a slanted wall is a staircase whose corners swing by a pixel around the wall. The
midpoints of its steps swing half as much, so these are simplified (Douglas and Peucker 1973). Each
corner of the staircase stands for the two midpoints beside it.

A mask that was blurred by a Gaussian of ``s`` pixels has at a straight edge a slope of phi(z) / s
for each pixel, where phi is the normal density and z depends on the threshold: 0 at one half.
"""

from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from terralink._typing import Floats, Ints

Polygons = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Rings:
    """The points of all rings of all polygons.

    xy (p, 2)            the points of rings, one ring after the other; the last is the first
    begins (k + 1,)      where each ring begins
    of_polygon (n + 1,)  the first ring of each polygon
    """

    xy: Floats
    begins: Ints
    of_polygon: Ints

    @classmethod
    def from_polygons(cls, polygons: Polygons) -> "Rings":
        _, xy, (begins, of_polygon) = shapely.to_ragged_array(polygons)
        return cls(xy, begins, of_polygon)

    @property
    def owner(self) -> Ints:
        """(k,) the polygon of each ring."""
        return np.repeat(np.arange(len(self.of_polygon) - 1), np.diff(self.of_polygon))

    def polygon_of_points(self) -> Ints:
        """(p,) the polygon of each point."""
        return np.repeat(self.owner, np.diff(self.begins))

    def start_at(self, points: Ints) -> "Rings":
        """The rings with other first points (k,)."""
        counts = np.diff(self.begins)
        ring = np.repeat(np.arange(len(counts)), counts)
        position = np.arange(len(ring)) - self.begins[ring] + (points - self.begins[:-1])[ring]
        # the last point of a ring repeats the first
        return replace(self, xy=self.xy[self.begins[ring] + position % (counts - 1)[ring]])

    def find_farthest(self) -> Ints:
        """(k,) the point of each ring that is farthest from the mean of its points."""
        counts = np.diff(self.begins)
        ring = np.repeat(np.arange(len(counts)), counts)
        centre = np.stack([np.bincount(ring, axis) / counts for axis in self.xy.T], axis=1)
        distance = np.hypot(*(self.xy - centre[ring]).T)
        largest = np.maximum.reduceat(distance, self.begins[:-1])
        far = np.flatnonzero(distance == largest[ring])
        return np.asarray(far[np.unique(ring[far], return_index=True)[1]])

    def to_polygons(self) -> Polygons:
        offsets = (self.begins, self.of_polygon)
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, self.xy, offsets)
        return np.asarray(polygons, dtype=object)


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges in order along the rings, one ring after the other.

    ring (m,)         the ring of each edge
    start, stop (m,)  its first and its last point in ``rings``
    """

    rings: Rings
    ring: Ints
    start: Ints
    stop: Ints

    def to_polygons(self) -> Polygons:
        """The polygons of the corners; None where a ring has fewer than three."""
        return close_rings(self.rings, self.ring, self.rings.xy[self.start])


def find_edges(polygons: Polygons, *, tolerance_m: float, pixel_m: float) -> Edges:
    """The edges of outlines along pixels of ``pixel_m``, each within ``tolerance_m``."""
    return _simplify_to_edges(
        Rings.from_polygons(polygons), np.full(len(polygons), tolerance_m), pixel_m
    )


def find_edges_at_corners(
    polygons: Polygons, *, tolerance_m: Floats, pixel_m: float, blurred: NDArray[np.bool_]
) -> Edges:
    """Edges that begin and end at corners, each within ``tolerance_m`` (n,).

    Simplification never removes the first point of a ring, so the ring must begin at a corner: at
    the point farthest from the centre. In a blurred outline that point may be in the middle of an
    edge; there a second pass begins at the sharpest corner of the first.
    """
    rings = Rings.from_polygons(polygons)
    rings = rings.start_at(rings.find_farthest())
    edges = _simplify_to_edges(rings, tolerance_m, pixel_m)
    if not blurred.any():
        return edges
    begins = np.where(blurred[rings.owner], _find_sharpest(edges), rings.begins[:-1])
    return _simplify_to_edges(rings.start_at(begins), tolerance_m, pixel_m)


def _simplify_to_edges(rings: Rings, tolerance_m: Floats, pixel_m: float) -> Edges:
    # The third coordinate of each midpoint is the number of its point.
    corners = _simplify(_find_midpoints(rings, pixel_m / 2), tolerance_m[rings.owner])
    point = corners[:, 2].astype(np.int64)
    ring = np.searchsorted(rings.begins, point, side="right") - 1
    # There is no edge from ring to ring, nor between the two midpoints beside a corner.
    is_edge = np.flatnonzero((ring[1:] == ring[:-1]) & (point[1:] != point[:-1]))
    return Edges(rings, ring[is_edge], point[is_edge], point[is_edge + 1])


def _find_sharpest(edges: Edges) -> Ints:
    """(k,) for each ring the corner that is farthest from the line between its neighbours.

    The first point counts only if the ring has no other corner.
    """
    xy, begins = edges.rings.xy, edges.rings.begins
    edge = np.flatnonzero(edges.ring[1:] == edges.ring[:-1]) + 1  # edges that begin at a corner
    before, corner, after = (
        xy[points] for points in (edges.start[edge - 1], edges.start[edge], edges.stop[edge])
    )
    chord, step = after - before, corner - before
    distance = np.abs(chord[:, 0] * step[:, 1] - chord[:, 1] * step[:, 0])
    distance /= np.maximum(np.hypot(*chord.T), 1e-9)
    sharpest = begins[:-1].copy()
    order = np.lexsort((-distance, edges.ring[edge]))
    ring, largest = np.unique(edges.ring[edge][order], return_index=True)
    sharpest[ring] = edges.start[edge[order[largest]]]
    return sharpest


def close_rings(rings: Rings, ring: Ints, corner: Floats) -> Polygons:
    """The polygons of ``rings`` with other points: ``corner`` (m, 2) of ``ring`` (m,), in order.

    None for polygons with a ring of fewer than three corners, or with a corner that is nan.
    """
    corners = np.bincount(ring, minlength=len(rings.owner))
    whole = np.ones(len(rings.of_polygon) - 1, bool)
    whole[rings.owner[corners < 3]] = False
    whole[rings.owner[ring[np.isnan(corner).any(axis=1)]]] = False
    counts = corners[whole[rings.owner]]
    xy = corner[whole[rings.owner[ring]]]
    stops = np.cumsum(counts)
    begins = np.append(0, np.cumsum(counts + 1))
    of_polygon = np.append(0, np.cumsum(np.diff(rings.of_polygon)[whole]))
    polygons = np.full(len(whole), None, dtype=object)
    polygons[whole] = Rings(
        np.insert(xy, stops, xy[stops - counts], axis=0), begins, of_polygon
    ).to_polygons()
    return polygons


def _simplify(rings: Rings, tolerance_m: Floats) -> Floats:
    """The (x, y, number) that remain of all rings, each within its ``tolerance_m``.

    Rings are simplified one by one, without their topology: that is thirty times as fast. A shape
    that crosses itself is refused later, when shapes are selected.
    """
    owner = np.repeat(np.arange(len(rings.owner)), np.diff(rings.begins))
    lines = shapely.linestrings(rings.xy, indices=owner)
    simple = shapely.simplify(lines, tolerance_m, preserve_topology=False)
    return np.asarray(shapely.get_coordinates(simple, include_z=True))


def _find_midpoints(rings: Rings, half_m: float) -> Rings:
    """The points ``half_m`` before and after each, as (x, y, number); at most half of the step."""
    opens = np.zeros(len(rings.xy), bool)
    opens[rings.begins[:-1]] = True
    number = np.flatnonzero(~opens)  # without the first of each ring, which is repeated as its last
    back = rings.xy[number - 1] - rings.xy[number]
    next_point = np.arange(len(number)) + 1
    first = rings.begins - np.arange(len(rings.begins))
    next_point[first[1:] - 1] = first[:-1]
    ahead = -back[next_point]
    points = rings.xy[number]
    pair = np.stack([points + _shorten(back, half_m), points + _shorten(ahead, half_m)], axis=1)
    numbered = np.concatenate([pair, np.repeat(number[:, None, None], 2, axis=1)], axis=2)
    xyz = numbered.reshape(-1, 3)
    stops = 2 * first[1:]
    return Rings(
        np.insert(xyz, stops, xyz[2 * first[:-1]], axis=0),
        2 * first + np.arange(len(first)),
        rings.of_polygon,
    )


def _shorten(step: Floats, length_m: float) -> Floats:
    length = np.maximum(np.hypot(*step.T), 1e-9)
    return np.asarray(step * np.minimum(length_m / length, 0.5)[:, None])


_CRISP_PX = 0.8  # the blur that is measured at an edge from 0 to 1 between two pixels
_MAX_SHARE = 0.98  # of the highest probability of a roof: nearer to it there is no slope


def measure_blur_px(
    labels: NDArray[np.int32], prob: NDArray[np.uint8], *, min_value: int
) -> NDArray[np.float64]:
    """The blur of each label 0.. (0 for label 0): the median over its edge; 0 for a mask.

    labels (row, col)  buildings, and 0
    prob (row, col)   probabilities, 0..255; ``min_value`` is the lowest that is building
    """
    blur = np.zeros(int(labels.max(initial=0)) + 1)
    if not ((prob - np.uint8(1)) < 254).any():
        return blur
    rows, cols = np.nonzero(_find_edge_pixels(labels))
    label = labels[rows, cols]
    if not len(label):
        return blur
    highest = np.asarray(ndimage.maximum(prob, labels, np.arange(len(blur))), float)[label]
    slope = _measure_slope(prob, rows, cols) / np.maximum(highest, 1)
    z = ndtri(np.minimum(min_value / np.maximum(highest, 1), _MAX_SHARE))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    edge_px = density / np.maximum(slope, 1e-3)
    numbers, median_px = _compute_medians(label, edge_px)
    blur[numbers] = np.sqrt(np.maximum(median_px**2 - _CRISP_PX**2, 0))
    return blur


def _find_edge_pixels(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of a building beside a pixel of none."""
    building = labels > 0
    edge = np.zeros_like(building)
    edge[1:] |= ~building[:-1]
    edge[:-1] |= ~building[1:]
    edge[:, 1:] |= ~building[:, :-1]
    edge[:, :-1] |= ~building[:, 1:]
    return edge & building


def _measure_slope(
    prob: NDArray[np.uint8], rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The slope at pixels: half the difference of the two neighbours in each direction."""
    height, width = prob.shape
    above, below = np.maximum(rows - 1, 0), np.minimum(rows + 1, height - 1)
    left, right = np.maximum(cols - 1, 0), np.minimum(cols + 1, width - 1)
    along = prob[below, cols].astype(float) - prob[above, cols]
    across = prob[rows, right].astype(float) - prob[rows, left]
    return np.asarray(np.hypot(along, across) / 2)


def _compute_medians(
    label: NDArray[np.int32], value: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The labels that occur, and the median of the values of each."""
    order = np.lexsort((value, label))
    numbers, first, count = np.unique(label[order], return_index=True, return_counts=True)
    return numbers, value[order][first + count // 2]
