"""Dead ends: extended to the end of the mask, and joined where the mask has a gap.

A skeleton ends about half a width before the end of a road, or turns to one of its corners; at the
border of the scene too, because outside is background. Trees and shadows interrupt a mask where the
road continues.

    RULE 7: two dead ends that point at each other are one road
    RULE 8: a dead end that points at the side of a road is joined to it
    RULE 9: no bridge crosses a road, not even its own; it ends at the first road in its way
    RULE 10: the gap is measured in the mask. Where the probability is nearly the threshold a bridge
             may be longer, where it is 0 it must be shorter
    RULE 11: from the last point in the middle of the road, the line runs straight to the end of the
             mask. If that is not as far as the skeleton goes, the road bends there: the skeleton
             stays, and runs straight on from its end
    RULE 12: a road with a round end, or a turning circle, ends at the centre of the circle
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import shapely
from scipy.spatial import cKDTree

from terralink._typing import Bools, Floats, Ints
from terralink.graph import RoadGraph
from terralink.graph.polylines import Lines, Polylines, chunk_slices, map_chunks
from terralink.vectorize.roads.junctions import Clearance, normalize, straighten_ends

# Points (k, 2), unit vectors (k, 2) and lengths (k,) to how far road continues from there (k,)
MeasureRoad: TypeAlias = Callable[[Floats, Floats, Floats], Floats]
# Ends of the skeleton (k, 2) to whether the border of the scene cuts the road there (k,)
AtBorder: TypeAlias = Callable[[Floats], Bools]
# (k,) straight lines to the mean share of the threshold along them, 0..1, nan where unknown
MeanShare: TypeAlias = Callable[[Lines], Floats]
# (k,) straight lines to the same lines without the road at their ends
TrimRoad: TypeAlias = Callable[[Lines], Lines]

# The last point in the middle of the road is searched at these distances from the end, in widths;
# a border that cuts the road at 30 degrees turns the skeleton away for two widths
CUT_WIDTHS = (0.75, 1.5, 2.25, 3.0)
# A point is in the middle if both sides differ by no more than this share of the width, and are
# together that share of it
OFF_MIDDLE, FULL_WIDTH = 0.2, 0.9
# The direction of a dead end is measured over so many widths of road, and at least over so much
STRETCH_WIDTHS, STRETCH_M = 1.5, 15.0
# Whether an end is round is measured at this share of its radius from the centre line
ASIDE = 0.8
# A circle of a smaller radius has too few pixels
MIN_ROUND_PX = 2.5
# The direction for a bridge is that of the last stretch, this long
LAST_STRETCH_M = 15.0
# Two dead ends fit when neither has to turn by more than this to reach the other
MAX_TURN_DEGREES = 40.0
# A bridge that would meet a road nearer than this to its end meets that end
NEAR_END_M = 3.0
# A gap is divided by a factor between these: the first where the probability is 0, the second where
# it is the threshold, 1 at a third of it. On Massachusetts' val crops none of 33 gaps with less
# than a third was a road, and of 86 with more a quarter was, a fifth of the long ones too
MIN_FACTOR, MAX_FACTOR = 0.5, 2.0


class MaskQueries(NamedTuple):
    """What the mask of the scene says beside the skeleton.

    clearance     distance to the background at the ends and branchings of the skeleton
    at_border     whether the border of the scene cuts the road at an end
    measure_road  how far the mask continues from a point
    """

    clearance: Clearance
    at_border: AtBorder
    measure_road: MeasureRoad


class GapQueries(NamedTuple):
    """What the probability says where no road is. Without a scene, nothing."""

    mean_share: MeanShare = lambda lines: np.full(len(lines), np.nan)
    trim_road: TrimRoad = lambda lines: lines


UNKNOWN_GAPS = GapQueries()


def extend_ends(graph: RoadGraph, *, mask: MaskQueries, pixel_m: float) -> RoadGraph:
    """The graph with each dead end at the end of the mask (RULES 11, 12)."""
    road, side = np.nonzero(graph.degree[graph.edges] == 1)
    if not len(road):
        return graph
    tip = graph.junctions[graph.edges[road, side]]
    width_m = np.nan_to_num(graph.width_m[road])
    radius_m = np.maximum(mask.clearance.query(tip), width_m / 2)
    ends = _EndGeometry(graph, road, side, width_m, radius_m, mask.measure_road, pixel_m)
    # RULE 11
    cut_m = ends.find_cuts()
    start, heading = ends.locate(cut_m), ends.measure_heading(cut_m)
    max_m = cut_m + 2 * (width_m + radius_m)
    beside_m = ends.measure_beside(start, heading, max_m)
    onward_m = mask.measure_road(start, heading, max_m)
    onward_m = np.maximum(onward_m, beside_m.mean(axis=0))  # a notch does not stop it
    # RULE 12
    inside_scene = ~mask.at_border(tip)
    onward_m -= np.where(inside_scene, ends.measure_round_end(onward_m, beside_m), 0)
    bends = (onward_m < cut_m - 1.5 * radius_m) & inside_scene
    if bends.any():
        heading[bends] = normalize(tip - start)[bends]
        start[bends] = tip[bends]
        onward_m[bends] = mask.measure_road(start[bends], heading[bends], max_m[bends])
    xy, straight_m = graph.junctions.copy(), np.zeros(len(graph.junctions))
    xy[ends.junction] = start + heading * onward_m[:, None]
    straight_m[ends.junction] = np.where(bends, 0, cut_m)
    polylines = straighten_ends(graph.polylines, graph.edges, xy, straight_m)
    return replace(graph, junctions=xy, polylines=polylines)


@dataclass(frozen=True, eq=False)
class _EndGeometry:
    """Dead ends: which roads (k,), and which of their two ends (k,).

    radius_m (k,)  half the road's width, or the radius of the disc around the end if it is larger
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
        return np.asarray(self.graph.edges[self.road, self.side])

    @property
    def length_m(self) -> Floats:
        return self.graph.length_m[self.road]

    def locate(self, distance_m: Floats) -> Floats:
        """(k, 2) the points on the roads at a distance from their ends."""
        along_m = np.where(self.side == 0, distance_m, self.length_m - distance_m)
        return self.graph.polylines.interpolate(self.road, along_m)

    def measure_heading(self, distance_m: Floats) -> Floats:
        """(k, 2) the direction outward there, measured on the road further in."""
        stretch_m = np.maximum(STRETCH_WIDTHS * self.width_m, STRETCH_M)
        far_m = np.minimum(distance_m + stretch_m, self.length_m * 5 / 6)
        return normalize(self.locate(distance_m) - self.locate(far_m))

    def find_cuts(self) -> Floats:
        """(k,) distance from the end to the last point in the middle; at most a third of it."""
        max_m = self.length_m / 3
        cut_m = np.minimum(self.width_m, max_m)
        remaining = np.arange(len(self.road))
        for widths in CUT_WIDTHS:
            ends = self._select(remaining)
            distance_m = np.minimum(widths * ends.width_m, max_m[remaining])
            centred = ends._is_centred(distance_m)
            cut_m[remaining[centred]] = distance_m[centred]
            remaining = remaining[~centred]
        return cut_m

    def _select(self, rows: Ints) -> "_EndGeometry":
        columns = self.road[rows], self.side[rows], self.width_m[rows], self.radius_m[rows]
        return _EndGeometry(self.graph, *columns, self.measure_road, self.pixel_m)

    def _is_centred(self, distance_m: Floats) -> Bools:
        across = _rotate_left(self.measure_heading(distance_m))
        point, max_m = self.locate(distance_m), 1.5 * self.width_m
        left, right = (self.measure_road(point, sign * across, max_m) for sign in (-1, 1))
        close = np.abs(left - right) <= np.maximum(OFF_MIDDLE * self.width_m, 1.5 * self.pixel_m)
        wide = left + right >= FULL_WIDTH * self.width_m - self.pixel_m
        return np.asarray(close & wide & (left + right <= max_m))

    def measure_beside(self, start: Floats, heading: Floats, max_m: Floats) -> Floats:
        """(2, k) how far road continues to the left and to the right of the centre line."""
        aside = ASIDE * self.radius_m[:, None] * _rotate_left(heading)
        return np.stack(
            [self.measure_road(start + sign * aside, heading, max_m) for sign in (1, -1)]
        )

    def measure_round_end(self, onward_m: Floats, beside_m: Floats) -> Floats:
        """(k,) how far before the end of the mask a road with a round end stops: its radius.

        The end is round if road is shorter beside the centre line, on both sides. An end that is
        cut straight or at an angle gives 0.
        """
        sagitta_m = (1 - np.sqrt(1 - ASIDE**2)) * self.radius_m
        share = (onward_m - beside_m.max(axis=0)) / np.maximum(sagitta_m, self.pixel_m)
        measurable = self.radius_m >= MIN_ROUND_PX * self.pixel_m
        return np.where(measurable, np.clip(share, 0, 1) * self.radius_m, 0)


