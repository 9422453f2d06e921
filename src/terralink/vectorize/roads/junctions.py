"""Junctions of a skeleton moved to where the roads cross.

RULE 5: junctions are one crossing if the largest discs around them that lie on road overlap.
        The largest disc takes its neighbours, and these take none
RULE 6: within half a road's width of a junction the skeleton bends to the corners of the
        crossing; there roads run straight on, and the junction lies where they point
RULE 13: two linked junctions of three roads each are one crossing if the other roads continue
         straight from one junction to the other in two lines that cross. The skeleton shows two
         roads that cross at a small angle as one road for a while
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import shapely
from scipy.spatial import cKDTree

from terralink._typing import Bools, Floats, Ints
from terralink.graph import RoadGraph
from terralink.graph.polylines import Polylines

# A junction is pulled to its old place with this share of the pull of one road. So it stays in
# place along a road that runs straight through it
STAY_WEIGHT = 0.1
# Discs overlap if they are nearer than the sum of their radii times this: two roads that cross at a
# small angle have two junctions, whose discs share little more than a point
OVERLAP = 1.0
# A crossing road turns by no more than this
MAX_TURN_DEGREES = 15.0
# At smaller angles the shared part is longer than so many widths, and is a road
MAX_WIDTHS = 10.0
# The direction of a road is measured from half a width on, over so many widths
STRETCH_WIDTHS = 1.5


class Clearance:
    """The distance to the background at the ends and branchings of the skeleton.

    xy (n, 2), radius_m (n,)  the places and the distances, in metres
    """

    def __init__(self, xy: Floats, radius_m: Floats) -> None:
        self._tree, self._radius_m = cKDTree(xy), radius_m

    def query(self, xy: Floats) -> Floats:
        """(k,) the distance at the place nearest to each point (k, 2)."""
        return np.asarray(self._radius_m[self._tree.query(xy)[1]], dtype=np.float64)


def merge_junctions(graph: RoadGraph, *, clearance: Clearance) -> RoadGraph:
    """The graph with junctions whose discs overlap merged at their mean position (RULE 5)."""
    both_branch = (graph.degree[graph.edges] > 2).all(axis=1)
    if not both_branch.any():
        return graph
    radius_m = clearance.query(graph.junctions)
    reach_m = radius_m[graph.edges].sum(axis=1) * OVERLAP
    short = both_branch & (graph.length_m < reach_m)
    if not short.any():
        return graph
    cluster = _find_clusters(graph, short, radius_m)
    return _merge_clusters(graph, cluster, reach_m=reach_m).merge_degree2()


def _find_clusters(graph: RoadGraph, short: Bools, radius_m: Floats) -> Ints:
    """(n,) the number of the cluster of each junction.

    The junction with the largest disc comes first, and takes those that short roads lead to and
    whose discs overlap its own. So a cluster does not spread over a car park (RULE 5).
    """
    neighbours: dict[int, list[int]] = {}
    for one, other in graph.edges[short].tolist():
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    leader = np.arange(len(graph.junctions))
    members = np.array(sorted(neighbours))
    assigned: set[int] = set()
    for first in members[np.argsort(-radius_m[members], kind="stable")].tolist():
        if first in assigned:
            continue
        queue = [first]
        assigned.add(first)
        while queue:
            for near in neighbours[queue.pop()]:
                distance_m = np.hypot(*(graph.junctions[near] - graph.junctions[first]))
                overlap_m = OVERLAP * (radius_m[first] + radius_m[near])
                # RULE 5
                if near not in assigned and distance_m < overlap_m:
                    assigned.add(near)
                    leader[near] = first
                    queue.append(near)
    return np.unique(leader, return_inverse=True)[1]


def _merge_clusters(graph: RoadGraph, cluster: Ints, *, reach_m: Floats) -> RoadGraph:
    """The junctions of each cluster (n,) as one, without the short roads inside it."""
    xy = graph.junctions
    size = np.bincount(cluster)[:, None]
    mean = np.column_stack([np.bincount(cluster, axis) for axis in xy.T]) / size
    radius_m = np.zeros(len(mean))
    np.maximum.at(radius_m, cluster, np.hypot(*(xy - mean[cluster]).T))
    ends = cluster[graph.edges]
    lines = straighten_ends(graph.polylines, ends, mean, radius_m)
    inside = (ends[:, 0] == ends[:, 1]) & (graph.edges[:, 0] != graph.edges[:, 1])
    stays = ~(inside & (graph.length_m < reach_m)) & (lines.length() > 0)
    return replace(
        graph,
        junctions=mean,
        edges=ends[stays],
        polylines=lines[stays],
        width_m=graph.width_m[stays],
        prob=graph.prob[stays],
    )


def straighten_junctions(graph: RoadGraph) -> RoadGraph:
    """The graph with junctions moved to the point nearest to the lines of their roads (RULE 6)."""
    max_width_m = measure_max_width(graph)
    reach_m = np.where(graph.degree > 2, max_width_m / 2, 0)
    road, side = np.nonzero(reach_m[graph.edges] > 0)
    junction, length_m = graph.edges[road, side], graph.length_m[road]
    near_m = np.minimum(reach_m[junction], length_m / 3)
    far_m = np.minimum(near_m + 1.5 * max_width_m[junction], length_m * 2 / 3)
    near, far = (
        graph.polylines.interpolate(road, np.where(side == 0, along_m, length_m - along_m))
        for along_m in (near_m, far_m)
    )
    # RULE 6
    xy = _intersect_at_junctions(graph.junctions, junction, near, near - far)
    too_far = np.hypot(*(xy - graph.junctions).T) > max_width_m / 2
    xy[too_far] = graph.junctions[too_far]
    lines = straighten_ends(graph.polylines, graph.edges, xy, reach_m)
    return replace(graph, junctions=xy, polylines=lines)


def measure_max_width(graph: RoadGraph) -> Floats:
    """(n,) width of the widest road at each junction, 0 where no width is known."""
    max_width_m = np.zeros(len(graph.junctions))
    np.fmax.at(max_width_m, graph.edges, graph.width_m[:, None])
    return max_width_m


def normalize(vectors: Floats) -> Floats:
    """(..., 2) vectors of length 1; vectors of length 0 stay 0.

    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))


