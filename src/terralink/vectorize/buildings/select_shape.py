"""Which shape a building gets: the regular one, unless an outline is nearer to the pixels.

    RULE 1: a regular shape is valid, of the same area, and no worse than the simplified outline
    RULE 2: no two buildings overlap: the more regular one, or the smaller one, is cut
    RULE 3: what a rule forbids becomes the simplified outline, then the raw one

Shapes are compared by the area that they share with the raw outline. On a vertical line, what is
below the edges of a polygon, upper edges plus and lower edges minus, adds up to what the line has
of the polygon. Of two polygons it has the sum over all pairs of edges of the shorter of the two,
with the product of their signs. So the shared area is a sum over pairs of edges, and no overlay is
built: with ``shapely.intersection`` the whole tracer takes 1.3 to 1.7 times as long.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.vectorize.buildings.edges import Rings, corner_sides, outline_sides
from terralink.vectorize.buildings.regularize import Walls, directions, squared

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Polygons = NDArray[np.object_]

_SQUARED, _SIMPLIFIED, _RAW = range(3)
_AREA_WITHIN = 0.1
_LEAST_IOU = 0.8
_NO_WORSE = 2.0  # times the misfit of the simplified outline, and an eighth of what is allowed
_SAME_DIRECTION = np.radians(4)
_TOUCH_M2 = 1e-6  # what rounding makes of an edge that two share
# A right angle that is blurred is cut off 0.77 of the blur from its corner, and loses 0.87 of the
# square of the blur. So far from the sides between these cuts it swings at most.
_CORNER_M, _CORNER_M2, _SWING = 1.5, 0.87, 0.6
_STAIR_SWING = 0.35  # and the middles of stairs, so far of a stair
_TRUSTED = 0.6  # of the blur: so far it turns walls between a corner that it cuts and one it fills
_SHARPEST = 3.0  # of what a right angle loses, the most that any corner may


def fitted(
    raw: Polygons,
    piece: Ints,
    *,
    blur_m: Floats,
    simplify_m: float,
    stair_m: float,
    right_angles: bool,
) -> Polygons:
    """A shape for each raw outline, within ``simplify_m`` of it, with right angles where they fit.

    stair_m     the sides of the pixels that the outlines are made of
    piece (n,)  buildings of one piece touched; they get one direction where theirs are alike
    blur_m (n,) how blurred their edges are: corners are looked for behind what it rounds off
    """
    if not len(raw):
        return raw
    simplify = partial(_simplified, simplify_m=simplify_m, stair_m=stair_m)
    plain, blurred = np.full(len(raw), simplify_m), blur_m > 0
    if not right_angles:
        return _Fit(simplify(raw), raw, simplify, plain, np.zeros(len(raw))).shapes()
    within_m = np.maximum(plain, _SWING * blur_m + _STAIR_SWING * stair_m * blurred)
    even = raw.copy()
    even[blurred] = shapely.segmentize(raw[blurred], stair_m)
    walls = Walls.of(
        corner_sides(even, within_m=within_m, stair_m=stair_m, blurred=blurred),
        trusted_m=np.maximum(plain, _TRUSTED * blur_m),
        stair_m=stair_m,
        blur_m=blur_m,
        short_m=within_m,
    )
    regular = squared(walls, _angles(directions(walls), piece), short_m=within_m)
    return _Fit(regular, raw, simplify, within_m, blur_m).shapes()


def _simplified(raw: Polygons, *, simplify_m: float, stair_m: float) -> Polygons:
    return outline_sides(raw, within_m=simplify_m, stair_m=stair_m).simplified()


def misfit_m2(
    shapes: Polygons, raw: Polygons, *, within_m: Floats, blur_m: Floats
) -> NDArray[np.float64]:
    """The ground that only one of the two covers; infinite where RULE 1 forbids the shape.

    It has to be one valid polygon, half of ``within_m`` from the raw outline on average and
    nowhere twice that, of an area and with an IoU that are not far from 1. What a blur rounds off
    its corners does not count.
    """
    misfit = np.full(len(raw), np.inf)
    there = (shapely.get_type_id(shapes) == 3) & shapely.is_valid(shapes)
    there &= ~shapely.is_empty(shapes)
    shape, seen, within_m, blur_m = shapes[there], raw[there], within_m[there], blur_m[there]
    area, seen_area = shapely.area(shape), shapely.area(seen)
    shared = shared_m2(shape, seen)
    rounded = np.zeros(len(shape))
    if (blurred := blur_m > 0).any():
        rounded[blurred] = _rounded_m2(shape[blurred], blur_m[blurred])
    off = area + seen_area - 2 * shared
    beside = np.maximum(off - rounded, 0)
    fine = np.abs(area - seen_area) <= _AREA_WITHIN * seen_area + rounded
    fine &= shared >= _LEAST_IOU * (beside + shared)
    fine &= beside <= shapely.length(seen) * within_m / 2
    fine &= shapely.hausdorff_distance(shape, seen) <= 2 * within_m + _CORNER_M * blur_m
    misfit[there] = np.where(fine, beside, np.inf)
    return misfit


def _rounded_m2(shapes: Polygons, blur_m: Floats) -> Floats:
    """How much ground a blur cuts off, or adds to, the corners of each shape."""
    rings = Rings.of(shapes)
    step = np.diff(rings.xy @ np.array([1, 1j]))
    following = np.roll(step, -1)
    begins, ends = rings.begins[:-1], rings.begins[1:] - 2
    following[ends] = step[begins]
    turn = np.tan(np.angle(following * np.conj(step)) / 2) ** 2
    of_corner = np.minimum(turn, _SHARPEST)
    of_corner[rings.begins[1:-1] - 1] = 0  # from ring to ring is no corner
    owner = rings.of_points()[:-1]
    summed = np.bincount(owner, of_corner, minlength=len(shapes))
    return np.asarray(_CORNER_M2 * blur_m**2 * summed)


def _angles(own: NDArray[np.complex128], piece: Ints) -> NDArray[np.float64]:
    together = np.zeros(int(piece.max()) + 1, np.complex128)
    np.add.at(together, piece, own)
    shared = together[piece]
    apart = np.abs(np.angle(own * np.conj(shared))) / 4
    return np.asarray(np.angle(np.where(apart < _SAME_DIRECTION, shared, own)) / 4)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Each building squared and raw, and how it is ``simplified`` where that is asked for."""

    squared: Polygons
    raw: Polygons
    simplified: Callable[[Polygons], Polygons]
    within_m: Floats
    blur_m: Floats

    def shapes(self) -> Polygons:
        level, shape = self._chosen()
        while len(pairs := _overlaps(shape)):
            for first, second in pairs:
                self._part(shape, level, int(first), int(second))
        return shape

    def _chosen(self) -> tuple[Ints, Polygons]:
        """RULE 1 and 3: the first choice that fits each building."""
        off = self._misfit_m2(self.squared, np.arange(len(self.raw)))
        stairs = shapely.length(self.raw) * self.within_m / 8
        unsure = np.flatnonzero(off > stairs)
        other, outline = np.full(len(self.raw), np.inf), self.raw.copy()
        if len(unsure):
            outline[unsure] = self.simplified(self.raw[unsure])
            other[unsure] = self._misfit_m2(outline[unsure], unsure)
        outline = np.where(np.isfinite(other), outline, self.raw)
        regular = np.isfinite(off) & (off <= _NO_WORSE * other + stairs)
        level = np.where(regular, _SQUARED, np.where(np.isfinite(other), _SIMPLIFIED, _RAW))
        return level, np.where(regular, self.squared, outline)

    def _part(self, shape: Polygons, level: Ints, first: int, second: int) -> None:
        """RULE 2 and 3 for two buildings; changes ``shape`` and ``level``."""
        if shapely.area(shapely.intersection(shape[first], shape[second])) <= _TOUCH_M2:
            return  # parted while it waited
        rank = [(level[one], shapely.area(shape[one]), one) for one in (first, second)]
        loser, winner = (first, second) if rank[0] < rank[1] else (second, first)
        rest = np.array([shapely.difference(shape[loser], shape[winner])], dtype=object)
        if self._fits(rest, loser):
            shape[loser] = rest[0]
            return
        raw = self.raw[[loser]]
        simplified = self.simplified(raw)
        use_it = level[loser] == _SQUARED and self._fits(simplified, loser)
        level[loser] = _SIMPLIFIED if use_it else _RAW
        shape[loser] = (simplified if use_it else raw)[0]

    def _fits(self, shape: Polygons, number: int) -> bool:
        return bool(np.isfinite(self._misfit_m2(shape, np.array([number])))[0])

    def _misfit_m2(self, shapes: Polygons, numbers: Ints) -> Floats:
        """That of shapes for the buildings of these numbers."""
        raw, within, blur = (
            self.raw[numbers],
            self.within_m[numbers],
            self.blur_m[numbers],
        )
        return misfit_m2(shapes, raw, within_m=within, blur_m=blur)


