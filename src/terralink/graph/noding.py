"""Line geometries made the lines of a graph: single parts, drawn once, cut where they are joined.

    geometries -> single lines -> each stretch once (``drop_repeats``) -> cut -> junctions

A copy is a stretch whose points lie on another line, so near that no map means two roads by it:
parallel carriageways are metres apart.
"""

import logging
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from terralink.errors import GraphError
from terralink.graph.polylines import Bools, Floats, Ints, Lines, Polylines

Noding: TypeAlias = Literal["ends", "vertices", "crossings"]

_log = logging.getLogger(__name__)
_TOUCH_M = 1e-3  # what meets nearer to a line's end meets that end
_LINE_TYPES = (1, 2)  # GEOS: LineString, LinearRing
_SAME_M = 0.05  # files of longitude and latitude round to a centimetre
_SAME_SHARE = 1e-5  # of the extent, where nothing says that the unit is a metre
_AT_ONCE = 1 << 22  # points of pairs of lines in memory


def explode_lines(given: Lines) -> tuple[Lines, Ints]:
    """Single flat lines, and the row of ``given`` that each comes from.

    Raises ``GraphError`` for points and areas.
    """
    there = np.flatnonzero(~shapely.is_missing(given))
    single, index = shapely.get_parts(shapely.force_2d(given[there]), return_index=True)
    is_line = np.isin(shapely.get_type_id(single), _LINE_TYPES)
    if not is_line.all():
        kinds = sorted({part.geom_type for part in single[~is_line]})
        raise GraphError(f"a road graph is made of lines, not of {', '.join(kinds)}")
    if len(there) < len(given):
        _log.warning("%d of %d lines are missing: left out", len(given) - len(there), len(given))
    return np.asarray(single, dtype=object), there[index]


def find_junctions(ends: Floats) -> tuple[Floats, Ints]:
    """Different points (n, 2), and the numbers (m, 2) of those that the tips (m, 2, 2) are."""
    places, numbers = _unique_points(ends.reshape(-1, 2))
    return places, numbers.reshape(-1, 2)


def _unique_points(points: Floats) -> tuple[Floats, Ints]:
    """Different points (n, 2), and the number (k,) of that which each of ``points`` (k, 2) is."""
    as_complex = np.ascontiguousarray(points + 0.0).view(np.complex128).ravel()  # no -0.0
    unique, inverse = np.unique(as_complex, return_inverse=True)
    return unique.view(np.float64).reshape(-1, 2), inverse.astype(np.int64)


def cut_at_nodes(lines: Lines, node: Noding) -> tuple[Polylines, Ints]:
    """The lines cut where ``node`` says that they are joined, and the line (p,) of each piece."""
    if node == "vertices":
        return cut_at_vertices(lines)
    if node == "crossings":
        return cut_at_crossings(lines)
    if node == "ends":
        return Polylines.of(lines), np.arange(len(lines))
    raise GraphError(f"lines are joined at 'ends', 'vertices' or 'crossings', not {node!r}")


def cut_at_vertices(lines: Lines) -> tuple[Polylines, Ints]:
    """Lines cut at their points that are there twice, and the line (p,) of each piece."""
    whole = Polylines.of(shapely.remove_repeated_points(lines))
    owner, (along, length) = whole.owner, whole.measured()
    numbers = _unique_points(whole.points)[1]
    inside = (along > 0) & (along < length[owner])
    at = np.flatnonzero(inside & (np.bincount(numbers)[numbers] > 1))
    return _cut_and_clean(whole, owner[at], along[at], whole.points[at])


def cut_at_crossings(lines: Lines) -> tuple[Polylines, Ints]:
    """Lines cut wherever they meet one another, and the line (p,) of each piece.

    Where two run along each other they are cut at both ends of that stretch; a line that crosses
    itself is not.
    """
    rounded = np.round(shapely.get_coordinates(lines), 6)  # a micrometre: both get one point
    lines = np.asarray(shapely.set_coordinates(lines.copy(), rounded), dtype=object)
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    one, other = one[one < other], other[one < other]
    met = shapely.get_parts(shapely.intersection(lines[one], lines[other]), return_index=True)
    places, pair = shapely.get_coordinates(met[0], return_index=True)
    places, pair = np.round(places, 6), met[1][pair]
    line, xy = np.concatenate([one[pair], other[pair]]), np.concatenate([places, places])
    along = shapely.line_locate_point(lines[line], shapely.points(xy))
    length = shapely.length(lines)[line]
    rows = np.column_stack([line, along, xy])
    rows = rows[(along > _TOUCH_M) & (along < length - _TOUCH_M)]
    rows = np.unique(rows, axis=0)
    return _cut_and_clean(Polylines.of(lines), rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2:])


