"""APLS: average path length similarity (Van Etten, Lindenbaum and Bacastow 2018).

Control points of one graph are snapped onto the other graph. For each pair of them, the lengths of
the shortest paths through both graphs are compared. The rules follow the authors' implementation
(github.com/CosmiQ/apls), with control points on straight roads too; docs/metrics.md says where
scores differ.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terralink._typing import Floats
from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics.network_points import (
    OFF_NETWORK,
    Network,
    NetworkPoints,
    concat_points,
    junction_points,
    points_along,
    snap_points,
)
from terralink.metrics.roads import align_graphs

Weight: TypeAlias = Literal["length", "time"]

# Roads shorter than this share of the spacing have control points at their ends only.
_SHORT = 0.75
# Paths up to this length (m or s) do not count: both control points are one place.
_SAME_POINT = 1e-3
# Pairs in one block: 32 MB for each of a few arrays.
_PAIRS = 4_000_000


@dataclass(frozen=True)
class PathSimilarity:
    """Similarity summed over the paths of one graph; values of several graphs add.

    similar  sum over the paths of 1 - min(1, |length - length in the other graph| / length)
    paths    number of paths
    spread   variance of ``similar``, covariance, variance of ``paths``, where paths were sampled
             and both are estimates; otherwise (0, 0, 0)
    """

    similar: float = 0.0
    paths: float = 0.0
    spread: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __add__(self, other: "PathSimilarity") -> "PathSimilarity":
        a, b, c = (one + two for one, two in zip(self.spread, other.spread, strict=True))
        return PathSimilarity(self.similar + other.similar, self.paths + other.paths, (a, b, c))

    @property
    def score(self) -> float:
        """Mean similarity, 0..1; nan without paths."""
        return self.similar / self.paths if self.paths else math.nan

    @property
    def error(self) -> float:
        """Standard error of the score from sampling (a ratio estimate); nan without paths."""
        if not self.paths:
            return math.nan
        of_similar, both, of_paths = self.spread
        variance = of_similar - 2 * self.score * both + self.score**2 * of_paths
        return math.sqrt(max(variance, 0)) / self.paths


@dataclass(frozen=True)
class Apls:
    """The similarity of both directions; values of several graphs add path by path.

    The papers give the mean of each image's score instead: ``np.nanmean([part.score ...])``.

    >>> part = Apls(onto_pred=PathSimilarity(3, 4), onto_truth=PathSimilarity(1, 2))
    >>> part.truth_to_pred, part.pred_to_truth, part.score
    (0.75, 0.5, 0.6)
    >>> (part + part).score
    0.6
    """

    onto_pred: PathSimilarity = PathSimilarity()
    onto_truth: PathSimilarity = PathSimilarity()

    def __add__(self, other: "Apls") -> "Apls":
        return Apls(self.onto_pred + other.onto_pred, self.onto_truth + other.onto_truth)

    @property
    def truth_to_pred(self) -> float:
        """How similar true paths are in the prediction: low where roads are missing."""
        return self.onto_pred.score

    @property
    def pred_to_truth(self) -> float:
        """How similar predicted paths are in the truth: low where predicted roads are false."""
        return self.onto_truth.score

    @property
    def score(self) -> float:
        """Harmonic mean of both directions; 0 if one graph has no paths, nan if neither has."""
        if not self.onto_pred.paths and not self.onto_truth.paths:
            return math.nan
        if not self.onto_pred.similar or not self.onto_truth.similar:
            return 0.0
        a, b = self.truth_to_pred, self.pred_to_truth
        return 2 * a * b / (a + b)

    @property
    def error(self) -> float:
        """Standard error of the score from sampling; 0 where all paths were compared."""
        if not self.score > 0:
            return 0.0
        a, b = self.truth_to_pred, self.pred_to_truth
        return (
            2 * math.hypot(b**2 * self.onto_pred.error, a**2 * self.onto_truth.error) / (a + b) ** 2
        )


def estimate_speed_kmh(graph: RoadGraph) -> Floats:
    """(m,) km/h on each road: 20 below 4 m of width, 30 below 7 m, 50 below 12 m, else 70.

    It is 40 where the width is unknown. These speeds are rough estimates of terralink, for graphs
    without speed limits.
    """
    speed = np.array([20.0, 30.0, 50.0, 70.0])[np.digitize(graph.width_m, [4, 7, 12])]
    return np.where(np.isnan(graph.width_m), 40.0, speed)


def apls(
    truth: RoadGraph,
    pred: RoadGraph,
    *,
    max_snap_m: float = 4.0,
    spacing_m: float = 50.0,
    weight: Weight = "length",
    speed_kmh: Callable[[RoadGraph], Floats] = estimate_speed_kmh,
    sample: int | None = None,
    seed: int = 0,
    one_per_junction: bool = True,
    allow_disjoint: bool = False,
) -> Apls:
    """Average path length similarity of two road graphs.

    RULE 1: control points are the junctions, and points inside each road that divide it into equal
    parts of at most ``spacing_m``. A road up to that length has one in its middle, or none if it is
    shorter than three quarters of ``spacing_m``.
    RULE 2: a control point is snapped to the nearest point of the other graph within
    ``max_snap_m``. The distance between them is not counted.
    RULE 3: roads can be used in both directions. Each pair of control points with a path between
    them counts.
    RULE 4: with the path lengths ``a`` and, in the other graph, ``b``, the similarity of a pair is
    1 - min(1, |a - b| / a). It is 0 where the other graph has no path, or lacks one of the points.
    RULE 5: the score is the harmonic mean of the mean similarities of both directions.

    ``weight`` "time" compares seconds instead of metres, at ``speed_kmh`` (a function of a graph
    that returns (m,) km/h). ``sample`` control points of each graph, drawn with ``seed``, are
    compared with all others, and ``error`` is the standard error; None compares all, in a time that
    grows with the square of the number of points. ``one_per_junction`` counts as the reference
    does, for figures that compare with published ones: of several control points that snap to one
    junction, all but the last count as missing. False counts them all, which is more correct
    (docs/metrics.md).

    If one graph has no roads the score is 0, if neither has any it is nan. Raises ``InputError`` if
    both have roads but their extents do not overlap (unless ``allow_disjoint``), if only one has a
    CRS, and for a sample of fewer than two.
    """
    if sample is not None and sample < 2:
        raise InputError(f"a sample needs two control points or more, not {sample}")
    pred = align_graphs(truth, pred, max_snap_m, allow_disjoint=allow_disjoint)
    truth_network, pred_network = (
        Network(graph, _road_costs(graph, weight, speed_kmh)) for graph in (truth, pred)
    )
    rules = _Rules(max_snap_m, spacing_m, sample, seed, one_per_junction)
    return Apls(
        onto_pred=_measure_similarity(truth_network, pred_network, rules),
        onto_truth=_measure_similarity(pred_network, truth_network, rules),
    )


@dataclass(frozen=True)
class _Rules:
    max_snap_m: float
    spacing_m: float
    sample: int | None
    seed: int
    one_per_junction: bool


def find_control_points(graph: RoadGraph, spacing_m: float) -> NetworkPoints:
    """The junctions, then the points inside roads (RULE 1)."""
    inside = np.ceil(graph.length_m / spacing_m).astype(np.int64) - 1
    inside[(inside == 0) & (graph.length_m >= _SHORT * spacing_m)] = 1
    return concat_points(junction_points(graph), points_along(graph, inside))


def _road_costs(
    graph: RoadGraph, weight: Weight, speed_kmh: Callable[[RoadGraph], Floats]
) -> Floats:
    if weight == "length":
        return graph.length_m
    if weight == "time":
        return graph.length_m / (speed_kmh(graph) / 3.6)
    raise InputError(f"weight is 'length' or 'time', not {weight!r}")


def _measure_similarity(one: Network, other: Network, rules: _Rules) -> PathSimilarity:
    """The paths of ``one`` against those of ``other``."""
    points = find_control_points(one.graph, rules.spacing_m)
    if not len(points):
        return PathSimilarity()
    snapped = snap_points(other.graph, points.xy(one.graph), within_m=rules.max_snap_m)
    if rules.one_per_junction:
        snapped = _keep_last_of_junction(snapped, other.graph)
    sources = _draw_sources(one.graph, points, rules)
    block = max(1, _PAIRS // len(points))
    counts = [
        _compare_paths(
            one.shortest_paths(points[part], points), other.shortest_paths(snapped[part], snapped)
        )
        for part in np.split(sources, np.arange(block, len(sources), block))
    ]
    return _estimate(np.concatenate(counts), len(points))


def _draw_sources(graph: RoadGraph, points: NetworkPoints, rules: _Rules) -> NDArray[np.int64]:
    """The control points that paths start at, sorted by road so that they share searches."""
    by_road = np.argsort(graph.edges[points.road, 0], kind="stable")
    if rules.sample is None or rules.sample >= len(points):
        return by_road
    drawn = np.random.default_rng(rules.seed).choice(len(points), rules.sample, replace=False)
    return by_road[np.sort(drawn)]


def _compare_paths(paths: Floats, other_paths: Floats) -> Floats:
    """(s, 2) for each source the sum of similarities and the number of paths (RULE 4)."""
    valid = np.isfinite(paths) & (paths > _SAME_POINT)
    np.subtract(other_paths, paths, out=other_paths, where=valid)
    np.abs(other_paths, out=other_paths)
    np.divide(other_paths, paths, out=other_paths, where=valid)
    np.minimum(other_paths, 1, out=other_paths)
    np.subtract(1, other_paths, out=other_paths)
    return np.column_stack([np.sum(other_paths, axis=1, where=valid), valid.sum(axis=1)])


def _estimate(counts: Floats, points: int) -> PathSimilarity:
    """The sums over all sources, estimated from a simple random sample of them."""
    sampled = len(counts)
    similar, paths = counts.sum(axis=0) * (points / sampled)
    if sampled == points:
        return PathSimilarity(float(similar), float(paths))
    scale = points**2 / sampled * (1 - sampled / points)
    (a, b), (_, c) = np.cov(counts, rowvar=False) * scale
    return PathSimilarity(float(similar), float(paths), (float(a), float(b), float(c)))


def _keep_last_of_junction(snapped: NetworkPoints, graph: RoadGraph) -> NetworkPoints:
    """Of several points at one junction only the last stays on the network."""
    at_end = (snapped.road != OFF_NETWORK) & np.isin(snapped.fraction, (0, 1))
    rows = np.flatnonzero(at_end)
    junction = graph.edges[snapped.road[rows], snapped.fraction[rows].astype(np.int64)]
    _, last = np.unique(junction[::-1], return_index=True)
    road = snapped.road.copy()
    road[np.delete(rows, len(rows) - 1 - last)] = OFF_NETWORK
    return NetworkPoints(road, snapped.fraction)
