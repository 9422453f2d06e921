"""Which shape a building gets: the regular one, unless an outline is nearer to what was seen.

RULE 1  a regular shape is valid, of the same area, and no worse than the simplified outline
RULE 2  no two buildings overlap: the more regular one, or the smaller one, is cut
RULE 3  what a rule forbids becomes the simplified outline, then the raw one
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.vectorize.overlap import shared_m2
from terralink.vectorize.sides import Sides, sides
from terralink.vectorize.walls import directions, squared

Ints = NDArray[np.int64]
Polygons = NDArray[np.object_]

_SQUARED, _SIMPLIFIED, _RAW = range(3)
_AREA_WITHIN = 0.1
_LEAST_IOU = 0.8
_NO_WORSE = 2.0  # times the misfit of the simplified outline, and an eighth of what is allowed
_SAME_DIRECTION = np.radians(4)
_TOUCH_M2 = 1e-6  # what rounding makes of an edge that two share


def fitted(
    raw: Polygons, piece: Ints, *, simplify_m: float, stair_m: float, right_angles: bool
) -> Polygons:
    """A shape for each raw outline, within ``simplify_m`` of it, with right angles where they fit.

    stair_m     the sides of the pixels that the outlines are made of
    piece (n,)  buildings of one piece touched; they get one direction where theirs are alike
    """
    if not len(raw):
        return raw
    seen = sides(raw, simplify_m=simplify_m, stair_m=stair_m)
    simplified = seen.simplified()
    regular = (
        squared(seen, _angles(seen, piece), simplify_m=simplify_m) if right_angles else simplified
    )
    return _Fit(np.stack([regular, simplified, raw]), simplify_m).shapes()


def misfit_m2(shapes: Polygons, raw: Polygons, *, within_m: float) -> NDArray[np.float64]:
    """The ground that only one of the two covers; infinite where RULE 1 forbids the shape.

    It has to be one valid polygon, half of ``within_m`` from the raw outline on average and
    nowhere twice that, of an area and with an IoU that are not far from 1.
    """
    misfit = np.full(len(raw), np.inf)
    there = (shapely.get_type_id(shapes) == 3) & shapely.is_valid(shapes)
    there &= ~shapely.is_empty(shapes)
    shape, seen = shapes[there], raw[there]
    area, seen_area = shapely.area(shape), shapely.area(seen)
    shared = shared_m2(shape, seen)
    off = area + seen_area - 2 * shared
    fine = (np.abs(area / seen_area - 1) <= _AREA_WITHIN) & (shared >= _LEAST_IOU * (off + shared))
    fine &= off <= shapely.length(seen) * within_m / 2
    fine &= shapely.hausdorff_distance(shape, seen) <= 2 * within_m
    misfit[there] = np.where(fine, off, np.inf)
    return misfit


def _angles(seen: Sides, piece: Ints) -> NDArray[np.float64]:
    own = directions(seen)
    together = np.zeros(int(piece.max()) + 1, np.complex128)
    np.add.at(together, piece, own)
    shared = together[piece]
    apart = np.abs(np.angle(own * np.conj(shared))) / 4
    return np.asarray(np.angle(np.where(apart < _SAME_DIRECTION, shared, own)) / 4)


@dataclass(frozen=True, eq=False)
class _Fit:
    """``choices`` (3, n): each building squared, simplified and raw."""

    choices: Polygons
    within_m: float

    def shapes(self) -> Polygons:
        level = self._levels()
        shape = self.choices[level, np.arange(len(level))]
        while len(pairs := _overlaps(shape)):
            for first, second in pairs:
                self._part(shape, level, int(first), int(second))
        return shape

    def _levels(self) -> Ints:
        """RULE 1 and 3: the first choice that fits each building."""
        squared, simplified, raw = self.choices
        off = misfit_m2(squared, raw, within_m=self.within_m)
        stairs = shapely.length(raw) * self.within_m / 8
        unsure = off > stairs
        other = np.full(len(raw), np.inf)
        other[unsure] = misfit_m2(simplified[unsure], raw[unsure], within_m=self.within_m)
        regular = np.isfinite(off) & (off <= _NO_WORSE * other + stairs)
        outline = np.where(np.isfinite(other), _SIMPLIFIED, _RAW)
        return np.asarray(np.where(regular, _SQUARED, outline))

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
        simplified = self.choices[_SIMPLIFIED, [loser]]
        use_it = level[loser] == _SQUARED and self._fits(simplified, loser)
        level[loser] = _SIMPLIFIED if use_it else _RAW
        shape[loser] = self.choices[level[loser], loser]

    def _fits(self, shape: Polygons, number: int) -> bool:
        raw = self.choices[_RAW, [number]]
        return bool(np.isfinite(misfit_m2(shape, raw, within_m=self.within_m))[0])


def _overlaps(shapes: Polygons) -> Ints:
    """(k, 2) numbers of shapes that cover common ground, in order."""
    pairs = shapely.STRtree(shapes).query(shapes, predicate="intersects").T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    common = shapely.intersection(shapes[pairs[:, 0]], shapes[pairs[:, 1]])
    return np.asarray(pairs[shapely.area(common) > _TOUCH_M2])
