"""Dead ends: extended to the end of the mask, and joined where the mask has a gap.

A skeleton stops about half a width before the end of a road, or turns to one of its corners; at
the scene's border too, for outside is no road. And where a mask breaks off under trees and shadows,
the road does not.

    RULE 7: two dead ends that point at each other are one road
    RULE 8: a dead end that points at the side of a road meets it
    RULE 9: no bridge crosses a road, its own neither: it would have met that one first
    RULE 10: over what was nearly seen as road a bridge may be longer, over what was surely none it
             must be shorter
    RULE 11: from the last place where it lies in its middle, a road runs straight on, as far as the
             mask goes. Where it does not get as far as the skeleton did, the road bends there: it
             stays, and goes straight on from the skeleton's end
    RULE 12: a road with a round end, or a circle to turn in, ends in the circle's middle
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from terralink.graph import RoadGraph
from terralink.graph.polylines import (
    Bools,
    Floats,
    Ints,
    Lines,
    Polylines,
    chunk_slices,
    map_chunks,
)
from terralink.vectorize.roads.junctions import Clearance, lead_to, unit

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


def _turn(vectors: Floats) -> Floats:
    """(k, 2) vectors a quarter turn to the left."""
    return np.column_stack([-vectors[:, 1], vectors[:, 0]])


# A dead end's direction is that of its last stretch, this long
LAST_STRETCH_M = 15.0
# Two dead ends fit when neither has to turn by more than this to reach the other
MAX_TURN_DEGREES = 40.0
# A bridge that would meet a road nearer than this to its end meets that end
NEAR_END_M = 3.0
# A gap seems as long as it is where a third of the threshold was seen in it, and up to these times
# shorter. On Massachusetts' val crops none of 33 gaps with less than that was a road, and of 86
# with more a quarter was, a fifth of the long ones too.
HARDEST, EASIEST = 0.5, 2.0

# (k,) straight lines to the mean share of the threshold along them, 0..1, nan where unknown
Along: TypeAlias = Callable[[Lines], Floats]
# (k,) straight lines to what is left of them without the road at their ends
Trim: TypeAlias = Callable[[Lines], Lines]


class DeadEnds(NamedTuple):
    """Where roads end alone.

    road, junction (k,)  which road, and the junction at its dead end
    xy (k, 2)            the place
    inside (k, 2)        half the road's width further in
    heading (k, 2)       the direction outwards there
    """

    road: Ints
    junction: Ints
    xy: Floats
    inside: Floats
    heading: Floats

    @classmethod
    def of(cls, graph: RoadGraph) -> "DeadEnds":
        road, side = np.nonzero(graph.degree[graph.ends] == 1)
        junction = graph.ends[road, side]
        length_m = graph.length_m[road]
        skipped_m = np.minimum(np.nan_to_num(graph.width_m[road]) / 2, length_m / 4)

        def back(distance_m: Floats) -> Floats:
            along_m = np.where(side == 0, distance_m, length_m - distance_m)
            return graph.polylines.at(road, along_m)

        inside = back(skipped_m)
        heading = unit(inside - back(np.minimum(skipped_m + LAST_STRETCH_M, length_m)))
        return cls(road, junction, graph.junctions[junction], inside, heading)


class Seen(NamedTuple):
    """What was seen where no road was found; of a graph alone, nothing."""

    along: Along = lambda lines: np.full(len(lines), np.nan)
    trim: Trim = lambda lines: lines


NOTHING_SEEN = Seen()


def bridged(graph: RoadGraph, *, max_gap_m: float, seen: Seen = NOTHING_SEEN) -> RoadGraph:
    """The graph with gaps of up to ``max_gap_m`` closed; bridges know no width nor probability.

    A gap is as long as the mask has no road. By what was seen in it, up to twice the length is
    closed, or down to half of it.
    """
    if max_gap_m <= 0 or not len(graph):
        return graph
    graph = _between_ends(graph, max_gap_m, seen)
    return _to_sides(graph, max_gap_m, seen).joined()


def _reach_m(graph: RoadGraph, max_gap_m: float) -> float:
    """How long a bridge can be: a gap, and half a road's width at either end."""
    return EASIEST * max_gap_m + float(np.fmax.reduce(graph.width_m, initial=0))


