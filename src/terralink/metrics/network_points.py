"""Points on the roads of a graph, and the shortest ways between them.

A place is a road and the share of it that lies behind. So the graph is never cut: the way between
two places runs over an end of each road, and only junctions need a search. Places (k,) of one graph
are ``NetworkPoints``; the graph with what its roads cost is a ``Network``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from terralink.graph import RoadGraph

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

OFF_NETWORK = -1


@dataclass(frozen=True, eq=False)
class NetworkPoints:
    """``fraction`` (k,) of the way from the first to the last point of ``road`` (k,).

    A road of ``OFF_NETWORK`` is a place that the graph does not have: no way leads there.
    """

    road: Ints
    fraction: Floats

    def __len__(self) -> int:
        return len(self.road)

    def __getitem__(self, at: Ints | slice) -> "NetworkPoints":
        return NetworkPoints(self.road[at], self.fraction[at])

    def xy(self, graph: RoadGraph) -> Floats:
        """(k, 2) coordinates; every place is somewhere."""
        points = shapely.line_interpolate_point(
            graph.lines[self.road], self.fraction, normalized=True
        )
        return np.asarray(shapely.get_coordinates(points))


def junction_points(graph: RoadGraph) -> NetworkPoints:
    """Each junction that has a road, once, in the order in which the roads meet them."""
    _, slot = np.unique(graph.edges.ravel(), return_index=True)
    slot.sort()
    return NetworkPoints(slot // 2, (slot % 2).astype(np.float64))


def points_along(graph: RoadGraph, count: Ints) -> NetworkPoints:
    """``count`` (m,) places inside each road, which cut it into equal parts.

    >>> from shapely import LineString
    >>> lines = LineString([(0, 0), (9, 0)]), LineString([(0, 0), (0, 9)])
    >>> graph = RoadGraph.from_lines(lines, None)
    >>> places = points_along(graph, np.array([2, 1]))
    >>> places.road.tolist(), places.fraction.round(2).tolist()
    ([0, 0, 1], [0.33, 0.67, 0.5])
    """
    road = np.repeat(np.arange(len(graph)), count)
    number = np.arange(len(road)) - np.repeat(np.cumsum(count) - count, count) + 1
    return NetworkPoints(road, number / (count[road] + 1))


def concat_points(*places: NetworkPoints) -> NetworkPoints:
    """All places in one row."""
    return NetworkPoints(
        np.concatenate([part.road for part in places]),
        np.concatenate([part.fraction for part in places]),
    )


def snap_points(graph: RoadGraph, xy: Floats, *, within_m: float) -> NetworkPoints:
    """For each point (k, 2) the nearest place of the graph, ``OFF_NETWORK`` if none is so near."""
    points = shapely.points(xy)
    road = np.full(len(xy), OFF_NETWORK)
    share = np.zeros(len(xy))
    index, found = shapely.STRtree(graph.lines).query_nearest(
        points, max_distance=within_m, all_matches=False
    )
    road[index] = found
    share[index] = shapely.line_locate_point(graph.lines[found], points[index], normalized=True)
    return NetworkPoints(road, share)


@dataclass(frozen=True, eq=False)
class Network:
    """A graph and the ``cost`` (m,) of each of its roads, more than nothing; both ways are one.

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
        """(s, t) the cost of the shortest way from each source to each target, inf without one."""
        if not len(self.graph):
            return np.full((len(sources), len(targets)), np.inf)
        ways = self._paths(_on_network(sources), _on_network(targets))
        ways[sources.road == OFF_NETWORK] = np.inf
        ways[:, targets.road == OFF_NETWORK] = np.inf
        return ways

    def paths_to_junctions(self, sources: NetworkPoints, *, up_to: float = np.inf) -> Floats:
        """(s, n) the cost from each source to each junction, inf where it is more than ``up_to``.

        Every source is somewhere.
        """
        ends, costs = self._to_ends(sources)
        for end in (0, 1):  # who stands at a junction need not go to the other end first
            ends[costs[:, end] == 0] = ends[costs[:, end] == 0, end, None]
        starts, row = np.unique(ends, return_inverse=True)
        between = np.atleast_2d(dijkstra(self._links, indices=starts, limit=up_to))
        row = row.reshape(ends.shape)
        first = between[row[:, 0]] + costs[:, :1]
        return np.minimum(first, between[row[:, 1]] + costs[:, 1:], out=first)

    def _paths(self, sources: NetworkPoints, targets: NetworkPoints) -> Floats:
        to_junctions = self.paths_to_junctions(sources)
        ways = _by_nearer_end(to_junctions, *self._to_ends(targets))
        row, col = _same_road(sources.road, targets.road)
        step = np.abs(sources.fraction[row] - targets.fraction[col]) * self.cost[sources.road[row]]
        ways[row, col] = np.minimum(ways[row, col], step)
        return ways

    def _to_ends(self, places: NetworkPoints) -> tuple[Ints, Floats]:
        """(k, 2) the junctions at both ends of the places' roads, and the cost to reach them."""
        cost = self.cost[places.road]
        behind = places.fraction * cost
        return self.graph.edges[places.road], np.column_stack([behind, cost - behind])

    @cached_property
    def _links(self) -> csr_array:
        """(n, n) the cheapest road between each two junctions; loops lead nowhere else."""
        u, v = np.concatenate([self.graph.edges, self.graph.edges[:, ::-1]]).T
        cost = np.concatenate([self.cost, self.cost])
        order = np.lexsort((cost, v, u))
        u, v, cost = u[order], v[order], cost[order]
        first = (np.diff(u, prepend=-1) != 0) | (np.diff(v, prepend=-1) != 0)
        first &= u != v
        size = len(self.graph.junctions)
        return csr_array((cost[first], (u[first], v[first])), shape=(size, size))


def _on_network(places: NetworkPoints) -> NetworkPoints:
    """The same places, with the begin of the first road in place of those that are nowhere."""
    there = places.road != OFF_NETWORK
    return NetworkPoints(np.where(there, places.road, 0), np.where(there, places.fraction, 0.0))


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
