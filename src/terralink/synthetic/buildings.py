"""Buildings: where they stand, and how their roofs look from above.

Buildings are made of rectangular wings: along streets, around courtyards and on big lots.
Candidates are placed along every street; those that touch a road, water or an earlier building are
dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.synthetic.primitives import (
    LandCover,
    LayerBuilder,
    LayerBuilders,
    Points,
    cumulative_length,
    exterior_rings,
    oriented_boxes,
    rotate_left,
    sample_along,
)
from terralink.synthetic.streets import Block, Road
from terralink.synthetic.styles import Acquisition, Style

_BIG_M2 = 900  # from here on: a pale flat roof with technical units on it

_MIN_DISTANCE_M = 0.4


@dataclass(frozen=True, eq=False)
class Frontage:
    """Lots along streets: position on the kerb and orientation of each."""

    kerb: Points  # (n, 2) middle of the lot on the kerb
    forward: Points  # (n, 2) along the street
    inward: Points  # (n, 2) away from the street
    width_m: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.kerb)

    def local(self, across_m: NDArray[np.float64], inward_m: NDArray[np.float64]) -> Points:
        """Points ``across_m`` along the street and ``inward_m`` from the kerb."""
        return self.kerb + self.forward * across_m[:, None] + self.inward * inward_m[:, None]


@dataclass(frozen=True, eq=False)
class Buildings:
    """``m`` buildings: polygons, and the ``k`` rectangles (wings) that they consist of."""

    polygons: NDArray[np.object_]  # (m,)
    wings: Points  # (k, 4, 2)
    owner: NDArray[np.int64]  # (k,)
    height_m: NDArray[np.float64]  # (m,)
    gabled: NDArray[np.bool_]  # (m,)

    def __len__(self) -> int:
        return len(self.polygons)

    @classmethod
    def from_wings(
        cls, groups: Sequence[Points], height_m: NDArray[np.float64], gabled: NDArray[np.bool_]
    ) -> "Buildings":
        """One building per group (wings, 4, 2): its wings' union."""
        wings = np.concatenate([np.zeros((0, 4, 2)), *groups])
        counts = np.array([len(group) for group in groups], dtype=np.int64)
        parts, first = shapely.polygons(wings), np.cumsum(counts) - counts
        polygons = np.array(parts[first], dtype=object)
        for k in np.flatnonzero(counts > 1):
            polygons[k] = shapely.union_all(parts[first[k] : first[k] + counts[k]])
        owner = np.repeat(np.arange(len(groups)), counts)
        return cls(polygons, wings, owner, height_m, gabled)

    @classmethod
    def concat(cls, several: Sequence["Buildings"]) -> "Buildings":
        """All of them in order: where two overlap, the earlier one stays."""
        shifts = np.cumsum([0, *(len(some) for some in several)])
        return cls(
            np.concatenate([some.polygons for some in several]),
            np.concatenate([some.wings for some in several]),
            np.concatenate(
                [some.owner + shift for some, shift in zip(several, shifts, strict=False)]
            ),
            np.concatenate([some.height_m for some in several]),
            np.concatenate([some.gabled for some in several]),
        )

    def select(self, keep: NDArray[np.bool_]) -> "Buildings":
        """Those with True in ``keep`` (m,)."""
        renumbered = np.cumsum(keep) - 1
        in_selection = keep[self.owner]
        return Buildings(
            self.polygons[keep],
            self.wings[in_selection],
            renumbered[self.owner[in_selection]],
            self.height_m[keep],
            self.gabled[keep],
        )

    def drop_obstructed(self, obstacles: shapely.STRtree, ground: shapely.Geometry) -> "Buildings":
        """Those on ``ground`` that touch no obstacle and no earlier building."""
        return self.select(find_free(self.polygons, obstacles, ground))


