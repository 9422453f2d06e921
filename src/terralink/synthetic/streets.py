"""Roads of one cell: the main roads on its sides, the streets inside, a motorway, a roundabout.

One line per carriageway: a motorway has two, every other road one. Lines are cut wherever another
road joins, so equal ends are a junction; a bridge over a road has no point in common with it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.synthetic.lattice import GATES, Cell, Curve, Lattice, Side
from terralink.synthetic.primitives import Points, make_rng, offset, snap
from terralink.synthetic.styles import Style

# Classes in painting order: a later road lies on the earlier ones. Motorways come first, for only
# main roads meet them, and those cross on bridges.
ROAD_KINDS = ("motorway", "track", "service", "residential", "secondary", "primary", "roundabout")
_MOTORWAY_M, _MEDIAN_M = 11.5, 7.0


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line (n, 2) in metres with its class and width."""

    points: Points
    kind: str
    width_m: float


@dataclass(frozen=True)
class Pattern:
    """How streets fill a district."""

    columns: int
    rows: int
    kind: str = "residential"
    keep: float = 0.85  # share of the pieces between crossings that are built
    spurs: float = 0.0  # share of blocks with a cul-de-sac
    bend: float = 0.0  # of a cell, how far streets swing

    def transposed(self) -> "Pattern":
        """Rows for columns."""
        return replace(self, columns=self.rows, rows=self.columns)


@dataclass(frozen=True, eq=False)
class Block:
    """The ground between four lines of streets: corners (4, 2), counter-clockwise."""

    corners: Points
    gates: tuple[Points, ...]  # nodes in the middle of its streets, where a drive may join


@dataclass(frozen=True, eq=False)
class Streets:
    """All roads that a cell owns, those of its neighbours along its edge, and its blocks."""

    main: list[Road]
    edge: list[
        Road
    ]  # sides owned by neighbours: nothing is built on them, and the neighbour draws them
    inner: list[Road]
    motorway: list[Road]
    turning_circles: list[tuple[Points, float]]  # centre and radius
    blocks: list[Block]
    water: shapely.Geometry | None
    reserve: shapely.Geometry | None  # ground of water and motorway


def plan_streets(lattice: Lattice, cell: Cell, pattern: Pattern) -> Streets:
    """Plan the roads of ``cell``; all random numbers come from a generator of the cell."""
    rng = make_rng(lattice.seed, 11, cell.i, cell.j)
    motorway = lattice.motorway(cell)
    water, reserve = _corridors(lattice, cell, motorway)
    mesh = _Mesh(cell, pattern, lattice.style, rng, reserve)
    return Streets(
        main=[*_cut_side(cell.south, lattice.style), *_cut_side(cell.west, lattice.style),
              *_roundabout_arcs(lattice, cell)],
        edge=[*_cut_side(cell.north, lattice.style), *_cut_side(cell.east, lattice.style)],
        inner=mesh.roads,
        motorway=_offset_carriageways(motorway),
        turning_circles=mesh.turning_circles,
        blocks=mesh.blocks,
        water=water,
        reserve=reserve,
    )  # fmt: skip


def main_width_m(kind: str, style: Style) -> float:
    """Width of a main road; an old town's are narrower."""
    wide = 0.75 if style.name in ("oldtown", "rural") else 1.0
    widths = {"primary": 17.0, "secondary": 11.0, "residential": 8.0, "track": 4.0}
    return widths[kind] * (wide if kind in ("primary", "secondary") else 1.0)


def _corridors(
    lattice: Lattice, cell: Cell, motorway: Curve | None
) -> tuple[shapely.Geometry | None, shapely.Geometry | None]:
    """Water of the river, and the ground that river and motorway keep free."""
    river, water, reserve = lattice.river(cell), None, []
    if river is not None:
        width_m = lattice.river_width_m(cell)
        water = shapely.LineString(river.points).buffer(width_m / 2, cap_style="flat", quad_segs=3)
        reserve.append(shapely.LineString(river.points).buffer(width_m / 2 + 9, quad_segs=3))
    if motorway is not None:
        half_m = _MEDIAN_M / 2 + _MOTORWAY_M + 12
        reserve.append(shapely.LineString(motorway.points).buffer(half_m, quad_segs=3))
    return water, shapely.union_all(reserve) if reserve else None


def _offset_carriageways(centre: Curve | None) -> list[Road]:
    if centre is None:
        return []
    away_m = (_MEDIAN_M + _MOTORWAY_M) / 2
    lines = (snap(offset(*centre, side * away_m)) for side in (1, -1))
    return [Road(line, "motorway", _MOTORWAY_M) for line in lines]


def _cut_side(side: Side, style: Style) -> list[Road]:
    """The main road of a side, cut at its gates."""
    if not side.kind:
        return []
    width_m = main_width_m(side.kind, style)
    first, last = _trim_at_roundabouts(side)
    inner = side.gates[(side.gates > first) & (side.gates < last)]
    cuts = itertools.pairwise([first, *inner, last])
    lines = (snap(side.interpolate(np.linspace(low, high, 3))) for low, high in cuts)
    return [Road(line, side.kind, width_m) for line in lines]


