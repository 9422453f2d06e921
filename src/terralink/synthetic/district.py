"""One cell of the town, planned whole: what lies in it, and the layers it is painted with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.synthetic import buildings, carparks, fields, lots, noise, paving, roofs, streets
from terralink.synthetic.buildings import Buildings, Frame
from terralink.synthetic.curves import Points
from terralink.synthetic.lattice import Cell, Lattice
from terralink.synthetic.layers import Brush, Cover, Layer
from terralink.synthetic.paving import Paving
from terralink.synthetic.streets import Pattern, Road
from terralink.synthetic.styles import Look

# Painted in this order, each over all districts before the next; the last two only shade.
LAYERS = ("land", "lots", "water", "verges", "motorways", "decks", "grounds", "minor", "major",
          "marks", "cars", "roofs", "shadows", "lit")  # fmt: skip

# Columns, rows and share kept of the ways through open districts.
_TRACKS = {
    "wood": (1, 1, 0.55),
    "park": (1, 1, 0.7),
    "wild": (1, 2, 0.5),
    "fields": (2, 2, 0.5),
}


@dataclass(frozen=True, eq=False)
class District:
    """A planned cell: its own roads (south and west sides included), buildings and layers."""

    cell: Cell
    roads: tuple[Road, ...]
    bulbs: tuple[tuple[Points, float], ...]
    buildings: NDArray[np.object_]  # shapely polygons
    layers: dict[str, Layer]


def plan(lattice: Lattice, cell: Cell, look: Look) -> District:
    """Plan the district in ``cell``; only the seed, the style and the indices matter."""
    return _Planner(lattice, cell, look).district()


class _Planner:
    """Draws a district's parts one after the other, each knowing the earlier ones."""

    def __init__(self, lattice: Lattice, cell: Cell, look: Look) -> None:
        self.cell, self.look, self.style = cell, look, lattice.style
        self.draw = noise.rng(lattice.seed, 12, cell.i, cell.j)
        self.kind = self._kind()
        self.streets = streets.lay(lattice, cell, self._pattern())
        self.brushes = {name: Brush() for name in LAYERS}
        self.aisles: list[Road] = []
        self.ground = shapely.Polygon(cell.outline)
        self.obstacles = shapely.STRtree(self._obstacles())
        self.paving = Paving.of(lattice, cell)

    def district(self) -> District:
        built: Buildings = self._fill()
        laid = self.streets
        roads = (*laid.motorway, *laid.inner, *self.aisles, *laid.main)
        self._water()
        paving.pave(self.brushes, roads, laid.bulbs, self.paving, self.draw)
        paving.bridge(self.brushes, roads, laid.water, laid.motorway, self.look)
        roofs.roof(self.brushes, built, self.style, self.look, self.draw)
        layers = {name: brush.layer() for name, brush in self.brushes.items()}
        return District(self.cell, roads, tuple(laid.bulbs), built.polygons, layers)

    def _kind(self) -> str:
        names, weights = zip(*self.style.districts.items(), strict=True)
        at = self.draw.random() * sum(weights)
        return str(names[int(np.searchsorted(np.cumsum(weights), at))])

    def _pattern(self) -> Pattern:
        """How densely streets run here: homes in long blocks, shops in wide ones."""
        draw, across_m = self.draw, self.style.cell_m
        if self.kind == "homes":
            rows, columns = round(across_m / draw.uniform(70, 125)) - 1, int(draw.integers(1, 4))
            bend = draw.uniform(0, 0.07) * (0.3 if self.style.name == "arid" else 1)
            pattern = Pattern(columns, max(1, rows), keep=0.88, spurs=0.25, bend=bend)
        elif self.kind == "dense":
            columns, rows = (max(2, round(across_m / draw.uniform(55, 95))) for _ in range(2))
            pattern = Pattern(columns, rows, keep=0.92, spurs=0.1, bend=draw.uniform(0, 0.05))
        elif self.kind == "retail":
            columns, rows = draw.integers(1, 3, 2).tolist()
            pattern = Pattern(columns, rows, keep=0.97)
        else:
            kind = "residential" if draw.random() < 0.25 else "track"
            columns, rows, keep = _TRACKS[self.kind]
            bend = draw.uniform(0, 0.08)
            pattern = Pattern(columns, rows, kind=kind, keep=keep, spurs=0.15, bend=bend)
        return pattern.turned() if draw.random() < 0.5 else pattern

    def _obstacles(self) -> NDArray[np.object_]:
        """Everything that nothing may be built on: roads with a kerb, turning circles, reserves."""
        laid = self.streets
        roads = [*laid.main, *laid.edge, *laid.inner]
        shapes = list(paving.ribbons(roads, 0.6))
        shapes += [shapely.Point(centre).buffer(radius_m + 0.6) for centre, radius_m in laid.bulbs]
        if laid.reserve is not None:
            shapes.append(laid.reserve)
        return np.array(shapes, dtype=object)

    def _fill(self) -> Buildings:
        fillers: dict[str, Callable[[], Buildings]] = {
            "homes": self._homes,
            "dense": self._dense,
            "retail": self._retail,
            "fields": self._fields,
            "park": self._park,
            "wood": self._wood,
            "wild": self._wild,
        }
        return fillers[self.kind]()

    def _free(self, made: Buildings) -> Buildings:
        return made.standing_free(self.obstacles, self.ground)

    def _carpet(self, colour: NDArray[np.float64] | tuple[int, ...], trees: int) -> None:
        """Cover the whole cell."""
        self.brushes["land"].add([self.cell.outline], [*colour[:3], trees], grown(colour))

    def _lawn(self) -> NDArray[np.float64]:
        lawns = np.array(self.style.lawns, float)
        lawn: NDArray[np.float64] = lawns[self.draw.integers(len(lawns))] + self.draw.normal(0, 5)
        lawn[1] += (self.look.greenness - 0.8) * 14
        return lawn

    def _homes(self) -> Buildings:
        draw, style = self.draw, self.style
        self._carpet(self._lawn(), style.garden_trees)
        plots = buildings.frontage([*self.streets.main, *self.streets.edge, *self.streets.inner],
                                  style.lot_m, draw)  # fmt: skip
        built = self._free(buildings.houses(plots, draw, gabled=style.gabled))
        lots.gardens(self.brushes, plots, style, draw, self._lawn)
        return built

    def _dense(self) -> Buildings:
        draw, style = self.draw, self.style
        self._carpet(np.array(style.ground[0]) * 0.95, style.garden_trees // 2)
        roads = [*self.streets.main, *self.streets.edge, *self.streets.inner]
        plots = buildings.frontage(roads, (9, 20), draw)
        made = [
            buildings.courts(self.streets.blocks, 0.2, draw),
            buildings.rows(plots, draw, gabled=style.gabled),
            buildings.rows(plots, draw, gabled=style.gabled, behind_m=17),
        ]
        return self._free(Buildings.joined(made))

    def _retail(self) -> Buildings:
        self._carpet(self._lawn(), self.style.garden_trees // 3)
        groups, heights = [], []
        for block in self.streets.blocks:
            gates = block.gates
            if not gates or self.draw.random() < 0.12:
                continue
            gate = gates[self.draw.integers(len(gates))]
            boxes = self._big_lot(Frame.of(block, facing=gate), gate)
            groups += [box[None] for box in boxes]
            heights += [self.draw.uniform(6, 12)] * len(boxes)
        flat = np.zeros(len(groups), dtype=bool)
        return self._free(Buildings.of_wings(groups, np.array(heights), flat))

    def _big_lot(self, frame: Frame, gate: Points) -> list[Points]:
        """A car park towards the gate, big boxes behind it; what they cover."""
        for shrink in (0.82, 0.68, 0.54):
            long_m, deep_m = frame.long_m * shrink, frame.deep_m * shrink
            share = self.draw.uniform(0.28, 0.5)
            built_m = deep_m * share
            parking = Frame(
                frame.at(0, -built_m / 2), frame.ahead, frame.inward, long_m, deep_m - built_m
            )
            park = carparks.mark_out(parking, gate, self.draw)
            clear = shapely.Polygon(frame.box(0, 0, long_m, deep_m))
            if park is None or len(self.obstacles.query(clear, predicate="intersects")):
                continue
            self.aisles += park.aisles
            lots.car_park(self.brushes, park, self.paving, self.style, self.draw)
            return self._boxes(frame, long_m, deep_m, built_m)
        return []

    def _boxes(self, frame: Frame, long_m: float, deep_m: float, built_m: float) -> list[Points]:
        count = max(1, int(long_m / self.draw.uniform(45, 95)))
        each_m = long_m / count
        middle_m = (deep_m - built_m) / 2
        sizes = self.draw.uniform((0.7, 0.65), (0.96, 0.92), (count, 2)) * (each_m, built_m)
        starts = each_m * np.arange(count) - long_m / 2
        return [
            frame.box(start + each_m / 2, middle_m, wide_m, depth_m)
            for start, (wide_m, depth_m) in zip(starts, sizes, strict=True)
        ]

    def _fields(self) -> Buildings:
        for block in self.streets.blocks:
            fields.sow(self.brushes["land"], block.corners, self.draw)
        roads = [
            road for road in (*self.streets.main, *self.streets.edge) if self.draw.random() < 0.2
        ]
        plots = buildings.frontage(roads, self.style.lot_m, self.draw)
        lots.gardens(self.brushes, plots, self.style, self.draw, self._lawn)
        return self._free(buildings.houses(plots, self.draw, gabled=self.style.gabled))

    def _park(self) -> Buildings:
        self._carpet(self._lawn(), self.style.garden_trees // 2)
        for block in self.streets.blocks:
            ring = fields.blob(Frame.of(block), self.draw, self.draw.uniform(0.5, 0.8))
            self.brushes["land"].add([ring], [*self._lawn(), int(self.draw.choice([0, 20, 160]))],
                                     Cover.VEGETATION)  # fmt: skip
        if self.draw.random() < 0.6:
            block = self.streets.blocks[self.draw.integers(len(self.streets.blocks))]
            self._lake(Frame.of(block), self.draw.uniform(0.3, 0.6))
        return Buildings.of_wings([], np.zeros(0), np.zeros(0, dtype=bool))

    def _wood(self) -> Buildings:
        floor = np.array(self.style.ground[2]) * 0.85
        self.brushes["land"].add(
            [self.cell.outline], [*floor, self.style.wood_trees], Cover.VEGETATION
        )
        for block in self.streets.blocks:
            if self.draw.random() < 0.5:
                ring = fields.blob(Frame.of(block), self.draw, self.draw.uniform(0.3, 0.7))
                self.brushes["land"].add(
                    [ring], [*self._lawn(), self.style.wild_trees], Cover.VEGETATION
                )
        if self.draw.random() < 0.2:
            self._lake(Frame.of(self.streets.blocks[0]), 0.5)
        roads = [road for road in self.streets.main if self.draw.random() < 0.15]
        plots = buildings.frontage(roads, self.style.lot_m, self.draw)
        lots.gardens(self.brushes, plots, self.style, self.draw, self._lawn)
        return self._free(buildings.houses(plots, self.draw, gabled=self.style.gabled))

    def _wild(self) -> Buildings:
        for block in self.streets.blocks:
            if self.draw.random() < 0.6:
                ground = np.array(self.style.ground[self.draw.integers(3)], float)
                ring = fields.blob(Frame.of(block), self.draw, self.draw.uniform(0.4, 0.8))
                trees = int(self.style.wild_trees * self.draw.uniform(0.2, 2))
                self.brushes["land"].add(
                    [ring], [*(ground + self.draw.normal(0, 8)), trees], Cover.LAND
                )
        return Buildings.of_wings([], np.zeros(0), np.zeros(0, dtype=bool))

    def _lake(self, frame: Frame, share: float) -> None:
        ring = fields.blob(frame, self.draw, share)
        lake = shapely.Polygon(ring).buffer(0)
        near = self.obstacles.geometries[self.obstacles.query(lake, predicate="intersects")]
        lake = shapely.difference(lake, shapely.union_all(near))
        fields.flood(self.brushes["water"], lake, self.style, self.draw)

    def _water(self) -> None:
        if self.streets.water is not None:
            fields.flood(self.brushes["water"], self.streets.water, self.style, self.draw)


def grown(colour: NDArray[np.float64] | tuple[int, ...]) -> Cover:
    """Green ground is vegetation."""
    return Cover.VEGETATION if colour[1] > colour[0] + 3 else Cover.LAND