def _rotate_left(vectors: Floats) -> Floats:
    """(k, 2) vectors rotated by 90 degrees."""
    return np.column_stack([-vectors[:, 1], vectors[:, 0]])


class DeadEnds(NamedTuple):
    """Dead ends that a bridge may start at.

    road, junction (k,)  the road, and the junction at its dead end
    xy (k, 2)            the place of the junction
    inside (k, 2)        the point half the road's width further in
    heading (k, 2)       the direction outward there: nearer to its end, a skeleton turns to a
                         corner of the mask
    """

    road: Ints
    junction: Ints
    xy: Floats
    inside: Floats
    heading: Floats

    @classmethod
    def find(cls, graph: RoadGraph) -> "DeadEnds":
        road, side = np.nonzero(graph.degree[graph.edges] == 1)
        junction = graph.edges[road, side]
        length_m = graph.length_m[road]
        skipped_m = np.minimum(np.nan_to_num(graph.width_m[road]) / 2, length_m / 4)

        def locate(distance_m: Floats) -> Floats:
            along_m = np.where(side == 0, distance_m, length_m - distance_m)
            return graph.polylines.interpolate(road, along_m)

        inside = locate(skipped_m)
        further_in = locate(np.minimum(skipped_m + LAST_STRETCH_M, length_m))
        heading = normalize(inside - further_in)
        return cls(road, junction, graph.junctions[junction], inside, heading)