def _trim_at_roundabouts(side: Side) -> tuple[float, float]:
    """Parameters where the side leaves the roundabouts at its ends."""
    at = np.linspace(0, 0.3, 61)
    ends = []
    for centre, radius_m, t in (
        (side.start, side.roundabouts_m[0], at),
        (side.end, side.roundabouts_m[1], 1 - at),
    ):
        away_m = np.hypot(*(side.interpolate(t) - centre).T)
        ends.append(float(np.interp(radius_m, away_m, t)) if radius_m else float(t[0]))
    return ends[0], ends[1]


def _roundabout_arcs(lattice: Lattice, cell: Cell) -> list[Road]:
    """The quarter of each of the cell's roundabouts that lies between two of its sides."""
    turns = (
        (cell.south, 0, cell.west, 0),
        (cell.east, 0, cell.south, 1),
        (cell.north, 1, cell.east, 1),
        (cell.west, 1, cell.north, 0),
    )
    arcs = []
    for at, (side, end, other, other_end) in enumerate(turns):
        i, j = cell.i + (at in (1, 2)), cell.j + (at in (2, 3))
        radius_m = lattice.roundabout_m(i, j)
        if radius_m:
            centre = (side.start, side.end)[end]
            points = _arc(
                centre,
                radius_m,
                _meet_circle(side, end, radius_m),
                _meet_circle(other, other_end, radius_m),
            )
            arcs.append(Road(points, "roundabout", 8.0))
    return arcs


def _meet_circle(side: Side, end: int, radius_m: float) -> Points:
    """Where a side, built or not, crosses the circle around its end."""
    if side.kind:
        return np.asarray(snap(side.interpolate([_trim_at_roundabouts(side)[end]]))[0])
    centre = (side.start, side.end)[end]
    towards = side.direction(float(end)) * (1 - 2 * end)
    return snap(centre + towards * radius_m)


def _arc(centre: Points, radius_m: float, start: Points, end: Points) -> Points:
    """Points counter-clockwise on the circle from ``start`` to ``end``."""
    low = np.arctan2(start[1] - centre[1], start[0] - centre[0])
    high = np.arctan2(end[1] - centre[1], end[0] - centre[0])
    angles = np.linspace(low, low + (high - low) % (2 * np.pi), 9)
    points = centre + radius_m * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points[0], points[-1] = start, end
    return snap(points)


