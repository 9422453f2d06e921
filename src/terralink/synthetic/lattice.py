"""The plan of an endless town: an irregular lattice of corners, main roads along its sides.

A cell is the ground between four sides; everything in it follows from the seed and its indices, so
any part of a town can be planned without the rest. Neighbours share corners, sides and the gates
where streets may join a side. Rivers follow columns and motorways follow rows, through the middle
of sides.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terralink.synthetic.primitives import Points, hash_uniform, hermite, hermite_tangents, snap
from terralink.synthetic.styles import Style

GATES = 12  # a side has a gate at each twelfth, its ends included
_EAST, _NORTH, _CORNER, _RIVER, _MOTORWAY, _KIND = range(6)
_SAMPLES = np.linspace(0, 1, 25)


@dataclass(frozen=True, eq=False)
class Side:
    """The line between two neighbouring corners: a main road of class ``kind``, or "" for none."""

    start: Points
    end: Points
    leaving: Points
    arriving: Points
    kind: str
    gates: NDArray[np.float64]  # (GATES + 1,) parameters, 0 and 1 at the ends
    roundabouts_m: tuple[float, float]  # radius of the one at each end, 0 for none

    def interpolate(self, t: ArrayLike) -> Points:
        return hermite(self.start, self.end, self.leaving, self.arriving, t)

    def direction(self, t: float) -> Points:
        start, end = self.interpolate([max(0.0, t - 1e-3), min(1.0, t + 1e-3)])
        step: Points = end - start
        return step / math.hypot(step[0], step[1])

    @cached_property
    def nodes(self) -> Points:
        """The points at the gates, snapped: equal in both cells of the side."""
        return snap(self.interpolate(self.gates))


@dataclass(frozen=True, eq=False)
class Cell:
    """One district's outline: sides to the south, north, west and east of it."""

    i: int
    j: int
    south: Side
    north: Side
    west: Side
    east: Side

    def interpolate(self, s: ArrayLike, t: ArrayLike) -> Points:
        """The Coons patch: (0, 0) is the south-west corner, s goes east and t north."""
        s, t = np.broadcast_arrays(np.asarray(s, float), np.asarray(t, float))
        u, v = s[..., None], t[..., None]
        ruled = (1 - v) * self.south.interpolate(s) + v * self.north.interpolate(s)
        ruled += (1 - u) * self.west.interpolate(t) + u * self.east.interpolate(t)
        corners = (1 - u) * (1 - v) * self.south.start + u * (1 - v) * self.south.end
        corners += (1 - u) * v * self.north.start + u * v * self.north.end
        patch: Points = ruled - corners
        return patch

    @cached_property
    def outline(self) -> Points:
        """Ring of points around the cell, counter-clockwise."""
        t = _SAMPLES[:-1]
        return np.concatenate(
            [
                self.south.interpolate(t),
                self.east.interpolate(t),
                self.north.interpolate(1 - t),
                self.west.interpolate(1 - t),
            ]
        )


class Curve(NamedTuple):
    """A smooth line through a cell: points and directions (n, 2), the same for both neighbours."""

    points: Points
    directions: Points