def _overlaps(shapes: Polygons) -> Ints:
    """(k, 2) numbers of shapes that cover common ground, in order."""
    pairs = shapely.STRtree(shapes).query(shapes, predicate="intersects").T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    common = shapely.intersection(shapes[pairs[:, 0]], shapes[pairs[:, 1]])
    return np.asarray(pairs[shapely.area(common) > _TOUCH_M2])


_MANY = 20_000  # pairs of edges from which an overlay is quicker
_AT_ONCE = 1_000_000  # pairs of edges in memory


def shared_m2(one: Polygons, other: Polygons) -> Floats:
    """(n,) the area that the n-th polygons have in common; each is valid and of one part.

    >>> shared_m2(shapely.box([0, 0], 0, 4, 4), shapely.box([1, 5], 1, 9, [9, 3])).tolist()
    [9.0, 0.0]
    """
    pairs = shapely.get_num_coordinates(one) * shapely.get_num_coordinates(other)
    many = pairs > _MANY
    shared = np.empty(len(one))
    shared[many] = shapely.area(shapely.intersection(one[many], other[many]))
    few = np.flatnonzero(~many)
    block = np.cumsum(pairs[few]) // _AT_ONCE
    for numbers in np.split(few, np.flatnonzero(np.diff(block)) + 1):
        shared[numbers] = _shared(one[numbers], other[numbers])
    return shared


