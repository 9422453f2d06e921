"""Which shape a building gets: the regular one, unless an outline is nearer to what was seen.

RULE 1  a regular shape is valid, of the same area, and no worse than the simplified outline
RULE 2  no two buildings overlap: the more regular one, or the smaller one, is cut
RULE 3  what a rule forbids becomes the simplified outline, then the raw one
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.vectorize.sides import Sides, sides
from terralink.vectorize.walls import directions, squared

Ints = NDArray[np.int64]
Polygons = NDArray[np.object_]

_SQUARED, _SIMPLIFIED, _RAW = range(3)
_AREA_WITHIN = 0.1
_LEAST_IOU = 0.8
_SAME_DIRECTION = np.radians(10)
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


def good(shapes: Polygons, raw: Polygons, *, within_m: float) -> NDArray[np.bool_]:
    """RULE 1: one valid polygon each, on average within half of ``within_m``, nowhere off twice."""
    fine: NDArray[np.bool_] = (shapely.get_type_id(shapes) == 3) & shapely.is_valid(shapes)
    fine &= ~shapely.is_empty(shapes)
    shape, seen = shapes[fine], raw[fine]
    area, shared = shapely.area(seen), shapely.area(shapely.intersection(shape, seen))
    either = shapely.area(shape) + area - shared
    like = np.abs(shapely.area(shape) / area - 1) <= _AREA_WITHIN
    like &= shared >= _LEAST_IOU * either
    like &= either - shared <= shapely.length(seen) * within_m / 2
    like &= shapely.hausdorff_distance(shape, seen) <= 2 * within_m
    fine[fine] = like
    return fine


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
        raw = self.choices[_RAW]
        squared, simplified, _ = (
            good(shape, raw, within_m=self.within_m) for shape in self.choices
        )
        squared &= self._no_worse()
        level = np.where(squared, _SQUARED, np.where(simplified, _SIMPLIFIED, _RAW))
        shape = self.choices[level, np.arange(len(raw))]
        while len(pairs := _overlaps(shape)):
            for first, second in pairs:
                self._part(shape, level, int(first), int(second))
        return shape

    def _no_worse(self) -> NDArray[np.bool_]:
        """Whether the regular shape is nearly as close to the pixels as the simplified outline."""
        raw = self.choices[_RAW]
        outlines = self.choices[:_RAW].copy()
        outlines[~shapely.is_valid(outlines)] = None
        squared, simplified = shapely.area(shapely.symmetric_difference(outlines, raw))
        stairs = shapely.length(raw) * self.within_m / 8
        return np.asarray(~(squared > 2 * np.nan_to_num(simplified, nan=np.inf) + stairs))

    def _part(self, shape: Polygons, level: Ints, first: int, second: int) -> None:
        """RULE 2 and 3 for two buildings; changes ``shape`` and ``level``."""
        if shapely.area(shapely.intersection(shape[first], shape[second])) <= _TOUCH_M2:
            return  # parted while it waited
        rank = [(level[one], shapely.area(shape[one]), one) for one in (first, second)]
        loser, winner = (first, second) if rank[0] < rank[1] else (second, first)
        rest = np.array([shapely.difference(shape[loser], shape[winner])], dtype=object)
        if good(rest, self.choices[_RAW, [loser]], within_m=self.within_m)[0]:
            shape[loser] = rest[0]
        else:
            level[loser] = min(level[loser] + 1, _RAW)
            shape[loser] = self.choices[level[loser], loser]


def _overlaps(shapes: Polygons) -> Ints:
    """(k, 2) numbers of shapes that cover common ground, in order."""
    pairs = shapely.STRtree(shapes).query(shapes, predicate="intersects").T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    common = shapely.intersection(shapes[pairs[:, 0]], shapes[pairs[:, 1]])
    return np.asarray(pairs[shapely.area(common) > _TOUCH_M2])
