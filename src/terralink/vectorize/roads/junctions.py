"""Junctions of a skeleton moved to where the roads cross.

RULE 5: junctions are one crossing where the largest discs around them that lie on road overlap
RULE 6: within half a road's width of a junction the skeleton bends to the corners of the
        crossing; there roads run straight on, and the junction lies where they point
RULE 13: where two junctions of three roads each are linked, and the other roads go on straight
         from one to the other in two lines that cross, they are one crossing. The skeleton has
         two roads that cross at a small angle as one road for a while
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import shapely
from scipy.spatial import cKDTree

from terralink.graph import RoadGraph
from terralink.graph.polylines import Bools, Floats, Ints, Polylines

# A junction is drawn to where it was with this share of the pull of one road: so it stays where
# roads that run straight through leave it free to slide
STAY = 0.1
# Discs that all but touch overlap too: two roads that cross at a small angle have two junctions,
# whose discs share little more than a point
OVERLAP = 1.0


class Clearance:
    """How far the background is from places where the skeleton ends or branches.

    xy (n, 2), radius_m (n,)  the places and the distances, in metres
    """

    def __init__(self, xy: Floats, radius_m: Floats) -> None:
        self._tree, self._radius_m = cKDTree(xy), radius_m

    def at(self, xy: Floats) -> Floats:
        """(k,) that of the place nearest to each point (k, 2)."""
        return np.asarray(self._radius_m[self._tree.query(xy)[1]], dtype=np.float64)


def merge_junctions(graph: RoadGraph, *, clearance: Clearance) -> RoadGraph:
    """Junctions whose discs overlap made one, in their middle (RULE 5)."""
    both_branch = (graph.degree[graph.ends] > 2).all(axis=1)
    road = np.flatnonzero(both_branch)
    if not len(road):
        return graph
    radius_m = clearance.at(graph.junctions)
    reach_m = radius_m[graph.ends].sum(axis=1) * OVERLAP
    short = both_branch & (graph.length_m < reach_m)
    if not short.any():
        return graph
    cluster = _find_clusters(graph, short, radius_m)
    return _clustered(graph, cluster, reach_m=reach_m).joined()


def _find_clusters(graph: RoadGraph, short: Bools, radius_m: Floats) -> Ints:
    """(n,) the number of the cluster of each junction.

    The junction with the largest disc comes first, and takes those whose discs overlap its own and
    that short roads lead to; so a cluster does not grow from one to the next through a car park.
    """
    neighbours: dict[int, list[int]] = {}
    for one, other in graph.ends[short].tolist():
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    leader = np.arange(len(graph.junctions))
    members = np.array(sorted(neighbours))
    taken: set[int] = set()
    for first in members[np.argsort(-radius_m[members], kind="stable")].tolist():
        if first in taken:
            continue
        waiting = [first]
        taken.add(first)
        while waiting:
            for near in neighbours[waiting.pop()]:
                apart_m = np.hypot(*(graph.junctions[near] - graph.junctions[first]))
                if near not in taken and apart_m < OVERLAP * (radius_m[first] + radius_m[near]):
                    taken.add(near)
                    leader[near] = first
                    waiting.append(near)
    return np.unique(leader, return_inverse=True)[1]


def _clustered(graph: RoadGraph, cluster: Ints, *, reach_m: Floats) -> RoadGraph:
    """The junctions of each cluster (n,) made one, without the roads inside it."""
    xy = graph.junctions
    size = np.bincount(cluster)[:, None]
    middle = np.column_stack([np.bincount(cluster, axis) for axis in xy.T]) / size
    radius = np.zeros(len(middle))
    np.maximum.at(radius, cluster, np.hypot(*(xy - middle[cluster]).T))
    ends = cluster[graph.ends]
    led = lead_to(graph.polylines, ends, middle, radius)
    inside = (ends[:, 0] == ends[:, 1]) & (graph.ends[:, 0] != graph.ends[:, 1])
    kept = ~(inside & (graph.length_m < reach_m)) & (led.length() > 0)
    return replace(
        graph,
        junctions=middle,
        ends=ends[kept],
        polylines=led[kept],
        width_m=graph.width_m[kept],
        prob=graph.prob[kept],
    )


def settled(graph: RoadGraph) -> RoadGraph:
    """Junctions moved to the point that their roads point at, as near as can be (RULE 6)."""
    widest = widest_m(graph)
    reach_m = np.where(graph.degree > 2, widest / 2, 0)
    road, side = np.nonzero(reach_m[graph.ends] > 0)
    at, length_m = graph.ends[road, side], graph.length_m[road]
    near_m = np.minimum(reach_m[at], length_m / 3)
    far_m = np.minimum(near_m + 1.5 * widest[at], length_m * 2 / 3)
    near, far = (
        graph.polylines.at(road, np.where(side == 0, along_m, length_m - along_m))
        for along_m in (near_m, far_m)
    )
    xy = _pointed_at(graph.junctions, at, near, near - far)
    strayed = np.hypot(*(xy - graph.junctions).T) > widest / 2
    xy[strayed] = graph.junctions[strayed]
    led = lead_to(graph.polylines, graph.ends, xy, reach_m)
    return replace(graph, junctions=xy, polylines=led)


def unit(vectors: Floats) -> Floats:
    """(..., 2) vectors of length 1; those without a length stay so.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))


