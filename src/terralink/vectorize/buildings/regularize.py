"""Edges of buildings to walls that meet at right angles where they do so on the ground.

    edges -> lines of best fit -> walls with a heading -> straight lines -> corners

The direction of a wall is that of the line of best fit through its outline, without the ends where
a blur rounds the corners. The dominant direction of a building is that of its long walls. A wall is
turned parallel or perpendicular to it if its ends move by no more than the tolerance; other walls
stay oblique. Each wall lies where it removes as much area as it adds. All walls of all buildings
are processed at once, as (m,) arrays, one ring after the other.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from terralink._typing import Floats, Ints
from terralink.vectorize.buildings.edges import Edges, Polygons, Rings, close_rings

Vectors = NDArray[np.complex128]  # x + iy

OBLIQUE = 4
_MAX_TURN = np.pi / 8
_SHORT = (
    1.5  # walls shorter than so many tolerances are removed, and walls that cut a corner by less
)
_ROUNDS = 6  # each removes walls that are too short; few buildings need a third
_MAX_ROUNDED = 0.3  # the share of a wall that may be rounded at each end
_ROUNDS_OF_DIRECTION = 3
# In blurs: from a corner to where the outline is straight again, and the distance at which the
# outline passes a right angle, with a margin for pixel steps and inexact corners.
_ROUNDED, _CORNER_CUT = 1.25, 1.6
_STEP_CUT = 1.2  # in pixels, the same distance where nothing is blurred
_MAX_SHARP = 2.5  # tangent of half the turn of a corner; sharper ones are ends of wings
_DIVISIONS = 2  # times that a blurred outline is divided again among the lines of best fit
_UNCERTAIN = 6.0  # times the uncertainty of a direction that is measured over so many pixels
_ROUNDING_M = 1e-6


def find_directions(walls: "Walls") -> Vectors:
    """(n,) the dominant direction of each building: e^(4i angle) times the metres^2 that agree.

    Angles count modulo 90 degrees, hence the 4. The first estimate is the longest wall. Then it is
    the mean of the walls that agree with it, weighted by the cube of their length, which is how
    exactly they are known. The last step measures all walls that lie in one line as one. Directions
    can be added.
    """
    owner, length, turn = walls.owner, walls.length(), walls.along**4
    order = np.lexsort((-length, owner))
    owners, longest = np.unique(owner[order], return_index=True)
    direction = np.zeros(walls.building_count, np.complex128)
    direction[owners] = turn[order[longest]]
    agree = np.ones(len(owner), bool)
    for _ in range(_ROUNDS_OF_DIRECTION):
        agree = walls.can_be_square(np.exp(1j * np.angle(direction) / 4))
        direction = np.zeros_like(direction)
        np.add.at(direction, owner[agree], (turn * length**3)[agree])
    agree_m2 = np.bincount(owner[agree], length[agree] ** 2, minlength=walls.building_count)
    unit = np.exp(1j * np.angle(direction) / 4)
    unit = unit * np.exp(1j * walls.turn_square(unit).merge_collinear().measure_twist())
    return np.asarray(unit**4 * agree_m2)


def square_walls(walls: "Walls", angles: Floats, *, short_m: Floats) -> Polygons:
    """(n,) polygons with walls along ``angles`` (radians, one a building); None where that fails.

    Walls that are shorter than a small multiple of ``short_m`` (n,), and than both neighbours, are
    removed.
    """
    walls = walls.turn_square(np.exp(1j * angles)).merge_collinear()
    for _ in range(_ROUNDS):
        short = walls.find_too_short(_SHORT * short_m[walls.owner])
        if not short.any():
            break
        walls = walls.select(~short).merge_collinear()
    return walls.polygons()


@dataclass(frozen=True, eq=False)
class _Sums:
    """Integrals along all outlines up to each point, relative to a centre for each building.

    position (p,)  the points, relative to the centre
    length (p,)    the length
    ydx, xdy, ...  the integrals of y dx, of x dy, and so on
    """

    rings: Rings
    centre: Vectors
    position: Vectors
    length: Floats
    ydx: Floats
    xdy: Floats
    xydx: Floats
    xydy: Floats
    yydx: Floats
    xxdy: Floats

    @classmethod
    def from_rings(cls, rings: Rings) -> "_Sums":
        position = rings.xy @ np.array([1, 1j])
        centre = position[rings.begins[rings.of_polygon[:-1]]]
        position = position - centre[rings.polygon_of_points()]
        x, y = position.real, position.imag
        dx, dy = np.diff(x), np.diff(y)
        within = np.ones(len(dx))
        within[rings.begins[1:-1] - 1] = 0  # nothing lies between two rings
        xy = (x[1:] * y[1:] + x[:-1] * y[:-1]) / 3 + (x[1:] * y[:-1] + x[:-1] * y[1:]) / 6
        yy, xx = ((c[1:] ** 2 + c[1:] * c[:-1] + c[:-1] ** 2) / 3 for c in (y, x))
        steps = (
            np.hypot(dx, dy), (y[1:] + y[:-1]) / 2 * dx, (x[1:] + x[:-1]) / 2 * dy,
            xy * dx, xy * dy, yy * dx, xx * dy,
        )  # fmt: skip
        sums = (np.append(0, np.cumsum(step * within)) for step in steps)
        return cls(rings, centre, position, *sums)

    @property
    def ring(self) -> Ints:
        """(p,) the ring of each point."""
        return np.repeat(np.arange(len(self.rings.owner)), np.diff(self.rings.begins))

    def between(self, name: str, ring: Ints, start: Ints, stop: Ints) -> Floats:
        """An integral from start to stop, across the end of the ring if start comes after stop."""
        integral: Floats = getattr(self, name)
        first, last = self._ends(ring)
        whole = integral[last] - integral[first]
        return np.asarray(integral[stop] - integral[start] + np.where(stop <= start, whole, 0))

    def point_after(self, ring: Ints, point: Ints, way_m: Floats) -> Ints:
        """The first point that is ``way_m`` or more along the outline after another."""
        number = np.searchsorted(self.length, self._along(ring, point, way_m) - _ROUNDING_M)
        return np.clip(number, *self._ends(ring))

    def point_before(self, ring: Ints, point: Ints, way_m: Floats) -> Ints:
        """The last point that is ``way_m`` or less along the outline after another."""
        number = np.searchsorted(self.length, self._along(ring, point, way_m) + _ROUNDING_M)
        return np.clip(number - 1, *self._ends(ring))

    def _along(self, ring: Ints, point: Ints, way_m: Floats) -> Floats:
        first, last = (self.length[end] for end in self._ends(ring))
        from_first_m = self.length[point] - first + way_m
        return np.asarray(first + from_first_m % np.maximum(last - first, _ROUNDING_M))

    def _ends(self, ring: Ints) -> tuple[Ints, Ints]:
        """The first and the last point of rings; both are at the same place."""
        return self.rings.begins[ring], self.rings.begins[ring + 1] - 1


@dataclass(frozen=True, eq=False)
class Walls:
    """Walls in order along the rings, one ring after the other.

    ring (m,)         the ring of each wall
    start, stop (m,)  its first and its last point of the outline
    along (m,)        the unit vector along it
    heading (m,)      quarter turns from the direction of the building, or OBLIQUE
    slack (m,)        the sine of the angle by which it may be turned to be square
    rounded_m (n,)    how far from a corner the outline of each building is rounded
    cut_m (n,)        the largest distance between a right angle and the outline of each building
    """

    sums: _Sums
    ring: Ints
    start: Ints
    stop: Ints
    along: Vectors
    heading: Ints
    slack: Floats
    rounded_m: Floats
    cut_m: Floats

    @classmethod
    def from_edges(
        cls, edges: Edges, *, tolerance_m: Floats, pixel_m: float, blur_m: Floats, short_m: Floats
    ) -> "Walls":
        """Each edge as an oblique wall along its line of best fit.

        RULE: a wall may be turned if neither end moves by more than ``tolerance_m``, or if pixel
        steps of ``pixel_m`` make its direction that uncertain.
        """
        sums = _Sums.from_rings(edges.rings)
        oblique = np.full(len(edges.ring), OBLIQUE)
        zeros = np.zeros(len(oblique))
        walls = cls(
            sums, edges.ring, edges.start, edges.stop, zeros.astype(complex), oblique, zeros,
            _ROUNDED * blur_m, np.maximum(_CORNER_CUT * blur_m, _STEP_CUT * pixel_m),
        )._fit_lines(tolerance_m, pixel_m)  # fmt: skip
        for _ in range(_DIVISIONS if blur_m.any() else 0):
            short = walls.find_too_short(_SHORT * short_m[walls.owner]) & (blur_m > 0)[walls.owner]
            walls = walls.select(~short)._divide_again()._fit_lines(tolerance_m, pixel_m)
        return walls

    def _fit_lines(self, tolerance_m: Floats, pixel_m: float) -> "Walls":
        """The walls along their lines of best fit, and how far each may be turned."""
        step = self.sums.position[self.stop] - self.sums.position[self.start]
        length = np.maximum(np.abs(step), 1e-9)
        known_px = self.sums.between("length", self.ring, *self._straight_part()) / pixel_m
        slack = np.maximum(
            2 * tolerance_m[self.owner] / length, _UNCERTAIN / np.maximum(known_px, 1) ** 1.5
        )
        chord = replace(self, along=step / length, slack=slack)
        return replace(chord, along=chord.along * np.exp(1j * chord._fit_slope()))

    def _divide_again(self) -> "Walls":
        """Blurred outlines divided where they are equally near to the two lines of a corner.

        Points from the middle of a wall to the middle of the next belong to one of the two.
        """
        sums, (before, after) = self.sums, self._neighbours()
        half = sums.between("length", self.ring, self.start, self.stop) / 2
        middle = sums.point_after(self.ring, self.start, half)
        point, ring = np.arange(len(sums.position)), sums.ring
        last = np.searchsorted(self.ring, ring, side="right") - 1  # continues across the ring's end
        wall = np.searchsorted(self.start, point, side="right") - 1
        wall = np.where((wall < 0) | (self.ring[wall] != ring), last, wall)
        along_m = sums.between("length", ring, self.start[wall], point)
        second = (along_m >= half[wall]) & (point != self.start[wall])
        first = np.where(second, wall, before[wall])  # the first wall of the corner
        offset = self._mean_offset()
        near, other = (
            np.abs((sums.position * np.conj(self.along[walls])).imag - offset[walls])
            for walls in (first, after[first])
        )
        is_first = near < other
        is_first[sums.rings.begins[1:] - 1] = False  # these repeat the first points
        stop = middle + np.bincount(first[is_first], minlength=len(middle))
        begins, ends = sums.rings.begins[self.ring], sums.rings.begins[self.ring + 1] - 1
        stop = np.where(stop >= ends, stop - ends + begins, stop)
        stop = np.where(self.rounded_m[self.owner] > 0, stop, self.stop)
        walls = replace(self, start=stop[before], stop=stop)
        return walls.select(np.lexsort((walls.start, walls.ring)))

    @property
    def owner(self) -> Ints:
        """(m,) the building of each wall."""
        return np.asarray(self.sums.rings.owner[self.ring])

    @property
    def building_count(self) -> int:
        return len(self.sums.rings.of_polygon) - 1

    def length(self) -> Floats:
        """(m,) from start to stop."""
        return np.asarray(np.abs(self.sums.position[self.stop] - self.sums.position[self.start]))

    def can_be_square(self, direction: Vectors) -> NDArray[np.bool_]:
        """(m,) whether each wall may be square to its building's direction, a unit vector (n,)."""
        angle = np.abs(np.angle((self.along * np.conj(direction[self.owner])) ** 4)) / 4
        return np.asarray((angle <= _MAX_TURN) & (np.sin(angle) <= self.slack))

    def turn_square(self, direction: Vectors) -> "Walls":
        """The walls, square to the direction of their building where they may be."""
        relative = self.along * np.conj(direction[self.owner])
        square = self.can_be_square(direction)
        quarters = np.rint(np.angle(relative) / (np.pi / 2)).astype(np.int64) % 4
        quarter = np.array([1, 1j, -1, -1j])[quarters]
        return replace(
            self,
            heading=np.where(square, quarters, OBLIQUE),
            along=np.where(square, direction[self.owner] * quarter, self.along),
        )

    def select(self, which: NDArray[np.bool_] | Ints) -> "Walls":
        return replace(
            self,
            ring=self.ring[which],
            start=self.start[which],
            stop=self.stop[which],
            along=self.along[which],
            heading=self.heading[which],
            slack=self.slack[which],
        )

    def merge_collinear(self) -> "Walls":
        """Consecutive walls with the same heading as one wall."""
        before, _ = self._neighbours()
        begins = (self.heading != self.heading[before]) | (self.heading == OBLIQUE)
        first = self.select(begins)
        _, following = first._neighbours()
        last = before[np.flatnonzero(begins)[following]]
        return replace(first, stop=self.stop[last])

    def find_too_short(self, required_m: Floats) -> NDArray[np.bool_]:
        """(m,) walls to be removed: short, and shorter than their neighbours.

        For a wall that cuts off a corner of its neighbours, the height of the corner counts.
        """
        before, after = self._neighbours()
        corner = self._intersect_neighbours()
        length = ((corner - corner[before]) * np.conj(self.along)).real
        sine_before, sine_after = (
            np.abs((self.along * np.conj(self.along[other])).imag) for other in (before, after)
        )
        apex = np.abs((self.along[before] * np.conj(self.along[after])).imag)
        height = sine_before * sine_after / np.maximum(apex, 1e-3)
        length = length * np.minimum(height, 1)
        length[np.isnan(length)] = np.inf
        turns_back = (self.along[before] * np.conj(self.along[after])).real < -0.999
        walls = np.bincount(self.ring)[self.ring]
        is_shortest = (length < length[before]) & (length <= length[after])
        # a blur cuts off a corner, and the more the sharper the corner is
        turn = np.angle(self.along[after] * np.conj(self.along[before]))
        sharp = np.abs(np.tan(turn / 2))
        blurred_m = np.where(sharp <= _MAX_SHARP, sharp, 0) * self.cut_m[self.owner]
        required_m = np.maximum(required_m, blurred_m)
        return np.asarray(is_shortest & (length < required_m) & ~turns_back & (walls > 3))

    def polygons(self) -> Polygons:
        """The polygons of the corners, in coordinates of the map."""
        corner = self._intersect_neighbours() + self.sums.centre[self.owner]
        return close_rings(self.sums.rings, self.ring, np.column_stack([corner.real, corner.imag]))

    def measure_twist(self) -> Floats:
        """(n,) the angle from the square walls of each building to its outline."""
        square = self.heading < OBLIQUE
        owner, weight = self.owner[square], self.length()[square] ** 3
        total, total_weight = (
            np.bincount(owner, each, minlength=self.building_count)
            for each in (weight * self._fit_slope()[square], weight)
        )
        return np.asarray(total / np.maximum(total_weight, 1e-9))

    def _neighbours(self) -> tuple[Ints, Ints]:
        """The wall before and the wall after each, along its ring."""
        number = np.arange(len(self.ring))
        first = np.flatnonzero(np.diff(self.ring, prepend=-1))
        last = np.append(first[1:] - 1, len(number) - 1)[: len(first)]
        before, after = number - 1, number + 1
        before[first], after[last] = last, first
        return before, after

    def _straight_part(self) -> tuple[Ints, Ints]:
        """The first and the last point of each wall without its rounded ends."""
        if not self.rounded_m.any():
            return self.start, self.stop
        length = self.sums.between("length", self.ring, self.start, self.stop)
        cut = np.minimum(self.rounded_m[self.owner], _MAX_ROUNDED * length)
        start = self.sums.point_after(self.ring, self.start, cut)
        stop = self.sums.point_before(self.ring, self.start, length - cut)
        remaining = self.sums.between("length", self.ring, start, stop)
        fits = (cut > 0) & (start != stop) & (remaining <= length)
        return np.where(fits, start, self.start), np.where(fits, stop, self.stop)

    def _fit_slope(self) -> Floats:
        """(m,) the angle from ``along`` to the line of best fit through each outline.

        Its slope is the integral of along * across, divided by that of along^2.
        """
        start, stop = self._straight_part()
        a, b = self.along.real, self.along.imag
        p, q = self.sums.position[start], self.sums.position[stop]
        integral = {
            name: self.sums.between(name, self.ring, start, stop)
            for name in ("xydx", "xydy", "yydx", "xxdy")
        }
        xxdx, yydy = (q.real**3 - p.real**3) / 3, (q.imag**3 - p.imag**3) / 3
        moment = (a * a - b * b) * (a * integral["xydx"] + b * integral["xydy"]) + a * b * (
            a * integral["yydx"] + b * yydy - a * xxdx - b * integral["xxdy"]
        )
        u, v = ((end * np.conj(self.along)).real for end in (p, q))
        length = np.maximum(v - u, 1e-9)
        moment -= (u + v) / 2 * length * self._mean_offset_between(start, stop)
        return np.asarray(np.nan_to_num(np.arctan(moment / (length**3 / 12))))

    def _mean_offset(self) -> Floats:
        """(m,) how far left of the centre the line of each wall is: the mean along the outline."""
        return self._mean_offset_between(*self._straight_part())

    def _mean_offset_between(self, start: Ints, stop: Ints) -> Floats:
        a, b = self.along.real, self.along.imag
        p, q = self.sums.position[start], self.sums.position[stop]
        squares = (q.imag**2 - q.real**2 - p.imag**2 + p.real**2) / 2
        ydx, xdy = (self.sums.between(name, self.ring, start, stop) for name in ("ydx", "xdy"))
        length = ((q - p) * np.conj(self.along)).real
        length[np.abs(length) < 1e-9] = np.nan
        return np.asarray((a * a * ydx - b * b * xdy + a * b * squares) / length)

    def _intersect_neighbours(self) -> Vectors:
        """(m,) where the lines of each wall and of the next one meet; nan if they are parallel."""
        _, after = self._neighbours()
        offset = self._mean_offset()
        next_along = self.along[after]
        sine = (np.conj(self.along) * next_along).imag
        product = offset * next_along - offset[after] * self.along
        meets = np.abs(sine) > 1e-3
        return np.divide(product, sine, out=np.full_like(product, np.nan), where=meets)