class _Mesh:
    """The streets inside a cell: lines between opposite gates, with pieces left out and spurs."""

    def __init__(
        self,
        cell: Cell,
        pattern: Pattern,
        style: Style,
        rng: np.random.Generator,
        reserve: shapely.Geometry | None,
    ) -> None:
        self.cell, self.pattern, self.rng, self.reserve = cell, pattern, rng, reserve
        self._phase = rng.uniform(0, 2 * np.pi, 2)
        self._width_m = {
            "residential": rng.uniform(*style.street_m),
            "service": 5.5,
            "track": 3.5,
        }[pattern.kind]
        self._s, self._t = self._parameters()
        self._nodes = snap(self._interpolate(self._s, self._t))
        self._snap_to_gates()
        self._middles: dict[tuple[int, int, int], Points] = {}
        self.turning_circles: list[tuple[Points, float]] = []
        self.roads = [*self._pick_streets()]
        self.roads += [*self._add_spurs()]
        self.blocks = [*self._list_blocks()]

    def _parameters(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(s, t) of every crossing, (columns + 2, rows + 2): lines join gates of opposite sides."""
        cell = self.cell
        columns, rows = _spread_gates(self.pattern.columns), _spread_gates(self.pattern.rows)
        low, high = cell.south.gates[columns][:, None], cell.north.gates[columns][:, None]
        left, right = cell.west.gates[rows][None, :], cell.east.gates[rows][None, :]
        s = (low + (high - low) * left) / (1 - (high - low) * (right - left))
        return s, left + (right - left) * s

    def _interpolate(self, s: NDArray[np.float64], t: NDArray[np.float64]) -> Points:
        """The patch of the cell, bent in the middle and straight along its sides."""
        swing = self.pattern.bend * np.sin(np.pi * s) * np.sin(np.pi * t)
        swung_s = s + swing * np.sin(2 * np.pi * t * 1.2 + self._phase[0])
        swung_t = t + swing * np.sin(2 * np.pi * s * 1.2 + self._phase[1])
        return self.cell.interpolate(swung_s, swung_t)

    def _snap_to_gates(self) -> None:
        """Nodes on the sides are the sides' own gates, to the last bit."""
        cell = self.cell
        columns, rows = _spread_gates(self.pattern.columns), _spread_gates(self.pattern.rows)
        self._nodes[:, 0], self._nodes[:, -1] = cell.south.nodes[columns], cell.north.nodes[columns]
        self._nodes[0, :], self._nodes[-1, :] = cell.west.nodes[rows], cell.east.nodes[rows]

    def _list_pieces(self) -> Iterator[tuple[int, int, int]]:
        """(axis, i, j) of every piece of street from crossing (i, j) to the next."""
        for i in range(self.pattern.columns + 2):
            for j in range(self.pattern.rows + 2):
                if 1 <= j <= self.pattern.rows and i <= self.pattern.columns:
                    yield 0, i, j
                if 1 <= i <= self.pattern.columns and j <= self.pattern.rows:
                    yield 1, i, j

    def _pick_streets(self) -> Iterator[Road]:
        """The streets, each piece in two halves, so that a spur can leave from its middle."""
        pieces = [piece for piece in self._list_pieces() if self.rng.random() < self.pattern.keep]
        lines = {piece: self._make_line(*piece) for piece in pieces}
        pieces = [piece for piece in pieces if self._avoids_reserve(lines[piece])]
        for piece in self._drop_unreachable(pieces):
            line = lines[piece]
            self._middles[piece] = line[4]
            yield Road(line[:5], self.pattern.kind, self._width_m)
            yield Road(line[4:], self.pattern.kind, self._width_m)

    def _make_line(self, axis: int, i: int, j: int) -> Points:
        far = (i + 1, j) if axis == 0 else (i, j + 1)
        part = np.linspace(0, 1, 9)
        s = self._s[i, j] + part * (self._s[far] - self._s[i, j])
        t = self._t[i, j] + part * (self._t[far] - self._t[i, j])
        line = snap(self._interpolate(s, t))
        line[0], line[-1] = self._nodes[i, j], self._nodes[far]
        return line

    def _avoids_reserve(self, line: Points) -> bool:
        if self.reserve is None:
            return True
        return not shapely.intersects(shapely.LineString(line), self.reserve)

    def _drop_unreachable(self, pieces: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """The pieces that are connected to a side with a road."""
        cell, last_i, last_j = self.cell, self.pattern.columns + 1, self.pattern.rows + 1
        ends = {piece: _piece_ends(piece) for piece in pieces}
        reached = {
            end
            for pair in ends.values()
            for end in pair
            if (end[0] == 0 and cell.west.kind)
            or (end[0] == last_i and cell.east.kind)
            or (end[1] == 0 and cell.south.kind)
            or (end[1] == last_j and cell.north.kind)
        }
        grew = True
        while grew:
            grew = False
            for a, b in ends.values():
                if (a in reached) != (b in reached):
                    reached |= {a, b}
                    grew = True
        return [piece for piece in pieces if ends[piece][0] in reached]

    def _add_spurs(self) -> Iterator[Road]:
        """Culs-de-sac from the middle of a street into a block, with a turning circle."""
        for i in range(self.pattern.columns + 1):
            for j in range(self.pattern.rows + 1):
                edges = [(0, i, j), (0, i, j + 1), (1, i, j), (1, i + 1, j)]
                starts = [edge for edge in edges if edge in self._middles]
                if not starts or self.rng.random() >= self.pattern.spurs:
                    continue
                line = self._make_spur(i, j, starts[self.rng.integers(len(starts))])
                if self._avoids_reserve(line):
                    yield Road(line, self.pattern.kind, self._width_m)
                    if self.pattern.kind == "residential" and self.rng.random() < 0.8:
                        self.turning_circles.append((line[-1], self._width_m * 1.15))

    def _make_spur(self, i: int, j: int, edge: tuple[int, int, int]) -> Points:
        (a, b), (c, d) = _piece_ends(edge)
        s, t = (self._s[a, b] + self._s[c, d]) / 2, (self._t[a, b] + self._t[c, d]) / 2
        middle_s = self._s[i : i + 2, j : j + 2].mean()
        middle_t = self._t[i : i + 2, j : j + 2].mean()
        part = np.linspace(0, self.rng.uniform(0.8, 1.25), 6)
        line = snap(self._interpolate(s + part * (middle_s - s), t + part * (middle_t - t)))
        line[0] = self._middles[edge]
        return line

    def _list_blocks(self) -> Iterator[Block]:
        for i in range(self.pattern.columns + 1):
            for j in range(self.pattern.rows + 1):
                ring = [self._nodes[i, j], self._nodes[i + 1, j], self._nodes[i + 1, j + 1],
                        self._nodes[i, j + 1]]  # fmt: skip
                edges = ((0, i, j), (0, i, j + 1), (1, i, j), (1, i + 1, j))
                gates = tuple(self._middles[edge] for edge in edges if edge in self._middles)
                yield Block(np.array(ring), gates)


def _spread_gates(count: int) -> NDArray[np.int64]:
    """Indices of ``count`` gates spread over a side, with both ends."""
    return np.round(np.linspace(0, GATES, count + 2)).astype(np.int64)


def _piece_ends(piece: tuple[int, int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    axis, i, j = piece
    return (i, j), (i + 1, j) if axis == 0 else (i, j + 1)
