"""From line geometries to the lines of a graph, which meet at junctions only.

    geometries -> single lines -> without copies (``drop_repeats``) -> cut -> junctions

A copy is a part of a line whose points lie on another line, within 5 cm. No map means two roads by
that: parallel carriageways are metres apart.
"""

import logging
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from terralink._typing import Bools, Floats, Ints
from terralink.errors import GraphError
from terralink.graph.polylines import Lines, Polylines

Noding: TypeAlias = Literal["ends", "vertices", "crossings"]

_log = logging.getLogger(__name__)
_TOUCH_M = 1e-3  # a point nearer to the end of a line is that end
_LINE_TYPES = (1, 2)  # GEOS: LineString, LinearRing
_SAME_M = 0.05  # files in longitude and latitude are rounded to a centimetre
_SAME_SHARE = 1e-5  # of the extent, where the unit may not be a metre
_BLOCK_POINTS = 1 << 22  # points of pairs of lines in memory


def explode_lines(geometries: Lines) -> tuple[Lines, Ints]:
    """The parts (m,) of line geometries (k,) without heights, and the row (m,) of each in these.

    Raises ``GraphError`` for points and areas.
    """
    present = np.flatnonzero(~shapely.is_missing(geometries))
    single, index = shapely.get_parts(shapely.force_2d(geometries[present]), return_index=True)
    is_line = np.isin(shapely.get_type_id(single), _LINE_TYPES)
    if not is_line.all():
        kinds = sorted({part.geom_type for part in single[~is_line]})
        raise GraphError(f"a road graph is made of lines, not of {', '.join(kinds)}")
    if len(present) < len(geometries):
        missing = len(geometries) - len(present)
        _log.warning("%d of %d lines are missing: left out", missing, len(geometries))
    return np.asarray(single, dtype=object), present[index]


def find_junctions(endpoints: Floats) -> tuple[Floats, Ints]:
    """The different points (n, 2) among endpoints (m, 2, 2), and their numbers (m, 2)."""
    junctions, numbers = _unique_points(endpoints.reshape(-1, 2))
    return junctions, numbers.reshape(-1, 2)


def _unique_points(points: Floats) -> tuple[Floats, Ints]:
    """The different points (n, 2) among ``points`` (k, 2), and their numbers (k,)."""
    as_complex = np.ascontiguousarray(points + 0.0).view(np.complex128).ravel()  # no -0.0
    unique, inverse = np.unique(as_complex, return_inverse=True)
    return unique.view(np.float64).reshape(-1, 2), inverse.astype(np.int64)


def cut_at_nodes(lines: Lines, noding: Noding) -> tuple[Polylines, Ints]:
    """Cut lines (m,) where they are joined: the pieces (p), and the line (p,) of each piece.

    Raises ``GraphError`` for an unknown ``noding``.
    """
    if noding == "vertices":
        return cut_at_vertices(lines)
    if noding == "crossings":
        return cut_at_crossings(lines)
    if noding == "ends":
        return Polylines.from_shapely(lines), np.arange(len(lines))
    raise GraphError(f"lines are joined at 'ends', 'vertices' or 'crossings', not {noding!r}")


def cut_at_vertices(lines: Lines) -> tuple[Polylines, Ints]:
    """Cut lines at points that occur twice; the pieces, and the line (p,) of each piece."""
    polylines = Polylines.from_shapely(shapely.remove_repeated_points(lines))
    line, (along, length) = polylines.line_index, polylines.measure()
    numbers = _unique_points(polylines.points)[1]
    inside = (along > 0) & (along < length[line])
    at = np.flatnonzero(inside & (np.bincount(numbers)[numbers] > 1))
    return _cut_and_clean(polylines, line[at], along[at], polylines.points[at])


def cut_at_crossings(lines: Lines) -> tuple[Polylines, Ints]:
    """Cut lines wherever they meet another line; the pieces, and the line (p,) of each piece.

    Two lines that share a stretch are cut at both ends of it. A line that crosses itself is not
    cut there.
    """
    rounded = np.round(shapely.get_coordinates(lines), 6)  # to a micrometre: both get one point
    lines = np.asarray(shapely.set_coordinates(lines.copy(), rounded), dtype=object)
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    one, other = one[one < other], other[one < other]
    shared = shapely.get_parts(shapely.intersection(lines[one], lines[other]), return_index=True)
    points, pair = shapely.get_coordinates(shared[0], return_index=True)
    points, pair = np.round(points, 6), shared[1][pair]
    line, xy = np.concatenate([one[pair], other[pair]]), np.concatenate([points, points])
    along = shapely.line_locate_point(lines[line], shapely.points(xy))
    length = shapely.length(lines)[line]
    rows = np.column_stack([line, along, xy])
    rows = rows[(along > _TOUCH_M) & (along < length - _TOUCH_M)]
    rows = np.unique(rows, axis=0)
    return _cut_and_clean(
        Polylines.from_shapely(lines), rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2:]
    )


