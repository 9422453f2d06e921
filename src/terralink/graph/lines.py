"""How lines become those of a graph: flattened, brought to metres, noded and cut."""

import logging
import math
from typing import Literal, TypeAlias

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Transformer

from terralink.errors import GraphError
from terralink.graph.polylines import Floats, Ints, Lines, Polylines
from terralink.raster.grid import Grid

Node: TypeAlias = Literal["ends", "vertices", "crossings"]

_log = logging.getLogger(__name__)
_WGS84 = CRS.from_epsg(4326)
_TOUCH_M = 1e-3  # what meets nearer to a line's end meets that end
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
    lines = unwrapped(lines, crs)
    metric = _metric_crs(lines, crs)
    if metric != crs and crs.is_projected:  # such as Web Mercator, which ends at 180 degrees
        lonlat = reprojected(lines, crs, _WGS84)
        onward = unwrapped(lonlat, _WGS84)
        if onward is not lonlat:
            lines, crs, metric = onward, _WGS84, _metric_crs(onward, _WGS84)
    result = reprojected(lines, crs, metric)
    if not np.isfinite(shapely.get_coordinates(result)).all():
        raise GraphError(f"coordinates are not of {crs.to_string()}: give the right crs")
    return result, metric


def _metric_crs(lines: Lines, crs: CRS) -> CRS:
    """The CRS to measure in at the middle of the lines."""
    left, bottom, right, top = shapely.total_bounds(lines)
    corner = Affine.translation((left + right - 1) / 2, (bottom + top - 1) / 2)
    metric = Grid((1, 1), corner, crs).metric_crs
    assert metric is not None
    return metric


def unwrapped(shapes: Lines, crs: CRS | None) -> Lines:
    """The shapes, counted on past 180 degrees where they lie on both sides of it, as Fiji does.

    They do where they reach less than half around the world that way, and more the other. Equal
    points stay equal, and one at -180 degrees becomes the one at 180 that it is.
    """
    if crs is None or not crs.is_geographic:
        return shapes
    xy = shapely.get_coordinates(shapes)
    if not len(xy):
        return shapes
    turn = round(2 * math.pi / crs.axis_info[0].unit_conversion_factor, 6)  # 360, or 400 gon
    onward = np.where(xy[:, 0] < 0, xy[:, 0] + turn, xy[:, 0])
    if not np.ptp(onward) < turn / 2 < np.ptp(xy[:, 0]):
        return shapes
    xy[:, 0] = onward
    return np.asarray(shapely.set_coordinates(shapes.copy(), xy), dtype=object)


def reprojected(lines: Lines, crs: CRS, to: CRS) -> Lines:
    """Geometries brought from ``crs`` to ``to``; equal points stay equal."""
    if crs == to:
        return lines
    xy = brought(shapely.get_coordinates(lines), crs, to)
    return np.asarray(shapely.set_coordinates(lines.copy(), xy), dtype=object)


def brought(points: Floats, crs: CRS, to: CRS) -> Floats:
    """(k, 2) points from ``crs`` to ``to``."""
    there = Transformer.from_crs(crs, to, always_xy=True)
    return np.column_stack(there.transform(*points.T))


def noded(ends: Floats) -> tuple[Floats, Ints]:
    """Different points (n, 2), and the numbers (m, 2) of those that the tips (m, 2, 2) are."""
    places, numbers = _distinct(ends.reshape(-1, 2))
    return places, numbers.reshape(-1, 2)


def _distinct(points: Floats) -> tuple[Floats, Ints]:
    """Different points (n, 2), and the number (k,) of that which each of ``points`` (k, 2) is."""
    as_complex = np.ascontiguousarray(points + 0.0).view(np.complex128).ravel()  # no -0.0
    unique, inverse = np.unique(as_complex, return_inverse=True)
    return unique.view(np.float64).reshape(-1, 2), inverse.astype(np.int64)


def cut_where(lines: Lines, node: Node) -> tuple[Polylines, Ints]:
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
    numbers = _distinct(whole.points)[1]
    inside = (along > 0) & (along < length[owner])
    at = np.flatnonzero(inside & (np.bincount(numbers)[numbers] > 1))
    return _cut_clean(whole, owner[at], along[at], whole.points[at])


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
    return _cut_clean(Polylines.of(lines), rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2:])


def _cut_clean(lines: Polylines, line: Ints, along: Floats, xy: Floats) -> tuple[Polylines, Ints]:
    """Lines cut, and the line of each piece; a cut at a point of a line leaves that in once."""
    pieces, source, _ = cut(lines, line, along, xy)
    return Polylines.of(shapely.remove_repeated_points(pieces.drawn())), source


def cut(lines: Polylines, line: Ints, along: Floats, xy: Floats) -> tuple[Polylines, Ints, Ints]:
    """Lines cut at points ``xy`` (k, 2), which lie on ``line`` (k,) at ``along`` (k,).

    Gives the pieces in the order of the lines, the line (p,) that each comes from, and (k, 2) the
    pieces before and after each cut.
    """
    count = 1 + np.bincount(line, minlength=len(lines))
    source = np.repeat(np.arange(len(lines)), count)
    is_cut, number = np.unique(line, return_inverse=True)
    in_cut = np.isin(source, is_cut)
    pieces, before = _cut(lines[is_cut], number, along, xy)
    before = np.flatnonzero(in_cut)[before]
    return lines[source].replaced(in_cut, pieces), source, np.column_stack([before, before + 1])


def _cut(lines: Polylines, line: Ints, along: Floats, xy: Floats) -> tuple[Polylines, Ints]:
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


def _check_degrees(lines: Lines, crs: CRS) -> None:
    if not crs.is_geographic:
        return
    left, bottom, right, top = (round(float(side), 3) for side in shapely.total_bounds(lines))
    if not (-360 <= left <= right <= 360 and -90 <= bottom <= top <= 90):
        raise GraphError(
            f"coordinates {left, bottom} to {right, top} are not degrees of {crs.to_string()}; "
            "give the crs they are in (GeoJSON that names none is longitude and latitude)"
        )
