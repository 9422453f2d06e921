"""Many lines as two arrays: a third of the memory that as many objects take, and gone at once.

shapely's geometries are made of them where its operations are needed, some thousand at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.graph.chains import Chains
from terralink.graph.chunks import CHUNK_ROWS, by_chunks, spans

Lines: TypeAlias = NDArray[np.object_]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


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
        return by_chunks(_length, self)

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
        for part in spans(len(row)):
            placed = shapely.line_interpolate_point(self[row[part]].drawn(), along_m[part])
            points[part] = shapely.get_coordinates(placed)
        return points

    def strung(self, chains: Chains) -> "Polylines":
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
        parts = spans(len(self), rows)
        return Polylines.together(
            [work(self[part], *(column[part] for column in columns)) for part in parts]
        )

    def _walked(self, first: Ints, step: Ints, counts: Ints) -> "Polylines":
        """Lines of ``counts`` (k,) points each, from point ``first`` (k,) on by ``step`` (k,)."""
        starts = _starts(counts)
        points = np.empty((starts[-1], 2))
        for part in spans(len(counts)):
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