def bridge_gaps(
    graph: RoadGraph, *, max_gap_m: float, gaps: GapQueries = UNKNOWN_GAPS
) -> RoadGraph:
    """The graph with gaps of up to ``max_gap_m`` closed; bridges have no width or probability."""
    if max_gap_m <= 0 or not len(graph):
        return graph
    graph = _join_ends(graph, max_gap_m, gaps)
    return _join_sides(graph, max_gap_m, gaps).merge_degree2()


def _max_bridge_m(graph: RoadGraph, max_gap_m: float) -> float:
    """The longest bridge: a gap, and half a road's width at either end."""
    return MAX_FACTOR * max_gap_m + float(np.fmax.reduce(graph.width_m, initial=0))


def _join_ends(graph: RoadGraph, max_gap_m: float, gaps: GapQueries) -> RoadGraph:
    """RULE 7: of all pairs that fit, those with the shortest gap first, each dead end once."""
    ends = DeadEnds.find(graph)
    a, b = _find_facing_pairs(ends, _max_bridge_m(graph, max_gap_m))
    bridges = np.asarray(
        shapely.linestrings(np.stack([ends.xy[a], ends.xy[b]], axis=1)), dtype=object
    )
    gap_m = _measure_gaps(bridges, gaps)
    nearest = np.argsort(gap_m, kind="stable")
    nearest = nearest[gap_m[nearest] <= max_gap_m]
    crosses = _cross_roads(bridges[nearest], graph, ends.road[a[nearest]], ends.road[b[nearest]])
    clear = nearest[~crosses]
    chosen = clear[_choose_disjoint(np.column_stack([a, b])[clear], bridges[clear])]
    junctions = np.column_stack([ends.junction[a[chosen]], ends.junction[b[chosen]]])
    return graph.with_roads(junctions, Polylines.from_shapely(bridges[chosen]))


def _find_facing_pairs(ends: DeadEnds, max_m: float) -> tuple[Ints, Ints]:
    """Pairs of dead ends that point at each other, at most ``max_m`` apart."""
    a, b = cKDTree(ends.xy).query_pairs(max_m, output_type="ndarray").astype(np.int64).T
    direction = normalize(ends.inside[b] - ends.inside[a])
    straight = np.cos(np.radians(MAX_TURN_DEGREES))
    cosine_a = (ends.heading[a] * direction).sum(axis=1)
    cosine_b = -(ends.heading[b] * direction).sum(axis=1)
    fits = (cosine_a >= straight) & (cosine_b >= straight)
    return a[fits], b[fits]


def _measure_gaps(bridges: Lines, gaps: GapQueries) -> Floats:
    """(k,) the length of each gap, divided by the factor of its probability (RULE 10)."""
    # RULE 10
    lines = gaps.trim_road(bridges)
    share = gaps.mean_share(lines)
    factor = np.where(np.isnan(share), 1, MIN_FACTOR + (MAX_FACTOR - MIN_FACTOR) * share)
    return np.asarray(shapely.length(lines) / factor)


def _cross_roads(bridges: Lines, graph: RoadGraph, from_road: Ints, to_road: Ints) -> Bools:
    """(k,) RULE 9: whether each bridge meets a road; it may touch the two that it joins."""
    bridge, road = _find_intersecting(bridges, graph.polylines)
    meets = (road != from_road[bridge]) & (road != to_road[bridge])
    own = graph.polylines[road[~meets]].to_shapely()
    meets[~meets] = shapely.crosses(bridges[bridge[~meets]], own)
    crosses = np.zeros(len(bridges), bool)
    crosses[bridge[meets]] = True
    return crosses