def _intersect_at_junctions(
    junctions: Floats, junction: Ints, points: Floats, directions: Floats
) -> Floats:
    """(n, 2) the points with the least squared distance to the straight lines at each junction.

    Lines pass ``points`` (k, 2) along ``directions`` (k, 2) and belong to ``junction`` (k,).
    """
    along = directions / np.maximum(np.hypot(*directions.T), 1e-12)[:, None]
    across = np.eye(2) - along[:, :, None] * along[:, None, :]  # projects on the line's normal
    matrix = np.tile(STAY_WEIGHT * np.eye(2), (len(junctions), 1, 1))
    vector = STAY_WEIGHT * junctions[:, :, None]
    np.add.at(matrix, junction, across)
    np.add.at(vector, junction, across @ points[:, :, None])
    return np.asarray(np.linalg.solve(matrix, vector)[:, :, 0])


def straighten_ends(lines: Polylines, ends: Ints, xy: Floats, reach_m: Floats) -> Polylines:
    """Lines that run straight to junctions at ``xy`` (n, 2) over their last ``reach_m`` (n,).

    Each end of a line has a third of it at most. A line that need not change stays as it is.
    """
    return lines.map(partial(_straighten_where_needed, xy=xy, reach_m=reach_m), ends)


def _straighten_where_needed(
    lines: Polylines, ends: Ints, *, xy: Floats, reach_m: Floats
) -> Polylines:
    changes = (reach_m[ends] > 0).any(axis=1) | (lines.endpoints() != xy[ends]).any(axis=(1, 2))
    return lines.replace_rows(changes, _straighten(lines[changes], ends[changes], xy, reach_m))


def _straighten(lines: Polylines, ends: Ints, xy: Floats, reach_m: Floats) -> Polylines:
    owner, (along_m, length_m) = lines.line_index, lines.measure()
    reach = np.minimum(reach_m[ends], length_m[:, None] / 3)
    inner = (along_m > reach[owner, 0]) & (along_m < (length_m - reach[:, 1])[owner])
    bends_m = np.column_stack([reach[:, 0], length_m - reach[:, 1]])
    bends = shapely.get_coordinates(
        shapely.line_interpolate_point(lines.to_shapely()[:, None], bends_m)
    )
    each = np.repeat(np.arange(len(lines)), 2)
    beyond_m = np.column_stack([-np.ones(len(lines)), length_m + 1])
    has_bend = (reach > 0).ravel()
    owners = np.concatenate([owner[inner], each[has_bend], each])
    position_m = np.concatenate([along_m[inner], bends_m.ravel()[has_bend], beyond_m.ravel()])
    points = np.concatenate([lines.points[inner], bends[has_bend], xy[ends].reshape(-1, 2)])
    order = np.lexsort((position_m, owners))
    return Polylines.from_counts(points[order], np.bincount(owners, minlength=len(lines)))