def widest_m(graph: RoadGraph) -> Floats:
    """(n,) width of the widest road at each junction, 0 where no width is known."""
    widest = np.zeros(len(graph.junctions))
    np.fmax.at(widest, graph.ends, graph.width_m[:, None])
    return widest


def _pointed_at(junctions: Floats, at: Ints, points: Floats, directions: Floats) -> Floats:
    """(n, 2) the points with the least squared distance to the straight lines at each junction.

    Lines go through ``points`` (k, 2) along ``directions`` (k, 2) and belong to junction ``at``.
    """
    along = directions / np.maximum(np.hypot(*directions.T), 1e-12)[:, None]
    aside = np.eye(2) - along[:, :, None] * along[:, None, :]  # takes away what lies along
    pull = np.tile(STAY * np.eye(2), (len(junctions), 1, 1))
    target = STAY * junctions[:, :, None]
    np.add.at(pull, at, aside)
    np.add.at(target, at, aside @ points[:, :, None])
    return np.asarray(np.linalg.solve(pull, target)[:, :, 0])


def lead_to(lines: Polylines, ends: Ints, xy: Floats, reach_m: Floats) -> Polylines:
    """Lines that run straight to junctions at ``xy`` (n, 2) over their last ``reach_m`` (n,).

    That near the skeleton bends to the corners of the crossing. Of a short line each end has a
    third. A line that need not change stays as it is.
    """
    return lines.changed(partial(_led, xy=xy, reach_m=reach_m), ends)


def _led(lines: Polylines, ends: Ints, *, xy: Floats, reach_m: Floats) -> Polylines:
    bent = (reach_m[ends] > 0).any(axis=1) | (lines.tips() != xy[ends]).any(axis=(1, 2))
    return lines.replaced(bent, _bent(lines[bent], ends[bent], xy, reach_m))


def _bent(lines: Polylines, ends: Ints, xy: Floats, reach_m: Floats) -> Polylines:
    owner, (along_m, length_m) = lines.owner, lines.measured()
    reach = np.minimum(reach_m[ends], length_m[:, None] / 3)
    inner = (along_m > reach[owner, 0]) & (along_m < (length_m - reach[:, 1])[owner])
    turns_m = np.column_stack([reach[:, 0], length_m - reach[:, 1]])
    turns = shapely.get_coordinates(shapely.line_interpolate_point(lines.drawn()[:, None], turns_m))
    each = np.repeat(np.arange(len(lines)), 2)
    beyond = np.column_stack([-np.ones(len(lines)), length_m + 1])
    turning = (reach > 0).ravel()
    owners = np.concatenate([owner[inner], each[turning], each])
    place = np.concatenate([along_m[inner], turns_m.ravel()[turning], beyond.ravel()])
    points = np.concatenate([lines.points[inner], turns[turning], xy[ends].reshape(-1, 2)])
    order = np.lexsort((place, owners))
    return Polylines.counted(points[order], np.bincount(owners, minlength=len(lines)))


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
