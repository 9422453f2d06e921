"""The shape of each building: the regular one, unless an outline is nearer to the pixels.

    RULE 1: a regular shape is valid, of the same area, and not much worse than the simple outline
    RULE 2: no two buildings overlap: the more regular one, or the smaller one, is cut
    RULE 3: a shape that breaks a rule becomes the simple outline, and then the raw outline

Shapes are compared by the area that they share with the raw outline. It is computed without an
overlay, because with ``shapely.intersection`` the whole tracer takes 1.3 to 1.7 times as long. On a
vertical line, the depths below the edges of a polygon, with the signs of the edges, add up to the
length of the line in the polygon. For two polygons that length is a sum over all pairs of edges of
the smaller of the two depths, with the product of the signs. So the shared area is such a sum too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink._typing import Floats, Ints
from terralink.vectorize.buildings.edges import Rings, find_edges, find_edges_at_corners
from terralink.vectorize.buildings.regularize import Walls, find_directions, square_walls

Polygons = NDArray[np.object_]

_REGULAR, _SIMPLE, _RAW = range(3)
_MAX_AREA_CHANGE = 0.1
_MIN_IOU = 0.8
_MAX_WORSE = 2.0  # times the misfit of the simple outline, plus an eighth of the allowed misfit
_SAME_DIRECTION = np.radians(4)
_TOUCH_M2 = 1e-6  # the overlap that rounding gives to a shared edge
# A blur cuts off a right angle at 0.77 of the blur from its corner, and 0.87 of the square of the
# blur from its area. Between the cuts the outline swings by up to 0.6 of the blur.
_CORNER_M, _CORNER_M2, _SWING = 1.5, 0.87, 0.6
_STEP_SWING = 0.35  # the midpoints of pixel steps swing by this share of a pixel
_MAX_MOVE = 0.6  # of the blur: it moves the end of a wall by this at most
_SHARPEST = 3.0  # a corner loses at most so many times the area of a right angle


def select_shapes(
    raw: Polygons,
    component: Ints,
    *,
    blur_m: Floats,
    simplify_m: float,
    pixel_m: float,
    right_angles: bool,
) -> Polygons:
    """A shape for each raw outline, within ``simplify_m`` of it, with right angles where they fit.

    component (n,)  the component of each; its buildings get one direction if theirs are similar
    blur_m (n,)     how blurred their edges are, which rounds off corners
    pixel_m         the size of the pixels that the outlines follow
    """
    if not len(raw):
        return raw
    simplify = partial(_simplify, simplify_m=simplify_m, pixel_m=pixel_m)
    constant_m, blurred = np.full(len(raw), simplify_m), blur_m > 0
    if not right_angles:
        return _ShapeSelection(
            simplify(raw), raw, simplify, constant_m, np.zeros(len(raw))
        ).select()
    tolerance_m = np.maximum(constant_m, _SWING * blur_m + _STEP_SWING * pixel_m * blurred)
    dense = raw.copy()
    dense[blurred] = shapely.segmentize(raw[blurred], pixel_m)
    walls = Walls.from_edges(
        find_edges_at_corners(dense, tolerance_m=tolerance_m, pixel_m=pixel_m, blurred=blurred),
        tolerance_m=np.maximum(constant_m, _MAX_MOVE * blur_m),
        pixel_m=pixel_m,
        blur_m=blur_m,
        short_m=tolerance_m,
    )
    regular = square_walls(
        walls, _choose_angles(find_directions(walls), component), short_m=tolerance_m
    )
    return _ShapeSelection(regular, raw, simplify, tolerance_m, blur_m).select()


def _simplify(raw: Polygons, *, simplify_m: float, pixel_m: float) -> Polygons:
    return find_edges(raw, tolerance_m=simplify_m, pixel_m=pixel_m).to_polygons()


def measure_misfit(
    shapes: Polygons, raw: Polygons, *, tolerance_m: Floats, blur_m: Floats
) -> NDArray[np.float64]:
    """(n,) the area that only one of the two covers; infinite where RULE 1 forbids the shape.

    It must be one valid polygon of nearly the same area and with a high IoU. Its distance to the
    raw outline must be half of ``tolerance_m`` on average and twice that at most. The area that a
    blur cuts off its corners does not count.
    """
    misfit = np.full(len(raw), np.inf)
    valid = (shapely.get_type_id(shapes) == 3) & shapely.is_valid(shapes)
    valid &= ~shapely.is_empty(shapes)
    shape, outline, tolerance_m, blur_m = (
        shapes[valid],
        raw[valid],
        tolerance_m[valid],
        blur_m[valid],
    )
    area, outline_area = shapely.area(shape), shapely.area(outline)
    shared = measure_shared_area(shape, outline)
    rounded = np.zeros(len(shape))
    if (blurred := blur_m > 0).any():
        rounded[blurred] = _measure_rounding(shape[blurred], blur_m[blurred])
    differs = np.maximum(area + outline_area - 2 * shared - rounded, 0)
    fits = np.abs(area - outline_area) <= _MAX_AREA_CHANGE * outline_area + rounded
    fits &= shared >= _MIN_IOU * (differs + shared)
    fits &= differs <= shapely.length(outline) * tolerance_m / 2
    fits &= shapely.hausdorff_distance(shape, outline) <= 2 * tolerance_m + _CORNER_M * blur_m
    misfit[valid] = np.where(fits, differs, np.inf)
    return misfit


def _measure_rounding(shapes: Polygons, blur_m: Floats) -> Floats:
    """(n,) the area that a blur cuts off, or adds to, the corners of each shape."""
    rings = Rings.from_polygons(shapes)
    step = np.diff(rings.xy @ np.array([1, 1j]))
    next_step = np.roll(step, -1)
    begins, ends = rings.begins[:-1], rings.begins[1:] - 2
    next_step[ends] = step[begins]
    turn = np.tan(np.angle(next_step * np.conj(step)) / 2) ** 2
    corner_m2 = np.minimum(turn, _SHARPEST)
    corner_m2[rings.begins[1:-1] - 1] = 0  # there is no corner between two rings
    owner = rings.polygon_of_points()[:-1]
    summed = np.bincount(owner, corner_m2, minlength=len(shapes))
    return np.asarray(_CORNER_M2 * blur_m**2 * summed)


def _choose_angles(own: NDArray[np.complex128], component: Ints) -> NDArray[np.float64]:
    """(n,) the direction of each building, or that of its component if they are nearly the same."""
    total = np.zeros(int(component.max()) + 1, np.complex128)
    np.add.at(total, component, own)
    shared = total[component]
    difference = np.abs(np.angle(own * np.conj(shared))) / 4
    return np.asarray(np.angle(np.where(difference < _SAME_DIRECTION, shared, own)) / 4)


@dataclass(frozen=True, eq=False)
class _ShapeSelection:
    """Chooses among the regular shape, the simple outline and the raw outline of each building."""

    regular: Polygons
    raw: Polygons
    simplify: Callable[[Polygons], Polygons]
    tolerance_m: Floats
    blur_m: Floats

    def select(self) -> Polygons:
        """The shapes, without overlaps (RULES 1 to 3)."""
        choice, shape = self._choose()
        while len(pairs := _find_overlaps(shape)):
            for first, second in pairs:
                self._separate(shape, choice, int(first), int(second))
        return shape

    def _choose(self) -> tuple[Ints, Polygons]:
        """The first choice that fits each building (RULES 1, 3)."""
        misfit = self._measure_misfit(self.regular, np.arange(len(self.raw)))
        small = shapely.length(self.raw) * self.tolerance_m / 8
        unsure = np.flatnonzero(misfit > small)
        simple_misfit, outline = np.full(len(self.raw), np.inf), self.raw.copy()
        if len(unsure):
            outline[unsure] = self.simplify(self.raw[unsure])
            simple_misfit[unsure] = self._measure_misfit(outline[unsure], unsure)
        is_simple = np.isfinite(simple_misfit)
        outline = np.where(is_simple, outline, self.raw)
        is_regular = np.isfinite(misfit) & (misfit <= _MAX_WORSE * simple_misfit + small)
        choice = np.where(is_regular, _REGULAR, np.where(is_simple, _SIMPLE, _RAW))
        return choice, np.where(is_regular, self.regular, outline)

    def _separate(self, shape: Polygons, choice: Ints, first: int, second: int) -> None:
        """Cut one of two buildings that overlap (RULES 2, 3); changes ``shape`` and ``choice``."""
        if shapely.area(shapely.intersection(shape[first], shape[second])) <= _TOUCH_M2:
            return  # an earlier cut has separated them
        rank = [(choice[one], shapely.area(shape[one]), one) for one in (first, second)]
        loser, winner = (first, second) if rank[0] < rank[1] else (second, first)
        rest = np.array([shapely.difference(shape[loser], shape[winner])], dtype=object)
        if self._fits(rest, loser):
            shape[loser] = rest[0]
            return
        raw = self.raw[[loser]]
        simple = self.simplify(raw)
        is_simple = choice[loser] == _REGULAR and self._fits(simple, loser)
        choice[loser] = _SIMPLE if is_simple else _RAW
        shape[loser] = (simple if is_simple else raw)[0]

    def _fits(self, shape: Polygons, number: int) -> bool:
        return bool(np.isfinite(self._measure_misfit(shape, np.array([number])))[0])

    def _measure_misfit(self, shapes: Polygons, numbers: Ints) -> Floats:
        """The misfit of shapes for the buildings of these numbers."""
        tolerance_m, blur_m = self.tolerance_m[numbers], self.blur_m[numbers]
        return measure_misfit(shapes, self.raw[numbers], tolerance_m=tolerance_m, blur_m=blur_m)


def _find_overlaps(shapes: Polygons) -> Ints:
    """(k, 2) numbers of shapes that overlap, in order."""
    pairs = shapely.STRtree(shapes).query(shapes, predicate="intersects").T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    common = shapely.intersection(shapes[pairs[:, 0]], shapes[pairs[:, 1]])
    return np.asarray(pairs[shapely.area(common) > _TOUCH_M2])


_MAX_PAIRS = 20_000  # of edges; for more an overlay is faster
_CHUNK_PAIRS = 1_000_000  # of edges in memory at a time


def measure_shared_area(one: Polygons, other: Polygons) -> Floats:
    """(n,) the area that the n-th polygons share; each is one valid polygon.

    >>> squares = shapely.box([0, 0], 0, 4, 4)
    >>> measure_shared_area(squares, shapely.box([1, 5], 1, 9, [9, 3])).tolist()
    [9.0, 0.0]
    """
    pairs = shapely.get_num_coordinates(one) * shapely.get_num_coordinates(other)
    many = pairs > _MAX_PAIRS
    area = np.empty(len(one))
    area[many] = shapely.area(shapely.intersection(one[many], other[many]))
    few = np.flatnonzero(~many)
    block = np.cumsum(pairs[few]) // _CHUNK_PAIRS
    for numbers in np.split(few, np.flatnonzero(np.diff(block)) + 1):
        area[numbers] = _measure_shared_area(one[numbers], other[numbers])
    return area


@dataclass(frozen=True, eq=False)
class _Segments:
    """Edges that are not vertical, from ``left`` to ``right``, at y = ``slope`` * x + ``offset``.

    sign   1 for edges that lead right in their ring, -1 for those that lead left
    owner  the polygon of each
    """

    left: Floats
    right: Floats
    slope: Floats
    offset: Floats
    sign: Floats
    owner: Ints

    @classmethod
    def from_polygons(cls, polygons: Polygons, origin: Floats) -> "_Segments":
        """The edges of all rings, relative to ``origin`` (n, 2), so that no digits are lost."""
        rings, of_polygon = shapely.get_rings(shapely.orient_polygons(polygons), return_index=True)
        xy, ring = shapely.get_coordinates(rings, return_index=True)
        x, y = (xy - origin[of_polygon[ring]]).T
        is_edge = np.flatnonzero((np.diff(ring) == 0) & (np.diff(x) != 0))
        slope = np.diff(y)[is_edge] / np.diff(x)[is_edge]
        return cls(
            np.minimum(x[is_edge], x[is_edge + 1]),
            np.maximum(x[is_edge], x[is_edge + 1]),
            slope,
            y[is_edge] - slope * x[is_edge],
            np.sign(np.diff(x)[is_edge]),
            of_polygon[ring[is_edge]],
        )


def _measure_shared_area(one: Polygons, other: Polygons) -> Floats:
    origin = shapely.bounds(one)[:, :2]
    a, b = _Segments.from_polygons(one, origin), _Segments.from_polygons(other, origin)
    i, j = _match_owners(a.owner, b.owner)
    left, right = np.maximum(a.left[i], b.left[j]), np.minimum(a.right[i], b.right[j])
    overlaps = np.flatnonzero(left < right)
    i, j, left, right = i[overlaps], j[overlaps], left[overlaps], right[overlaps]
    slope, offset = a.slope[i] - b.slope[j], a.offset[i] - b.offset[j]
    area = (right - left) * _measure_mean_depth(slope * left + offset, slope * right + offset)
    return np.asarray(np.bincount(a.owner[i], -a.sign[i] * b.sign[j] * area, len(one)), float)


def _match_owners(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """(k,) positions in ``a`` and in ``b``, both sorted, of all pairs of equal numbers."""
    first, stop = np.searchsorted(b, a), np.searchsorted(b, a, side="right")
    count = stop - first
    shift = first - (np.cumsum(count) - count)
    i = np.repeat(np.arange(len(a)), count)
    return i, np.arange(len(i)) + shift[i]


def _measure_mean_depth(start: Floats, stop: Floats) -> Floats:
    """The mean depth below 0 of straight lines between heights ``start`` and ``stop``.

    >>> _measure_mean_depth(np.array([-1.0, -3.0, 2.0]), np.array([-2.0, 1.0, 1.0])).tolist()
    [1.5, 1.125, 0.0]
    """
    low, high = np.minimum(start, stop), np.maximum(start, stop)
    crosses = (low < 0) & (high > 0)
    triangle = np.divide(low**2, 2 * (high - low), out=np.zeros_like(low), where=crosses)
    return np.asarray(np.where(crosses, triangle, np.maximum(-low - high, 0) / 2))