def _cut_and_clean(
    lines: Polylines, line: Ints, along: Floats, xy: Floats
) -> tuple[Polylines, Ints]:
    """Lines cut, and the line of each piece; a cut at a point of a line leaves that in once."""
    pieces, source, _ = cut_at_points(lines, line, along, xy)
    return Polylines.of(shapely.remove_repeated_points(pieces.drawn())), source


def cut_at_points(
    lines: Polylines, line: Ints, along: Floats, xy: Floats
) -> tuple[Polylines, Ints, Ints]:
    """Lines cut at points ``xy`` (k, 2), which lie on ``line`` (k,) at ``along`` (k,).

    Gives the pieces in the order of the lines, the line (p,) that each comes from, and (k, 2) the
    pieces before and after each cut.
    """
    count = 1 + np.bincount(line, minlength=len(lines))
    source = np.repeat(np.arange(len(lines)), count)
    is_cut, number = np.unique(line, return_inverse=True)
    in_cut = np.isin(source, is_cut)
    pieces, before = _cut_all(lines[is_cut], number, along, xy)
    before = np.flatnonzero(in_cut)[before]
    return lines[source].replaced(in_cut, pieces), source, np.column_stack([before, before + 1])


def _cut_all(lines: Polylines, line: Ints, along: Floats, xy: Floats) -> tuple[Polylines, Ints]:
    """Pieces of lines that are all cut, and (k,) the piece before each cut."""
    owner, (measure, _) = lines.owner, lines.measured()
    # each cut ends one piece and begins the next: it is there twice
    all_owner = np.concatenate([owner, line, line])
    all_measure = np.concatenate([measure, along, along])
    begins = np.zeros(len(all_owner), np.int64)
    begins[len(owner) + len(line) :] = 1
    order = np.lexsort((begins, all_measure, all_owner))
    new_piece = (np.diff(all_owner[order], prepend=-1) > 0) | (begins[order] == 1)
    piece = np.cumsum(new_piece) - 1
    points = np.concatenate([lines.points, xy, xy])[order]
    place = np.empty(len(order), np.int64)
    place[order] = piece
    pieces = Polylines.counted(points, np.bincount(piece))
    return pieces, place[len(owner) : len(owner) + len(line)]


def drop_repeats(lines: Lines, *, metric: bool) -> tuple[Lines, Ints]:
    """The lines (m,) with every stretch once, and the line (p,) that each of them comes from.

    RULE 1: a stretch that lies within 5 cm on another line is there once. The longest line keeps
    it, of equal ones the first; what is left of the other line ends there.
    RULE 2: what was joined stays joined: where a stretch that is left out began or ended, the line
    that it lay on is cut if another one ends there, and has a point if another one has.
    RULE 3: of lines that touch so, points within 5 cm of each other are one point.

    Lines have some length. Without repeats they are returned as they are. ``metric`` False is for
    lines whose unit is not known to be a metre.

    >>> lines = shapely.linestrings([[(0, 0), (9, 0)], [(12, 0), (6, 0)]])
    >>> once, line = drop_repeats(lines, metric=True)
    >>> shapely.length(once).tolist(), line.tolist()
    ([9.0, 3.0], [0, 1])
    """
    within = _SAME_M
    if not metric and len(lines):
        left, bottom, right, top = shapely.total_bounds(lines)
        within = min(_SAME_M, _SAME_SHARE * max(right - left, top - bottom))
    whole = Polylines.of(lines)
    place = _unique_points(whole.points)[1]
    doubtful = _touch_twice(lines, whole, place, within)
    if not doubtful.any():
        return lines, np.arange(len(lines))
    steps = _Segments.of(whole, place, doubtful, within)
    first = steps.first(whole.length())
    if np.array_equal(first, np.arange(len(first))):
        return lines, np.arange(len(lines))
    once, line = steps.without_repeats(first)
    return once.drawn(), line


