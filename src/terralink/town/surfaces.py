"""How roads, gardens, car parks and roofs look from above: polygons for the layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.town import noise
from terralink.town.buildings import Buildings, Frontage
from terralink.town.carparks import CarPark
from terralink.town.curves import Points, along, boxes, circle, distances, left_of, offset, strips
from terralink.town.fields import ring_of
from terralink.town.lattice import Cell, Lattice
from terralink.town.layers import Brush, Cover
from terralink.town.streets import KINDS, Road
from terralink.town.styles import Look, Style

_CARS = np.array([(236, 236, 234), (210, 212, 214), (150, 154, 158), (62, 64, 68), (40, 42, 46),
                  (120, 44, 40), (52, 74, 112), (178, 170, 154)], float)  # fmt: skip
_WHITE, _YELLOW = (214, 214, 208), (206, 184, 110)

Brushes = dict[str, Brush]


@dataclass(frozen=True)
class Paving:
    """Colour of each class of road here, and of the kerbs."""

    roads: dict[str, NDArray[np.float64]]
    pavement: NDArray[np.float64]
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
        return cls(colours, np.array(style.pavement, float), 0.0 if style.name == "rural" else 1.9)


def ribbons(roads: Sequence[Road], *, wider_m: float = 0.0) -> NDArray[np.object_]:
    """The ground that each road covers, as polygons with round ends."""
    if not roads:
        return np.zeros(0, dtype=object)
    lines = [shapely.LineString(road.points) for road in roads]
    half_m = np.array([road.width_m / 2 + wider_m for road in roads])
    made: NDArray[np.object_] = shapely.buffer(lines, half_m, quad_segs=4)
    return made


def pave(
    brushes: Brushes,
    roads: Sequence[Road],
    bulbs: Sequence[tuple[Points, float]],
    paving: Paving,
    draw: np.random.Generator,
) -> None:
    """Kerbs, surfaces, turning circles, paint and traffic of ``roads``."""
    in_order = sorted(roads, key=lambda road: KINDS.index(road.kind))
    for road, ribbon in zip(in_order, ribbons(in_order), strict=True):
        layer = {
            "motorway": "motorways",
            "track": "minor",
            "service": "minor",
            "residential": "minor",
        }
        name = layer.get(road.kind, "major")
        colour = paving.roads[road.kind]
        if road.kind in ("residential", "secondary", "primary", "roundabout") and paving.kerb_m:
            brushes["verges"].add(
                [ring_of(ribbon.buffer(paving.kerb_m, quad_segs=2))], paving.pavement
            )
        elif road.kind in ("motorway", "secondary", "track"):
            brushes["verges"].add(
                [ring_of(ribbon.buffer(1.6, quad_segs=2))], paving.roads["track"] * 0.95
            )
        brushes[name].add([ring_of(ribbon)], colour, Cover.ROAD)
        _wear(brushes[name], road, colour)
        _mark(brushes["marks"], road)
    for centre, radius_m in bulbs:
        brushes["verges"].add([circle(centre, radius_m + paving.kerb_m)], paving.pavement)
        brushes["minor"].add([circle(centre, radius_m)], paving.roads["residential"], Cover.ROAD)
    _traffic(brushes["cars"], in_order, draw)


def bridge(
    brushes: Brushes,
    roads: Sequence[Road],
    water: shapely.Geometry | None,
    motorway: Sequence[Road],
    look: Look,
) -> None:
    """Decks with parapets where roads cross water, and main roads a motorway; their shadows."""
    below = list(ribbons(motorway, wider_m=4))
    crossing = [road for road in roads if road.kind not in ("motorway", "service")]
    for grounds, above, height_m in (
        ([water] if water else [], roads, 3.0),
        (below, crossing, 6.0),
    ):
        if not grounds or not above:
            continue
        bed = shapely.union_all(grounds)
        decks = shapely.intersection(ribbons(above, wider_m=1.0), bed.buffer(4))
        decks = shapely.get_parts(decks[~shapely.is_empty(decks)])
        rings = [ring_of(deck) for deck in decks if deck.geom_type == "Polygon"]
        fall = np.array(look.sun) * look.shadow * height_m
        brushes["decks"].add(rings, (176, 174, 168))
        brushes["shadows"].add([ring + fall for ring in rings], (0, 0, 0))
        brushes["lit"].add(rings, (0, 0, 0))


def gardens(
    brushes: Brushes,
    lots: Frontage,
    style: Style,
    draw: np.random.Generator,
    lawn: Callable[[], NDArray[np.float64]],
) -> None:
    """Each lot its own ground, a drive, here and there a pool."""
    count = len(lots)
    if not count:
        return
    depth_m = draw.uniform(22, 34, count)
    colours = np.array([[*lawn(), style.garden_trees] for _ in range(count)])
    middle = lots.local(np.zeros(count), depth_m / 2 + 1)
    covers = colours[:, 1] > colours[:, 0] + 3
    rings = boxes(middle, lots.inward, depth_m, lots.width_m * 0.98)
    for green, cover in ((True, Cover.VEGETATION), (False, Cover.LAND)):
        brushes["lots"].add(rings[covers == green], colours[covers == green], cover)
    aside_m = lots.width_m * draw.choice([-0.36, 0.36], count)
    long_m = draw.uniform(7, 14, count)
    drives = boxes(
        lots.local(aside_m, long_m / 2), lots.inward, long_m, draw.uniform(2.8, 5.5, count)
    )
    grey = np.clip(draw.normal(150, 22, count), 96, 196)[:, None] + np.array([2.0, 0.0, -4.0])
    brushes["grounds"].add(drives, grey)
    parked = draw.random(count) < 0.4
    cars = boxes(lots.local(aside_m, long_m * 0.62), lots.inward, 4.4, 1.8)
    brushes["cars"].add(cars[parked], _CARS[draw.integers(len(_CARS), size=parked.sum())])
    pools = draw.random(count) < style.pools
    wet = boxes(lots.local(-aside_m * 0.5, depth_m - 5), lots.ahead, draw.uniform(6, 9, count), 4.2)
    brushes["lots"].add(wet[pools], (82, 158, 176), Cover.WATER)


def car_park(
    brushes: Brushes, park: CarPark, paving: Paving, style: Style, draw: np.random.Generator
) -> None:
    """Asphalt, paint, cars and islands."""
    brushes["grounds"].add([park.ground], paving.roads["service"] - 2, Cover.LAND)
    brushes["marks"].add(park.lines, (196, 196, 190))
    brushes["cars"].add(park.cars, _CARS[draw.integers(len(_CARS), size=len(park.cars))])
    brushes["marks"].add(park.islands, [*style.lawns[0], 130])


def roof(
    brushes: Brushes, built: Buildings, style: Style, look: Look, draw: np.random.Generator
) -> None:
    """Roofs with sunlit and shaded sides, and the shadows that buildings cast."""
    if not len(built):
        return
    for polygon in built.polygons:
        brushes["roofs"].add([ring_of(polygon)], (90, 90, 90), Cover.BUILDING)
    palette = np.array(style.roofs, float)
    base = palette[draw.integers(len(palette), size=len(built))] + draw.normal(
        0, 9, (len(built), 1)
    )
    big = shapely.area(built.polygons) > 900
    base[big] = np.clip(draw.normal(196, 30, (big.sum(), 1)), 110, 245)
    colour, gabled = base[built.owner], built.gabled[built.owner]
    _planes(brushes["roofs"], built.wings, colour, gabled, look)
    _courts(brushes["roofs"], built, style)
    _shadows(brushes, built, look)
    _rooftop(brushes["roofs"], built, big, draw)


def _planes(
    brush: Brush, wings: Points, colour: NDArray[np.float64], gabled: NDArray[np.bool_], look: Look
) -> None:
    """Two planes a wing, each as bright as it faces the sun; flat roofs with a pale parapet."""
    long = wings[:, 3] - wings[:, 0]
    side = left_of(long / np.hypot(*long.T)[:, None])
    facing = (side @ -np.array(look.sun))[:, None]
    start, end = (wings[:, 0] + wings[:, 1]) / 2, (wings[:, 2] + wings[:, 3]) / 2
    left = np.stack([wings[:, 0], start, end, wings[:, 3]], axis=1)
    right = np.stack([start, wings[:, 1], wings[:, 2], end], axis=1)
    brush.add(left[gabled], (colour * (1 + 0.24 * facing))[gabled])
    brush.add(right[gabled], (colour * (1 - 0.24 * facing))[gabled])
    middle = wings.mean(axis=1, keepdims=True)
    brush.add(wings[~gabled], colour[~gabled] * 1.12)
    brush.add((middle + (wings - middle) * 0.93)[~gabled], colour[~gabled] * 0.97)


def _courts(brush: Brush, built: Buildings, style: Style) -> None:
    """The ground in courts, painted over the union's outer ring."""
    holes = [
        shapely.get_coordinates(hole)[:-1]
        for polygon in built.polygons
        for hole in polygon.interiors
    ]
    brush.add(holes, [*style.lawns[0], 60], Cover.LAND)