def find_free(
    polygons: NDArray[np.object_], obstacles: shapely.STRtree, ground: shapely.Geometry
) -> NDArray[np.bool_]:
    """Which polygons lie within ``ground`` and touch neither obstacles nor earlier polygons."""
    shapely.prepare(ground)
    keep = np.array(shapely.contains_properly(ground, polygons), dtype=bool)
    keep[obstacles.query(polygons, predicate="intersects")[0]] = False
    left = np.flatnonzero(keep)
    pairs = shapely.STRtree(polygons[left]).query(
        polygons[left], predicate="dwithin", distance=_MIN_DISTANCE_M
    )
    for later, earlier in sorted(left[pairs].T.tolist()):
        if earlier < later and keep[earlier]:
            keep[later] = False
    return keep


def divide_frontage(
    roads: Sequence[Road], lot_m: tuple[float, float], rng: np.random.Generator
) -> Frontage:
    """Lots on both sides of ``roads``, as many as fit, each road with lots of its own width."""
    parts = []
    for road in roads:
        length_m = float(cumulative_length(road.points)[-1])
        count = int(length_m / rng.uniform(*lot_m))
        if count == 0:
            continue
        at_m = (np.arange(count, dtype=np.float64) + 0.5) * (length_m / count)
        at, forward = sample_along(road.points, at_m)
        for side in (1.0, -1.0):
            inward = rotate_left(forward) * side
            kerb, width_m = at + inward * (road.width_m / 2), np.full(count, length_m / count)
            parts.append((kerb, forward, inward, width_m))
    if not parts:
        return Frontage(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    return Frontage(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def place_houses(lots: Frontage, rng: np.random.Generator, *, gabled: float) -> Buildings:
    """One house a lot, half of them with a wing towards the street or the garden."""
    count = len(lots)
    width_m = lots.width_m * rng.uniform(0.5, 0.78, count)
    depth_m = rng.uniform(8.5, 12.5, count)
    back_m = rng.uniform(6, 9, count) + depth_m / 2
    main = oriented_boxes(lots.local(np.zeros(count), back_m), lots.forward, width_m, depth_m)
    towards = rng.choice([-1.0, 1.0], count)
    wing_m = width_m * rng.uniform(0.35, 0.55, count)
    aside_m = (width_m - wing_m) / 2 * rng.choice([-1.0, 1.0], count)
    middle = lots.local(aside_m, back_m + towards * rng.uniform(2.5, 4.5, count))
    wing = oriented_boxes(middle, lots.inward, depth_m, wing_m)
    winged = rng.random(count) < 0.5
    groups = [
        np.stack([m, w]) if two else m[None] for m, w, two in zip(main, wing, winged, strict=True)
    ]
    return Buildings.from_wings(groups, rng.uniform(3.5, 7.5, count), rng.random(count) < gabled)


def place_town_houses(
    lots: Frontage, rng: np.random.Generator, *, gabled: float, behind_m: float = 0.0
) -> Buildings:
    """Town houses that fill their lots' frontage, some with a wing into the yard.

    ``behind_m`` is how far back from the street: a second row stands in the yards of the first.
    """
    count = len(lots)
    width_m = lots.width_m * rng.uniform(0.86, 0.96, count)
    depth_m = rng.uniform(8, 14, count)
    back_m = behind_m + rng.uniform(1.8, 3.5, count) + depth_m / 2
    main = oriented_boxes(lots.local(np.zeros(count), back_m), lots.forward, width_m, depth_m)
    wing_m = width_m * rng.uniform(0.3, 0.5, count)
    long_m = rng.uniform(4, 9, count)
    middle = lots.local((width_m - wing_m) / 2, back_m + depth_m / 2 + long_m / 2 - 1)
    wing = oriented_boxes(middle, lots.inward, long_m + 2, wing_m)
    winged = rng.random(count) < 0.35
    groups = [
        np.stack([m, w]) if two else m[None] for m, w, two in zip(main, wing, winged, strict=True)
    ]
    return Buildings.from_wings(groups, rng.uniform(6, 15, count), rng.random(count) < gabled)


def place_courtyard_buildings(
    blocks: Sequence[Block], share: float, rng: np.random.Generator
) -> Buildings:
    """Buildings of four wings around a court, in the middle of some blocks."""
    groups, heights = [], []
    for block in blocks:
        frame = BlockFrame.from_block(block)
        long_m, deep_m = frame.long_m - 22, frame.deep_m - 22
        if rng.random() >= share or min(long_m, deep_m) < 24:
            continue
        long_m, deep_m = min(long_m, 70.0), min(deep_m, 60.0)
        wing_m = rng.uniform(8, 11)
        groups.append(frame.ring(long_m, deep_m, wing_m))
        heights.append(rng.uniform(7, 16))
    return Buildings.from_wings(groups, np.array(heights), rng.random(len(groups)) < 0.6)


@dataclass(frozen=True, eq=False)
class BlockFrame:
    """The axes of a block: ``forward`` along its first edge, ``inward`` to its left."""

    centre: Points
    forward: Points
    inward: Points
    long_m: float
    deep_m: float

    @classmethod
    def from_block(cls, block: Block, *, facing: Points | None = None) -> "BlockFrame":
        """Axes of ``block``, rotated so that ``facing`` lies opposite to inward."""
        a, b, c, d = block.corners
        forward, inward = (b + c - a - d) / 2, (c + d - a - b) / 2
        long_m, deep_m = float(np.hypot(*forward)), float(np.hypot(*inward))
        forward = forward / long_m
        inward = np.array([-forward[1], forward[0]])
        # A skewed block has less room than the mean of its sides.
        skew = abs(float((c + d - a - b) @ forward)) / 2
        long_m, centre = long_m - skew, block.corners.mean(axis=0)
        if facing is not None:
            x, y = float((facing - centre) @ forward), float((facing - centre) @ inward)
            if abs(x) * deep_m > abs(y) * long_m:
                forward, inward, long_m, deep_m, x, y = inward, -forward, deep_m, long_m, y, -x
            if y > 0:
                forward, inward = -forward, -inward
        return cls(centre, forward, inward, long_m, deep_m)

    def to_xy(self, x_m: float | NDArray[np.float64], y_m: float | NDArray[np.float64]) -> Points:
        """Points ``x_m`` forward and ``y_m`` inward of the centre."""
        x, y = np.broadcast_arrays(np.asarray(x_m, float), np.asarray(y_m, float))
        points: Points = self.centre + x[..., None] * self.forward + y[..., None] * self.inward
        return points

    def box(self, x_m: float, y_m: float, long_m: float, deep_m: float) -> Points:
        """A rectangle (4, 2) about (x_m, y_m)."""
        half, up = long_m / 2, deep_m / 2
        return self.to_xy(
            x_m + np.array([-half, half, half, -half]), y_m + np.array([-up, -up, up, up])
        )

    def ring(self, long_m: float, deep_m: float, wing_m: float) -> Points:
        """Four wings (4, 4, 2) around a court."""
        x, y = (long_m - wing_m) / 2, (deep_m - wing_m) / 2
        # Long axes first, as ridges run: `box` has its long axis forward, the end wings do not.
        end = np.roll([self.box(-x, 0, wing_m, deep_m), self.box(x, 0, wing_m, deep_m)], -1, axis=1)
        return np.concatenate(
            [[self.box(0, -y, long_m, wing_m), self.box(0, y, long_m, wing_m)], end]
        )


def draw_roofs(
    builders: LayerBuilders,
    buildings: Buildings,
    style: Style,
    acquisition: Acquisition,
    rng: np.random.Generator,
) -> None:
    """Roofs with sunlit and shaded sides, and the shadows that buildings cast."""
    if not len(buildings):
        return
    builders["roofs"].add(exterior_rings(buildings.polygons), (90, 90, 90), LandCover.BUILDING)
    palette = np.array(style.roofs, float)
    base = palette[rng.integers(len(palette), size=len(buildings))] + rng.normal(
        0, 9, (len(buildings), 1)
    )
    big = shapely.area(buildings.polygons) > _BIG_M2
    base[big] = np.clip(rng.normal(196, 30, (big.sum(), 1)), 110, 245)
    colour, gabled = base[buildings.owner], buildings.gabled[buildings.owner]
    _draw_planes(builders["roofs"], buildings.wings, colour, gabled, acquisition)
    _draw_courts(builders["roofs"], buildings, style)
    _draw_shadows(builders, buildings, acquisition)
    _draw_rooftop_units(builders["roofs"], buildings, big, rng)


def _draw_planes(
    builder: LayerBuilder,
    wings: Points,
    colour: NDArray[np.float64],
    gabled: NDArray[np.bool_],
    acquisition: Acquisition,
) -> None:
    """Two planes a wing, each as bright as it faces the sun; flat roofs with a pale parapet."""
    long = wings[:, 3] - wings[:, 0]
    side = rotate_left(long / np.hypot(*long.T)[:, None])
    facing = (side @ -np.array(acquisition.sun))[:, None]
    start, end = (wings[:, 0] + wings[:, 1]) / 2, (wings[:, 2] + wings[:, 3]) / 2
    left = np.stack([wings[:, 0], start, end, wings[:, 3]], axis=1)
    right = np.stack([start, wings[:, 1], wings[:, 2], end], axis=1)
    builder.add(left[gabled], (colour * (1 + 0.24 * facing))[gabled])
    builder.add(right[gabled], (colour * (1 - 0.24 * facing))[gabled])
    middle = wings.mean(axis=1, keepdims=True)
    builder.add(wings[~gabled], colour[~gabled] * 1.12)
    builder.add((middle + (wings - middle) * 0.93)[~gabled], colour[~gabled] * 0.97)


def _draw_courts(builder: LayerBuilder, buildings: Buildings, style: Style) -> None:
    """The ground in courts, painted over the union's outer ring."""
    holes = [
        shapely.get_coordinates(hole)[:-1]
        for polygon in buildings.polygons
        for hole in polygon.interiors
    ]
    builder.add(holes, [*style.lawns[0], 60], LandCover.LAND)


def _draw_shadows(builders: LayerBuilders, buildings: Buildings, acquisition: Acquisition) -> None:
    """Each wing's rectangle moved away from the sun, and what its edges sweep on the way."""
    height_m = buildings.height_m[buildings.owner][:, None]
    fall = (np.array(acquisition.sun) * acquisition.shadow * height_m)[:, None, :]
    start, end = buildings.wings, np.roll(buildings.wings, -1, axis=1)
    swept = np.stack([start, end, end + fall, start + fall], axis=2).reshape(-1, 4, 2)
    outward = -rotate_left(end - start)
    turning = np.sign(_twice_signed_area(buildings.wings))[:, None]
    away = (np.einsum("kej,kj->ke", outward, fall[:, 0]) * turning > 0).ravel()
    builders["shadows"].add(swept[away], (0, 0, 0))
    builders["shadows"].add(buildings.wings + fall, (0, 0, 0))
    builders["lit"].add(buildings.wings, (0, 0, 0))


def _twice_signed_area(rings: Points) -> NDArray[np.float64]:
    """Twice the signed area, positive counter-clockwise."""
    x, y = rings[..., 0], rings[..., 1]
    area: NDArray[np.float64] = (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(axis=1)
    return area


def _draw_rooftop_units(
    builder: LayerBuilder, buildings: Buildings, big: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Technical units on big flat roofs: small boxes and their shadows."""
    for wing in buildings.wings[big[buildings.owner] & ~buildings.gabled[buildings.owner]]:
        count = int(rng.integers(2, 9))
        u, v = rng.uniform(0.12, 0.88, (2, count, 1))
        centre = wing[0] + u * (wing[3] - wing[0]) + v * (wing[1] - wing[0])
        forward = (wing[3] - wing[0]) / np.hypot(*(wing[3] - wing[0]))
        units = oriented_boxes(
            centre, np.broadcast_to(forward, centre.shape), rng.uniform(1.5, 5, count), 2.2
        )
        builder.add(units + 0.8, (96, 96, 98))
        builder.add(units, (170, 172, 172))