def _cut_and_clean(
    lines: Polylines, line: Ints, along: Floats, xy: Floats
) -> tuple[Polylines, Ints]:
    """As ``cut_at_points``; a cut at a point of a line does not repeat that point."""
    pieces, source, _ = cut_at_points(lines, line, along, xy)
    return Polylines.from_shapely(shapely.remove_repeated_points(pieces.to_shapely())), source


def cut_at_points(
    lines: Polylines, line: Ints, along: Floats, xy: Floats
) -> tuple[Polylines, Ints, Ints]:
    """Cut lines at points ``xy`` (k, 2), which lie on ``line`` (k,) at ``along`` (k,).

    Returns the pieces in the order of the lines, the line (p,) of each piece, and (k, 2) the pieces
    before and after each cut.
    """
    count = 1 + np.bincount(line, minlength=len(lines))
    source = np.repeat(np.arange(len(lines)), count)
    is_cut, number = np.unique(line, return_inverse=True)
    in_cut = np.isin(source, is_cut)
    pieces, before = _cut_all(lines[is_cut], number, along, xy)
    before = np.flatnonzero(in_cut)[before]
    return lines[source].replace_rows(in_cut, pieces), source, np.column_stack([before, before + 1])


def _cut_all(lines: Polylines, line: Ints, along: Floats, xy: Floats) -> tuple[Polylines, Ints]:
    """The pieces of lines that all have a cut, and (k,) the piece before each cut."""
    own_line, (own_along, _) = lines.line_index, lines.measure()
    # each cut ends one piece and begins the next, so its point occurs twice
    all_lines = np.concatenate([own_line, line, line])
    all_along = np.concatenate([own_along, along, along])
    begins = np.zeros(len(all_lines), np.int64)
    begins[len(own_line) + len(line) :] = 1
    order = np.lexsort((begins, all_along, all_lines))
    new_piece = (np.diff(all_lines[order], prepend=-1) > 0) | (begins[order] == 1)
    piece = np.cumsum(new_piece) - 1
    points = np.concatenate([lines.points, xy, xy])[order]
    piece_of_point = np.empty(len(order), np.int64)
    piece_of_point[order] = piece
    pieces = Polylines.from_counts(points, np.bincount(piece))
    return pieces, piece_of_point[len(own_line) : len(own_line) + len(line)]


def drop_repeats(lines: Lines, *, metric: bool) -> tuple[Lines, Ints]:
    """Lines (m,) without copies: lines (p,), and the row (p,) of each in the first ones.

    RULE 1: a part of a line within 5 cm of another line is a copy. The longest line keeps it, of
    equally long ones the first; the rest of the other line ends there.
    RULE 2: what was connected stays connected: where a copy began or ended, the line that it lay on
    is cut if another line ends there, and gets a point if another line has one.
    RULE 3: points of such lines within 5 cm of each other become one point.

    All lines need some length. Lines without copies are returned as they are. ``metric`` is False
    where the unit may not be a metre: then the tolerance is a share of the extent, 5 cm at most.

    >>> lines = shapely.linestrings([[(0, 0), (9, 0)], [(12, 0), (6, 0)]])
    >>> unique, line = drop_repeats(lines, metric=True)
    >>> shapely.length(unique).tolist(), line.tolist()
    ([9.0, 3.0], [0, 1])
    """
    tolerance = _SAME_M
    if not metric and len(lines):
        left, bottom, right, top = shapely.total_bounds(lines)
        tolerance = min(_SAME_M, _SAME_SHARE * max(right - left, top - bottom))
    polylines = Polylines.from_shapely(lines)
    node = _unique_points(polylines.points)[1]
    touching = _find_touching_twice(lines, polylines, node, tolerance)
    if not touching.any():
        return lines, np.arange(len(lines))
    segments = _Segments.from_lines(polylines, node, touching, tolerance)
    original = segments.find_originals(polylines.length())
    if np.array_equal(original, np.arange(len(original))):
        return lines, np.arange(len(lines))
    unique, line = segments.drop_copies(original)
    return unique.to_shapely(), line