def _between_ends(graph: RoadGraph, max_gap_m: float, seen: Seen) -> RoadGraph:
    """RULE 7: of all pairs that fit, those that seem nearest first, each dead end once."""
    ends = DeadEnds.of(graph)
    a, b = _facing(ends, _reach_m(graph, max_gap_m))
    bridges = np.asarray(
        shapely.linestrings(np.stack([ends.xy[a], ends.xy[b]], axis=1)), dtype=object
    )
    seems_m = _seems_m(bridges, seen)
    nearest = np.argsort(seems_m, kind="stable")
    nearest = nearest[seems_m[nearest] <= max_gap_m]
    clear = nearest[
        ~_crossing(bridges[nearest], graph, ends.road[a[nearest]], ends.road[b[nearest]])
    ]
    chosen = clear[_first_come(np.column_stack([a, b])[clear], bridges[clear])]
    junctions = np.column_stack([ends.junction[a[chosen]], ends.junction[b[chosen]]])
    return graph.with_roads(junctions, Polylines.of(bridges[chosen]))


def _facing(ends: DeadEnds, reach_m: float) -> tuple[Ints, Ints]:
    """Pairs of dead ends that point at each other, at most ``reach_m`` apart."""
    a, b = cKDTree(ends.xy).query_pairs(reach_m, output_type="ndarray").astype(np.int64).T
    way = unit(ends.inside[b] - ends.inside[a])
    straight = np.cos(np.radians(MAX_TURN_DEGREES))
    turn_a, turn_b = (ends.heading[a] * way).sum(axis=1), -(ends.heading[b] * way).sum(axis=1)
    fits = (turn_a >= straight) & (turn_b >= straight)
    return a[fits], b[fits]


def _seems_m(bridges: Lines, seen: Seen) -> Floats:
    """RULE 10: how long each gap seems by what lies along it."""
    gaps = seen.trim(bridges)
    share = seen.along(gaps)
    ease = np.where(np.isnan(share), 1, HARDEST + (EASIEST - HARDEST) * share)
    return np.asarray(shapely.length(gaps) / ease)


def _crossing(
    bridges: NDArray[np.object_], graph: RoadGraph, from_road: Ints, to_road: Ints
) -> NDArray[np.bool_]:
    """RULE 9: whether each bridge meets a road; those that it joins may only touch it."""
    bridge, road = _meeting(bridges, graph.polylines)
    foreign = (road != from_road[bridge]) & (road != to_road[bridge])
    joined = graph.polylines[road[~foreign]].drawn()
    foreign[~foreign] = shapely.crosses(bridges[bridge[~foreign]], joined)
    crossing = np.zeros(len(bridges), bool)
    crossing[bridge[foreign]] = True
    return crossing


def _first_come(pairs: Ints, bridges: NDArray[np.object_]) -> Ints:
    """Those pairs whose ends are free, and whose way is, when their turn comes."""
    others: dict[int, list[int]] = {}
    for one, other in shapely.STRtree(bridges).query(bridges, predicate="crosses").T.tolist():
        others.setdefault(one, []).append(other)
    taken: set[int] = set()
    chosen: set[int] = set()
    for number, pair in enumerate(pairs.tolist()):
        if taken.isdisjoint(pair) and chosen.isdisjoint(others.get(number, ())):
            taken.update(pair)
            chosen.add(number)
    return np.array(sorted(chosen), dtype=np.int64)


