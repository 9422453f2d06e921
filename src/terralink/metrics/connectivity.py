"""Connectivity: into how many pieces a road graph falls, and how long they are."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terralink.graph import RoadGraph


@dataclass(frozen=True, eq=False)
class Components:
    """``length_m`` (k,) of the pieces that hang together, longest first; parts of places add.

    >>> both = Components(np.array([60.0, 20.0])) + Components(np.array([20.0]))
    >>> both.count, both.mean_m, both.largest_share, both.typical_m
    (3, 33.333333333333336, 0.6, 44.0)
    """

    length_m: NDArray[np.float64]

    @classmethod
    def zero(cls) -> "Components":
        """No roads yet: the start of a sum."""
        return cls(np.empty(0))

    def __add__(self, other: "Components") -> "Components":
        return Components(-np.sort(-np.concatenate([self.length_m, other.length_m])))

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self.length_m)

    @property
    def mean_m(self) -> float:
        """Mean length of a piece; nan without any."""
        return float(self.length_m.mean()) if self.count else math.nan

    @property
    def typical_m(self) -> float:
        """Length of the piece that a metre of road drawn at random is in; nan without any."""
        total = self.length_m.sum()
        return float((self.length_m**2).sum() / total) if total else math.nan

    @property
    def largest_share(self) -> float:
        """How much of all length is in the longest piece; nan without any."""
        return float(self.length_m[0] / self.length_m.sum()) if self.count else math.nan


def connectivity(graph: RoadGraph) -> Components:
    """The pieces of a graph: roads that share a junction hang together.

    >>> from shapely import LineString
    >>> ways = [[(0, 0), (9, 0)], [(9, 0), (9, 9)], [(5, 5), (5, 9)]]
    >>> connectivity(RoadGraph.from_lines(map(LineString, ways), None)).length_m.tolist()
    [18.0, 4.0]
    """
    piece = graph.pieces()[graph.ends[:, 0]]
    length_m = np.bincount(piece, weights=graph.length_m).astype(np.float64)
    return Components(-np.sort(-length_m[length_m > 0]))