def _find_touching_twice(
    geometries: Lines, lines: Polylines, node: Ints, tolerance: float
) -> Bools:
    """(m,) the lines that touch another line, or themselves, at two nodes or more.

    Where two lines share a stretch, each end of it is a point of one of them.
    """
    margin = np.array([-tolerance, -tolerance, tolerance, tolerance])
    bounds = shapely.bounds(geometries) + margin
    one, other = shapely.STRtree(geometries).query(shapely.box(*bounds.T))
    candidate = (one != other) | ~shapely.is_simple(geometries)[one]
    one, other = one[candidate], other[candidate]
    shapely.prepare(geometries)
    node_and_line = np.unique(node * len(lines) + lines.line_index)
    touches = []
    block = np.cumsum(lines.counts[one]) // _BLOCK_POINTS
    for part in np.split(np.arange(len(one)), np.flatnonzero(np.diff(block)) + 1):
        point, line = _points_in_boxes(lines, one[part], other[part], bounds)
        own_line = lines.line_index[point]
        touch = _is_in_sorted(node[point] * len(lines) + line, node_and_line) & (own_line != line)
        rest = np.flatnonzero(~touch)
        rest_points = shapely.points(lines.points[point[rest]])
        touch[rest] = shapely.dwithin(geometries[line[rest]], rest_points, tolerance)
        pair = np.minimum(own_line, line) * len(lines) + np.maximum(own_line, line)
        touches.append(np.column_stack([pair, node[point]])[touch])
    pair, at = np.concatenate(touches).T
    order = np.lexsort((at, pair))
    pair, at = pair[order], at[order]
    # pairs that occur again, at another node
    twice = pair[1:][(np.diff(pair) == 0) & (np.diff(at) != 0)]
    touching = np.zeros(len(lines), bool)
    touching[np.concatenate(np.divmod(twice, len(lines)))] = True
    return touching


def _is_in_sorted(numbers: Ints, sorted_numbers: Ints) -> Bools:
    at = np.searchsorted(sorted_numbers, numbers).clip(max=len(sorted_numbers) - 1)
    return np.asarray(sorted_numbers[at] == numbers)


def _points_in_boxes(lines: Polylines, one: Ints, other: Ints, bounds: Floats) -> tuple[Ints, Ints]:
    """(k,) points of lines ``one`` (n,), and the lines of ``other`` (n,) in whose box they lie."""
    count = lines.counts[one]
    pair = np.repeat(np.arange(len(one)), count)
    point = lines.starts[one][pair] + np.arange(len(pair)) - (np.cumsum(count) - count)[pair]
    line = other[pair]
    xy, box = lines.points[point], bounds[line]
    inside = ((xy >= box[:, :2]) & (xy <= box[:, 2:])).all(axis=1)
    return point[inside], line[inside]