def _touch_twice(drawn: Lines, lines: Polylines, place: Ints, within: float) -> Bools:
    """(m,) the lines that touch one another, or themselves, in two places or more.

    Where two run along each other, both ends of that stretch are points of the one or the other.
    """
    bounds = shapely.bounds(drawn) + np.array([-within, -within, within, within])
    one, other = shapely.STRtree(drawn).query(shapely.box(*bounds.T))
    kept = (one != other) | ~shapely.is_simple(drawn)[one]
    one, other = one[kept], other[kept]
    shapely.prepare(drawn)
    points_of = np.unique(place * len(lines) + lines.owner)  # one number a place and a line
    touches = []
    block = np.cumsum(lines.counts[one]) // _AT_ONCE
    for part in np.split(np.arange(len(one)), np.flatnonzero(np.diff(block)) + 1):
        point, line = _points_in_boxes(lines, one[part], other[part], bounds)
        owner = lines.owner[point]
        touch = _is_in_sorted(place[point] * len(lines) + line, points_of) & (owner != line)
        rest = np.flatnonzero(~touch)
        near_to = shapely.points(lines.points[point[rest]])
        touch[rest] = shapely.dwithin(drawn[line[rest]], near_to, within)
        pair = np.minimum(owner, line) * len(lines) + np.maximum(owner, line)
        touches.append(np.column_stack([pair, place[point]])[touch])
    pair, at = np.concatenate(touches).T
    order = np.lexsort((at, pair))
    pair, at = pair[order], at[order]
    # a pair that comes twice, the second time at another place
    twice = pair[1:][(np.diff(pair) == 0) & (np.diff(at) != 0)]
    doubtful = np.zeros(len(lines), bool)
    doubtful[np.concatenate(np.divmod(twice, len(lines)))] = True
    return doubtful


def _is_in_sorted(numbers: Ints, sorted_numbers: Ints) -> Bools:
    at = np.searchsorted(sorted_numbers, numbers).clip(max=len(sorted_numbers) - 1)
    return np.asarray(sorted_numbers[at] == numbers)


def _points_in_boxes(lines: Polylines, one: Ints, other: Ints, bounds: Floats) -> tuple[Ints, Ints]:
    """(k,) points of lines ``one`` (n,) and the lines ``other`` (n,) in whose box they lie."""
    count = lines.counts[one]
    pair = np.repeat(np.arange(len(one)), count)
    point = lines.starts[one][pair] + np.arange(len(pair)) - (np.cumsum(count) - count)[pair]
    line = other[pair]
    xy, box = lines.points[point], bounds[line]
    inside = ((xy >= box[:, :2]) & (xy <= box[:, 2:])).all(axis=1)
    return point[inside], line[inside]


