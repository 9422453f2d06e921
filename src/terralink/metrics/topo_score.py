"""TOPO: similarity of two road graphs around random start points (Biagioni and Eriksson 2012).

From each start, points are placed along the roads at equal intervals of path length: "holes" on the
true graph and "marbles" on the predicted one. A marble near a hole is matched. Roads that are near
but not connected are reached from a start in one of the graphs only, so their points do not match.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from terralink._typing import Floats, Ints
from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics.counts import DetectionCounts, match_one_to_one
from terralink.metrics.network_points import OFF_NETWORK, Network, NetworkPoints, snap_points
from terralink.metrics.roads import align_graphs

# Paths from starts to roads in one block: 32 MB for each of a few arrays.
_BLOCK_PATHS = 4_000_000


def topo(
    truth: RoadGraph,
    pred: RoadGraph,
    *,
    starts: int = 200,
    radius_m: float = 300.0,
    interval_m: float = 5.0,
    hole_m: float = 8.0,
    seed: int = 0,
    allow_disjoint: bool = False,
) -> DetectionCounts:
    """Count matched holes of the true graph and matched marbles of the predicted one.

    RULE 1: ``starts`` points are drawn with ``seed`` along the true roads, with equal probability
    for each metre. The start on the prediction is its nearest point within ``hole_m``.
    RULE 2: the first point lies half of ``interval_m`` along the shortest path from the start, the
    next ones each ``interval_m`` further, up to ``radius_m``. Roads can be used in both directions.
    RULE 3: a marble and a hole of the same start match if they are at most ``hole_m`` apart. The
    nearest pairs are matched first, each point once.
    RULE 4: where the prediction has no start, all holes are missed.

    As in the paper, only the surroundings of true roads are compared: a false road far from all of
    them does not count. Without true roads, starts are drawn along predicted ones. Counts of
    several areas add. Raises ``InputError`` as ``match_centrelines`` does, and for lengths that are
    not positive.
    """
    for name, number in {"radius_m": radius_m, "interval_m": interval_m, "hole_m": hole_m}.items():
        if not number > 0:
            raise InputError(f"{name} must be more than 0, not {number}")
    pred = align_graphs(truth, pred, hole_m, allow_disjoint=allow_disjoint)
    origin = truth if len(truth) else pred
    if not len(origin):
        return DetectionCounts()
    start_points = _draw_starts(origin, starts, seed)
    xy = start_points.xy(origin)
    holes, marbles = (
        _Points.from_starts(
            graph,
            start_points if graph is origin else snap_points(graph, xy, within_m=hole_m),
            interval_m=interval_m,
            radius_m=radius_m,
        )
        for graph in (truth, pred)
    )
    matches = len(_match_points(holes, marbles, hole_m))
    return DetectionCounts(
        truth=len(holes.xy), matched_truth=matches, pred=len(marbles.xy), matched_pred=matches
    )


def _draw_starts(graph: RoadGraph, starts: int, seed: int) -> NetworkPoints:
    """Random points, with equal probability for each metre of road."""
    rng = np.random.default_rng(seed)
    road = rng.choice(len(graph), starts, p=graph.length_m / graph.length_m.sum())
    return NetworkPoints(road, rng.random(starts))


@dataclass(frozen=True, eq=False)
class _Points:
    """Holes or marbles ``xy`` (k, 2), and the number of their ``start`` (k,)."""

    start: Ints
    xy: Floats

    @classmethod
    def from_starts(
        cls, graph: RoadGraph, starts: NetworkPoints, *, interval_m: float, radius_m: float
    ) -> "_Points":
        valid = np.flatnonzero(starts.road != OFF_NETWORK)
        block = max(1, _BLOCK_PATHS // max(len(graph), 1))
        parts = [
            _Intervals.from_starts(graph, starts[rows], radius_m).points(rows, interval_m, radius_m)
            for rows in np.split(valid, np.arange(block, len(valid), block))
        ]
        start, road, at_m = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(start, NetworkPoints(road, at_m / graph.length_m[road]).xy(graph))


@dataclass(frozen=True, eq=False)
class _Intervals:
    """Parts of roads (k,), from ``begin_m`` to ``end_m`` along ``road``, near a ``start``.

    ``to_begin_m`` and ``to_end_m`` are the lengths of the shortest paths from the start to both
    ends. Inside a part, shortest paths come from either end, and meet at some point.
    """

    start: Ints
    road: Ints
    begin_m: Floats
    end_m: Floats
    to_begin_m: Floats
    to_end_m: Floats

    @classmethod
    def from_starts(cls, graph: RoadGraph, starts: NetworkPoints, radius_m: float) -> "_Intervals":
        """All roads near each start; the road of the start itself is two parts."""
        number = np.arange(len(starts))
        paths_m = Network(graph, graph.length_m).paths_to_junctions(starts, up_to=radius_m)
        to_first, to_last = paths_m[:, graph.edges[:, 0]], paths_m[:, graph.edges[:, 1]]
        near = np.minimum(to_first, to_last) < radius_m
        near[number, starts.road] = False
        start, road = np.nonzero(near)
        length, own = graph.length_m[road], graph.length_m[starts.road]
        at, zero = starts.fraction * own, np.zeros(len(starts))
        first, last = to_first[number, starts.road], to_last[number, starts.road]
        return cls(
            np.concatenate([start, number, number]),
            np.concatenate([road, starts.road, starts.road]),
            np.concatenate([np.zeros(len(road)), zero, at]),
            np.concatenate([length, at, own]),
            np.concatenate([to_first[start, road], first, zero]),
            np.concatenate([to_last[start, road], zero, last]),
        )

    def points(self, starts: Ints, interval_m: float, radius_m: float) -> tuple[Ints, Ints, Floats]:
        """(start, road, metres along it) of all points, from both ends to where the paths meet."""
        length = self.end_m - self.begin_m
        from_begin_m = self._reach(self.to_begin_m, self.to_end_m, length)
        i, from_begin = _place_points(self.to_begin_m, from_begin_m, interval_m, radius_m)
        j, from_end = _place_points(self.to_end_m, length - from_begin_m, interval_m, radius_m)
        part = np.concatenate([i, j])
        at_m = np.concatenate([self.begin_m[i] + from_begin, self.end_m[j] - from_end])
        return starts[self.start[part]], self.road[part], at_m

    @staticmethod
    def _reach(to_begin: Floats, to_end: Floats, length: Floats) -> Floats:
        """(k,) up to which metre the path from the begin is the shortest; inf is out of reach."""
        both = np.isfinite(to_begin) & np.isfinite(to_end)
        meet = np.where(np.isfinite(to_begin), length, 0.0)
        meet[both] = (to_end[both] - to_begin[both] + length[both]) / 2
        return np.clip(meet, 0, length)


def _place_points(
    before_m: Floats, reach_m: Floats, interval_m: float, radius_m: float
) -> tuple[Ints, Floats]:
    """(part, metres into it) of points on parts that begin ``before_m`` from a start."""
    before_m = np.where(np.isfinite(before_m), before_m, radius_m)
    until_m = np.minimum(before_m + reach_m, radius_m)
    first, stop = (
        np.ceil(length_m / interval_m - 0.5).astype(np.int64) for length_m in (before_m, until_m)
    )
    count = np.maximum(stop - first, 0)
    part = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(part)) - np.repeat(np.cumsum(count) - count, count) + first[part]
    return part, (number + 0.5) * interval_m - before_m[part]


def _match_points(holes: _Points, marbles: _Points, hole_m: float) -> Ints:
    """Matched pairs of the same start; a third coordinate keeps different starts apart."""
    if not len(holes.xy) or not len(marbles.xy):
        return np.empty(0, np.int64)
    trees = (
        cKDTree(np.column_stack([points.xy, points.start * 4 * hole_m]))
        for points in (holes, marbles)
    )
    pairs = next(trees).sparse_distance_matrix(next(trees), hole_m, output_type="ndarray")
    order = np.lexsort((pairs["j"], pairs["i"], pairs["v"]))
    return match_one_to_one(pairs["i"][order], pairs["j"][order])
