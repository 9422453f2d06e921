"""Points on the roads of a graph, and the shortest paths between them.

A point is a road and a fraction of its length, so the graph is never cut: the path between two
points passes an end of each road, and only junctions need a search. ``NetworkPoints`` are k points
of one graph, a ``Network`` is a graph with the costs of its roads.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from terralink._typing import Floats, Ints
from terralink.graph import RoadGraph

OFF_NETWORK = -1


@dataclass(frozen=True, eq=False)
class NetworkPoints:
    """Points at ``fraction`` (k,), 0..1, of the length of ``road`` (k,) from its first point.

    The road ``OFF_NETWORK`` means that the graph has no such point: no path leads to it.
    """

    road: Ints
    fraction: Floats

    def __len__(self) -> int:
        return len(self.road)

    def __getitem__(self, at: Ints | slice) -> "NetworkPoints":
        return NetworkPoints(self.road[at], self.fraction[at])

    def xy(self, graph: RoadGraph) -> Floats:
        """(k, 2) coordinates; no point may be off the network."""
        points = shapely.line_interpolate_point(
            graph.lines[self.road], self.fraction, normalized=True
        )
        return np.asarray(shapely.get_coordinates(points))


def junction_points(graph: RoadGraph) -> NetworkPoints:
    """Each junction that has a road, once, in the order of the roads."""
    _, slot = np.unique(graph.edges.ravel(), return_index=True)
    slot.sort()
    return NetworkPoints(slot // 2, (slot % 2).astype(np.float64))


def points_along(graph: RoadGraph, count: Ints) -> NetworkPoints:
    """``count`` (m,) points inside each road, which divide it into equal parts.

    >>> from shapely import LineString
    >>> lines = LineString([(0, 0), (9, 0)]), LineString([(0, 0), (0, 9)])
    >>> graph = RoadGraph.from_lines(lines, None)
    >>> points = points_along(graph, np.array([2, 1]))
    >>> points.road.tolist(), points.fraction.round(2).tolist()
    ([0, 0, 1], [0.33, 0.67, 0.5])
    """
    road = np.repeat(np.arange(len(graph)), count)
    number = np.arange(len(road)) - np.repeat(np.cumsum(count) - count, count) + 1
    return NetworkPoints(road, number / (count[road] + 1))


def concat_points(*points: NetworkPoints) -> NetworkPoints:
    """All points, in their order."""
    return NetworkPoints(
        np.concatenate([part.road for part in points]),
        np.concatenate([part.fraction for part in points]),
    )


def snap_points(graph: RoadGraph, xy: Floats, *, within_m: float) -> NetworkPoints:
    """The nearest point of the graph for each of ``xy`` (k, 2).

    It is ``OFF_NETWORK`` where the graph is more than ``within_m`` away.
    """
    points = shapely.points(xy)
    road = np.full(len(xy), OFF_NETWORK)
    fraction = np.zeros(len(xy))
    index, nearest = shapely.STRtree(graph.lines).query_nearest(
        points, max_distance=within_m, all_matches=False
    )
    road[index] = nearest
    fraction[index] = shapely.line_locate_point(
        graph.lines[nearest], points[index], normalized=True
    )
    return NetworkPoints(road, fraction)


@dataclass(frozen=True, eq=False)
class Network:
    """A graph and the ``cost`` (m,) of its roads, which is positive and the same both ways.

    >>> from shapely import LineString
    >>> lines = LineString([(0, 0), (9, 0)]), LineString([(9, 0), (9, 9)])
    >>> graph = RoadGraph.from_lines(lines, None)
    >>> halfway = points_along(graph, np.array([1, 1]))
    >>> Network(graph, graph.length_m).shortest_paths(halfway, halfway).tolist()
    [[0.0, 9.0], [9.0, 0.0]]
    """

    graph: RoadGraph
    cost: Floats

    def shortest_paths(self, sources: NetworkPoints, targets: NetworkPoints) -> Floats:
        """(s, t) the cost of the shortest path from each source to each target, inf without one."""
        if not len(self.graph):
            return np.full((len(sources), len(targets)), np.inf)
        paths = self._paths(_on_network(sources), _on_network(targets))
        paths[sources.road == OFF_NETWORK] = np.inf
        paths[:, targets.road == OFF_NETWORK] = np.inf
        return paths

    def paths_to_junctions(self, sources: NetworkPoints, *, up_to: float = np.inf) -> Floats:
        """(s, n) the cost from each source to each junction, inf where it is more than ``up_to``.

        No source may be off the network.
        """
        ends, costs = self._to_ends(sources)
        for end in (0, 1):  # from a junction, no search from the other end
            ends[costs[:, end] == 0] = ends[costs[:, end] == 0, end, None]
        starts, row = np.unique(ends, return_inverse=True)
        between = np.atleast_2d(dijkstra(self._links, indices=starts, limit=up_to))
        row = row.reshape(ends.shape)
        first = between[row[:, 0]] + costs[:, :1]
        return np.minimum(first, between[row[:, 1]] + costs[:, 1:], out=first)

    def _paths(self, sources: NetworkPoints, targets: NetworkPoints) -> Floats:
        to_junctions = self.paths_to_junctions(sources)
        paths = _by_nearer_end(to_junctions, *self._to_ends(targets))
        row, col = _same_road(sources.road, targets.road)
        step = np.abs(sources.fraction[row] - targets.fraction[col]) * self.cost[sources.road[row]]
        paths[row, col] = np.minimum(paths[row, col], step)
        return paths

    def _to_ends(self, points: NetworkPoints) -> tuple[Ints, Floats]:
        """(k, 2) the junctions at both ends of the points' roads, and the costs to reach them."""
        cost = self.cost[points.road]
        to_first = points.fraction * cost
        return self.graph.edges[points.road], np.column_stack([to_first, cost - to_first])

    @cached_property
    def _links(self) -> csr_array:
        """(n, n) the cheapest road between two junctions; loops are left out."""
        u, v = np.concatenate([self.graph.edges, self.graph.edges[:, ::-1]]).T
        cost = np.concatenate([self.cost, self.cost])
        order = np.lexsort((cost, v, u))
        u, v, cost = u[order], v[order], cost[order]
        first = (np.diff(u, prepend=-1) != 0) | (np.diff(v, prepend=-1) != 0)
        first &= u != v
        size = len(self.graph.junctions)
        return csr_array((cost[first], (u[first], v[first])), shape=(size, size))


def _on_network(points: NetworkPoints) -> NetworkPoints:
    """The same points, where those off the network are replaced by the start of road 0."""
    valid = points.road != OFF_NETWORK
    return NetworkPoints(np.where(valid, points.road, 0), np.where(valid, points.fraction, 0.0))


def _by_nearer_end(to_junctions: Floats, ends: Ints, costs: Floats) -> Floats:
    first = to_junctions.take(ends[:, 0], axis=1)
    first += costs[:, 0]
    second = to_junctions.take(ends[:, 1], axis=1)
    second += costs[:, 1]
    return np.minimum(first, second, out=first)


def _same_road(sources: Ints, targets: Ints) -> tuple[Ints, Ints]:
    """The pairs (source, target) that lie on one road."""
    by_road = np.argsort(targets, kind="stable")
    begin, end = (np.searchsorted(targets[by_road], sources, side) for side in ("left", "right"))
    count = end - begin
    row = np.repeat(np.arange(len(sources)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return row, by_road[begin[row] + number]
