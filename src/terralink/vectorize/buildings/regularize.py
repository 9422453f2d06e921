"""Sides of buildings to walls that meet at right angles where they do so on the ground.

    sides -> lines of best fit -> walls with a heading -> straight lines -> corners

The direction of a side is that of the line of best fit through its outline, without the ends where
a blur rounds the corners. The dominant direction of a building is that of its long walls. A wall is
brought to it, or to its perpendicular, where none of its ends moves farther than outlines are
trusted; others stay oblique. Each wall lies where it takes as much from the shape as it adds. All
walls of all buildings are worked on at once: (m,) arrays, ring after ring.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from terralink.vectorize.buildings.edges import Floats, Ints, Polygons, Rings, Sides, closed

Vectors = NDArray[np.complex128]  # x + iy

OBLIQUE = 4
_SQUARE_WITHIN = np.pi / 8
_SHORT = 1.5  # walls of less than so many times what is trusted are left out, and corners so cut
_ROUNDS = 6  # each leaves out walls that are too short; few buildings need a third
_MOST_ROUND = 0.3  # of a side may be the rounding at each end
_ROUNDS_OF_DIRECTION = 3
# Of the blur: from a corner to where the outline is straight again, and how far from a right angle
# it passes, with what stairs and corners that are a little off add to it.
_ROUNDED, _CUT = 1.25, 1.6
_STAIR_CUT = 1.2  # of a stair, the same where nothing is blurred
_SHARPEST = 2.5  # corners, in the tangent of half their turn; beyond it is the end of a wing
_SPLITS = 2  # times that blurred outlines are divided anew among the lines that were found
_UNSURE = 6.0  # times the angle that the stairs of so many pixels leave unknown
_ROUNDING_M = 1e-6


def directions(walls: "Walls") -> Vectors:
    """The dominant direction of each building: e^(4i angle), and how many metres^2 agree.

    Angles count modulo 90 degrees, hence the 4. It begins with the longest wall; then it is the
    mean of those that agree with it, by the cube of their length, for so well are they known; in
    the end by the lines of best fit through all that is one wall. Directions add to directions.
    """
    owner, length, turn = walls.owner, walls.length(), walls.along**4
    order = np.lexsort((-length, owner))
    owners, longest = np.unique(owner[order], return_index=True)
    found = np.zeros(walls.building_count, np.complex128)
    found[owners] = turn[order[longest]]
    agree = np.ones(len(owner), bool)
    for _ in range(_ROUNDS_OF_DIRECTION):
        agree = walls.may_be_square(np.exp(1j * np.angle(found) / 4))
        found = np.zeros_like(found)
        np.add.at(found, owner[agree], (turn * length**3)[agree])
    metres2 = np.bincount(owner[agree], length[agree] ** 2, minlength=walls.building_count)
    ahead = np.exp(1j * np.angle(found) / 4)
    ahead = ahead * np.exp(1j * walls.turned(ahead).merged().twist())
    return np.asarray(ahead**4 * metres2)


def squared(walls: "Walls", angles: Floats, *, short_m: Floats) -> Polygons:
    """The buildings with walls along ``angles`` (radians, one each); None where that fails.

    Walls that are shorter than a small multiple of ``short_m`` (n,), and than both neighbours, are
    left out.
    """
    walls = walls.turned(np.exp(1j * angles)).merged()
    for _ in range(_ROUNDS):
        short = walls.too_short(_SHORT * short_m[walls.owner])
        if not short.any():
            break
        walls = walls.kept(~short).merged()
    return walls.polygons()


@dataclass(frozen=True, eq=False)
class _Sums:
    """Integrals along the outlines up to each of their points, each outline around its own centre.

    place (p,)     the points
    length (p,)    how far it is along all outlines
    ydx, xdy, ...  those of y dx, of x dy, and so on
    """

    rings: Rings
    centre: Vectors
    place: Vectors
    length: Floats
    ydx: Floats
    xdy: Floats
    xydx: Floats
    xydy: Floats
    yydx: Floats
    xxdy: Floats

    @classmethod
    def of(cls, rings: Rings) -> "_Sums":
        place = rings.xy @ np.array([1, 1j])
        centre = place[rings.begins[rings.of_polygon[:-1]]]
        place = place - centre[rings.of_points()]
        x, y = place.real, place.imag
        dx, dy = np.diff(x), np.diff(y)
        within = np.ones(len(dx))
        within[rings.begins[1:-1] - 1] = 0  # from ring to ring is no way
        xy = (x[1:] * y[1:] + x[:-1] * y[:-1]) / 3 + (x[1:] * y[:-1] + x[:-1] * y[1:]) / 6
        yy, xx = ((c[1:] ** 2 + c[1:] * c[:-1] + c[:-1] ** 2) / 3 for c in (y, x))
        steps = (
            np.hypot(dx, dy), (y[1:] + y[:-1]) / 2 * dx, (x[1:] + x[:-1]) / 2 * dy,
            xy * dx, xy * dy, yy * dx, xx * dy,
        )  # fmt: skip
        sums = (np.append(0, np.cumsum(step * within)) for step in steps)
        return cls(rings, centre, place, *sums)

    @property
    def ring(self) -> Ints:
        """(p,) that of each point."""
        return np.repeat(np.arange(len(self.rings.owner)), np.diff(self.rings.begins))

    def between(self, name: str, ring: Ints, start: Ints, stop: Ints) -> Floats:
        """An integral from start to stop, over the ring's end if need be."""
        integral: Floats = getattr(self, name)
        first, last = self._ends(ring)
        whole = integral[last] - integral[first]
        return np.asarray(integral[stop] - integral[start] + np.where(stop <= start, whole, 0))

    def point_after(self, ring: Ints, point: Ints, way_m: Floats) -> Ints:
        """The first point that is ``way_m`` and more along the outline from another."""
        found = np.searchsorted(self.length, self._along(ring, point, way_m) - _ROUNDING_M)
        return np.clip(found, *self._ends(ring))

    def point_before(self, ring: Ints, point: Ints, way_m: Floats) -> Ints:
        """The last point that is ``way_m`` and less along the outline from another."""
        found = np.searchsorted(self.length, self._along(ring, point, way_m) + _ROUNDING_M)
        return np.clip(found - 1, *self._ends(ring))

    def _along(self, ring: Ints, point: Ints, way_m: Floats) -> Floats:
        first, last = (self.length[end] for end in self._ends(ring))
        way = self.length[point] - first + way_m
        return np.asarray(first + way % np.maximum(last - first, _ROUNDING_M))

    def _ends(self, ring: Ints) -> tuple[Ints, Ints]:
        """The first and the last point of rings, which are one."""
        return self.rings.begins[ring], self.rings.begins[ring + 1] - 1


