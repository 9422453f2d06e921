"""The district of one cell: its roads, its buildings, and the layers to paint."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.synthetic.buildings import (
    BlockFrame,
    Buildings,
    divide_frontage,
    draw_roofs,
    place_courtyard_buildings,
    place_houses,
    place_town_houses,
)
from terralink.synthetic.lattice import Cell, Lattice
from terralink.synthetic.primitives import LandCover, Layer, LayerBuilder, Points, make_rng
from terralink.synthetic.streets import Pattern, Road, plan_streets
from terralink.synthetic.styles import Acquisition
from terralink.synthetic.surfaces import (
    RoadColours,
    buffer_roads,
    draw_bridges,
    draw_car_park,
    draw_gardens,
    draw_roads,
    plan_car_park,
)
from terralink.synthetic.vegetation import draw_fields, draw_water, make_soft_outline

# Painted in this order, each over all districts before the next; the last two only shade.
LAYERS = ("land", "lots", "water", "verges", "motorways", "decks", "grounds", "minor", "major",
          "marks", "cars", "roofs", "shadows", "lit")  # fmt: skip

# Columns, rows and share kept of the tracks through open districts.
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
    turning_circles: tuple[tuple[Points, float], ...]
    buildings: NDArray[np.object_]  # shapely polygons
    layers: dict[str, Layer]


def plan_district(lattice: Lattice, cell: Cell, acquisition: Acquisition) -> District:
    """Plan the district in ``cell``; only the seed, the style and the indices matter."""
    return _Planner(lattice, cell, acquisition).plan()


class _Planner:
    """Plans the parts of a district one after the other; each depends on the earlier ones."""

    def __init__(self, lattice: Lattice, cell: Cell, acquisition: Acquisition) -> None:
        self.cell, self.acquisition, self.style = cell, acquisition, lattice.style
        self.rng = make_rng(lattice.seed, 12, cell.i, cell.j)
        self.kind = self._choose_kind()
        self.streets = plan_streets(lattice, cell, self._choose_pattern())
        self.builders = {name: LayerBuilder() for name in LAYERS}
        self.aisles: list[Road] = []
        self.ground = shapely.Polygon(cell.outline)
        self.obstacles = shapely.STRtree(self._collect_obstacles())
        self.road_colours = RoadColours.sample(lattice, cell)

    def plan(self) -> District:
        built: Buildings = self._fill()
        laid = self.streets
        roads = (*laid.motorway, *laid.inner, *self.aisles, *laid.main)
        self._draw_river()
        draw_roads(self.builders, roads, laid.turning_circles, self.road_colours, self.rng)
        draw_bridges(self.builders, roads, laid.water, laid.motorway, self.acquisition)
        draw_roofs(self.builders, built, self.style, self.acquisition, self.rng)
        layers = {name: builder.build() for name, builder in self.builders.items()}
        return District(self.cell, roads, tuple(laid.turning_circles), built.polygons, layers)

    def _choose_kind(self) -> str:
        names, weights = zip(*self.style.districts.items(), strict=True)
        at = self.rng.random() * sum(weights)
        return str(names[int(np.searchsorted(np.cumsum(weights), at))])

    def _choose_pattern(self) -> Pattern:
        """How densely streets run here: homes in long blocks, shops in wide ones."""
        rng, across_m = self.rng, self.style.cell_m
        if self.kind == "homes":
            rows, columns = round(across_m / rng.uniform(70, 125)) - 1, int(rng.integers(1, 4))
            bend = rng.uniform(0, 0.07) * (0.3 if self.style.name == "arid" else 1)
            pattern = Pattern(columns, max(1, rows), keep=0.88, spurs=0.25, bend=bend)
        elif self.kind == "dense":
            columns, rows = (max(2, round(across_m / rng.uniform(55, 95))) for _ in range(2))
            pattern = Pattern(columns, rows, keep=0.92, spurs=0.1, bend=rng.uniform(0, 0.05))
        elif self.kind == "retail":
            columns, rows = rng.integers(1, 3, 2).tolist()
            pattern = Pattern(columns, rows, keep=0.97)
        else:
            kind = "residential" if rng.random() < 0.25 else "track"
            columns, rows, keep = _TRACKS[self.kind]
            bend = rng.uniform(0, 0.08)
            pattern = Pattern(columns, rows, kind=kind, keep=keep, spurs=0.15, bend=bend)
        return pattern.transposed() if rng.random() < 0.5 else pattern

    def _collect_obstacles(self) -> NDArray[np.object_]:
        """Where nothing may be built: roads with a kerb, turning circles, reserved ground."""
        laid = self.streets
        roads = [*laid.main, *laid.edge, *laid.inner]
        shapes = list(buffer_roads(roads, 0.6))
        shapes += [
            shapely.Point(centre).buffer(radius_m + 0.6)
            for centre, radius_m in laid.turning_circles
        ]
        if laid.reserve is not None:
            shapes.append(laid.reserve)
        return np.array(shapes, dtype=object)

    def _fill(self) -> Buildings:
        fillers: dict[str, Callable[[], Buildings]] = {
            "homes": self._fill_homes,
            "dense": self._fill_dense,
            "retail": self._fill_retail,
            "fields": self._fill_fields,
            "park": self._fill_park,
            "wood": self._fill_wood,
            "wild": self._fill_wild,
        }
        return fillers[self.kind]()

    def _drop_obstructed(self, candidates: Buildings) -> Buildings:
        return candidates.drop_obstructed(self.obstacles, self.ground)

    def _cover_ground(self, colour: NDArray[np.float64] | tuple[int, ...], trees: int) -> None:
        """Cover the whole cell."""
        self.builders["land"].add(
            [self.cell.outline], [*colour[:3], trees], classify_ground(colour)
        )

    def _sample_lawn(self) -> NDArray[np.float64]:
        lawns = np.array(self.style.lawns, float)
        lawn: NDArray[np.float64] = lawns[self.rng.integers(len(lawns))] + self.rng.normal(0, 5)
        lawn[1] += (self.acquisition.greenness - 0.8) * 14
        return lawn

    def _fill_homes(self) -> Buildings:
        rng, style = self.rng, self.style
        self._cover_ground(self._sample_lawn(), style.garden_trees)
        roads = [*self.streets.main, *self.streets.edge, *self.streets.inner]
        plots = divide_frontage(roads, style.lot_m, rng)
        built = self._drop_obstructed(place_houses(plots, rng, gabled=style.gabled))
        draw_gardens(self.builders, plots, style, rng, self._sample_lawn)
        return built

    def _fill_dense(self) -> Buildings:
        rng, style = self.rng, self.style
        self._cover_ground(np.array(style.ground[0]) * 0.95, style.garden_trees // 2)
        roads = [*self.streets.main, *self.streets.edge, *self.streets.inner]
        plots = divide_frontage(roads, (9, 20), rng)
        candidates = [
            place_courtyard_buildings(self.streets.blocks, 0.2, rng),
            place_town_houses(plots, rng, gabled=style.gabled),
            place_town_houses(plots, rng, gabled=style.gabled, behind_m=17),
        ]
        return self._drop_obstructed(Buildings.concat(candidates))

    def _fill_retail(self) -> Buildings:
        self._cover_ground(self._sample_lawn(), self.style.garden_trees // 3)
        groups, heights = [], []
        for block in self.streets.blocks:
            gates = block.gates
            if not gates or self.rng.random() < 0.12:
                continue
            gate = gates[self.rng.integers(len(gates))]
            boxes = self._place_big_lot(BlockFrame.from_block(block, facing=gate), gate)
            groups += [box[None] for box in boxes]
            heights += [self.rng.uniform(6, 12)] * len(boxes)
        flat = np.zeros(len(groups), dtype=bool)
        return self._drop_obstructed(Buildings.from_wings(groups, np.array(heights), flat))

    def _place_big_lot(self, frame: BlockFrame, gate: Points) -> list[Points]:
        """A car park towards the gate and big buildings behind it; returns the buildings."""
        for shrink in (0.82, 0.68, 0.54):
            long_m, deep_m = frame.long_m * shrink, frame.deep_m * shrink
            share = self.rng.uniform(0.28, 0.5)
            built_m = deep_m * share
            parking = BlockFrame(
                frame.to_xy(0, -built_m / 2), frame.forward, frame.inward, long_m, deep_m - built_m
            )
            park = plan_car_park(parking, gate, self.rng)
            clear = shapely.Polygon(frame.box(0, 0, long_m, deep_m))
            if park is None or len(self.obstacles.query(clear, predicate="intersects")):
                continue
            self.aisles += park.aisles
            draw_car_park(self.builders, park, self.road_colours, self.style, self.rng)
            return self._divide_boxes(frame, long_m, deep_m, built_m)
        return []

    def _divide_boxes(
        self, frame: BlockFrame, long_m: float, deep_m: float, built_m: float
    ) -> list[Points]:
        count = max(1, int(long_m / self.rng.uniform(45, 95)))
        each_m = long_m / count
        middle_m = (deep_m - built_m) / 2
        sizes = self.rng.uniform((0.7, 0.65), (0.96, 0.92), (count, 2)) * (each_m, built_m)
        starts = each_m * np.arange(count) - long_m / 2
        return [
            frame.box(start + each_m / 2, middle_m, wide_m, depth_m)
            for start, (wide_m, depth_m) in zip(starts, sizes, strict=True)
        ]

    def _fill_fields(self) -> Buildings:
        for block in self.streets.blocks:
            draw_fields(self.builders["land"], block.corners, self.rng)
        roads = [
            road for road in (*self.streets.main, *self.streets.edge) if self.rng.random() < 0.2
        ]
        plots = divide_frontage(roads, self.style.lot_m, self.rng)
        draw_gardens(self.builders, plots, self.style, self.rng, self._sample_lawn)
        return self._drop_obstructed(place_houses(plots, self.rng, gabled=self.style.gabled))

    def _fill_park(self) -> Buildings:
        self._cover_ground(self._sample_lawn(), self.style.garden_trees // 2)
        for block in self.streets.blocks:
            ring = make_soft_outline(
                BlockFrame.from_block(block), self.rng, self.rng.uniform(0.5, 0.8)
            )
            fill = [*self._sample_lawn(), int(self.rng.choice([0, 20, 160]))]
            self.builders["land"].add([ring], fill, LandCover.VEGETATION)
        if self.rng.random() < 0.6:
            block = self.streets.blocks[self.rng.integers(len(self.streets.blocks))]
            self._draw_lake(BlockFrame.from_block(block), self.rng.uniform(0.3, 0.6))
        return Buildings.from_wings([], np.zeros(0), np.zeros(0, dtype=bool))

    def _fill_wood(self) -> Buildings:
        soil = np.array(self.style.ground[2]) * 0.85
        self.builders["land"].add(
            [self.cell.outline], [*soil, self.style.wood_trees], LandCover.VEGETATION
        )
        for block in self.streets.blocks:
            if self.rng.random() < 0.5:
                ring = make_soft_outline(
                    BlockFrame.from_block(block), self.rng, self.rng.uniform(0.3, 0.7)
                )
                self.builders["land"].add(
                    [ring], [*self._sample_lawn(), self.style.wild_trees], LandCover.VEGETATION
                )
        if self.rng.random() < 0.2:
            self._draw_lake(BlockFrame.from_block(self.streets.blocks[0]), 0.5)
        roads = [road for road in self.streets.main if self.rng.random() < 0.15]
        plots = divide_frontage(roads, self.style.lot_m, self.rng)
        draw_gardens(self.builders, plots, self.style, self.rng, self._sample_lawn)
        return self._drop_obstructed(place_houses(plots, self.rng, gabled=self.style.gabled))

    def _fill_wild(self) -> Buildings:
        for block in self.streets.blocks:
            if self.rng.random() < 0.6:
                ground = np.array(self.style.ground[self.rng.integers(3)], float)
                ring = make_soft_outline(
                    BlockFrame.from_block(block), self.rng, self.rng.uniform(0.4, 0.8)
                )
                trees = int(self.style.wild_trees * self.rng.uniform(0.2, 2))
                self.builders["land"].add(
                    [ring], [*(ground + self.rng.normal(0, 8)), trees], LandCover.LAND
                )
        return Buildings.from_wings([], np.zeros(0), np.zeros(0, dtype=bool))

    def _draw_lake(self, frame: BlockFrame, share: float) -> None:
        ring = make_soft_outline(frame, self.rng, share)
        lake = shapely.Polygon(ring).buffer(0)
        near = self.obstacles.geometries[self.obstacles.query(lake, predicate="intersects")]
        lake = shapely.difference(lake, shapely.union_all(near))
        draw_water(self.builders["water"], lake, self.style, self.rng)

    def _draw_river(self) -> None:
        if self.streets.water is not None:
            draw_water(self.builders["water"], self.streets.water, self.style, self.rng)


def classify_ground(colour: NDArray[np.float64] | tuple[int, ...]) -> LandCover:
    """Green ground is vegetation."""
    return LandCover.VEGETATION if colour[1] > colour[0] + 3 else LandCover.LAND
