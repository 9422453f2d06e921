"""What a graph does with arrays of lines: flatten, measure, node, string together, cut."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from terralink.errors import GraphError
from terralink.geo.grid import Grid
from terralink.graph.chains import Chains

Lines: TypeAlias = NDArray[np.object_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Node: TypeAlias = Literal["ends", "vertices", "crossings"]

Kind = TypeVar("Kind", bound=np.generic)

_log = logging.getLogger(__name__)
_TOUCH_M = 1e-3  # what meets nearer to a line's end meets that end
_CHUNK_ROWS = 8192  # lines whose points are looked at together
_LINE_TYPES = (1, 2)  # GEOS: LineString, LinearRing


def parts(given: Lines) -> tuple[Lines, Ints]:
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


def in_metres(lines: Lines, crs: CRS | None) -> tuple[Lines, CRS | None]:
    """The lines in the metric CRS of their centre, and that CRS; no lines have no centre."""
    if crs is None or shapely.is_empty(lines).all():
        return lines, crs
    _check_degrees(lines, crs)
    left, bottom, right, top = shapely.total_bounds(lines)
    corner = Affine.translation((left + right - 1) / 2, (bottom + top - 1) / 2)
    metric = Grid((1, 1), corner, crs).metric_crs
    assert metric is not None
    result = reprojected(lines, crs, metric)
    if not np.isfinite(shapely.get_coordinates(result)).all():
        raise GraphError(f"coordinates are not of {crs.to_string()}: give the right crs")
    return result, metric


def reprojected(lines: Lines, crs: CRS, to: CRS) -> Lines:
    """Geometries brought from ``crs`` to ``to``; equal points stay equal."""
    if crs == to:
        return lines
    there = Transformer.from_crs(crs, to, always_xy=True)
    xy = np.column_stack(there.transform(*shapely.get_coordinates(lines).T))
    return np.asarray(shapely.set_coordinates(lines.copy(), xy), dtype=object)


def by_chunks(
    work: Callable[..., NDArray[Kind]], *columns: NDArray[Any], rows: int = _CHUNK_ROWS
) -> NDArray[Kind]:
    """``work(*columns)`` done on some thousand rows of all columns at a time.

    What it holds while it works, as all points of lines, is then small, however many rows there
    are. The result has a row for each of theirs.
    """
    starts = range(0, len(columns[0]), rows)
    if len(starts) < 2:
        return work(*columns)
    return np.concatenate(
        [work(*(column[start : start + rows] for column in columns)) for start in starts]
    )


def tips(lines: Lines) -> Floats:
    """(m, 2, 2) the first and the last point of each line; raises ``GraphError`` without points."""
    return by_chunks(_tips, lines)


def _tips(lines: Lines) -> Floats:
    count = shapely.get_num_coordinates(lines)
    if not count.all():
        raise GraphError("a line of a road graph is empty")
    stop = np.cumsum(count)
    points = shapely.get_coordinates(lines)
    return np.stack([points[stop - count], points[stop - 1]], axis=1)


def noded(ends: Floats) -> tuple[Floats, Ints]:
    """Different points (n, 2), and the numbers (m, 2) of those that the tips (m, 2, 2) are."""
    places, numbers = _distinct(ends.reshape(-1, 2))
    return places, numbers.reshape(-1, 2)


def _distinct(points: Floats) -> tuple[Floats, Ints]:
    """Different points (n, 2), and the number (k,) of that which each of ``points`` (k, 2) is."""
    as_complex = np.ascontiguousarray(points + 0.0).view(np.complex128).ravel()  # no -0.0
    unique, inverse = np.unique(as_complex, return_inverse=True)
    return unique.view(np.float64).reshape(-1, 2), inverse.astype(np.int64)


def strung(lines: Lines, chains: Chains) -> Lines:
    """One line a chain; where two lines meet the shared point is there once."""
    result = lines[chains.edges[chains.starts[:-1]]]
    long = np.flatnonzero(np.diff(chains.starts) > 1)
    result[long] = by_chunks(partial(_strung, lines, chains), long)
    return result


def _strung(lines: Lines, chains: Chains, which: Ints) -> Lines:
    """One line for each chain of ``which`` (k,), all of them of several lines."""
    start, stop = chains.starts[which], chains.starts[which + 1]
    count = stop - start
    chain = np.repeat(np.arange(len(which)), count)
    nth = np.arange(len(chain)) - np.repeat(np.cumsum(count) - count, count)
    part = start[chain] + nth
    pieces, forward = lines[chains.edges[part]], chains.forward[part]
    pieces[~forward] = shapely.reverse(pieces[~forward])
    points, piece = shapely.get_coordinates(pieces, return_index=True)
    met = (nth > 0)[piece] & (np.diff(piece, prepend=-1) > 0)
    joined = shapely.linestrings(points[~met], indices=chain[piece][~met])
    return np.asarray(joined, dtype=object)


def measured(lines: Lines) -> tuple[Floats, Ints, Floats, Floats]:
    """Points (p, 2), the line (p,) of each, how far along it lies (p,); and the lengths (m,)."""
    points, owner = shapely.get_coordinates(lines, return_index=True)
    step = np.hypot(*np.diff(points, axis=0, prepend=points[:1]).T)
    step[np.diff(owner, prepend=-1) > 0] = 0
    total = np.cumsum(step)
    stop = np.cumsum(np.bincount(owner, minlength=len(lines)))
    start = total[np.searchsorted(owner, np.arange(len(lines)))]
    return points, owner, total - start[owner], total[stop - 1] - start


def cut_where(lines: Lines, node: Node) -> tuple[Lines, Ints]:
    """The lines cut where ``node`` says that they are joined, and the line (p,) of each piece."""
    if node == "vertices":
        return cut_at_vertices(lines)
    if node == "crossings":
        return cut_at_crossings(lines)
    if node == "ends":
        return lines, np.arange(len(lines))
    raise GraphError(f"lines are joined at 'ends', 'vertices' or 'crossings', not {node!r}")


def cut_at_vertices(lines: Lines) -> tuple[Lines, Ints]:
    """Lines cut at their points that are there twice, and the line (p,) of each piece."""
    lines = np.asarray(shapely.remove_repeated_points(lines), dtype=object)
    points, owner, along, length = measured(lines)
    numbers = _distinct(points)[1]
    inside = (along > 0) & (along < length[owner])
    at = np.flatnonzero(inside & (np.bincount(numbers)[numbers] > 1))
    pieces, line, _ = cut(lines, owner[at], along[at], points[at])
    # a cut at a point of the line leaves that point in twice
    return np.asarray(shapely.remove_repeated_points(pieces), dtype=object), line


def cut_at_crossings(lines: Lines) -> tuple[Lines, Ints]:
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
    pieces, source, _ = cut(lines, rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2:])
    return np.asarray(shapely.remove_repeated_points(pieces), dtype=object), source


def cut(lines: Lines, line: Ints, along: Floats, xy: Floats) -> tuple[Lines, Ints, Ints]:
    """Lines cut at points ``xy`` (k, 2), which lie on ``line`` (k,) at ``along`` (k,).

    Gives the pieces in the order of the lines, the line (p,) that each comes from, and (k, 2) the
    pieces before and after each cut.
    """
    count = 1 + np.bincount(line, minlength=len(lines))
    source = np.repeat(np.arange(len(lines)), count)
    pieces = lines[source]
    is_cut, number = np.unique(line, return_inverse=True)
    in_cut = np.isin(source, is_cut)
    pieces[in_cut], before = _cut(lines[is_cut], number, along, xy)
    before = np.flatnonzero(in_cut)[before]
    return pieces, source, np.column_stack([before, before + 1])


def _cut(lines: Lines, line: Ints, along: Floats, xy: Floats) -> tuple[Lines, Ints]:
    """Pieces of lines that are all cut, and (k,) the piece before each cut."""
    points, owner, measure, _ = measured(lines)
    # each cut ends one piece and begins the next: it is there twice
    all_owner = np.concatenate([owner, line, line])
    all_measure = np.concatenate([measure, along, along])
    begins = np.zeros(len(all_owner), np.int64)
    begins[len(owner) + len(line) :] = 1
    order = np.lexsort((begins, all_measure, all_owner))
    new_piece = (np.diff(all_owner[order], prepend=-1) > 0) | (begins[order] == 1)
    piece = np.cumsum(new_piece) - 1
    pieces = shapely.linestrings(np.concatenate([points, xy, xy])[order], indices=piece)
    place = np.empty(len(order), np.int64)
    place[order] = piece
    return np.asarray(pieces, dtype=object), place[len(owner) : len(owner) + len(line)]


def _check_degrees(lines: Lines, crs: CRS) -> None:
    if not crs.is_geographic:
        return
    left, bottom, right, top = (round(float(side), 3) for side in shapely.total_bounds(lines))
    if not (-360 <= left <= right <= 360 and -90 <= bottom <= top <= 90):
        raise GraphError(
            f"coordinates {left, bottom} to {right, top} are not degrees of {crs.to_string()}; "
            "give the crs they are in (GeoJSON that names none is longitude and latitude)"
        )