@dataclass(frozen=True, eq=False)
class _Segments:
    """Segments (k,) of lines in their order, cut at points of other lines that lie on them.

    line (k,)         the line of each segment
    node (k, 2)       the nodes that it begins and ends at; equal points are one node
    xy (k, 2, 2)      the coordinates of both
    own_end (k,)      whether it ends at a point of its own line
    """

    line: Ints
    node: Ints
    xy: Floats
    own_end: Bools

    @classmethod
    def from_lines(
        cls, lines: Polylines, node: Ints, touching: Bools, tolerance: float
    ) -> "_Segments":
        """The segments of all lines; only lines that ``touching`` (m,) marks cut each other."""
        node = _merge_nodes(lines, node, touching, tolerance)
        line = lines.line_index
        first = np.flatnonzero(line[1:] == line[:-1])
        candidates = np.flatnonzero(touching[line])
        cut_segment, cut_point, cut_along = _find_cuts(
            lines.points, node, first, touching[line[first]], candidates, tolerance
        )
        segment = np.concatenate([cut_segment, np.arange(len(first))])
        end = np.concatenate([cut_point, first + 1])
        along = np.concatenate([cut_along, np.full(len(first), np.inf)])
        order = np.lexsort((along, segment))
        segment, end = segment[order], end[order]
        is_first = np.diff(segment, prepend=-1) > 0
        points = np.column_stack([np.where(is_first, first[segment], np.roll(end, 1)), end])
        own_end = order >= len(cut_point)
        return cls(line[first[segment]], node[points], lines.points[points], own_end)

    def find_originals(self, length: Floats) -> Ints:
        """(k,) for each segment the one between the same nodes that is kept (RULE 1).

        That is the segment of the longest line, of equally long ones the first. A segment that
        begins and ends at one node is its own original.
        """
        low, high = self.node.min(axis=1), self.node.max(axis=1)
        rank = np.empty(len(length), np.int64)
        rank[np.argsort(-length, kind="stable")] = np.arange(len(length))
        order = np.lexsort((rank[self.line], high, low))
        new = (np.diff(low[order], prepend=-1) != 0) | (np.diff(high[order], prepend=-1) != 0)
        original = np.empty(len(order), np.int64)
        original[order] = order[new][np.cumsum(new) - 1]
        return np.where(self.has_length, original, np.arange(len(original)))

    def drop_copies(self, original: Ints) -> tuple[Polylines, Ints]:
        """Lines of the segments that are kept, and the line (p,) that each comes from (RULE 2)."""
        segments = self._merge_points()._select(self.has_length)
        number = np.cumsum(self.has_length) - 1
        original = number[original[self.has_length]]
        is_copy = original != np.arange(len(original))
        begins = (np.diff(segments.line, prepend=-1) != 0) | np.diff(is_copy, prepend=is_copy[0])
        ends = np.roll(begins, -1)
        size = int(segments.node.max()) + 1
        is_endpoint = np.zeros(size, bool)
        is_endpoint[segments.node[begins & ~is_copy, 0]] = True
        is_endpoint[segments.node[ends & ~is_copy, 1]] = True
        at_copy_end = segments._find_copy_ends(original, begins & is_copy, ends & is_copy)
        begins |= at_copy_end & is_endpoint[segments.node[:, 0]]
        is_vertex = np.zeros(size, bool)
        is_vertex[segments.node[~is_copy & segments.own_end, 1]] = True
        is_vertex[segments.node[~is_copy & begins, 0]] = True
        begins, line, node, xy = (
            each[~is_copy] for each in (begins, segments.line, segments.node, segments.xy)
        )
        end_is_point = segments.own_end[~is_copy] | np.roll(begins, -1)
        end_is_point |= np.roll(at_copy_end, -1)[~is_copy] & is_vertex[node[:, 1]]
        is_point = np.column_stack([begins, end_is_point])
        counts = np.bincount(np.cumsum(begins) - 1, weights=is_point.sum(axis=1)).astype(np.int64)
        return Polylines.from_counts(xy[is_point], counts), line[begins]

    def _find_copy_ends(self, original: Ints, begins: Bools, ends: Bools) -> Bools:
        """(k,) whether a segment begins where a copy that lay on its line began or ended."""
        found = np.zeros(len(original) + 1, bool)
        for is_end, side in ((begins, 0), (ends, 1)):
            segment = original[is_end]
            at_its_end = self.node[segment, 0] != self.node[is_end, side]
            found[segment + at_its_end] = True
        return np.asarray(found[:-1])

    @property
    def has_length(self) -> Bools:
        """(k,) whether a segment ends at another node than it begins at."""
        return np.asarray(self.node[:, 0] != self.node[:, 1])

    def _select(self, rows: Bools) -> "_Segments":
        return _Segments(self.line[rows], self.node[rows], self.xy[rows], self.own_end[rows])

    def _merge_points(self) -> "_Segments":
        """The same segments, with one point for each node (RULE 3)."""
        _, index, number = np.unique(self.node, return_index=True, return_inverse=True)
        xy = self.xy.reshape(-1, 2)[index][number.reshape(self.node.shape)]
        return replace(self, xy=xy)


def _merge_nodes(lines: Polylines, node: Ints, touching: Bools, tolerance: float) -> Ints:
    """(p,) the node of each point, where near nodes of ``touching`` (m,) lines become one."""
    points = np.flatnonzero(touching[lines.line_index])
    nodes, index = np.unique(node[points], return_index=True)
    xy = lines.points[points[index]]
    pairs = cKDTree(xy).query_pairs(tolerance, output_type="ndarray")
    size = len(nodes)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(size, size))
    group = connected_components(links, directed=False)[1]
    low, high = np.full((size, 2), np.inf), np.full((size, 2), -np.inf)
    np.minimum.at(low, group, xy)
    np.maximum.at(high, group, xy)
    # a row of dense points is not one node
    too_wide = (np.ptp([low, high], axis=0) > 2 * tolerance).any(axis=1)
    _, first = np.unique(group, return_index=True)
    first = np.where(too_wide[group], np.arange(size), first[group])
    result = node.copy()
    result[points] = nodes[first][np.searchsorted(nodes, node[points])]
    return result


def _find_cuts(
    points: Floats, node: Ints, first: Ints, is_cut: Bools, candidates: Ints, tolerance: float
) -> tuple[Ints, Ints, Floats]:
    """(segment, point, metres along it) of the points ``candidates`` that lie inside a segment.

    Segments begin at the points ``first`` (s,); ``is_cut`` (s,) marks those that may be cut.
    """
    segment = np.flatnonzero(is_cut)
    ends = np.stack([points[first[segment]], points[first[segment] + 1]], axis=1)
    _, index = np.unique(node[candidates], return_index=True)
    candidates = candidates[index]
    at, number = shapely.STRtree(shapely.linestrings(ends)).query(
        shapely.points(points[candidates]), predicate="dwithin", distance=tolerance
    )
    begin, step = ends[number, 0], ends[number, 1] - ends[number, 0]
    length = np.maximum(np.hypot(*step.T), np.finfo(float).tiny)
    along = ((points[candidates[at]] - begin) * step).sum(axis=1) / length
    inside = (along > tolerance) & (along < length - tolerance)
    return segment[number[inside]], candidates[at[inside]], along[inside]
