"""Buildings: rectangular wings along streets, around courts and on big lots.

Candidates are made along every street and thinned: none touches a road, the water or another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.synthetic.curves import Points, along, boxes, distances, left_of
from terralink.synthetic.streets import Block, Road

_APART_M = 0.4


@dataclass(frozen=True, eq=False)
class Frontage:
    """Lots along streets: where each meets the street, and how it lies."""

    at: Points  # (n, 2) on the kerb
    ahead: Points  # (n, 2) along the street
    inward: Points  # (n, 2) away from the street
    width_m: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at)

    def local(self, across_m: NDArray[np.float64], inward_m: NDArray[np.float64]) -> Points:
        """Points ``across_m`` along the street and ``inward_m`` from the kerb."""
        return self.at + self.ahead * across_m[:, None] + self.inward * inward_m[:, None]


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
    def of_wings(
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
    def joined(cls, several: Sequence["Buildings"]) -> "Buildings":
        """All of them; the earlier ones have the better right to their ground."""
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

    def kept(self, keep: NDArray[np.bool_]) -> "Buildings":
        """Those with True in ``keep`` (m,)."""
        renumbered = np.cumsum(keep) - 1
        of_kept = keep[self.owner]
        return Buildings(
            self.polygons[keep],
            self.wings[of_kept],
            renumbered[self.owner[of_kept]],
            self.height_m[keep],
            self.gabled[keep],
        )

    def standing_free(self, obstacles: shapely.STRtree, ground: shapely.Geometry) -> "Buildings":
        """Those on ``ground`` that touch no obstacle and no earlier building."""
        return self.kept(free(self.polygons, obstacles, ground))


def free(
    polygons: NDArray[np.object_], obstacles: shapely.STRtree, ground: shapely.Geometry
) -> NDArray[np.bool_]:
    """Which polygons lie within ``ground``, off the obstacles and off the earlier ones kept."""
    shapely.prepare(ground)
    keep = np.array(shapely.contains_properly(ground, polygons), dtype=bool)
    keep[obstacles.query(polygons, predicate="intersects")[0]] = False
    left = np.flatnonzero(keep)
    pairs = shapely.STRtree(polygons[left]).query(
        polygons[left], predicate="dwithin", distance=_APART_M
    )
    for later, earlier in sorted(left[pairs].T.tolist()):
        if earlier < later and keep[earlier]:
            keep[later] = False
    return keep


def frontage(
    roads: Sequence[Road], lot_m: tuple[float, float], draw: np.random.Generator
) -> Frontage:
    """Lots on both sides of ``roads``, as many as fit, each road with lots of its own width."""
    parts = []
    for road in roads:
        length_m = float(distances(road.points)[-1])
        count = int(length_m / draw.uniform(*lot_m))
        if count == 0:
            continue
        at_m = (np.arange(count, dtype=np.float64) + 0.5) * (length_m / count)
        at, ahead = along(road.points, at_m)
        for side in (1.0, -1.0):
            inward = left_of(ahead) * side
            parts.append(
                (at + inward * (road.width_m / 2), ahead, inward, np.full(count, length_m / count))
            )
    if not parts:
        return Frontage(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    return Frontage(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def houses(lots: Frontage, draw: np.random.Generator, *, gabled: float) -> Buildings:
    """One house a lot, half of them with a wing towards the street or the garden."""
    count = len(lots)
    width_m = lots.width_m * draw.uniform(0.5, 0.78, count)
    depth_m = draw.uniform(8.5, 12.5, count)
    back_m = draw.uniform(6, 9, count) + depth_m / 2
    main = boxes(lots.local(np.zeros(count), back_m), lots.ahead, width_m, depth_m)
    towards = draw.choice([-1.0, 1.0], count)
    wing_m = width_m * draw.uniform(0.35, 0.55, count)
    aside_m = (width_m - wing_m) / 2 * draw.choice([-1.0, 1.0], count)
    middle = lots.local(aside_m, back_m + towards * draw.uniform(2.5, 4.5, count))
    wing = boxes(middle, lots.inward, depth_m, wing_m)
    winged = draw.random(count) < 0.5
    groups = [
        np.stack([m, w]) if two else m[None] for m, w, two in zip(main, wing, winged, strict=True)
    ]
    return Buildings.of_wings(groups, draw.uniform(3.5, 7.5, count), draw.random(count) < gabled)


def rows(
    lots: Frontage, draw: np.random.Generator, *, gabled: float, behind_m: float = 0.0
) -> Buildings:
    """Town houses that fill their lots' frontage, some with a wing into the yard.

    ``behind_m`` is how far back from the street: a second row stands in the yards of the first.
    """
    count = len(lots)
    width_m = lots.width_m * draw.uniform(0.86, 0.96, count)
    depth_m = draw.uniform(8, 14, count)
    back_m = behind_m + draw.uniform(1.8, 3.5, count) + depth_m / 2
    main = boxes(lots.local(np.zeros(count), back_m), lots.ahead, width_m, depth_m)
    wing_m = width_m * draw.uniform(0.3, 0.5, count)
    long_m = draw.uniform(4, 9, count)
    middle = lots.local((width_m - wing_m) / 2, back_m + depth_m / 2 + long_m / 2 - 1)
    wing = boxes(middle, lots.inward, long_m + 2, wing_m)
    winged = draw.random(count) < 0.35
    groups = [
        np.stack([m, w]) if two else m[None] for m, w, two in zip(main, wing, winged, strict=True)
    ]
    return Buildings.of_wings(groups, draw.uniform(6, 15, count), draw.random(count) < gabled)


def courts(blocks: Sequence[Block], share: float, draw: np.random.Generator) -> Buildings:
    """Buildings of four wings around a court, in the middle of some blocks."""
    groups, heights = [], []
    for block in blocks:
        frame = Frame.of(block)
        long_m, deep_m = frame.long_m - 22, frame.deep_m - 22
        if draw.random() >= share or min(long_m, deep_m) < 24:
            continue
        long_m, deep_m = min(long_m, 70.0), min(deep_m, 60.0)
        wing_m = draw.uniform(8, 11)
        groups.append(frame.ring(long_m, deep_m, wing_m))
        heights.append(draw.uniform(7, 16))
    return Buildings.of_wings(groups, np.array(heights), draw.random(len(groups)) < 0.6)


@dataclass(frozen=True, eq=False)
class Frame:
    """A block's own axes: ``ahead`` along its first edge, ``inward`` to its left."""

    centre: Points
    ahead: Points
    inward: Points
    long_m: float
    deep_m: float

    @classmethod
    def of(cls, block: Block, *, facing: Points | None = None) -> "Frame":
        """Axes of ``block``, turned so that ``facing`` lies on the side that is not inward."""
        a, b, c, d = block.corners
        ahead, inward = (b + c - a - d) / 2, (c + d - a - b) / 2
        long_m, deep_m = float(np.hypot(*ahead)), float(np.hypot(*inward))
        ahead = ahead / long_m
        inward = np.array([-ahead[1], ahead[0]])
        # A crooked block holds less than its mean sides say.
        skew = abs(float((c + d - a - b) @ ahead)) / 2
        long_m, centre = long_m - skew, block.corners.mean(axis=0)
        if facing is not None:
            x, y = float((facing - centre) @ ahead), float((facing - centre) @ inward)
            if abs(x) * deep_m > abs(y) * long_m:
                ahead, inward, long_m, deep_m, x, y = inward, -ahead, deep_m, long_m, y, -x
            if y > 0:
                ahead, inward = -ahead, -inward
        return cls(centre, ahead, inward, long_m, deep_m)

    def at(self, x_m: float | NDArray[np.float64], y_m: float | NDArray[np.float64]) -> Points:
        """Points ``x_m`` ahead and ``y_m`` inward of the centre."""
        x, y = np.broadcast_arrays(np.asarray(x_m, float), np.asarray(y_m, float))
        points: Points = self.centre + x[..., None] * self.ahead + y[..., None] * self.inward
        return points

    def box(self, x_m: float, y_m: float, long_m: float, deep_m: float) -> Points:
        """A rectangle (4, 2) about (x_m, y_m)."""
        half, up = long_m / 2, deep_m / 2
        return self.at(
            x_m + np.array([-half, half, half, -half]), y_m + np.array([-up, -up, up, up])
        )

    def ring(self, long_m: float, deep_m: float, wing_m: float) -> Points:
        """Four wings (4, 4, 2) around a court."""
        x, y = (long_m - wing_m) / 2, (deep_m - wing_m) / 2
        # Long axes first, as ridges run: `box` has its long axis ahead, the end wings are turned.
        end = np.roll([self.box(-x, 0, wing_m, deep_m), self.box(x, 0, wing_m, deep_m)], -1, axis=1)
        return np.concatenate(
            [[self.box(0, -y, long_m, wing_m), self.box(0, y, long_m, wing_m)], end]
        )
