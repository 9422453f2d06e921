"""Many lines as two arrays, work on them in chunks, and edges linked to chains.

``Polylines`` needs a third of the memory of as many shapely objects. Where an operation needs
shapely, geometries are made for a chunk of some thousand lines at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from terralink._typing import Bools, Floats, Ints

Lines: TypeAlias = NDArray[np.object_]
Kind = TypeVar("Kind", bound=np.generic)

CHUNK_ROWS = 8192


def chunk_slices(count: int, rows: int = CHUNK_ROWS) -> Iterator[slice]:
    """Slices that cover ``count`` rows in order; one empty slice where there are none.

    >>> [(part.start, part.stop) for part in chunk_slices(5, rows=2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    return (slice(at, min(at + rows, count)) for at in range(0, max(count, 1), rows))


def map_chunks(
    function: Callable[..., NDArray[Kind]], *columns: Any, rows: int = CHUNK_ROWS
) -> NDArray[Kind]:
    """``function(*columns)``, called for ``rows`` rows of all columns at a time.

    A column has a length and can be sliced. The result has one row for each row of the columns.
    """
    parts = chunk_slices(len(columns[0]), rows)
    return np.concatenate([function(*(column[part] for column in columns)) for part in parts])


@dataclass(frozen=True, eq=False)
class Polylines:
    """Lines of two or more points each, in two arrays.

    points (p, 2)    x, y along all of them
    starts (m + 1,)  line i is ``points[starts[i]:starts[i + 1]]``

    >>> lines = Polylines.from_shapely(shapely.linestrings([[(0, 0), (3, 4)], [(9, 9), (9, 8)]]))
    >>> lines.length().tolist(), lines[np.array([1])].points.tolist()
    ([5.0, 1.0], [[9.0, 9.0], [9.0, 8.0]])
    """

    points: Floats
    starts: Ints

    @classmethod
    def from_shapely(cls, lines: Lines) -> "Polylines":
        """Lines of shapely LineStrings (m,) without heights."""
        return cls.from_counts(shapely.get_coordinates(lines), shapely.get_num_coordinates(lines))

    @classmethod
    def from_counts(cls, points: Floats, counts: Ints) -> "Polylines":
        """Lines of ``counts`` (m,) points each, out of points (p, 2) in their order."""
        return cls(points, _starts(counts))

    @classmethod
    def concat(cls, parts: Sequence["Polylines"]) -> "Polylines":
        """All lines of ``parts``, in their order."""
        points, counts = zip(*((part.points, part.counts) for part in parts), strict=True)
        return cls.from_counts(np.concatenate(points), np.concatenate(counts))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: slice | NDArray[np.bool_ | np.int64]) -> "Polylines":
        """Some of the lines; a slice shares its points with these lines, an index array copies."""
        if isinstance(rows, slice):
            first, stop, _ = rows.indices(len(self))
            starts = self.starts[first : max(first, stop) + 1]
            return Polylines(self.points[starts[0] : starts[-1]], starts - starts[0])
        rows = np.arange(len(self))[rows]
        return self._gather(self.starts[rows], np.ones(len(rows), np.int64), self.counts[rows])

    @property
    def counts(self) -> Ints:
        """(m,) how many points each line has."""
        return np.diff(self.starts)

    @property
    def line_index(self) -> Ints:
        """(p,) the number of the line that each point belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)

    def to_shapely(self) -> Lines:
        """(m,) shapely LineStrings."""
        if not len(self):
            return np.empty(0, object)
        return np.asarray(shapely.linestrings(self.points, indices=self.line_index), dtype=object)

    def endpoints(self) -> Floats:
        """(m, 2, 2) the first and the last point of each line."""
        return np.stack([self.points[self.starts[:-1]], self.points[self.starts[1:] - 1]], axis=1)

    def length(self) -> Floats:
        """(m,) length of each line, summed from its first to its last point as GEOS does."""
        return map_chunks(_length, self)

    def measure(self) -> tuple[Floats, Floats]:
        """The distance (p,) of each point from the start of its line, and the lengths (m,)."""
        step = np.hypot(*np.diff(self.points, axis=0, prepend=self.points[:1]).T)
        step[self.starts[:-1]] = 0
        total = np.cumsum(step)
        start = total[self.starts[:-1]]
        return total - np.repeat(start, self.counts), total[self.starts[1:] - 1] - start

    def interpolate(self, row: Ints, along_m: Floats) -> Floats:
        """(k, 2) points at ``along_m`` (k,) on lines ``row`` (k,); beyond an end, that end."""
        points = np.empty((len(row), 2))
        for part in chunk_slices(len(row)):
            lines = self[row[part]].to_shapely()
            points[part] = shapely.get_coordinates(
                shapely.line_interpolate_point(lines, along_m[part])
            )
        return points

    def merge(self, chains: "Chains") -> "Polylines":
        """One line for each chain; the point that two lines share occurs once in it."""
        begins = np.zeros(len(chains.edge), bool)
        begins[chains.starts[:-1]] = True
        skip = np.where(begins, 0, 1)  # a line that continues a chain leaves its first point out
        edge, step = chains.edge, np.where(chains.forward, 1, -1)
        first = np.where(chains.forward, self.starts[edge], self.starts[edge + 1] - 1)
        parts = self._gather(first + step * skip, step, self.counts[edge] - skip)
        return Polylines(parts.points, parts.starts[chains.starts])

    def replace_rows(self, rows: Bools, lines: "Polylines") -> "Polylines":
        """These lines, where those that ``rows`` (m,) marks are replaced by ``lines`` in order."""
        counts = self.counts
        counts[rows] = lines.counts
        new = np.repeat(rows, counts)
        points = np.empty((len(new), 2))
        points[new], points[~new] = lines.points, self.points[~np.repeat(rows, self.counts)]
        return Polylines.from_counts(points, counts)

    def map(
        self, function: Callable[..., "Polylines"], *columns: NDArray[Any], rows: int = CHUNK_ROWS
    ) -> "Polylines":
        """``function(lines, *columns)``, called for ``rows`` lines at a time.

        The function returns as many lines as it gets.
        """
        parts = chunk_slices(len(self), rows)
        return Polylines.concat(
            [function(self[part], *(column[part] for column in columns)) for part in parts]
        )

    def _gather(self, first: Ints, step: Ints, counts: Ints) -> "Polylines":
        """Lines of ``counts`` (k,) points each: ``first`` (k,) and on in steps of 1 or -1 (k,)."""
        starts = _starts(counts)
        points = np.empty((starts[-1], 2))
        for part in chunk_slices(len(counts)):
            begin, stop = starts[part.start], starts[part.stop]
            line = np.repeat(np.arange(part.start, part.stop), counts[part])
            nth = np.arange(begin, stop) - starts[line]
            points[begin:stop] = self.points[first[line] + step[line] * nth]
        return Polylines(points, starts)


def _starts(counts: NDArray[Any]) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _length(lines: Polylines) -> Floats:
    dx, dy = np.diff(lines.points, axis=0).T
    step = np.sqrt(dx * dx + dy * dy)  # not hypot: GEOS rounds so
    line = lines.line_index
    step[line[1:] != line[:-1]] = 0
    return np.asarray(np.bincount(line[1:], step, minlength=len(lines)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Chains:
    """Edges in the order of their chains.

    edge (m,)        edge numbers
    forward (m,)     whether the chain passes the edge from its first node to its second
    starts (k + 1,)  chain i is ``edge[starts[i]:starts[i + 1]]``
    """

    edge: Ints
    forward: NDArray[np.bool_]
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def nodes(self, edges: Ints) -> tuple[Ints, Ints]:
        """The nodes along all chains, and (k + 1,) where each chain starts among them.

        ``edges`` (m, 2) are the nodes of each edge.
        """
        first = np.where(self.forward, edges[self.edge, 0], edges[self.edge, 1])
        second = np.where(self.forward, edges[self.edge, 1], edges[self.edge, 0])
        nodes = np.insert(second, self.starts[:-1], first[self.starts[:-1]])
        return nodes, self.starts + np.arange(len(self.starts))

    def endpoints(self, edges: Ints) -> Ints:
        """(k, 2) the first and last node of each chain."""
        nodes, starts = self.nodes(edges)
        return np.column_stack([nodes[starts[:-1]], nodes[starts[1:] - 1]])

    def mean(
        self, values: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(k,) weighted mean of the edge values of each chain; nan values are left out."""
        known = np.where(np.isnan(values), 0, weights)[self.edge]
        if not len(self):
            return np.empty(0)
        total = np.add.reduceat(np.nan_to_num(values)[self.edge] * known, self.starts[:-1])
        weight = np.add.reduceat(known, self.starts[:-1])
        mean = np.full(len(self), np.nan)
        np.divide(total, weight, out=mean, where=weight > 0)
        return mean


def link_chains(edges: Ints, *, stop: NDArray[np.bool_] | None = None) -> Chains:
    """Link edges to the longest chains through nodes of degree 2.

    ``edges`` (m, 2) are the nodes of each edge. ``stop`` (n,) marks nodes where a chain ends even
    if their degree is 2. A ring of nodes of degree 2 is one chain from the first node of its first
    edge back to that node.

    An edge has two slots: ``2e`` at its first node and ``2e + 1`` at its second. In a chain each
    slot has a partner, the slot of the next edge at the same node. So slots form paths and rings,
    and parallel edges and loops need no special case.

    >>> chains = link_chains(np.array([[0, 1], [2, 1], [2, 3]]))
    >>> chains.edge.tolist(), chains.forward.tolist(), chains.starts.tolist()
    ([0, 1, 2], [True, False, True], [0, 3])
    """
    if not len(edges):
        return Chains(np.empty(0, np.int64), np.empty(0, bool), np.zeros(1, np.int64))
    partner = _find_partners(edges.ravel(), stop)
    labels = connected_components(_adjacency(partner), directed=False)[1]
    _cut_rings(partner, labels)
    return _order_edges(partner, labels)


def _find_partners(nodes: Ints, stop: NDArray[np.bool_] | None) -> Ints:
    """(2m,) the slot that continues the chain at the same node, or -1 where the chain ends."""
    degree = np.bincount(nodes)
    continues = degree == 2
    if stop is not None:
        continues &= ~stop[: len(degree)]
    by_node = np.argsort(nodes, kind="stable")
    first = (np.cumsum(degree) - degree)[continues]
    one, other = by_node[first], by_node[first + 1]
    partner = np.full(len(nodes), -1)
    partner[one], partner[other] = other, one
    return partner


def _cut_rings(partner: Ints, labels: NDArray[np.int32]) -> None:
    """Let every ring start at the first node of its first edge (changes ``partner``)."""
    has_end = np.zeros(labels.max() + 1, bool)
    has_end[labels[np.flatnonzero(partner < 0) // 2]] = True
    _, first_edges = np.unique(labels, return_index=True)
    start = 2 * first_edges[~has_end]
    partner[partner[start]] = -1
    partner[start] = -1


def _order_edges(partner: Ints, labels: NDArray[np.int32]) -> Chains:
    """The edges in the order of their chains: these are joined to one path, which is followed."""
    terminals = np.flatnonzero(partner < 0)
    by_chain = np.argsort(labels[terminals // 2], kind="stable")
    first, last = terminals[by_chain].reshape(-1, 2).T
    path = partner.copy()
    path[last[:-1]], path[first[1:]] = first[1:], last[:-1]
    edges = breadth_first_order(_adjacency(path), first[0] // 2, return_predecessors=False)
    edges = edges.astype(np.int64)
    previous = np.concatenate([[-1], edges[:-1]])
    forward = path[2 * edges] // 2 == previous  # -1 // 2 is -1: the very first slot
    starts = np.flatnonzero(np.diff(labels[edges], prepend=-1, append=-1))
    return Chains(edges, forward, starts)


def _adjacency(partner: Ints) -> csr_array:
    """(m, m) which edges are neighbours in a chain."""
    linked = partner >= 0
    indptr = np.concatenate([[0], np.cumsum(linked.reshape(-1, 2).sum(axis=1))])
    indices = partner[linked] // 2
    shape = (len(partner) // 2,) * 2
    return csr_array((np.ones(len(indices)), indices, indptr), shape=shape)
