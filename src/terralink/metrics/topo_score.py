"""TOPO: how alike two road graphs are around places drawn at random (Biagioni and Eriksson 2012).

From a start, marbles are dropped along the predicted roads and holes dug along the true ones, at
each multiple of an interval of way. Marbles that fall into holes are what both graphs have: where
roads are near but do not connect, one of the two does not get there.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics.counts import DetectionCounts, match_one_to_one
from terralink.metrics.network_points import OFF_NETWORK, Network, NetworkPoints, snap_points
from terralink.metrics.roads import align_graphs

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

# Ways from starts to roads worked on at once: 32 MB for each of a handful of arrays.
_WAYS = 4_000_000


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
    """Holes of the true graph that are filled, and marbles of the predicted one that fall into one.

    RULE 1: ``starts`` are drawn with ``seed`` along the true roads, each metre as likely; the
    prediction is entered at its nearest place within ``hole_m``.
    RULE 2: a point lies half an ``interval_m`` of shortest way from the start, and at each interval
    on, up to ``radius_m``; roads lead both ways.
    RULE 3: a marble and a hole of one start at most ``hole_m`` apart match, the nearest pairs first
    and each at most once.
    RULE 4: where the prediction cannot be entered all holes stay empty.

    Only what is reached from the truth is judged, as in the paper: a road made up where nothing is
    near is not seen. Without true roads starts are drawn along the predicted ones. Counts of areas
    add. Raises ``InputError`` as ``match_centrelines`` does, and for numbers that are not positive.
    """
    for name, number in {"radius_m": radius_m, "interval_m": interval_m, "hole_m": hole_m}.items():
        if not number > 0:
            raise InputError(f"{name} is more than 0, not {number}")
    pred = align_graphs(truth, pred, hole_m, allow_disjoint=allow_disjoint)
    origin = truth if len(truth) else pred
    if not len(origin):
        return DetectionCounts()
    drawn = _draw_starts(origin, starts, seed)
    xy = drawn.xy(origin)
    holes, marbles = (
        _Points.around(
            graph,
            drawn if graph is origin else snap_points(graph, xy, within_m=hole_m),
            interval_m=interval_m,
            radius_m=radius_m,
        )
        for graph in (truth, pred)
    )
    matched = len(_match_points(holes, marbles, hole_m))
    return DetectionCounts(
        truth=len(holes.xy), matched_truth=matched, pred=len(marbles.xy), matched_pred=matched
    )


def _draw_starts(graph: RoadGraph, starts: int, seed: int) -> NetworkPoints:
    """Places at random, each metre of road as likely as any other."""
    rng = np.random.default_rng(seed)
    road = rng.choice(len(graph), starts, p=graph.length_m / graph.length_m.sum())
    return NetworkPoints(road, rng.random(starts))


@dataclass(frozen=True, eq=False)
class _Points:
    """Holes or marbles ``xy`` (k, 2), and the number of the ``start`` (k,) that they belong to."""

    start: Ints
    xy: Floats

    @classmethod
    def around(
        cls, graph: RoadGraph, starts: NetworkPoints, *, interval_m: float, radius_m: float
    ) -> "_Points":
        here = np.flatnonzero(starts.road != OFF_NETWORK)
        block = max(1, _WAYS // max(len(graph), 1))
        parts = [
            _Intervals.around(graph, starts[some], radius_m).points(some, interval_m, radius_m)
            for some in np.split(here, np.arange(block, len(here), block))
        ]
        start, road, at_m = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(start, NetworkPoints(road, at_m / graph.length_m[road]).xy(graph))


@dataclass(frozen=True, eq=False)
class _Intervals:
    """Stretches of road (k,), from ``begin_m`` to ``end_m`` along ``road``, near a ``start``.

    ``to_begin_m`` and ``to_end_m`` are the shortest ways from the start to both ends: inside, the
    shortest way comes from the one or the other, and both meet in between.
    """

    start: Ints
    road: Ints
    begin_m: Floats
    end_m: Floats
    to_begin_m: Floats
    to_end_m: Floats

    @classmethod
    def around(cls, graph: RoadGraph, starts: NetworkPoints, radius_m: float) -> "_Intervals":
        """All roads near each start; the road that it is on in two stretches, before and after."""
        number = np.arange(len(starts))
        ways = Network(graph, graph.length_m).paths_to_junctions(starts, up_to=radius_m)
        to_first, to_last = ways[:, graph.edges[:, 0]], ways[:, graph.edges[:, 1]]
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
        """(start, road, metres along it) of all points, from both ends up to where ways meet."""
        length = self.end_m - self.begin_m
        ahead = self._reach(self.to_begin_m, self.to_end_m, length)
        i, from_begin = _place_points(self.to_begin_m, ahead, interval_m, radius_m)
        j, from_end = _place_points(self.to_end_m, length - ahead, interval_m, radius_m)
        stretch = np.concatenate([i, j])
        at_m = np.concatenate([self.begin_m[i] + from_begin, self.end_m[j] - from_end])
        return starts[self.start[stretch]], self.road[stretch], at_m

    @staticmethod
    def _reach(to_begin: Floats, to_end: Floats, length: Floats) -> Floats:
        """How far into a stretch the way by its begin is shortest; an end out of reach is inf."""
        both = np.isfinite(to_begin) & np.isfinite(to_end)
        meet = np.where(np.isfinite(to_begin), length, 0.0)
        meet[both] = (to_end[both] - to_begin[both] + length[both]) / 2
        return np.clip(meet, 0, length)


def _place_points(
    before_m: Floats, reach_m: Floats, interval_m: float, radius_m: float
) -> tuple[Ints, Floats]:
    """(stretch, metres into it) of points on stretches that begin ``before_m`` from a start."""
    before_m = np.where(np.isfinite(before_m), before_m, radius_m)
    until_m = np.minimum(before_m + reach_m, radius_m)
    first, stop = (np.ceil(way / interval_m - 0.5).astype(np.int64) for way in (before_m, until_m))
    count = np.maximum(stop - first, 0)
    stretch = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(stretch)) - np.repeat(np.cumsum(count) - count, count) + first[stretch]
    return stretch, (number + 0.5) * interval_m - before_m[stretch]


def _match_points(holes: _Points, marbles: _Points, hole_m: float) -> Ints:
    """Pairs of one start: it is a floor of its own, too far from the next to fall through."""
    if not len(holes.xy) or not len(marbles.xy):
        return np.empty(0, np.int64)
    trees = (
        cKDTree(np.column_stack([points.xy, points.start * 4 * hole_m]))
        for points in (holes, marbles)
    )
    pairs = next(trees).sparse_distance_matrix(next(trees), hole_m, output_type="ndarray")
    order = np.lexsort((pairs["j"], pairs["i"], pairs["v"]))
    return match_one_to_one(pairs["i"][order], pairs["j"][order])
