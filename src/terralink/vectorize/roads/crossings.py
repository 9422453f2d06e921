"""Two roads that cross at a small angle: the skeleton has them as one road for a while.

RULE 13: where two junctions of three roads each are linked, and the other roads go on straight
         from one to the other in two lines that cross, they are one crossing
"""

from typing import NamedTuple

import numpy as np

from terralink.graph import RoadGraph
from terralink.graph.polylines import Bools, Floats, Ints
from terralink.vectorize.roads.ends import unit
from terralink.vectorize.roads.junctions import lead_to, widest_m

# A road that crosses turns by no more than this
MAX_TURN_DEGREES = 15.0
# At smaller angles the shared part is longer than so many widths, and is a road
MAX_WIDTHS = 10.0
# Roads are looked at from half a width on, and over so many widths
STRETCH_WIDTHS = 1.5


class _Arms(NamedTuple):
    """The roads beside a link at its two junctions.

    road, side (k, 2, 2)  by link, end of the link, and arm
    near (k, 2, 2, 2)     the point half a width from the junction
    outward (...)         the direction from there on
    near_m (k, 2, 2)      how far from the junction that is
    """

    road: Ints
    side: Ints
    near: Floats
    outward: Floats
    near_m: Floats


def merge_crossings(graph: RoadGraph) -> RoadGraph:
    """The graph with each crossing at a small angle as one junction (RULE 13)."""
    widest = widest_m(graph)
    wide_m = widest[graph.ends].max(axis=1, initial=0)
    three = (graph.degree[graph.ends] == 3).all(axis=1)
    link = np.flatnonzero(
        three & (graph.ends[:, 0] != graph.ends[:, 1]) & (graph.length_m < MAX_WIDTHS * wide_m)
    )
    if not len(link):
        return graph
    arms = _arms(graph, link, wide_m[link])
    crosses, xy = _crossing_points(arms)
    crosses &= ~(arms.road == link[:, None, None]).any(axis=(1, 2))
    crosses &= ~(arms.road[:, 0, :, None] == arms.road[:, 1, None, :]).any(axis=(1, 2))
    chosen = _choose(graph, link, crosses)
    return _merge(graph, link[chosen], xy[chosen], arms.near_m[chosen].max(axis=(1, 2)))


def _arms(graph: RoadGraph, link: Ints, wide_m: Floats) -> _Arms:
    slot_of = np.argsort(graph.ends.ravel(), kind="stable")
    begins = np.cumsum(graph.degree) - graph.degree
    slots = slot_of[begins[graph.ends[link]][:, :, None] + np.arange(3)]  # (k, 2, 3)
    own = slots == (2 * link[:, None] + np.arange(2))[:, :, None]
    others = np.argsort(own, axis=2, kind="stable")[:, :, :2]
    slots = np.take_along_axis(slots, others, axis=2)
    road, side = slots // 2, slots % 2
    length_m = graph.length_m[road]
    near_m = np.minimum(wide_m[:, None, None] / 2, length_m / 3)
    far_m = np.minimum(near_m + STRETCH_WIDTHS * wide_m[:, None, None], length_m * 2 / 3)

    def inward(along_m: Floats) -> Floats:
        place = np.where(side == 0, along_m, length_m - along_m)
        return graph.polylines.at(road.ravel(), place.ravel()).reshape(*road.shape, 2)

    near = inward(near_m)
    return _Arms(road, side, near, unit(inward(far_m) - near), near_m)


def _crossing_points(arms: _Arms) -> tuple[Bools, Floats]:
    """(k,) whether the arms go straight on in two lines that cross, and (k, 2) where."""
    straightest = np.full(len(arms.road), np.cos(np.radians(MAX_TURN_DEGREES)))
    crosses, xy = np.zeros(len(arms.road), bool), np.zeros((len(arms.road), 2))
    for opposite in ([0, 1], [1, 0]):
        begin, end = arms.near[:, 0], arms.near[:, 1, opposite]
        outward = np.stack([-arms.outward[:, 0], arms.outward[:, 1, opposite]], axis=1)
        straight = (outward * unit(end - begin)[:, None]).sum(axis=3).min(axis=(1, 2))
        share, point = _intersect(begin, end)
        fits = (straight >= straightest) & ((share > 0) & (share < 1)).all(axis=1)
        xy[fits], straightest[fits] = point[fits], straight[fits]
        crosses |= fits
    return crosses, xy


def _intersect(begin: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Where two lines (k, 2, 2) meet: the share of each line (k, 2), nan if none, and the point."""
    along = end - begin
    between = begin[:, 1] - begin[:, 0]
    cross = along[:, 0, 0] * along[:, 1, 1] - along[:, 0, 1] * along[:, 1, 0]
    cross = np.where(np.abs(cross) > 1e-9, cross, np.nan)
    share = np.stack(
        [
            (between[:, 0] * line[:, 1] - between[:, 1] * line[:, 0]) / cross
            for line in (along[:, 1], along[:, 0])
        ],
        axis=1,
    )
    return share, begin[:, 0] + share[:, :1] * along[:, 0]


def _choose(graph: RoadGraph, link: Ints, crosses: Bools) -> Ints:
    """Which links to merge: the shortest first, each junction once."""
    taken: set[int] = set()
    chosen = []
    for number in np.flatnonzero(crosses)[np.argsort(graph.length_m[link[crosses]])].tolist():
        pair = graph.ends[link[number]].tolist()
        if taken.isdisjoint(pair):
            taken.update(pair)
            chosen.append(number)
    return np.array(chosen, dtype=np.int64)


def _merge(graph: RoadGraph, link: Ints, xy: Floats, straight_m: Floats) -> RoadGraph:
    """The junctions of each link made one at ``xy``; roads run straight to there."""
    if not len(link):
        return graph
    merged = np.arange(len(graph.junctions))
    first, second = graph.ends[link].T
    merged[second] = first
    junctions, reach_m = graph.junctions.copy(), np.zeros(len(merged))
    junctions[first], reach_m[first] = xy, straight_m
    kept = np.ones(len(graph), bool)
    kept[link] = False
    ends = merged[graph.ends[kept]]
    polylines = lead_to(graph.polylines[kept], ends, junctions, reach_m)
    columns = graph.width_m[kept], graph.prob[kept]
    return RoadGraph(junctions, ends, polylines, *columns, graph.crs).joined()
