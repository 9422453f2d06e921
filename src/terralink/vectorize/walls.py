"""Sides of buildings to walls that meet at right angles where they do so on the ground.

    sides -> walls with a heading -> straight lines -> corners

The dominant direction of a building is that of its long walls. Sides within 22.5 degrees of it, or
of its perpendicular, are brought to it; others stay oblique. Each wall lies where it takes as much
from the shape as it adds. All walls of all buildings are worked on at once: (m,) arrays, ring after
ring.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from terralink.vectorize.sides import Floats, Ints, Polygons, Rings, Sides, closed

OBLIQUE = 4
_SQUARE_WITHIN = np.pi / 8
_SHORT = 1.5  # walls of less than so many ``simplify_m`` are left out, and corners cut by less
_ROUNDS = 6  # each leaves out walls that are too short; few buildings need a third


def directions(sides: Sides) -> NDArray[np.complex128]:
    """The dominant direction of each building: e^(4i angle), and how many metres^2 agree.

    Angles count modulo 90 degrees, hence the 4; long sides are known better, so each counts by the
    square of its length. Then the lines of best fit through the outline along these walls tell
    by how much the direction is off. Sums of directions are directions.
    """
    step = (sides.rings.xy[sides.stop] - sides.rings.xy[sides.start]) @ np.array([1, 1j])
    summed = np.zeros(len(sides.rings.of_polygon) - 1, np.complex128)
    np.add.at(summed, sides.rings.owner[sides.ring], step**4 / np.maximum(np.abs(step), 1e-9) ** 2)
    twist = _Walls.of(sides, np.angle(summed) / 4).merged().twist()
    return np.asarray(summed * np.exp(4j * twist))


def squared(sides: Sides, angles: Floats, *, simplify_m: float) -> Polygons:
    """The buildings with walls along ``angles`` (radians, one each); None where that fails.

    Walls that are shorter than a small multiple of ``simplify_m`` and than both neighbours are
    left out.
    """
    walls = _Walls.of(sides, angles).merged()
    for _ in range(_ROUNDS):
        short = walls.too_short(_SHORT * simplify_m)
        if not short.any():
            break
        walls = walls.kept(~short).merged()
    return walls.polygons()


@dataclass(frozen=True, eq=False)
class _Frame:
    """The outlines, each around its own centre and turned so that its walls are level or upright.

    place (p,)              points as complex numbers
    under, beside (p,)      the integrals of y dx and x dy along the outlines up to each point
    tilt, lean (p,)         those of xy dx and xy dy
    centre, turn (n,)       where each polygon was, and by how much it was turned
    """

    rings: Rings
    centre: NDArray[np.complex128]
    turn: NDArray[np.complex128]
    place: NDArray[np.complex128]
    under: Floats
    beside: Floats
    tilt: Floats
    lean: Floats

    @classmethod
    def of(cls, rings: Rings, angles: Floats) -> "_Frame":
        place = rings.xy @ np.array([1, 1j])
        centre = place[rings.begins[rings.of_polygon[:-1]]]
        turn = np.exp(-1j * angles)
        owner = rings.of_points()
        place = (place - centre[owner]) * turn[owner]
        x, y = place.real, place.imag
        dx, dy = np.diff(x), np.diff(y)
        product = (x[1:] * y[1:] + x[:-1] * y[:-1]) / 3 + (x[1:] * y[:-1] + x[:-1] * y[1:]) / 6
        steps = ((y[1:] + y[:-1]) / 2 * dx, (x[1:] + x[:-1]) / 2 * dy, product * dx, product * dy)
        return cls(rings, centre, turn, place, *(np.append(0, np.cumsum(step)) for step in steps))


@dataclass(frozen=True, eq=False)
class _Walls:
    """Walls in walking order, ring after ring.

    ring (m,)         the ring that each is of
    start, stop (m,)  the outline's points between which it is
    heading (m,)      quarter turns from the building's direction, or OBLIQUE
    """

    frame: _Frame
    ring: Ints
    start: Ints
    stop: Ints
    heading: Ints

    @classmethod
    def of(cls, sides: Sides, angles: Floats) -> "_Walls":
        frame = _Frame.of(sides.rings, angles)
        quarters = np.angle(frame.place[sides.stop] - frame.place[sides.start]) / (np.pi / 2)
        square = np.abs(quarters - np.rint(quarters)) * (np.pi / 2) <= _SQUARE_WITHIN
        heading = np.where(square, np.rint(quarters) % 4, OBLIQUE).astype(np.int64)
        return cls(frame, sides.ring, sides.start, sides.stop, heading)

    def kept(self, which: NDArray[np.bool_]) -> "_Walls":
        columns = (self.ring, self.start, self.stop, self.heading)
        return _Walls(self.frame, *(column[which] for column in columns))

    def merged(self) -> "_Walls":
        """Walls that follow each other with one heading are one wall."""
        before, _ = self._beside()
        begins = (self.heading != self.heading[before]) | (self.heading == OBLIQUE)
        first = self.kept(begins)
        _, following = first._beside()
        last = before[np.flatnonzero(begins)[following]]
        return replace(first, stop=self.stop[last])

    def too_short(self, least_m: float) -> NDArray[np.bool_]:
        """Walls that give way to their neighbours: short, and shorter than these."""
        before, after = self._beside()
        along, corner = self._along(), self._corners()
        length = ((corner - corner[before]) * np.conj(along)).real
        # an oblique wall counts as the height of the corner that it cuts off
        length = np.where(self.heading == OBLIQUE, np.abs((along**2).imag) / 2 * length, length)
        length[np.isnan(length)] = np.inf
        there_and_back = (along[before] * np.conj(along[after])).real < -0.999
        walls = np.bincount(self.ring)[self.ring]
        least = (length < length[before]) & (length <= length[after])
        return np.asarray(least & (length < least_m) & ~there_and_back & (walls > 4))

    def twist(self) -> Floats:
        """By what angle (n,) each building's outline is turned against its square walls.

        The slope of the line of best fit is the sum of along * aside over that of along^2.
        """
        square = self.heading < OBLIQUE
        along = self._along()
        start, stop = (self.frame.place[end] * np.conj(along) for end in (self.start, self.stop))
        length = (stop - start).real
        # along a level wall xy dx is what is summed, along an upright one -xy dy
        sign = np.where(np.isin(self.heading, (0, 3)), 1, -1)
        level = self.heading % 2 == 0
        moment = sign * np.where(level, self._along_outline("tilt"), self._along_outline("lean"))
        moment -= (stop + start).real / 2 * length * self._aside(along)
        owner = self.frame.rings.owner[self.ring]
        sums = [
            np.bincount(owner[square], weight[square], minlength=len(self.frame.turn))
            for weight in (moment, length**3 / 12)
        ]
        return np.asarray(np.arctan(sums[0] / np.maximum(sums[1], 1e-9)))

    def polygons(self) -> Polygons:
        """The corners as polygons at their places."""
        owner = self.frame.rings.owner[self.ring]
        place = self._corners() * np.conj(self.frame.turn)[owner] + self.frame.centre[owner]
        return closed(self.frame.rings, self.ring, np.column_stack([place.real, place.imag]))

    def _beside(self) -> tuple[Ints, Ints]:
        """The wall before and the wall after each, around its ring."""
        place = np.arange(len(self.ring))
        opens = np.flatnonzero(np.diff(self.ring, prepend=-1))
        closes = np.append(opens[1:] - 1, len(place) - 1)[: len(opens)]
        before, after = place - 1, place + 1
        before[opens], after[closes] = closes, opens
        return before, after

    def _along(self) -> NDArray[np.complex128]:
        """The unit vector along each wall."""
        step = self.frame.place[self.stop] - self.frame.place[self.start]
        free = step / np.maximum(np.abs(step), 1e-9)
        quarter = np.array([1, 1j, -1, -1j])[self.heading % 4]
        return np.asarray(np.where(self.heading == OBLIQUE, free, quarter))

    def _aside(self, along: NDArray[np.complex128]) -> Floats:
        """How far left of the centre each wall's line is: the mean along the outline."""
        start, stop = self.frame.place[self.start], self.frame.place[self.stop]
        a, b = along.real, along.imag
        squares = (stop.imag**2 - stop.real**2 - start.imag**2 + start.real**2) / 2
        under, beside = self._along_outline("under"), self._along_outline("beside")
        ahead = ((stop - start) * np.conj(along)).real
        ahead[np.abs(ahead) < 1e-9] = np.nan
        return np.asarray((a * a * under - b * b * beside + a * b * squares) / ahead)

    def _along_outline(self, name: str) -> Floats:
        """An integral of the frame from start to stop, over the ring's end if need be."""
        integral: Floats = getattr(self.frame, name)
        begins = self.frame.rings.begins
        whole = integral[begins[self.ring + 1] - 1] - integral[begins[self.ring]]
        over = np.where(self.stop <= self.start, whole, 0)
        return np.asarray(integral[self.stop] - integral[self.start] + over)

    def _corners(self) -> NDArray[np.complex128]:
        """Where each wall's line meets that of the wall after it; nan where they are parallel."""
        _, after = self._beside()
        along = self._along()
        aside = self._aside(along)
        across = along[after]
        sine = (np.conj(along) * across).imag
        met = aside * across - aside[after] * along
        meets = np.abs(sine) > 1e-3
        return np.divide(met, sine, out=np.full_like(met, np.nan), where=meets)