@dataclass(frozen=True, eq=False)
class Walls:
    """Walls in walking order, ring after ring.

    ring (m,)         the ring that each is of
    start, stop (m,)  the outline's points between which it is
    along (m,)        the unit vector along it
    heading (m,)      quarter turns from the building's direction, or OBLIQUE
    slack (m,)        the sine of the angle by which it may be turned to be square
    rounded_m (n,)    how far from a corner the outline of each building is rounded
    cut_m (n,)        how far from a right angle of each its outline passes at most
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
    def of(
        cls, sides: Sides, *, trusted_m: Floats, stair_m: float, blur_m: Floats, short_m: Floats
    ) -> "Walls":
        """Each side as an oblique wall along its line of best fit.

        RULE: a wall may be turned where neither end moves by more than ``trusted_m``, or where
        stairs of ``stair_m`` leave its direction as unknown as that.
        """
        sums = _Sums.of(sides.rings)
        oblique = np.full(len(sides.ring), OBLIQUE)
        unknown = np.zeros(len(oblique))
        walls = cls(
            sums, sides.ring, sides.start, sides.stop, unknown.astype(complex), oblique, unknown,
            _ROUNDED * blur_m, np.maximum(_CUT * blur_m, _STAIR_CUT * stair_m),
        )._fitted(trusted_m, stair_m)  # fmt: skip
        for _ in range(_SPLITS if blur_m.any() else 0):
            short = walls.too_short(_SHORT * short_m[walls.owner]) & (blur_m > 0)[walls.owner]
            walls = walls.kept(~short)._split_anew()._fitted(trusted_m, stair_m)
        return walls

    def _fitted(self, trusted_m: Floats, stair_m: float) -> "Walls":
        """With the lines of best fit, and how far each may be turned."""
        step = self.sums.place[self.stop] - self.sums.place[self.start]
        length = np.maximum(np.abs(step), 1e-9)
        known_px = self.sums.between("length", self.ring, *self._straight()) / stair_m
        slack = np.maximum(
            2 * trusted_m[self.owner] / length, _UNSURE / np.maximum(known_px, 1) ** 1.5
        )
        chord = replace(self, along=step / length, slack=slack)
        return replace(chord, along=chord.along * np.exp(1j * chord._slope()))

    def _split_anew(self) -> "Walls":
        """Blurred buildings cut into walls where the two lines of each corner are equally near.

        What follows from the middle of a wall to that of the next is divided between the two.
        """
        sums, (before, after) = self.sums, self._beside()
        half = sums.between("length", self.ring, self.start, self.stop) / 2
        middle = sums.point_after(self.ring, self.start, half)
        point, ring = np.arange(len(sums.place)), sums.ring
        last = np.searchsorted(self.ring, ring, side="right") - 1  # goes over the ring's end
        wall = np.searchsorted(self.start, point, side="right") - 1
        wall = np.where((wall < 0) | (self.ring[wall] != ring), last, wall)
        way = sums.between("length", ring, self.start[wall], point)
        second = (way >= half[wall]) & (point != self.start[wall])
        first = np.where(second, wall, before[wall])  # of the two at its corner
        aside = self._aside()
        near, other = (
            np.abs((sums.place * np.conj(self.along[walls])).imag - aside[walls])
            for walls in (first, after[first])
        )
        mine = near < other
        mine[sums.rings.begins[1:] - 1] = False  # the first points once more
        stop = middle + np.bincount(first[mine], minlength=len(middle))
        begins, ends = sums.rings.begins[self.ring], sums.rings.begins[self.ring + 1] - 1
        stop = np.where(stop >= ends, stop - ends + begins, stop)
        stop = np.where(self.rounded_m[self.owner] > 0, stop, self.stop)
        walls = replace(self, start=stop[before], stop=stop)
        return walls.kept(np.lexsort((walls.start, walls.ring)))

    @property
    def owner(self) -> Ints:
        """(m,) the building of each."""
        return np.asarray(self.sums.rings.owner[self.ring])

    @property
    def building_count(self) -> int:
        return len(self.sums.rings.of_polygon) - 1

    def length(self) -> Floats:
        """(m,) from start to stop."""
        return np.asarray(np.abs(self.sums.place[self.stop] - self.sums.place[self.start]))

    def may_be_square(self, ahead: Vectors) -> NDArray[np.bool_]:
        """Which walls may be square to the direction of their building, a unit vector (n,)."""
        angle = np.abs(np.angle((self.along * np.conj(ahead[self.owner])) ** 4)) / 4
        return np.asarray((angle <= _SQUARE_WITHIN) & (np.sin(angle) <= self.slack))

    def turned(self, ahead: Vectors) -> "Walls":
        """Those that may be square to their building are."""
        from_ahead = self.along * np.conj(ahead[self.owner])
        square = self.may_be_square(ahead)
        quarters = np.rint(np.angle(from_ahead) / (np.pi / 2)).astype(np.int64) % 4
        quarter = np.array([1, 1j, -1, -1j])[quarters]
        return replace(
            self,
            heading=np.where(square, quarters, OBLIQUE),
            along=np.where(square, ahead[self.owner] * quarter, self.along),
        )

    def kept(self, which: NDArray[np.bool_] | Ints) -> "Walls":
        return replace(
            self,
            ring=self.ring[which],
            start=self.start[which],
            stop=self.stop[which],
            along=self.along[which],
            heading=self.heading[which],
            slack=self.slack[which],
        )

    def merged(self) -> "Walls":
        """Walls that follow each other with one heading are one wall."""
        before, _ = self._beside()
        begins = (self.heading != self.heading[before]) | (self.heading == OBLIQUE)
        first = self.kept(begins)
        _, following = first._beside()
        last = before[np.flatnonzero(begins)[following]]
        return replace(first, stop=self.stop[last])

    def too_short(self, least_m: Floats) -> NDArray[np.bool_]:
        """Walls that give way to their neighbours: short, and shorter than these.

        One that cuts off the corner of its neighbours counts as the height of that corner.
        """
        before, after = self._beside()
        corner = self._corners()
        length = ((corner - corner[before]) * np.conj(self.along)).real
        leaves, comes = (
            np.abs((self.along * np.conj(self.along[beside])).imag) for beside in (before, after)
        )
        apex = np.abs((self.along[before] * np.conj(self.along[after])).imag)
        height = leaves * comes / np.maximum(apex, 1e-3)
        length = length * np.minimum(height, 1)
        length[np.isnan(length)] = np.inf
        there_and_back = (self.along[before] * np.conj(self.along[after])).real < -0.999
        walls = np.bincount(self.ring)[self.ring]
        least = (length < length[before]) & (length <= length[after])
        # what the blur cuts off a corner, the deeper the sharper it is
        turn = np.angle(self.along[after] * np.conj(self.along[before]))
        sharp = np.abs(np.tan(turn / 2))
        blurred_m = np.where(sharp <= _SHARPEST, sharp, 0) * self.cut_m[self.owner]
        least_m = np.maximum(least_m, blurred_m)
        return np.asarray(least & (length < least_m) & ~there_and_back & (walls > 3))

    def polygons(self) -> Polygons:
        """The corners as polygons at their places."""
        place = self._corners() + self.sums.centre[self.owner]
        return closed(self.sums.rings, self.ring, np.column_stack([place.real, place.imag]))

    def twist(self) -> Floats:
        """By what angle (n,) each building's outline is turned against its square walls."""
        square = self.heading < OBLIQUE
        owner, weight = self.owner[square], self.length()[square] ** 3
        turned, whole = (
            np.bincount(owner, each, minlength=self.building_count)
            for each in (weight * self._slope()[square], weight)
        )
        return np.asarray(turned / np.maximum(whole, 1e-9))

    def _beside(self) -> tuple[Ints, Ints]:
        """The wall before and the wall after each, around its ring."""
        place = np.arange(len(self.ring))
        opens = np.flatnonzero(np.diff(self.ring, prepend=-1))
        closes = np.append(opens[1:] - 1, len(place) - 1)[: len(opens)]
        before, after = place - 1, place + 1
        before[opens], after[closes] = closes, opens
        return before, after

    def _straight(self) -> tuple[Ints, Ints]:
        """The points between which each is straight: all of it but the rounding at its ends."""
        if not self.rounded_m.any():
            return self.start, self.stop
        length = self.sums.between("length", self.ring, self.start, self.stop)
        cut = np.minimum(self.rounded_m[self.owner], _MOST_ROUND * length)
        start = self.sums.point_after(self.ring, self.start, cut)
        stop = self.sums.point_before(self.ring, self.start, length - cut)
        left = self.sums.between("length", self.ring, start, stop)
        fits = (cut > 0) & (start != stop) & (left <= length)
        return np.where(fits, start, self.start), np.where(fits, stop, self.stop)

    def _slope(self) -> Floats:
        """By what angle the line of best fit through each outline is turned against ``along``.

        Its slope is the sum of along * aside over that of along^2.
        """
        start, stop = self._straight()
        a, b = self.along.real, self.along.imag
        p, q = self.sums.place[start], self.sums.place[stop]
        integral = {
            name: self.sums.between(name, self.ring, start, stop)
            for name in ("xydx", "xydy", "yydx", "xxdy")
        }
        xxdx, yydy = (q.real**3 - p.real**3) / 3, (q.imag**3 - p.imag**3) / 3
        moment = (a * a - b * b) * (a * integral["xydx"] + b * integral["xydy"]) + a * b * (
            a * integral["yydx"] + b * yydy - a * xxdx - b * integral["xxdy"]
        )
        u, v = ((end * np.conj(self.along)).real for end in (p, q))
        ahead = np.maximum(v - u, 1e-9)
        moment -= (u + v) / 2 * ahead * self._aside_between(start, stop)
        return np.asarray(np.nan_to_num(np.arctan(moment / (ahead**3 / 12))))

    def _aside(self) -> Floats:
        """How far left of the centre each wall's line is: the mean along the outline."""
        return self._aside_between(*self._straight())

    def _aside_between(self, start: Ints, stop: Ints) -> Floats:
        a, b = self.along.real, self.along.imag
        p, q = self.sums.place[start], self.sums.place[stop]
        squares = (q.imag**2 - q.real**2 - p.imag**2 + p.real**2) / 2
        ydx, xdy = (self.sums.between(name, self.ring, start, stop) for name in ("ydx", "xdy"))
        ahead = ((q - p) * np.conj(self.along)).real
        ahead[np.abs(ahead) < 1e-9] = np.nan
        return np.asarray((a * a * ydx - b * b * xdy + a * b * squares) / ahead)

    def _corners(self) -> Vectors:
        """Where each wall's line meets that of the wall after it; nan where they are parallel."""
        _, after = self._beside()
        aside = self._aside()
        across = self.along[after]
        sine = (np.conj(self.along) * across).imag
        met = aside * across - aside[after] * self.along
        meets = np.abs(sine) > 1e-3
        return np.divide(met, sine, out=np.full_like(met, np.nan), where=meets)
