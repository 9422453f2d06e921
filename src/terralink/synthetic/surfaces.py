"""Surfaces seen from above: roads, bridges, car parks and gardens, with paint and cars."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from terralink.synthetic.buildings import BlockFrame, Frontage
from terralink.synthetic.lattice import Cell, Lattice
from terralink.synthetic.primitives import (
    LandCover,
    LayerBuilder,
    LayerBuilders,
    Points,
    buffer_segments,
    circle,
    cumulative_length,
    exterior_rings,
    hash_uniform,
    offset,
    oriented_boxes,
    rotate_left,
    sample_along,
    snap,
)
from terralink.synthetic.streets import ROAD_KINDS, Road
from terralink.synthetic.styles import CAR_COLOURS, Acquisition, Style

_PITCH_M = 16.5  # two rows of stalls and the aisle between them
_STALL_M = 2.7
_AISLE_M = 6.0

# How bright wheel tracks are beside the road's own surface.
_WHEEL_TRACKS = {
    "motorway": 0.94,
    "track": 1.12,
    "residential": 0.94,
    "secondary": 0.94,
    "primary": 0.94,
}
_WHITE, _YELLOW = (214, 214, 208), (206, 184, 110)


@dataclass(frozen=True)
class RoadColours:
    """Colour of each class of road here, and of the kerbs."""

    roads: dict[str, NDArray[np.float64]]
    pavement: NDArray[np.float64]
    grass: NDArray[np.float64]
    kerb_m: float

    @classmethod
    def sample(cls, lattice: Lattice, cell: Cell) -> "RoadColours":
        """Main roads have one colour in the whole town, streets one in a district."""
        style, low, high = lattice.style, *lattice.style.asphalt
        colours = {}
        for at, kind in enumerate(ROAD_KINDS):
            keys = (
                (at,)
                if kind in ("motorway", "primary", "secondary", "roundabout")
                else (at, cell.i, cell.j)
            )
            grey = low + (high - low) * hash_uniform(lattice.seed, 21, *keys)
            colours[kind] = grey + np.array([0.0, 0.5, 1.5])
        shade = 0.85 + 0.3 * hash_uniform(lattice.seed, 22, cell.i, cell.j)
        colours["track"] = np.array(style.dirt) * shade
        return cls(
            roads=colours,
            pavement=np.array(style.pavement, float),
            grass=np.array(style.ground[0], float),
            kerb_m=0.0 if style.name == "rural" else 1.9,
        )


def buffer_roads(roads: Sequence[Road], wider_m: ArrayLike = 0.0) -> NDArray[np.object_]:
    """The ground that each road covers, ``wider_m`` more on either side, with round ends."""
    lines = [shapely.LineString(road.points) for road in roads]
    half_m = np.array([road.width_m / 2 for road in roads]) + wider_m
    polygons: NDArray[np.object_] = shapely.buffer(
        np.array(lines, dtype=object), half_m, quad_segs=4
    )
    return polygons


def draw_roads(
    builders: LayerBuilders,
    roads: Sequence[Road],
    turning_circles: Sequence[tuple[Points, float]],
    road_colours: RoadColours,
    rng: np.random.Generator,
) -> None:
    """Verges, surfaces, turning circles, paint and traffic of ``roads``."""
    in_order = sorted(roads, key=lambda road: ROAD_KINDS.index(road.kind))
    _draw_verges(builders["verges"], in_order, road_colours)
    for name in ("motorways", "minor", "major"):
        group = [road for road in in_order if _layer_name(road) == name]
        colours = [road_colours.roads[road.kind] for road in group]
        builders[name].add(exterior_rings(buffer_roads(group)), colours, LandCover.ROAD)
        _draw_wheel_tracks(
            builders[name], [road for road in group if road.kind in _WHEEL_TRACKS], road_colours
        )
    for centre, radius_m in turning_circles:
        builders["verges"].add(
            [circle(centre, radius_m + road_colours.kerb_m)], road_colours.pavement
        )
        builders["minor"].add(
            [circle(centre, radius_m)], road_colours.roads["residential"], LandCover.ROAD
        )
    for road in in_order:
        _draw_markings(builders["marks"], road)
    _draw_cars(builders["cars"], in_order, rng)


def _layer_name(road: Road) -> str:
    """The layer a road is painted in: main roads lie on streets, and cross motorways on decks."""
    layers = {"motorway": "motorways", "track": "minor", "service": "minor", "residential": "minor"}
    return layers.get(road.kind, "major")


def _verges(road: Road, road_colours: RoadColours) -> list[tuple[float, NDArray[np.float64]]]:
    """Strips beside a road, the widest first: how much wider than it, and their colour."""
    if road.kind == "track":  # a clearing, else trees of a wood would hide it
        return [(3.0, road_colours.grass), (0.5, road_colours.roads["track"] * 0.93)]
    if road.kind == "service":
        return []
    if road.kind == "motorway" or not road_colours.kerb_m:
        return [(1.6, road_colours.roads["track"] * 0.93)]
    return [(road_colours.kerb_m, road_colours.pavement)]


def _draw_verges(builder: LayerBuilder, roads: Sequence[Road], road_colours: RoadColours) -> None:
    """Paint the verges of all roads."""
    verges = [(road, *verge) for road in roads for verge in _verges(road, road_colours)]
    if verges:
        widened, wider_m, colours = zip(*verges, strict=True)
        builder.add(exterior_rings(buffer_roads(widened, np.array(wider_m))), np.array(colours))


def _draw_wheel_tracks(
    builder: LayerBuilder, roads: Sequence[Road], road_colours: RoadColours
) -> None:
    """Wheel tracks a shade apart from the rest of the surface, all segments at once."""
    if not roads:
        return
    starts = np.concatenate([road.points[:-1] for road in roads])
    ends = np.concatenate([road.points[1:] for road in roads])
    segments = [len(road.points) - 1 for road in roads]
    shades = np.array([road_colours.roads[road.kind] * _WHEEL_TRACKS[road.kind] for road in roads])
    width_m = np.repeat([road.width_m for road in roads], segments)
    lanes = np.maximum(2, np.round(width_m / 3.6))
    forward = ends - starts
    left = rotate_left(forward / np.hypot(forward[:, 0], forward[:, 1])[:, None])
    for lane in range(int(lanes.max())):
        mask = lanes > lane
        aside = (left * ((lane + 0.5 - lanes / 2) * width_m / lanes)[:, None])[mask]
        tracks = buffer_segments(
            starts[mask] + aside, ends[mask] + aside, (0.5 * width_m / lanes)[mask]
        )
        builder.add(tracks, np.repeat(shades, segments, axis=0)[mask])


def _draw_markings(builder: LayerBuilder, road: Road) -> None:
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
            builder.add(buffer_segments(curve[:-1], curve[1:], 0.35), _YELLOW)
        else:
            builder.add(_dashes(curve), _WHITE)
    if road.kind != "secondary":
        for side in (-1, 1):
            curve = offset(road.points, directions, side * lanes / 2 * lane_m)
            builder.add(buffer_segments(curve[:-1], curve[1:], 0.25), _WHITE)


def _dashes(curve: Points) -> Points:
    at_m = np.arange(2.0, cumulative_length(curve)[-1] - 4, 9.0)
    at, forward = sample_along(curve, at_m)
    return buffer_segments(at, at + forward * 3.0, 0.25)


def _draw_cars(builder: LayerBuilder, roads: Sequence[Road], rng: np.random.Generator) -> None:
    """Cars in their lanes, and parked at the kerb of streets."""
    per_m = {"motorway": 1 / 45, "primary": 1 / 40, "secondary": 1 / 60, "residential": 1 / 45}
    lengths_m = [float(cumulative_length(road.points)[-1]) for road in roads]
    mean = [per_m.get(road.kind, 0.0) * m for road, m in zip(roads, lengths_m, strict=True)]
    counts = rng.poisson(mean)
    for at in np.flatnonzero(counts).tolist():
        road, length_m, count = roads[at], lengths_m[at], int(counts[at])
        spots, forward = sample_along(road.points, np.sort(rng.uniform(0, length_m, count)))
        lane = rng.choice([-0.25, 0.25], count) * road.width_m
        if road.kind == "residential":
            lane = np.sign(lane) * (road.width_m / 2 - 1.2)
        long_m = rng.choice([4.3, 4.6, 5.0, 9.5], count, p=[0.4, 0.3, 0.2, 0.1])
        cars = oriented_boxes(
            spots + rotate_left(forward) * lane[:, None],
            forward,
            long_m,
            np.where(long_m > 6, 2.5, 1.85),
        )
        builder.add(cars, CAR_COLOURS[rng.integers(len(CAR_COLOURS), size=count)])


def draw_bridges(
    builders: LayerBuilders,
    roads: Sequence[Road],
    water: shapely.Geometry | None,
    motorway: Sequence[Road],
    acquisition: Acquisition,
) -> None:
    """Decks with parapets where roads cross water, and main roads a motorway; their shadows."""
    below = list(buffer_roads(motorway, 4.0))
    crossing = [road for road in roads if road.kind not in ("motorway", "service")]
    for grounds, above, height_m in (
        ([water] if water else [], roads, 3.0),
        (below, crossing, 6.0),
    ):
        if not grounds or not above:
            continue
        bed = shapely.union_all(grounds)
        decks = shapely.intersection(buffer_roads(above, 1.0), bed.buffer(4))
        decks = shapely.get_parts(decks[~shapely.is_empty(decks)])
        rings = exterior_rings(decks[shapely.get_type_id(decks) == shapely.GeometryType.POLYGON])
        fall = np.array(acquisition.sun) * acquisition.shadow * height_m
        builders["decks"].add(rings, (176, 174, 168))
        builders["shadows"].add([ring + fall for ring in rings], (0, 0, 0))
        builders["lit"].add(rings, (0, 0, 0))


@dataclass(frozen=True, eq=False)
class CarPark:
    """The parts of a car park; its aisles are service roads of the truth."""

    ground: Points  # (4, 2)
    aisles: list[Road]
    lines: Points  # (n, 4, 2) paint between stalls
    cars: Points  # (n, 4, 2)
    islands: Points  # (n, 4, 2)


def plan_car_park(frame: BlockFrame, gate: Points, rng: np.random.Generator) -> CarPark | None:
    """The car park that fills ``frame`` and is entered from ``gate``, or None where none fits."""
    count = int(frame.deep_m / _PITCH_M)
    reach_m = frame.long_m / 2 - 4
    if count < 1 or reach_m < 14:
        return None
    first_m = -(count - 1) * _PITCH_M / 2
    middles = first_m + _PITCH_M * np.arange(count, dtype=np.float64)
    entry_m = float(np.clip((gate - frame.centre) @ frame.forward, 6 - reach_m, reach_m - 6))
    stalls = np.arange(8 - reach_m, reach_m - 8, _STALL_M)
    x, y = np.meshgrid(stalls, np.concatenate([middles - 5.6, middles + 5.6]))
    x, y = x.ravel(), y.ravel()
    taken = rng.random(len(x)) < rng.uniform(0.15, 0.85)
    parked = frame.to_xy(x[taken] + _STALL_M / 2, y[taken] + rng.uniform(-0.5, 0.5, taken.sum()))
    inward = np.broadcast_to(frame.inward, parked.shape)
    ends_x, ends_y = np.meshgrid([5.2 - reach_m, reach_m - 5.2], middles[:-1] + _PITCH_M / 2)
    islands = frame.to_xy(ends_x.ravel(), ends_y.ravel())
    return CarPark(
        ground=frame.box(0, 0, frame.long_m, frame.deep_m),
        aisles=_plan_aisles(frame, middles, reach_m, entry_m, gate),
        lines=buffer_segments(frame.to_xy(x, y - 2.4), frame.to_xy(x, y + 2.4), 0.15),
        cars=oriented_boxes(
            parked, inward, rng.uniform(4, 5, len(parked)), rng.uniform(1.7, 2, len(parked))
        ),
        islands=oriented_boxes(islands, np.broadcast_to(frame.inward, islands.shape), 9.5, 2.6),
    )


def _plan_aisles(
    frame: BlockFrame, middles: Points, reach_m: float, entry_m: float, gate: Points
) -> list[Road]:
    """Aisles, the two ways across their ends, and the entry from the street."""
    x = reach_m - 1
    lines = [frame.to_xy(np.array([-x, x]), y) for y in middles[1:]]
    lines += [
        frame.to_xy(np.array([-x, entry_m]), middles[0]),
        frame.to_xy(np.array([entry_m, x]), middles[0]),
    ]
    for low, high in itertools.pairwise(middles):
        lines += [frame.to_xy(np.full(2, end), np.array([low, high])) for end in (-x, x)]
    lines.append(np.array([frame.to_xy(entry_m, middles[0]), gate]))
    return [Road(snap(line), "service", _AISLE_M) for line in lines]


def draw_gardens(
    builders: LayerBuilders,
    lots: Frontage,
    style: Style,
    rng: np.random.Generator,
    lawn: Callable[[], NDArray[np.float64]],
) -> None:
    """For each lot its own ground, a drive, and for some a pool."""
    count = len(lots)
    if not count:
        return
    depth_m = rng.uniform(22, 34, count)
    colours = np.array([[*lawn(), style.garden_trees] for _ in range(count)])
    middle = lots.local(np.zeros(count), depth_m / 2 + 1)
    covers = colours[:, 1] > colours[:, 0] + 3
    rings = oriented_boxes(middle, lots.inward, depth_m, lots.width_m * 0.98)
    for green, cover in ((True, LandCover.VEGETATION), (False, LandCover.LAND)):
        builders["lots"].add(rings[covers == green], colours[covers == green], cover)
    aside_m = lots.width_m * rng.choice([-0.36, 0.36], count)
    long_m = rng.uniform(7, 14, count)
    drives = oriented_boxes(
        lots.local(aside_m, long_m / 2), lots.inward, long_m, rng.uniform(2.8, 5.5, count)
    )
    grey = np.clip(rng.normal(150, 22, count), 96, 196)[:, None] + np.array([2.0, 0.0, -4.0])
    builders["grounds"].add(drives, grey)
    parked = rng.random(count) < 0.4
    cars = oriented_boxes(lots.local(aside_m, long_m * 0.62), lots.inward, 4.4, 1.8)
    builders["cars"].add(
        cars[parked], CAR_COLOURS[rng.integers(len(CAR_COLOURS), size=parked.sum())]
    )
    pools = rng.random(count) < style.pools
    wet = oriented_boxes(
        lots.local(-aside_m * 0.5, depth_m - 5), lots.forward, rng.uniform(6, 9, count), 4.2
    )
    builders["lots"].add(wet[pools], (82, 158, 176), LandCover.WATER)


def draw_car_park(
    builders: LayerBuilders,
    park: CarPark,
    road_colours: RoadColours,
    style: Style,
    rng: np.random.Generator,
) -> None:
    """Asphalt, paint, cars and islands."""
    builders["grounds"].add([park.ground], road_colours.roads["service"] - 2, LandCover.LAND)
    builders["marks"].add(park.lines, (196, 196, 190))
    builders["cars"].add(
        park.cars, CAR_COLOURS[rng.integers(len(CAR_COLOURS), size=len(park.cars))]
    )
    builders["marks"].add(park.islands, [*style.lawns[0], 130])
