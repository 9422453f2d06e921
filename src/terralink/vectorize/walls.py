"""Outlines of pixels to walls that meet at right angles where they do so on the ground.

    outline -> simplified -> walls with a heading -> straight lines, each where it takes as much
    from the shape as it gives -> corners

Of each building the dominant direction is that of its long walls. Walls within 22.5 degrees of it,
or of its perpendicular, are brought to it; others stay oblique. All walls of all buildings are
worked on at once: (m,) arrays, ring after ring.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Polygons = NDArray[np.object_]

OBLIQUE = 4
_SQUARE_WITHIN = np.pi / 8
_SHORT = 1.5  # walls of less than so many ``simplify_m`` are left out,
_OBLIQUE_LONGER = 2.0  # and oblique ones of twice that: such are corners that were cut
_ROUNDS = 6  # each drops walls that are too short; few buildings need a third


def directions(polygons: Polygons) -> NDArray[np.complex128]:
    """The dominant direction of each polygon's walls, as e^(4i angle) times how many metres agree.

    Angles count modulo 90 degrees, hence the 4; long walls are known better, so they count by the
    square of their length. Sums of directions are directions.
    """
    xy, (rings, of_polygon) = shapely.to_ragged_array(polygons)[1:]
    owner = np.repeat(np.arange(len(polygons)), np.diff(rings[of_polygon]))
    wall = np.diff(xy, axis=0) @ [1, 1j]
    wall[owner[1:] != owner[:-1]] = 0
    wall[rings[1:-1] - 1] = 0  # from one ring to the next is no wall
    length = np.abs(wall)
    turned = np.divide(wall, length, out=np.zeros_like(wall), where=length > 0) ** 4 * length**2
    summed = np.zeros(len(polygons), np.complex128)
    np.add.at(summed, owner[:-1], turned)
    return summed


def squared(polygons: Polygons, angles: Floats, *, simplify_m: float) -> Polygons:
    """The polygons with walls along ``angles`` (radians, one each); None where that fails.

    Corners are found where the outline leaves its walls by ``simplify_m``; short walls between
    longer ones are left out.
    """
    centre = shapely.get_coordinates(shapely.centroid(polygons))
    turn = np.exp(-1j * angles)
    outline = _Outline.of(polygons, centre, turn)
    walls = _walls(outline, simplify_m).merged()
    for _ in range(_ROUNDS):
        short = walls.too_short(_SHORT * simplify_m)
        if not short.any():
            break
        walls = walls.kept(~short).merged()
    return _polygons(walls, outline, centre, turn)


@dataclass(frozen=True, eq=False)
class _Outline:
    """The points of all rings, each around its own centre and turned to its direction.

    xy (p, 2)               closed rings, one after the other
    under, beside (p,)      the integrals of y dx and x dy up to each point
    rings (k + 1,)          where each ring begins
    of_polygon (n + 1,)     the first ring of each polygon
    """

    xy: Floats
    under: Floats
    beside: Floats
    rings: Ints
    of_polygon: Ints

    @classmethod
    def of(cls, polygons: Polygons, centre: Floats, turn: NDArray[np.complex128]) -> "_Outline":
        xy, (rings, of_polygon) = shapely.to_ragged_array(polygons)[1:]
        points = np.diff(rings[of_polygon])
        place = (xy - np.repeat(centre, points, axis=0)) @ [1, 1j] * np.repeat(turn, points)
        xy = np.column_stack([place.real, place.imag])
        step, middle = np.diff(xy, axis=0), (xy[1:] + xy[:-1]) / 2
        under, beside = (np.append(0, np.cumsum(area)) for area in (middle[:, ::-1] * step).T)
        return cls(xy, under, beside, rings, of_polygon)

    def between(self, integral: Floats, start: Ints, stop: Ints, ring: Ints) -> Floats:
        """An integral along the ring from one point to another, over the ring's end if need be."""
        whole = integral[self.rings[ring + 1] - 1] - integral[self.rings[ring]]
        return integral[stop] - integral[start] + np.where(stop <= start, whole, 0)


