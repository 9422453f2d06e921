"""Dead ends brought to where the mask ends.

A skeleton stops about half a width before the end of a road, or turns to one of its corners; at
the scene's border too, for outside is no road.

    RULE 11: from the last place where it lies in its middle, a road runs straight on, as far as the
             mask goes. Where it does not get as far as the skeleton did, the road bends there: it
             stays, and goes straight on from the skeleton's end
    RULE 12: a road with a round end, or a circle to turn in, ends in the circle's middle
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from terralink.graph import RoadGraph
from terralink.graph.polylines import Bools, Floats, Ints
from terralink.vectorize.roads.junctions import Clearance, lead_to

# Points (k, 2), unit vectors (k, 2) and lengths (k,) to how far road goes on from there (k,)
MeasureRoad: TypeAlias = Callable[[Floats, Floats, Floats], Floats]
# Places (k, 2) where the skeleton ends to whether the scene's border cuts the road there (k,)
AtBorder: TypeAlias = Callable[[Floats], Bools]

# The last place in the middle of the road is looked for so many widths from the end; an end that
# the scene's border cuts at 30 degrees turns the skeleton away for two widths
CUT_WIDTHS = (0.75, 1.5, 2.25, 3.0)
# It lies in the middle where both sides differ by no more than this share of the width, and are
# that much of it together
OFF_MIDDLE, FULL_WIDTH = 0.2, 0.9
# A dead end's direction is taken from so many widths of road, and from no less than so much
STRETCH_WIDTHS, STRETCH_M = 1.5, 15.0
# Whether an end is round is seen at this share of its radius from the middle line
ASIDE = 0.8
# Of a circle of a smaller radius too few pixels are seen
LEAST_ROUND_PX = 2.5


class SceneFacts(NamedTuple):
    """What a scene's pixels say beside its skeleton.

    clearance     how far the background is from the places where the skeleton ends or branches
    at_border     whether it is the scene's border that cuts the road at such a place
    measure_road  how far the mask goes on from a point
    """

    clearance: Clearance
    at_border: AtBorder
    measure_road: MeasureRoad


def extend_ends(graph: RoadGraph, scene: SceneFacts, *, pixel_m: float) -> RoadGraph:
    """The graph with each dead end at the end of the mask (RULES 11, 12)."""
    road, side = np.nonzero(graph.degree[graph.ends] == 1)
    if not len(road):
        return graph
    tip = graph.junctions[graph.ends[road, side]]
    width_m = np.nan_to_num(graph.width_m[road])
    radius_m = np.maximum(scene.clearance.at(tip), width_m / 2)
    ends = _Ends(graph, road, side, width_m, radius_m, scene.measure_road, pixel_m)
    cut_m = ends.find_cuts()
    start, heading = ends.inward(cut_m), ends.heading(cut_m)
    reach_m = cut_m + 2 * (width_m + radius_m)
    beside_m = ends.beside_m(start, heading, reach_m)
    onward_m = scene.measure_road(start, heading, reach_m)
    onward_m = np.maximum(onward_m, beside_m.mean(axis=0))  # past a notch
    inside_scene = ~scene.at_border(tip)
    onward_m -= np.where(inside_scene, ends.roundness_m(onward_m, beside_m), 0)
    bends = (onward_m < cut_m - 1.5 * radius_m) & inside_scene
    if bends.any():
        heading[bends] = unit(tip - start)[bends]
        start[bends] = tip[bends]
        onward_m[bends] = scene.measure_road(start[bends], heading[bends], reach_m[bends])
    xy, straight_m = graph.junctions.copy(), np.zeros(len(graph.junctions))
    xy[ends.junction] = start + heading * onward_m[:, None]
    straight_m[ends.junction] = np.where(bends, 0, cut_m)
    polylines = lead_to(graph.polylines, graph.ends, xy, straight_m)
    return replace(graph, junctions=xy, polylines=polylines)


@dataclass(frozen=True, eq=False)
class _Ends:
    """Dead ends: which roads (k,), and which of their two ends (k,).

    radius_m (k,)  half the road's width, or the disc around the end where that is larger
    """

    graph: RoadGraph
    road: Ints
    side: Ints
    width_m: Floats
    radius_m: Floats
    measure_road: MeasureRoad
    pixel_m: float

    @property
    def junction(self) -> Ints:
        return np.asarray(self.graph.ends[self.road, self.side])

    @property
    def length_m(self) -> Floats:
        return self.graph.length_m[self.road]

    def inward(self, distance_m: Floats) -> Floats:
        """(k, 2) the points so far from the ends."""
        along_m = np.where(self.side == 0, distance_m, self.length_m - distance_m)
        return self.graph.polylines.at(self.road, along_m)

    def heading(self, distance_m: Floats) -> Floats:
        """(k, 2) the direction outwards there, as the road beyond has it."""
        stretch_m = np.maximum(STRETCH_WIDTHS * self.width_m, STRETCH_M)
        far_m = np.minimum(distance_m + stretch_m, self.length_m * 5 / 6)
        return unit(self.inward(distance_m) - self.inward(far_m))

    def find_cuts(self) -> Floats:
        """(k,) how far from its end each road last lies in its middle; at most a third of it."""
        most_m = self.length_m / 3
        cut_m = np.minimum(self.width_m, most_m)
        left = np.arange(len(self.road))
        for widths in CUT_WIDTHS:
            some = self._select(left)
            here_m = np.minimum(widths * some.width_m, most_m[left])
            in_middle = some._lies_in_middle(here_m)
            cut_m[left[in_middle]] = here_m[in_middle]
            left = left[~in_middle]
        return cut_m

    def _select(self, rows: Ints) -> "_Ends":
        columns = self.road[rows], self.side[rows], self.width_m[rows], self.radius_m[rows]
        return _Ends(self.graph, *columns, self.measure_road, self.pixel_m)

    def _lies_in_middle(self, distance_m: Floats) -> Bools:
        across = _turn(self.heading(distance_m))
        point, reach_m = self.inward(distance_m), 1.5 * self.width_m
        left, right = (self.measure_road(point, way * across, reach_m) for way in (-1, 1))
        close = np.abs(left - right) <= np.maximum(OFF_MIDDLE * self.width_m, 1.5 * self.pixel_m)
        wide = left + right >= FULL_WIDTH * self.width_m - self.pixel_m
        return np.asarray(close & wide & (left + right <= reach_m))

    def beside_m(self, start: Floats, heading: Floats, reach_m: Floats) -> Floats:
        """(2, k) how far road goes on beside the middle, to the left and to the right."""
        aside = ASIDE * self.radius_m[:, None] * _turn(heading)
        return np.stack(
            [self.measure_road(start + way * aside, heading, reach_m) for way in (1, -1)]
        )

    def roundness_m(self, onward_m: Floats, beside_m: Floats) -> Floats:
        """(k,) how far before the mask's end a line with a round end was drawn to: its radius.

        It is told by how much less far road goes on beside the middle, on both sides: that is
        nothing for an end that is cut straight or askew, which ends where the mask does.
        """
        half_circle_m = (1 - np.sqrt(1 - ASIDE**2)) * self.radius_m
        share = (onward_m - beside_m.max(axis=0)) / np.maximum(half_circle_m, self.pixel_m)
        known = self.radius_m >= LEAST_ROUND_PX * self.pixel_m
        return np.where(known, np.clip(share, 0, 1) * self.radius_m, 0)


def unit(vectors: Floats) -> Floats:
    """(..., 2) vectors of length 1; those without a length stay so.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))


def _turn(vectors: Floats) -> Floats:
    """(k, 2) vectors a quarter turn to the left."""
    return np.column_stack([-vectors[:, 1], vectors[:, 0]])