def _shadows(brushes: Brushes, built: Buildings, look: Look) -> None:
    """Each wing's rectangle moved away from the sun, and what its edges sweep on the way."""
    fall = (np.array(look.sun) * look.shadow * built.height_m[built.owner][:, None])[:, None, :]
    start, end = built.wings, np.roll(built.wings, -1, axis=1)
    swept = np.stack([start, end, end + fall, start + fall], axis=2).reshape(-1, 4, 2)
    outward = -left_of(end - start)
    turning = np.sign(_area(built.wings))[:, None]
    away = (np.einsum("kej,kj->ke", outward, fall[:, 0]) * turning > 0).ravel()
    brushes["shadows"].add(swept[away], (0, 0, 0))
    brushes["shadows"].add(built.wings + fall, (0, 0, 0))
    brushes["lit"].add(built.wings, (0, 0, 0))


def _area(rings: Points) -> NDArray[np.float64]:
    """Twice the signed area, positive counter-clockwise."""
    x, y = rings[..., 0], rings[..., 1]
    area: NDArray[np.float64] = (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(axis=1)
    return area


def _rooftop(
    brush: Brush, built: Buildings, big: NDArray[np.bool_], draw: np.random.Generator
) -> None:
    """Plant on big flat roofs: small boxes and their shades."""
    for wing in built.wings[big[built.owner] & ~built.gabled[built.owner]]:
        count = int(draw.integers(2, 9))
        u, v = draw.uniform(0.12, 0.88, (2, count, 1))
        centre = wing[0] + u * (wing[3] - wing[0]) + v * (wing[1] - wing[0])
        ahead = (wing[3] - wing[0]) / np.hypot(*(wing[3] - wing[0]))
        units = boxes(
            centre, np.broadcast_to(ahead, centre.shape), draw.uniform(1.5, 5, count), 2.2
        )
        brush.add(units + 0.8, (96, 96, 98))
        brush.add(units, (170, 172, 172))


def _wear(brush: Brush, road: Road, colour: NDArray[np.float64]) -> None:
    """Wheel tracks a shade apart from the rest of the surface."""
    if road.kind in ("service", "roundabout"):
        return
    shade = 1.12 if road.kind == "track" else 0.94
    lanes = max(2, round(road.width_m / 3.6))
    for lane in range(lanes):
        left_m = (lane + 0.5 - lanes / 2) * road.width_m / lanes
        line = offset(road.points, np.gradient(road.points, axis=0), left_m)
        brush.add(strips(line[:-1], line[1:], 0.5 * road.width_m / lanes), colour * shade)


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
    for road in roads:
        length_m = float(distances(road.points)[-1])
        count = draw.poisson(length_m * per_m.get(road.kind, 0.0))
        if not count:
            continue
        at, ahead = along(road.points, np.sort(draw.uniform(0, length_m, count)))
        lane = draw.choice([-0.25, 0.25], count) * road.width_m
        if road.kind == "residential":
            lane = np.sign(lane) * (road.width_m / 2 - 1.2)
        long_m = draw.choice([4.3, 4.6, 5.0, 9.5], count, p=[0.4, 0.3, 0.2, 0.1])
        cars = boxes(
            at + left_of(ahead) * lane[:, None], ahead, long_m, np.where(long_m > 6, 2.5, 1.85)
        )
        brush.add(cars, _CARS[draw.integers(len(_CARS), size=count)])