def _to_sides(graph: RoadGraph, max_gap_m: float, seen: Seen) -> RoadGraph:
    """RULE 8: straight on from each dead end to the first road in the way."""
    ends = DeadEnds.of(graph)
    reach = _reach_m(graph, max_gap_m) * ends.heading
    rays = np.asarray(shapely.linestrings(np.stack([ends.xy, ends.xy + reach], axis=1)))
    ray, road = _meeting(rays, graph.polylines)
    way = map_chunks(partial(_ways, graph, ends, rays), ray, road)
    there = ~shapely.is_missing(way)
    ray, road, way = ray[there], road[there], way[there]
    nearest = np.lexsort((shapely.length(way), ray))
    nearest = nearest[np.diff(ray[nearest], prepend=-1) > 0]
    seems_m = _seems_m(way[nearest], seen)
    nearest = nearest[np.argsort(seems_m, kind="stable")][: np.count_nonzero(seems_m <= max_gap_m)]
    clear = nearest[_first_come(ray[nearest][:, None], way[nearest])]
    hit = shapely.get_point(way[clear], 1)
    along_m = np.round(shapely.line_locate_point(graph.polylines[road[clear]].drawn(), hit), 2)
    more = _met(graph, ends.junction[ray[clear]], road[clear], along_m)
    # what would have crossed a bridge meets it, now that it is a road (RULE 9)
    return more if len(clear) == len(nearest) else _to_sides(more, max_gap_m, seen)


def _meeting(lines: Lines, roads: Polylines) -> tuple[Ints, Ints]:
    """All pairs of a line (k,) and a road (k,) that have a point in common, line by line.

    It goes along the longer side of the map, so that few roads are shapely's at a time.
    """
    if not len(lines):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    axis = int(np.argmax(np.ptp(roads.points, axis=0)))
    begin, end = shapely.bounds(lines).T[[axis, axis + 2]]
    low, high = (
        side.reduceat(roads.points[:, axis], roads.starts[:-1]) for side in (np.minimum, np.maximum)
    )
    pairs = []
    in_turn = np.argsort(begin, kind="stable")
    for part in chunk_slices(len(lines)):
        some = in_turn[part]
        near = np.flatnonzero((high >= begin[some].min()) & (low <= end[some].max()))
        tree = shapely.STRtree(roads[near].drawn())
        line, road = tree.query(lines[some], predicate="intersects")
        pairs.append(np.column_stack([some[line], near[road]]))
    line, road = np.concatenate(pairs).T
    in_order = np.lexsort((road, line))
    return line[in_order], road[in_order]


def _ways(graph: RoadGraph, ends: DeadEnds, rays: Lines, ray: Ints, road: Ints) -> Lines:
    """From dead ends to where rays meet roads: None where only the end that they leave is met."""
    met = shapely.intersection(rays[ray], graph.polylines[road].drawn())
    own = road == ends.road[ray]
    around = shapely.buffer(shapely.points(ends.xy[ray[own]]), NEAR_END_M)
    met[own] = shapely.difference(met[own], around)
    return np.asarray(shapely.shortest_line(shapely.points(ends.xy[ray]), met), dtype=object)


def _met(graph: RoadGraph, junction: Ints, road: Ints, along_m: Floats) -> RoadGraph:
    """Bridges from junctions to places on roads, or to the ends of those when they are near."""
    length_m = graph.length_m[road]
    to = np.where(along_m < NEAR_END_M, graph.ends[road, 0], -1)
    to = np.where(along_m > length_m - NEAR_END_M, graph.ends[road, 1], to)
    aside = to < 0
    places, number = np.unique(np.column_stack([road, along_m])[aside], axis=0, return_inverse=True)
    to[aside] = len(graph.junctions) + number.ravel()
    graph = graph.split(places[:, 0].astype(np.int64), places[:, 1])
    lines = shapely.linestrings(np.stack([graph.junctions[junction], graph.junctions[to]], axis=1))
    apart = shapely.length(lines) > 0
    return graph.with_roads(np.column_stack([junction, to])[apart], Polylines.of(lines[apart]))
