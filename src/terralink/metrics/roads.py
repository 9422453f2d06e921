"""Road scores on graphs, in metres: centre lines within a distance, and connected components."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.vector.projection import Extent, check_overlap


@dataclass(frozen=True)
class CentrelineMatch:
    """Metres of centre lines, and how many of them are near those of the other graph.

    Values of several areas add. A ratio without a denominator is nan; ``f1`` is 0 if one of the
    graphs is empty.

    >>> part = CentrelineMatch(truth_m=100, truth_near_m=50, pred_m=60, pred_near_m=60)
    >>> total = part + CentrelineMatch(truth_m=100, truth_near_m=100, pred_m=140, pred_near_m=90)
    >>> total.recall, total.precision, total.f1
    (0.75, 0.75, 0.75)
    """

    truth_m: float = 0.0
    truth_near_m: float = 0.0
    pred_m: float = 0.0
    pred_near_m: float = 0.0

    def __add__(self, other: "CentrelineMatch") -> "CentrelineMatch":
        return CentrelineMatch(
            self.truth_m + other.truth_m,
            self.truth_near_m + other.truth_near_m,
            self.pred_m + other.pred_m,
            self.pred_near_m + other.pred_near_m,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted length near a true road; nan without predicted roads."""
        return self.pred_near_m / self.pred_m if self.pred_m else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true length near a predicted road; nan without true roads."""
        return self.truth_near_m / self.truth_m if self.truth_m else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan if both graphs are empty."""
        if not self.truth_m and not self.pred_m:
            return float("nan")
        if not self.truth_near_m or not self.pred_near_m:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def match_centrelines(
    truth: RoadGraph, pred: RoadGraph, *, within_m: float = 4.0, allow_disjoint: bool = False
) -> CentrelineMatch:
    """Precision and recall of centre lines within a distance (Wiedemann 1998, "relaxed" scores).

    Counts the length of ``pred`` within ``within_m`` of ``truth``, and the reverse. The direction
    of lines does not matter. ``pred`` is projected to the CRS of ``truth``. An empty graph matches
    nothing and is not an error.

    Raises ``InputError`` if both graphs have roads but their extents do not overlap, and if only
    one of them has a CRS: a zero would be a property of the files, not of the roads.
    ``allow_disjoint`` permits it, for example for a chip with one road that was found in the wrong
    corner.
    """
    pred = align_graphs(truth, pred, within_m, allow_disjoint=allow_disjoint)
    return CentrelineMatch(
        truth_m=float(truth.length_m.sum()),
        truth_near_m=_measure_near(truth, pred, within_m),
        pred_m=float(pred.length_m.sum()),
        pred_near_m=_measure_near(pred, truth, within_m),
    )


def align_graphs(
    truth: RoadGraph, pred: RoadGraph, within_m: float, *, allow_disjoint: bool = False
) -> RoadGraph:
    """The prediction in the CRS of the truth; an empty graph can be compared with any other.

    Raises ``InputError`` if both have roads but their extents are more than ``within_m`` apart,
    unless ``allow_disjoint``, and if only one of them has a CRS.
    """
    if not (len(truth) and len(pred)):
        return pred
    projected = _to_crs_of(truth, pred)
    if not allow_disjoint:
        truth_extent, pred_extent = (
            Extent.from_shapes(side.lines, side.crs) for side in (truth, pred)
        )
        check_overlap(truth_extent, pred_extent, within_m)
    return projected


def _to_crs_of(truth: RoadGraph, pred: RoadGraph) -> RoadGraph:
    if truth.crs == pred.crs:
        return pred
    if truth.crs is None or pred.crs is None:
        raise InputError("one of truth and prediction has no CRS; give both a CRS, or neither")
    return pred.to_crs(truth.crs)


def _measure_near(lines: RoadGraph, to: RoadGraph, within_m: float) -> float:
    """Length of ``lines`` within a distance of ``to``; only near lines are compared."""
    line, near = shapely.STRtree(to.lines).query(
        lines.lines, predicate="dwithin", distance=within_m
    )
    if not len(line):
        return 0.0
    buffers = shapely.buffer(to.lines, within_m, quad_segs=16)
    zones = np.array(
        [
            shapely.union_all(buffers[ids])
            for ids in np.split(near, np.flatnonzero(np.diff(line)) + 1)
        ]
    )
    inside = shapely.intersection(lines.lines[np.unique(line)], zones)
    return float(shapely.length(inside).sum())


@dataclass(frozen=True, eq=False)
class Components:
    """``length_m`` (k,) of the connected components, longest first; values of several areas add.

    >>> both = Components(np.array([60.0, 20.0])) + Components(np.array([20.0]))
    >>> both.count, both.mean_m, both.largest_share, both.typical_m
    (3, 33.333333333333336, 0.6, 44.0)
    """

    length_m: NDArray[np.float64]

    @classmethod
    def zero(cls) -> "Components":
        """No components: the start of a sum."""
        return cls(np.empty(0))

    def __add__(self, other: "Components") -> "Components":
        return Components(-np.sort(-np.concatenate([self.length_m, other.length_m])))

    @property
    def count(self) -> int:
        """The number of components."""
        return len(self.length_m)

    @property
    def mean_m(self) -> float:
        """Mean length of a component; nan without any."""
        return float(self.length_m.mean()) if self.count else math.nan

    @property
    def typical_m(self) -> float:
        """Length of the component of a metre of road drawn at random; nan without any."""
        total = self.length_m.sum()
        return float((self.length_m**2).sum() / total) if total else math.nan

    @property
    def largest_share(self) -> float:
        """Share of the longest component in the total length; nan without any."""
        return float(self.length_m[0] / self.length_m.sum()) if self.count else math.nan


def measure_connectivity(graph: RoadGraph) -> Components:
    """The connected components of a graph: roads that share a junction are connected.

    >>> from shapely import LineString
    >>> lines = [[(0, 0), (9, 0)], [(9, 0), (9, 9)], [(5, 5), (5, 9)]]
    >>> measure_connectivity(RoadGraph.from_lines(map(LineString, lines), None)).length_m.tolist()
    [18.0, 4.0]
    """
    component = graph.components()[graph.edges[:, 0]]
    length_m = np.bincount(component, weights=graph.length_m).astype(np.float64)
    return Components(-np.sort(-length_m[length_m > 0]))