@dataclass(frozen=True)
class Lattice:
    """All corners and sides of the town of ``seed`` in ``style``."""

    seed: int
    style: Style

    @cached_property
    def _axes(self) -> tuple[Points, Points]:
        """Unit vectors towards the next column and the next row."""
        turn = hash_uniform(self.seed, 1) * self.style.turn
        east = np.array([math.cos(turn), math.sin(turn)])
        return east, np.array([-east[1], east[0]])

    @cached_property
    def _shift(self) -> tuple[float, float]:
        return hash_uniform(self.seed, 2), hash_uniform(self.seed, 3)

    def corner(self, i: int, j: int) -> Points:
        wander = self.style.crooked
        u = i + self._shift[0] + wander * (hash_uniform(self.seed, _CORNER, i, j, 0) - 0.5)
        v = j + self._shift[1] + wander * (hash_uniform(self.seed, _CORNER, i, j, 1) - 0.5)
        east, north = self._axes
        return snap((u * east + v * north) * self.style.cell_m)

    def _tangent(self, axis: int, i: int, j: int) -> Points:
        bend = (hash_uniform(self.seed, _CORNER, i, j, 2 + axis) - 0.5) * self.style.curviness * 1.5
        forward = self._axes[axis] * self.style.cell_m
        tangent: Points = math.cos(bend) * forward + math.sin(bend) * np.array(
            [-forward[1], forward[0]]
        )
        return tangent

    def roundabout_m(self, i: int, j: int) -> float:
        """Radius of the roundabout at a corner, 0 for a plain crossing."""
        if hash_uniform(self.seed, _CORNER, i, j, 5) > 0.16:
            return 0.0
        if sum(bool(self.kind(*side)) for side in _sides_at(i, j)) < 3:
            return 0.0
        return 14.0 + 8.0 * hash_uniform(self.seed, _CORNER, i, j, 6)

    def kind(self, axis: int, i: int, j: int) -> str:
        """Class of the main road along a side: that of its line, with some exceptions."""
        line = j if axis == _EAST else i
        kinds = self.style.main_roads
        kind = kinds[int(hash_uniform(self.seed, _KIND, axis, line) * len(kinds))]
        if hash_uniform(self.seed, _KIND, axis, i, j, 1) < 0.12:
            return kinds[int(hash_uniform(self.seed, _KIND, axis, i, j, 2) * len(kinds))]
        return kind

    def side(self, axis: int, i: int, j: int) -> Side:
        """From corner (i, j) to the next one east (axis 0) or north (axis 1)."""
        far = (i + 1, j) if axis == _EAST else (i, j + 1)
        gates = np.arange(GATES + 1, dtype=float)
        for gate in range(1, GATES):
            gates[gate] += 0.5 * (hash_uniform(self.seed, axis, i, j, 10 + gate) - 0.5)
        kind = self.kind(axis, i, j)
        return Side(
            start=self.corner(i, j),
            end=self.corner(*far),
            leaving=self._tangent(axis, i, j),
            arriving=self._tangent(axis, *far),
            kind=kind,
            gates=gates / GATES,
            roundabouts_m=(self.roundabout_m(i, j), self.roundabout_m(*far)) if kind else (0, 0),
        )

    def cell(self, i: int, j: int) -> Cell:
        return Cell(
            i,
            j,
            south=self.side(_EAST, i, j),
            north=self.side(_EAST, i, j + 1),
            west=self.side(_NORTH, i, j),
            east=self.side(_NORTH, i + 1, j),
        )

    def cells_within(self, left: float, bottom: float, right: float, top: float) -> list[Cell]:
        """The cells that may touch a rectangle, in a fixed order."""
        xs, ys = np.array([left, right, right, left]), np.array([bottom, bottom, top, top])
        ranges = []
        for axis, shift in zip(self._axes, self._shift, strict=True):
            at = (xs * axis[0] + ys * axis[1]) / self.style.cell_m - shift
            ranges.append(range(math.floor(at.min() - 0.5), math.ceil(at.max() + 0.5)))
        cells = (self.cell(i, j) for j in ranges[1] for i in ranges[0])
        return [cell for cell in cells if _overlaps(cell.outline, (left, bottom, right, top))]

    def motorway(self, cell: Cell) -> Curve | None:
        """The centre line of the motorway through a cell, from west to east."""
        if hash_uniform(self.seed, _MOTORWAY, cell.j) >= self.style.motorways:
            return None
        row = cell.j
        return self._interpolate_through(
            _MOTORWAY, [self.side(_NORTH, i, row) for i in _neighbours(cell.i)]
        )

    def river(self, cell: Cell) -> Curve | None:
        """The centre line of the river through a cell, from south to north."""
        if hash_uniform(self.seed, _RIVER, cell.i) >= self.style.rivers:
            return None
        column = cell.i
        path = self._interpolate_through(
            _RIVER, [self.side(_EAST, column, j) for j in _neighbours(cell.j)]
        )
        # A meander that starts and ends without a slope, so that neighbours still meet smoothly.
        swing = (hash_uniform(self.seed, _RIVER, cell.i, cell.j, 2) - 0.5) * 0.3
        aside = swing * np.sin(np.pi * _SAMPLES)[:, None] ** 2 * self.style.cell_m
        return Curve(snap(path.points + aside * self._axes[0]), path.directions)

    def river_width_m(self, cell: Cell) -> float:
        return 14.0 + 50.0 * hash_uniform(self.seed, _RIVER, cell.i, 1) ** 2

    def _interpolate_through(self, what: int, sides: list[Side]) -> Curve:
        """The smooth curve through the middle of four sides, between the inner two."""
        shifts = (0.3 * (hash_uniform(self.seed, what, *_side_key(side)) - 0.5) for side in sides)
        before, start, end, after = (
            side.interpolate([0.5 + shift])[0] for side, shift in zip(sides, shifts, strict=True)
        )
        curve = (start, end, (end - before) / 2, (after - start) / 2, _SAMPLES)
        return Curve(snap(hermite(*curve)), hermite_tangents(*curve))


def _neighbours(index: int) -> range:
    return range(index - 1, index + 3)


def _side_key(side: Side) -> tuple[int, int]:
    """Integers that name a side by where it starts."""
    return int(side.start[0] * 64), int(side.start[1] * 64)


def _sides_at(i: int, j: int) -> list[tuple[int, int, int]]:
    return [(_EAST, i, j), (_EAST, i - 1, j), (_NORTH, i, j), (_NORTH, i, j - 1)]


def _overlaps(ring: Points, box: tuple[float, float, float, float]) -> bool:
    (left, bottom), (right, top) = ring.min(axis=0), ring.max(axis=0)
    return bool(left <= box[2] and right >= box[0] and bottom <= box[3] and top >= box[1])
