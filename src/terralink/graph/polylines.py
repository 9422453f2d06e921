"""Many lines as two arrays, work on some thousand of them at a time, and edges linked to chains.

The arrays take a third of the memory of as many shapely objects; shapely's geometries are made of
them where its operations are needed, some thousand at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

Lines: TypeAlias = NDArray[np.object_]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Kind = TypeVar("Kind", bound=np.generic)

CHUNK_ROWS = 8192


def chunk_slices(count: int, rows: int = CHUNK_ROWS) -> Iterator[slice]:
    """Slices that cover ``count`` rows in order; one, of nothing, where there are none.

    >>> [(span.start, span.stop) for span in chunk_slices(5, rows=2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    return (slice(at, min(at + rows, count)) for at in range(0, max(count, 1), rows))


def map_chunks(
    work: Callable[..., NDArray[Kind]], *columns: Any, rows: int = CHUNK_ROWS
) -> NDArray[Kind]:
    """``work(*columns)`` done on some thousand rows of all columns at a time.

    Columns are what has a length and gives a part of itself for a slice. The result has a row for
    each of theirs.
    """
    parts = chunk_slices(len(columns[0]), rows)
    return np.concatenate([work(*(column[part] for column in columns)) for part in parts])


@dataclass(frozen=True, eq=False)
class Polylines:
    """Lines one after the other.

    points (p, 2)    x, y along all of them
    starts (m + 1,)  line i is ``points[starts[i]:starts[i + 1]]``, of two points or more

    >>> lines = Polylines.of(shapely.linestrings([[(0, 0), (3, 4)], [(9, 9), (9, 8)]]))
    >>> lines.length().tolist(), lines[np.array([1])].points.tolist()
    ([5.0, 1.0], [[9.0, 9.0], [9.0, 8.0]])
    """

    points: Floats
    starts: Ints

    @classmethod
    def of(cls, lines: Lines) -> "Polylines":
        """Those of shapely's flat LineStrings."""
        return cls.counted(shapely.get_coordinates(lines), shapely.get_num_coordinates(lines))

    @classmethod
    def counted(cls, points: Floats, counts: Ints) -> "Polylines":
        """Lines of so many points each, which lie one after the other (p, 2)."""
        return cls(points, _starts(counts))

    @classmethod
    def together(cls, parts: Sequence["Polylines"]) -> "Polylines":
        """All lines of some, in their order."""
        points, counts = zip(*((part.points, part.counts) for part in parts), strict=True)
        return cls.counted(np.concatenate(points), np.concatenate(counts))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: slice | NDArray[np.bool_ | np.int64]) -> "Polylines":
        """Some of the lines; those of a slice, in whole, share their points with these."""
        if isinstance(rows, slice):
            first, stop, _ = rows.indices(len(self))
            starts = self.starts[first : max(first, stop) + 1]
            return Polylines(self.points[starts[0] : starts[-1]], starts - starts[0])
        rows = np.arange(len(self))[rows]
        return self._walked(self.starts[rows], np.ones(len(rows), np.int64), self.counts[rows])

    @property
    def counts(self) -> Ints:
        """(m,) points of each line."""
        return np.diff(self.starts)

    @property
    def owner(self) -> Ints:
        """(p,) the line of each point."""
        return np.repeat(np.arange(len(self)), self.counts)

    def drawn(self) -> Lines:
        """(m,) shapely LineStrings."""
        if not len(self):
            return np.empty(0, object)
        return np.asarray(shapely.linestrings(self.points, indices=self.owner), dtype=object)

    def tips(self) -> Floats:
        """(m, 2, 2) the first and the last point of each line."""
        return np.stack([self.points[self.starts[:-1]], self.points[self.starts[1:] - 1]], axis=1)

    def length(self) -> Floats:
        """(m,) summed from first to last point, as GEOS does it."""
        return map_chunks(_length, self)

    def measured(self) -> tuple[Floats, Floats]:
        """How far along its line each point lies (p,), and the lengths (m,)."""
        step = np.hypot(*np.diff(self.points, axis=0, prepend=self.points[:1]).T)
        step[self.starts[:-1]] = 0
        total = np.cumsum(step)
        start = total[self.starts[:-1]]
        return total - np.repeat(start, self.counts), total[self.starts[1:] - 1] - start

    def at(self, row: Ints, along_m: Floats) -> Floats:
        """(k, 2) the points at ``along_m`` (k,) on lines ``row`` (k,); past an end it is that."""
        points = np.empty((len(row), 2))
        for part in chunk_slices(len(row)):
            placed = shapely.line_interpolate_point(self[row[part]].drawn(), along_m[part])
            points[part] = shapely.get_coordinates(placed)
        return points

    def strung(self, chains: "Chains") -> "Polylines":
        """One line a chain; where two lines meet the shared point is there once."""
        begins = np.zeros(len(chains.edges), bool)
        begins[chains.starts[:-1]] = True
        skipped = np.where(begins, 0, 1)
        edges, step = chains.edges, np.where(chains.forward, 1, -1)
        near_tip = np.where(chains.forward, self.starts[edges], self.starts[edges + 1] - 1)
        parts = self._walked(near_tip + step * skipped, step, self.counts[edges] - skipped)
        return Polylines(parts.points, parts.starts[chains.starts])

    def replaced(self, rows: Bools, by: "Polylines") -> "Polylines":
        """The same lines, but those of ``rows`` (m,) are ``by``, in their order."""
        counts = self.counts
        counts[rows] = by.counts
        new = np.repeat(rows, counts)
        points = np.empty((len(new), 2))
        points[new], points[~new] = by.points, self.points[~np.repeat(rows, self.counts)]
        return Polylines.counted(points, counts)

    def changed(
        self, work: Callable[..., "Polylines"], *columns: NDArray[Any], rows: int = CHUNK_ROWS
    ) -> "Polylines":
        """``work(lines, *columns)``, a line a line, done on ``rows`` lines at a time."""
        parts = chunk_slices(len(self), rows)
        return Polylines.together(
            [work(self[part], *(column[part] for column in columns)) for part in parts]
        )

    def _walked(self, first: Ints, step: Ints, counts: Ints) -> "Polylines":
        """Lines of ``counts`` (k,) points each, from point ``first`` (k,) on by ``step`` (k,)."""
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
    owner = lines.owner
    step[owner[1:] != owner[:-1]] = 0
    return np.asarray(np.bincount(owner[1:], step, minlength=len(lines)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Chains:
    """Edges in walking order, chain after chain.

    edges (m,)     edge numbers
    forward (m,)   whether an edge is walked from its first node to its second
    starts (k+1,)  chain i is edges[starts[i]:starts[i + 1]]
    """

    edges: Ints
    forward: NDArray[np.bool_]
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def nodes(self, ends: Ints) -> tuple[Ints, Ints]:
        """The nodes along the chains, one after the other, and where each chain starts."""
        first = np.where(self.forward, ends[self.edges, 0], ends[self.edges, 1])
        second = np.where(self.forward, ends[self.edges, 1], ends[self.edges, 0])
        nodes = np.insert(second, self.starts[:-1], first[self.starts[:-1]])
        return nodes, self.starts + np.arange(len(self.starts))

    def ends(self, ends: Ints) -> Ints:
        """(k, 2) the first and last node of each chain."""
        nodes, starts = self.nodes(ends)
        return np.column_stack([nodes[starts[:-1]], nodes[starts[1:] - 1]])

    def mean(
        self, values: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(k,) weighted mean along each chain of a value an edge; nan counts for nothing."""
        known = np.where(np.isnan(values), 0, weights)[self.edges]
        if not len(self):
            return np.empty(0)
        total = np.add.reduceat(np.nan_to_num(values)[self.edges] * known, self.starts[:-1])
        weight = np.add.reduceat(known, self.starts[:-1])
        mean = np.full(len(self), np.nan)
        np.divide(total, weight, out=mean, where=weight > 0)
        return mean


def link_chains(ends: Ints, *, stop: NDArray[np.bool_] | None = None) -> Chains:
    """The longest chains through nodes where just two edge ends meet.

    ends (m, 2) are node numbers; ``stop`` (n,) marks nodes where a chain ends in any case. A ring
    of such nodes alone is one chain from the first slot's node back to it.

    >>> chains = link_chains(np.array([[0, 1], [2, 1], [2, 3]]))
    >>> chains.edges.tolist(), chains.forward.tolist(), chains.starts.tolist()
    ([0, 1, 2], [True, False, True], [0, 3])
    """
    if not len(ends):
        return Chains(np.empty(0, np.int64), np.empty(0, bool), np.zeros(1, np.int64))
    partner = _find_partners(ends.ravel(), stop)
    labels = connected_components(_adjacency(partner), directed=False)[1]
    _cut_rings(partner, labels)
    return _order_edges(partner, labels)


def _find_partners(nodes: Ints, stop: NDArray[np.bool_] | None) -> Ints:
    """(2m,) the slot that goes on at the same node, or -1 where a chain ends."""
    degree = np.bincount(nodes)
    goes_on = degree == 2
    if stop is not None:
        goes_on &= ~stop[: len(degree)]
    by_node = np.argsort(nodes, kind="stable")
    first = (np.cumsum(degree) - degree)[goes_on]
    one, other = by_node[first], by_node[first + 1]
    partner = np.full(len(nodes), -1)
    partner[one], partner[other] = other, one
    return partner


def _cut_rings(partner: Ints, labels: NDArray[np.int32]) -> None:
    """Give every ring a place to start: the first node of its first edge."""
    has_end = np.zeros(labels.max() + 1, bool)
    has_end[labels[np.flatnonzero(partner < 0) // 2]] = True
    _, first_edges = np.unique(labels, return_index=True)
    start = 2 * first_edges[~has_end]
    partner[partner[start]] = -1
    partner[start] = -1


def _order_edges(partner: Ints, labels: NDArray[np.int32]) -> Chains:
    """All chains in walking order: they are tied into one thread, which is then followed."""
    terminals = np.flatnonzero(partner < 0)
    by_chain = np.argsort(labels[terminals // 2], kind="stable")
    first, last = terminals[by_chain].reshape(-1, 2).T
    thread = partner.copy()
    thread[last[:-1]], thread[first[1:]] = first[1:], last[:-1]
    edges = breadth_first_order(_adjacency(thread), first[0] // 2, return_predecessors=False)
    edges = edges.astype(np.int64)
    came_from = np.concatenate([[-1], edges[:-1]])
    forward = thread[2 * edges] // 2 == came_from  # -1 // 2 is -1: the very first slot
    starts = np.flatnonzero(np.diff(labels[edges], prepend=-1, append=-1))
    return Chains(edges, forward, starts)


def _adjacency(partner: Ints) -> csr_array:
    """(m, m) which edges follow each other."""
    there = partner >= 0
    indptr = np.concatenate([[0], np.cumsum(there.reshape(-1, 2).sum(axis=1))])
    indices = partner[there] // 2
    shape = (len(partner) // 2,) * 2
    return csr_array((np.ones(len(indices)), indices, indptr), shape=shape)
