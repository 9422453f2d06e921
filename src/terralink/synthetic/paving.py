"""How roads look from above: verges, surfaces, wear, paint, traffic and bridges."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from terralink.synthetic import noise
from terralink.synthetic.curves import (
    Points,
    along,
    boxes,
    circle,
    distances,
    left_of,
    offset,
    strips,
)
from terralink.synthetic.lattice import Cell, Lattice
from terralink.synthetic.layers import Brush, Brushes, Cover, rings_of
from terralink.synthetic.streets import KINDS, Road
from terralink.synthetic.styles import CARS, Look

# How bright wheel tracks are beside the road's own surface.
_WORN = {"motorway": 0.94, "track": 1.12, "residential": 0.94, "secondary": 0.94, "primary": 0.94}
_WHITE, _YELLOW = (214, 214, 208), (206, 184, 110)


@dataclass(frozen=True)
class Paving:
    """Colour of each class of road here, and of the kerbs."""

    roads: dict[str, NDArray[np.float64]]
    pavement: NDArray[np.float64]
    grass: NDArray[np.float64]
    kerb_m: float

    @classmethod
    def of(cls, lattice: Lattice, cell: Cell) -> "Paving":
        """Main roads are the same in the whole town, streets in a district."""
        style, low, high = lattice.style, *lattice.style.asphalt
        colours = {}
        for at, kind in enumerate(KINDS):
            keys = (
                (at,)
                if kind in ("motorway", "primary", "secondary", "roundabout")
                else (at, cell.i, cell.j)
            )
            grey = low + (high - low) * noise.chance(lattice.seed, 21, *keys)
            colours[kind] = grey + np.array([0.0, 0.5, 1.5])
        shade = 0.85 + 0.3 * noise.chance(lattice.seed, 22, cell.i, cell.j)
        colours["track"] = np.array(style.dirt) * shade
        return cls(
            roads=colours,
            pavement=np.array(style.pavement, float),
            grass=np.array(style.ground[0], float),
            kerb_m=0.0 if style.name == "rural" else 1.9,
        )


def ribbons(roads: Sequence[Road], wider_m: ArrayLike = 0.0) -> NDArray[np.object_]:
    """The ground that each road covers, ``wider_m`` more on either side, with round ends."""
    lines = [shapely.LineString(road.points) for road in roads]
    half_m = np.array([road.width_m / 2 for road in roads]) + wider_m
    made: NDArray[np.object_] = shapely.buffer(np.array(lines, dtype=object), half_m, quad_segs=4)
    return made


def pave(
    brushes: Brushes,
    roads: Sequence[Road],
    bulbs: Sequence[tuple[Points, float]],
    paving: Paving,
    draw: np.random.Generator,
) -> None:
    """Verges, surfaces, turning circles, paint and traffic of ``roads``."""
    in_order = sorted(roads, key=lambda road: KINDS.index(road.kind))
    _line(brushes["verges"], in_order, paving)
    for name in ("motorways", "minor", "major"):
        laid = [road for road in in_order if _layer(road) == name]
        colours = [paving.roads[road.kind] for road in laid]
        brushes[name].add(rings_of(ribbons(laid)), colours, Cover.ROAD)
        _wear(brushes[name], [road for road in laid if road.kind in _WORN], paving)
    for centre, radius_m in bulbs:
        brushes["verges"].add([circle(centre, radius_m + paving.kerb_m)], paving.pavement)
        brushes["minor"].add([circle(centre, radius_m)], paving.roads["residential"], Cover.ROAD)
    for road in in_order:
        _mark(brushes["marks"], road)
    _traffic(brushes["cars"], in_order, draw)


def _layer(road: Road) -> str:
    """The layer a road is painted in: main roads lie on streets, and cross motorways on decks."""
    layers = {"motorway": "motorways", "track": "minor", "service": "minor", "residential": "minor"}
    return layers.get(road.kind, "major")


def _verges(road: Road, paving: Paving) -> list[tuple[float, NDArray[np.float64]]]:
    """Strips beside a road, the widest first: how much wider than it, and their colour."""
    if road.kind == "track":  # a clearing, or nothing would be seen of it in a wood
        return [(3.0, paving.grass), (0.5, paving.roads["track"] * 0.93)]
    if road.kind == "service":
        return []
    if road.kind == "motorway" or not paving.kerb_m:
        return [(1.6, paving.roads["track"] * 0.93)]
    return [(paving.kerb_m, paving.pavement)]


def _line(brush: Brush, roads: Sequence[Road], paving: Paving) -> None:
    """Paint the verges of all roads."""
    verges = [(road, *verge) for road in roads for verge in _verges(road, paving)]
    if verges:
        lined, wider_m, colours = zip(*verges, strict=True)
        brush.add(rings_of(ribbons(lined, np.array(wider_m))), np.array(colours))


def _wear(brush: Brush, worn: Sequence[Road], paving: Paving) -> None:
    """Wheel tracks a shade apart from the rest of the surface, all segments at once."""
    if not worn:
        return
    starts = np.concatenate([road.points[:-1] for road in worn])
    ends = np.concatenate([road.points[1:] for road in worn])
    segments = [len(road.points) - 1 for road in worn]
    shades = np.array([paving.roads[road.kind] * _WORN[road.kind] for road in worn])
    width_m = np.repeat([road.width_m for road in worn], segments)
    lanes = np.maximum(2, np.round(width_m / 3.6))
    ahead = ends - starts
    left = left_of(ahead / np.hypot(ahead[:, 0], ahead[:, 1])[:, None])
    for lane in range(int(lanes.max())):
        there = lanes > lane
        aside = (left * ((lane + 0.5 - lanes / 2) * width_m / lanes)[:, None])[there]
        tracks = strips(starts[there] + aside, ends[there] + aside, (0.5 * width_m / lanes)[there])
        brush.add(tracks, np.repeat(shades, segments, axis=0)[there])


def _mark(brush: Brush, road: Road) -> None:
    """Lane and edge lines of the bigger roads."""
    if road.kind not in ("secondary", "primary", "motorway"):
        return
    directions = np.gradient(road.points, axis=0)
    lanes = {"secondary": 2, "primary": 4, "motorway": 3}[road.kind]
    lane_m = (road.width_m - 1) / lanes
    for line in range(1, lanes):
        curve = offset(road.points, directions, (line - lanes / 2) * lane_m)
        middle = road.kind != "motorway" and line * 2 == lanes
        if middle:
            brush.add(strips(curve[:-1], curve[1:], 0.35), _YELLOW)
        else:
            brush.add(_dashes(curve), _WHITE)
    if road.kind != "secondary":
        for side in (-1, 1):
            curve = offset(road.points, directions, side * lanes / 2 * lane_m)
            brush.add(strips(curve[:-1], curve[1:], 0.25), _WHITE)


def _dashes(curve: Points) -> Points:
    at_m = np.arange(2.0, distances(curve)[-1] - 4, 9.0)
    at, ahead = along(curve, at_m)
    return strips(at, at + ahead * 3.0, 0.25)


def _traffic(brush: Brush, roads: Sequence[Road], draw: np.random.Generator) -> None:
    """Cars in their lanes, and parked at the kerb of streets."""
    per_m = {"motorway": 1 / 45, "primary": 1 / 40, "secondary": 1 / 60, "residential": 1 / 45}
    lengths_m = [float(distances(road.points)[-1]) for road in roads]
    mean = [per_m.get(road.kind, 0.0) * m for road, m in zip(roads, lengths_m, strict=True)]
    counts = draw.poisson(mean)
    for at in np.flatnonzero(counts).tolist():
        road, length_m, count = roads[at], lengths_m[at], int(counts[at])
        spots, ahead = along(road.points, np.sort(draw.uniform(0, length_m, count)))
        lane = draw.choice([-0.25, 0.25], count) * road.width_m
        if road.kind == "residential":
            lane = np.sign(lane) * (road.width_m / 2 - 1.2)
        long_m = draw.choice([4.3, 4.6, 5.0, 9.5], count, p=[0.4, 0.3, 0.2, 0.1])
        cars = boxes(
            spots + left_of(ahead) * lane[:, None], ahead, long_m, np.where(long_m > 6, 2.5, 1.85)
        )
        brush.add(cars, CARS[draw.integers(len(CARS), size=count)])


def bridge(
    brushes: Brushes,
    roads: Sequence[Road],
    water: shapely.Geometry | None,
    motorway: Sequence[Road],
    look: Look,
) -> None:
    """Decks with parapets where roads cross water, and main roads a motorway; their shadows."""
    below = list(ribbons(motorway, 4.0))
    crossing = [road for road in roads if road.kind not in ("motorway", "service")]
    for grounds, above, height_m in (
        ([water] if water else [], roads, 3.0),
        (below, crossing, 6.0),
    ):
        if not grounds or not above:
            continue
        bed = shapely.union_all(grounds)
        decks = shapely.intersection(ribbons(above, 1.0), bed.buffer(4))
        decks = shapely.get_parts(decks[~shapely.is_empty(decks)])
        rings = rings_of(decks[shapely.get_type_id(decks) == shapely.GeometryType.POLYGON])
        fall = np.array(look.sun) * look.shadow * height_m
        brushes["decks"].add(rings, (176, 174, 168))
        brushes["shadows"].add([ring + fall for ring in rings], (0, 0, 0))
        brushes["lit"].add(rings, (0, 0, 0))