@dataclass(frozen=True, eq=False)
class _Walls:
    """Walls in walking order, ring after ring.

    ring (m,)         the ring that each is of
    start, stop (m,)  the outline's points between which each is
    heading (m,)      quarter turns from the building's direction, or OBLIQUE
    """

    outline: _Outline
    ring: Ints
    start: Ints
    stop: Ints
    heading: Ints

    def kept(self, which: NDArray[np.bool_]) -> "_Walls":
        return _Walls(
            self.outline, self.ring[which], self.start[which], self.stop[which], self.heading[which]
        )

    def merged(self) -> "_Walls":
        """Walls that follow each other with one heading are one wall."""
        before, _ = self._beside()
        begins = (self.heading != self.heading[before]) | (self.heading == OBLIQUE)
        first = self.kept(begins)
        _, following = first._beside()
        last = before[np.flatnonzero(begins)[following]]
        return _Walls(outline=first.outline, ring=first.ring, start=first.start,
                      stop=self.stop[last], heading=first.heading)  # fmt: skip

    def corners(self) -> Floats:
        """(m, 2) where each wall meets the one after it; nan where they are parallel."""
        _, after = self._beside()
        along, offset = self._lines()
        across = along[after]
        det = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
        det[np.abs(det) < 1e-3] = np.nan
        met = offset[:, None] * -across + offset[after, None] * along
        return np.asarray(-met / det[:, None])

    def too_short(self, least_m: float) -> NDArray[np.bool_]:
        """Walls that give way to their neighbours: short, and no longer than these."""
        before, after = self._beside()
        corner = self.corners()
        along, _ = self._lines()
        length = ((corner - corner[before]) * along).sum(axis=1)
        parallel = np.abs((along[before] * along[after]).sum(axis=1) + 1) < 1e-3  # and against
        walls = np.bincount(self.ring, minlength=len(self.outline.rings) - 1)[self.ring]
        rank = np.where(np.isnan(length), np.inf, length)
        rank[self.heading == OBLIQUE] /= _OBLIQUE_LONGER
        least = (rank < rank[before]) & (rank <= rank[after])
        return np.asarray(least & (rank < least_m) & ~parallel & (walls > 4))

    def _beside(self) -> tuple[Ints, Ints]:
        """The wall before and the wall after each, around its ring."""
        place = np.arange(len(self.ring))
        opens = np.flatnonzero(np.diff(self.ring, prepend=-1))
        closes = np.append(opens[1:], len(place)) - 1 if len(place) else opens
        before, after = place - 1, place + 1
        before[opens], after[closes] = closes, opens
        return before, after

    def _lines(self) -> tuple[Floats, Floats]:
        """The unit vector along each wall, and how far left of the centre its line is.

        The offset is the mean along the outline: the wall cuts off as much as it adds.
        """
        outline, start, stop = self.outline, self.start, self.stop
        step = outline.xy[stop] - outline.xy[start]
        quarter = self.heading * (np.pi / 2)
        along = np.column_stack([np.cos(quarter), np.sin(quarter)]).round()
        oblique = self.heading == OBLIQUE
        length = np.maximum(np.hypot(*step.T), 1e-9)
        along[oblique] = (step / length[:, None])[oblique]
        under, beside = (
            outline.between(area, start, stop, self.ring)
            for area in (outline.under, outline.beside)
        )
        a, b = along.T
        halves = (outline.xy[stop] ** 2 - outline.xy[start] ** 2) / 2
        moment = a * a * under - b * b * beside + a * b * (halves[:, 1] - halves[:, 0])
        ahead = (step * along).sum(axis=1)
        ahead[np.abs(ahead) < 1e-9] = np.nan
        return along, moment / ahead


def _walls(outline: _Outline, simplify_m: float) -> _Walls:
    """A wall from each corner of the simplified outline to the next."""
    number = np.arange(len(outline.xy), dtype=np.float64)
    numbered = np.column_stack([outline.xy, number])  # the number rides along as z
    shapes = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, numbered, (outline.rings, outline.of_polygon)
    )
    corner = shapely.get_coordinates(shapely.simplify(shapes, simplify_m), include_z=True)[:, 2]
    start, stop = corner[:-1].astype(np.int64), corner[1:].astype(np.int64)
    ring = np.searchsorted(outline.rings, start, side="right") - 1
    step = outline.xy[stop] - outline.xy[start]
    # the first point is the last one too, and a line from ring to ring is no wall
    real = (stop < outline.rings[ring + 1]) & (np.abs(step).sum(axis=1) > 0) & (start != stop)
    angle = np.arctan2(step[:, 1], step[:, 0])
    quarter = np.rint(angle / (np.pi / 2))
    square = np.abs(angle - quarter * (np.pi / 2)) <= _SQUARE_WITHIN
    heading = np.where(square, quarter % 4, OBLIQUE).astype(np.int64)
    return _Walls(outline, ring, start, stop, heading).kept(real)


def _polygons(
    walls: _Walls, outline: _Outline, centre: Floats, turn: NDArray[np.complex128]
) -> Polygons:
    """The walls' corners as polygons at their places."""
    count = len(outline.of_polygon) - 1
    polygon_of_ring = np.repeat(np.arange(count), np.diff(outline.of_polygon))
    owner = polygon_of_ring[walls.ring]
    place = walls.corners() @ np.array([1, 1j])
    place = place * np.conj(turn)[owner] + centre[owner] @ [1, 1j]
    corners = np.bincount(walls.ring, minlength=len(polygon_of_ring))
    whole = np.ones(count, bool)
    whole[polygon_of_ring[corners < 3]] = False
    whole[owner[np.isnan(place)]] = False
    keep = whole[owner]
    built = _closed(
        place[keep], corners[whole[polygon_of_ring]], np.diff(outline.of_polygon)[whole]
    )
    squared = np.full(count, None, dtype=object)
    squared[whole] = built
    return squared


def _closed(place: NDArray[np.complex128], corners: Ints, rings: Ints) -> Polygons:
    """Polygons of so many ``rings`` each, with so many ``corners`` each."""
    stops = np.cumsum(corners)
    closed = np.insert(place, stops, place[stops - corners])
    offsets = (np.append(0, np.cumsum(corners + 1)), np.append(0, np.cumsum(rings)))
    xy = np.column_stack([closed.real, closed.imag])
    made: Any = shapely.from_ragged_array(shapely.GeometryType.POLYGON, xy, offsets)
    return np.asarray(made, dtype=object)