@dataclass(frozen=True, eq=False)
class _Edges:
    """Edges that are not upright, each from ``left`` to ``right``, at ``rise`` * x + ``height``.

    sign   1 where the polygon is on one side of the edge, -1 where it is on the other
    owner  the polygon
    """

    left: Floats
    right: Floats
    rise: Floats
    height: Floats
    sign: Floats
    owner: Ints

    @classmethod
    def of(cls, polygons: Polygons, near: Floats) -> "_Edges":
        """Those of all rings, ``near`` (n, 2) as their (0, 0), so that no digits are lost."""
        rings, of_polygon = shapely.get_rings(shapely.orient_polygons(polygons), return_index=True)
        xy, ring = shapely.get_coordinates(rings, return_index=True)
        x, y = (xy - near[of_polygon[ring]]).T
        real = np.flatnonzero((np.diff(ring) == 0) & (np.diff(x) != 0))
        rise = np.diff(y)[real] / np.diff(x)[real]
        return cls(
            np.minimum(x[real], x[real + 1]),
            np.maximum(x[real], x[real + 1]),
            rise,
            y[real] - rise * x[real],
            np.sign(np.diff(x)[real]),
            of_polygon[ring[real]],
        )


def _shared(one: Polygons, other: Polygons) -> Floats:
    near = shapely.bounds(one)[:, :2]
    a, b = _Edges.of(one, near), _Edges.of(other, near)
    i, j = _pairs(a.owner, b.owner)
    left, right = np.maximum(a.left[i], b.left[j]), np.minimum(a.right[i], b.right[j])
    meet = np.flatnonzero(left < right)
    i, j, left, right = i[meet], j[meet], left[meet], right[meet]
    rise, height = a.rise[i] - b.rise[j], a.height[i] - b.height[j]
    below = (right - left) * _mean_below(rise * left + height, rise * right + height)
    return np.asarray(np.bincount(a.owner[i], -a.sign[i] * b.sign[j] * below, len(one)), float)


def _pairs(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """(k,) numbers in ``a`` and in ``b``, both sorted, of all pairs that are equal."""
    first, stop = np.searchsorted(b, a), np.searchsorted(b, a, side="right")
    count = stop - first
    shift = first - (np.cumsum(count) - count)
    i = np.repeat(np.arange(len(a)), count)
    return i, np.arange(len(i)) + shift[i]


def _mean_below(start: Floats, stop: Floats) -> Floats:
    """The mean depth below 0 of straight lines from ``start`` to ``stop``.

    >>> _mean_below(np.array([-1.0, -3.0, 2.0]), np.array([-2.0, 1.0, 1.0])).tolist()
    [1.5, 1.125, 0.0]
    """
    low, high = np.minimum(start, stop), np.maximum(start, stop)
    through = (low < 0) & (high > 0)
    triangle = np.divide(low**2, 2 * (high - low), out=np.zeros_like(low), where=through)
    return np.asarray(np.where(through, triangle, np.maximum(-low - high, 0) / 2))