def _choose_disjoint(pairs: Ints, bridges: Lines) -> Ints:
    """In order, the bridges (k,) whose ends are free and that cross none chosen before."""
    crossed: dict[int, list[int]] = {}
    for one, other in shapely.STRtree(bridges).query(bridges, predicate="crosses").T.tolist():
        crossed.setdefault(one, []).append(other)
    used: set[int] = set()
    chosen: set[int] = set()
    for number, pair in enumerate(pairs.tolist()):
        if used.isdisjoint(pair) and chosen.isdisjoint(crossed.get(number, ())):
            used.update(pair)
            chosen.add(number)
    return np.array(sorted(chosen), dtype=np.int64)


def _join_sides(graph: RoadGraph, max_gap_m: float, gaps: GapQueries) -> RoadGraph:
    """RULE 8: straight on from each dead end to the first road in its way."""
    ends = DeadEnds.find(graph)
    reach = _max_bridge_m(graph, max_gap_m) * ends.heading
    rays = np.asarray(shapely.linestrings(np.stack([ends.xy, ends.xy + reach], axis=1)))
    ray, road = _find_intersecting(rays, graph.polylines)
    bridge = map_chunks(partial(_draw_bridges, graph, ends, rays), ray, road)
    exists = ~shapely.is_missing(bridge)
    ray, road, bridge = ray[exists], road[exists], bridge[exists]
    nearest = np.lexsort((shapely.length(bridge), ray))
    nearest = nearest[np.diff(ray[nearest], prepend=-1) > 0]
    gap_m = _measure_gaps(bridge[nearest], gaps)
    nearest = nearest[np.argsort(gap_m, kind="stable")][: np.count_nonzero(gap_m <= max_gap_m)]
    clear = nearest[_choose_disjoint(ray[nearest][:, None], bridge[nearest])]
    target = shapely.get_point(bridge[clear], 1)
    along_m = np.round(
        shapely.line_locate_point(graph.polylines[road[clear]].to_shapely(), target), 2
    )
    joined = _add_bridges(graph, ends.junction[ray[clear]], road[clear], along_m)
    # RULE 9: what would have crossed a bridge ends at it, now that the bridge is a road
    return joined if len(clear) == len(nearest) else _join_sides(joined, max_gap_m, gaps)


def _find_intersecting(lines: Lines, roads: Polylines) -> tuple[Ints, Ints]:
    """All pairs of a line (k,) and a road (k,) that have a point in common, line by line.

    It proceeds along the longer side of the map, so that few roads are shapely objects at a time.
    """
    if not len(lines):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    axis = int(np.argmax(np.ptp(roads.points, axis=0)))
    begin, end = shapely.bounds(lines).T[[axis, axis + 2]]
    low, high = (
        side.reduceat(roads.points[:, axis], roads.starts[:-1]) for side in (np.minimum, np.maximum)
    )
    pairs = []
    by_begin = np.argsort(begin, kind="stable")
    for part in chunk_slices(len(lines)):
        chunk = by_begin[part]
        near = np.flatnonzero((high >= begin[chunk].min()) & (low <= end[chunk].max()))
        tree = shapely.STRtree(roads[near].to_shapely())
        line, road = tree.query(lines[chunk], predicate="intersects")
        pairs.append(np.column_stack([chunk[line], near[road]]))
    line, road = np.concatenate(pairs).T
    order = np.lexsort((road, line))
    return line[order], road[order]


def _draw_bridges(graph: RoadGraph, ends: DeadEnds, rays: Lines, ray: Ints, road: Ints) -> Lines:
    """From dead ends to where rays meet roads; None where that is only the dead end itself."""
    shared = shapely.intersection(rays[ray], graph.polylines[road].to_shapely())
    own = road == ends.road[ray]
    around = shapely.buffer(shapely.points(ends.xy[ray[own]]), NEAR_END_M)
    shared[own] = shapely.difference(shared[own], around)
    return np.asarray(shapely.shortest_line(shapely.points(ends.xy[ray]), shared), dtype=object)


def _add_bridges(graph: RoadGraph, junction: Ints, road: Ints, along_m: Floats) -> RoadGraph:
    """Bridges from junctions to places on roads, or to an end of the road that is near."""
    length_m = graph.length_m[road]
    target = np.where(along_m < NEAR_END_M, graph.edges[road, 0], -1)
    target = np.where(along_m > length_m - NEAR_END_M, graph.edges[road, 1], target)
    inside = target < 0
    splits, number = np.unique(
        np.column_stack([road, along_m])[inside], axis=0, return_inverse=True
    )
    target[inside] = len(graph.junctions) + number.ravel()
    graph = graph.split(splits[:, 0].astype(np.int64), splits[:, 1])
    ends = np.column_stack([junction, target])
    lines = shapely.linestrings(graph.junctions[ends])
    long = shapely.length(lines) > 0
    return graph.with_roads(ends[long], Polylines.from_shapely(lines[long]))