@dataclass(frozen=True, eq=False)
class _Segments:
    """Segments of lines, in their order, cut at points of other lines that lie on them.

    line (k,)      the line of each
    place (k, 2)   the places that it begins and ends at
    xy (k, 2, 2)   the coordinates of both
    own (k,)       whether it ends at a point of its line, and not at one of another
    """

    line: Ints
    place: Ints
    xy: Floats
    own: Bools

    @classmethod
    def of(cls, lines: Polylines, place: Ints, doubtful: Bools, within: float) -> "_Segments":
        """Those of all lines; only ``doubtful`` (m,) ones cut each other."""
        place = _merge_nodes(lines, place, doubtful, within)
        owner = lines.owner
        first = np.flatnonzero(owner[1:] == owner[:-1])
        some = np.flatnonzero(doubtful[owner])
        segment, cut, along = _find_cuts(
            lines.points, place, first, doubtful[owner[first]], some, within
        )
        of = np.concatenate([segment, np.arange(len(first))])
        at = np.concatenate([cut, first + 1])
        order = np.lexsort((np.concatenate([along, np.full(len(first), np.inf)]), of))
        of, at = of[order], at[order]
        begins = np.diff(of, prepend=-1) > 0
        ends = np.column_stack([np.where(begins, first[of], np.roll(at, 1)), at])
        own = order >= len(cut)
        return cls(owner[first[of]], place[ends], lines.points[ends], own)

    def first(self, length: Floats) -> Ints:
        """(k,) for each step the one between the same places that stays: itself, or another.

        It is that of the longest line, of equal ones the first (RULE 1). Steps that do not leave
        their place are themselves.
        """
        low, high = self.place.min(axis=1), self.place.max(axis=1)
        rank = np.empty(len(length), np.int64)
        rank[np.argsort(-length, kind="stable")] = np.arange(len(length))
        order = np.lexsort((rank[self.line], high, low))
        new = (np.diff(low[order], prepend=-1) != 0) | (np.diff(high[order], prepend=-1) != 0)
        first = np.empty(len(order), np.int64)
        first[order] = order[new][np.cumsum(new) - 1]
        return np.where(self.moves, first, np.arange(len(first)))

    def without_repeats(self, first: Ints) -> tuple[Polylines, Ints]:
        """Lines of the steps that stay, and the line (p,) that each comes from (RULE 2)."""
        steps = self._at_one_point()._some(self.moves)
        number = np.cumsum(self.moves) - 1
        first = number[first[self.moves]]
        goes = first != np.arange(len(first))
        begins = (np.diff(steps.line, prepend=-1) != 0) | np.diff(goes, prepend=goes[0])
        ends = np.roll(begins, -1)
        size = int(steps.place.max()) + 1
        tip = np.zeros(size, bool)
        tip[steps.place[begins & ~goes, 0]] = tip[steps.place[ends & ~goes, 1]] = True
        loose = steps._loose(first, begins & goes, ends & goes)
        begins |= loose & tip[steps.place[:, 0]]
        held = np.zeros(size, bool)
        held[steps.place[~goes & steps.own, 1]] = held[steps.place[~goes & begins, 0]] = True
        begins, line, place, xy = (
            each[~goes] for each in (begins, steps.line, steps.place, steps.xy)
        )
        shown = (
            steps.own[~goes] | (np.roll(loose, -1)[~goes] & held[place[:, 1]]) | np.roll(begins, -1)
        )
        drawn = np.column_stack([begins, shown])
        counts = np.bincount(np.cumsum(begins) - 1, weights=drawn.sum(axis=1)).astype(np.int64)
        return Polylines.counted(xy[drawn], counts), line[begins]

    def _loose(self, first: Ints, begins: Bools, ends: Bools) -> Bools:
        """(k,) whether a stretch that goes began or ended where a step begins that it lay on."""
        loose = np.zeros(len(first) + 1, bool)
        for run, end in ((begins, 0), (ends, 1)):
            on = first[run]
            after = self.place[on, 0] != self.place[run, end]
            loose[on + after] = True
        return np.asarray(loose[:-1])

    @property
    def moves(self) -> Bools:
        """(k,) whether a step leaves its place."""
        return np.asarray(self.place[:, 0] != self.place[:, 1])

    def _some(self, rows: Bools) -> "_Segments":
        return _Segments(self.line[rows], self.place[rows], self.xy[rows], self.own[rows])

    def _at_one_point(self) -> "_Segments":
        """The same steps, with one point for each place."""
        _, index, number = np.unique(self.place, return_index=True, return_inverse=True)
        xy = self.xy.reshape(-1, 2)[index][number.reshape(self.place.shape)]
        return replace(self, xy=xy)


def _merge_nodes(lines: Polylines, place: Ints, doubtful: Bools, within: float) -> Ints:
    """(p,) places, of which those of ``doubtful`` (m,) lines that are near each other are one."""
    some = np.flatnonzero(doubtful[lines.owner])
    places, index = np.unique(place[some], return_index=True)
    xy = lines.points[some[index]]
    pairs = cKDTree(xy).query_pairs(within, output_type="ndarray")
    size = len(places)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(size, size))
    group = connected_components(links, directed=False)[1]
    low, high = np.full((size, 2), np.inf), np.full((size, 2), -np.inf)
    np.minimum.at(low, group, xy)
    np.maximum.at(high, group, xy)
    long = (np.ptp([low, high], axis=0) > 2 * within).any(axis=1)  # a row of points is no place
    _, first = np.unique(group, return_index=True)
    first = np.where(long[group], np.arange(size), first[group])
    result = place.copy()
    result[some] = places[first][np.searchsorted(places, place[some])]
    return result


def _find_cuts(
    points: Floats, place: Ints, first: Ints, is_cut: Bools, some: Ints, within: float
) -> tuple[Ints, Ints, Floats]:
    """(segment, point, metres along it): points ``some`` that lie inside a segment.

    Segments begin at the points ``first`` (s,); those that ``is_cut`` marks are looked at.
    """
    segment = np.flatnonzero(is_cut)
    ends = np.stack([points[first[segment]], points[first[segment] + 1]], axis=1)
    _, once = np.unique(place[some], return_index=True)
    some = some[once]
    at, number = shapely.STRtree(shapely.linestrings(ends)).query(
        shapely.points(points[some]), predicate="dwithin", distance=within
    )
    begin, span = ends[number, 0], ends[number, 1] - ends[number, 0]
    length = np.maximum(np.hypot(*span.T), np.finfo(float).tiny)
    along = ((points[some[at]] - begin) * span).sum(axis=1) / length
    inside = (along > within) & (along < length - within)
    return segment[number[inside]], some[at[inside]], along[inside]