class _Arms(NamedTuple):
    """The roads beside a link at its two junctions.

    road, side (k, 2, 2)  by link, end of the link, and arm
    near (k, 2, 2, 2)     the point half a width from the junction
    outward (...)         the direction from there on
    near_m (k, 2, 2)      the distance of that point
    """

    road: Ints
    side: Ints
    near: Floats
    outward: Floats
    near_m: Floats


def merge_crossings(graph: RoadGraph) -> RoadGraph:
    """The graph with each crossing at a small angle as one junction (RULE 13)."""
    width_m = measure_max_width(graph)[graph.edges].max(axis=1, initial=0)
    three = (graph.degree[graph.edges] == 3).all(axis=1)
    link = np.flatnonzero(
        three & (graph.edges[:, 0] != graph.edges[:, 1]) & (graph.length_m < MAX_WIDTHS * width_m)
    )
    if not len(link):
        return graph
    arms = _find_arms(graph, link, width_m[link])
    crosses, xy = _find_crossing_points(arms)
    crosses &= ~(arms.road == link[:, None, None]).any(axis=(1, 2))
    crosses &= ~(arms.road[:, 0, :, None] == arms.road[:, 1, None, :]).any(axis=(1, 2))
    chosen = _choose_links(graph, link, crosses)
    return _merge_links(graph, link[chosen], xy[chosen], arms.near_m[chosen].max(axis=(1, 2)))


def _find_arms(graph: RoadGraph, link: Ints, width_m: Floats) -> _Arms:
    slots_by_junction = np.argsort(graph.edges.ravel(), kind="stable")
    begins = np.cumsum(graph.degree) - graph.degree
    slots = slots_by_junction[begins[graph.edges[link]][:, :, None] + np.arange(3)]  # (k, 2, 3)
    own = slots == (2 * link[:, None] + np.arange(2))[:, :, None]
    others = np.argsort(own, axis=2, kind="stable")[:, :, :2]
    slots = np.take_along_axis(slots, others, axis=2)
    road, side = slots // 2, slots % 2
    length_m = graph.length_m[road]
    near_m = np.minimum(width_m[:, None, None] / 2, length_m / 3)
    far_m = np.minimum(near_m + STRETCH_WIDTHS * width_m[:, None, None], length_m * 2 / 3)

    def locate(distance_m: Floats) -> Floats:
        along_m = np.where(side == 0, distance_m, length_m - distance_m)
        return graph.polylines.interpolate(road.ravel(), along_m.ravel()).reshape(*road.shape, 2)

    near = locate(near_m)
    return _Arms(road, side, near, normalize(locate(far_m) - near), near_m)


def _find_crossing_points(arms: _Arms) -> tuple[Bools, Floats]:
    """(k,) whether the arms continue straight in two lines that cross, and (k, 2) where."""
    straightest = np.full(len(arms.road), np.cos(np.radians(MAX_TURN_DEGREES)))
    crosses, xy = np.zeros(len(arms.road), bool), np.zeros((len(arms.road), 2))
    for opposite in ([0, 1], [1, 0]):
        begin, end = arms.near[:, 0], arms.near[:, 1, opposite]
        outward = np.stack([-arms.outward[:, 0], arms.outward[:, 1, opposite]], axis=1)
        straight = (outward * normalize(end - begin)[:, None]).sum(axis=3).min(axis=(1, 2))
        share, point = _intersect(begin, end)
        # RULE 13
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


def _choose_links(graph: RoadGraph, link: Ints, crosses: Bools) -> Ints:
    """Which links to merge: the shortest first, each junction once."""
    used: set[int] = set()
    chosen = []
    for number in np.flatnonzero(crosses)[np.argsort(graph.length_m[link[crosses]])].tolist():
        pair = graph.edges[link[number]].tolist()
        if used.isdisjoint(pair):
            used.update(pair)
            chosen.append(number)
    return np.array(chosen, dtype=np.int64)


def _merge_links(graph: RoadGraph, link: Ints, xy: Floats, straight_m: Floats) -> RoadGraph:
    """The two junctions of each link as one at ``xy``; roads run straight to it."""
    if not len(link):
        return graph
    target = np.arange(len(graph.junctions))
    first, second = graph.edges[link].T
    target[second] = first
    junctions, reach_m = graph.junctions.copy(), np.zeros(len(target))
    junctions[first], reach_m[first] = xy, straight_m
    stays = np.ones(len(graph), bool)
    stays[link] = False
    ends = target[graph.edges[stays]]
    polylines = straighten_ends(graph.polylines[stays], ends, junctions, reach_m)
    columns = graph.width_m[stays], graph.prob[stays]
    return RoadGraph(junctions, ends, polylines, *columns, graph.crs).merge_degree2()
