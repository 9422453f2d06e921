"""Shapes in longitude and latitude that lie across 180 degrees: cut there, and joined again.

RULE: a step of more than half a turn between two points goes the other way around. So what is
written has both of its sides within -180 and 180 degrees, as RFC 7946 (3.1.9) wants it, and what is
joined is counted on past 180.

What of a scene is wanted: polygons on the ground, and where they lie in a grid's pixels.

RULE: a pixel is inside when its centre is. Edges are straight in the CRS that the area came in, so
a box of degrees is bent as its meridians and parallels are.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize

from terralink.errors import InputError
from terralink.raster.grid import Grid

Shapes = NDArray[np.object_]
Floats = NDArray[np.float64]

_WGS84 = CRS.from_epsg(4326)
_HALF, _TURN = 180.0, 360.0
_AT = 1e-7  # degrees; so far from 180 a point that was read is there
_ROUNDING = 5e-9  # degrees, less than what is written
_LINE, _POLYGON = 1, 2  # dimensions


def to_rfc7946(shapes: Shapes, crs: CRS) -> Shapes:
    """Shapes in ``crs`` as GeoJSON has them: in degrees, cut at 180, outer rings counter-clockwise.

    >>> square = shapely.box(179, 0, 181, 1)
    >>> shape = to_rfc7946(np.array([square]), CRS.from_epsg(4326))[0]
    >>> [(part.bounds, part.exterior.is_ccw) for part in shape.geoms]
    [((179.0, 0.0, 180.0, 1.0), True), ((-180.0, 0.0, -179.0, 1.0), True)]
    """
    there = Transformer.from_crs(crs, _WGS84, always_xy=True)
    lonlat = np.column_stack(there.transform(*shapely.get_coordinates(shapes).T))
    placed = split_at_180(np.asarray(shapely.set_coordinates(shapes.copy(), lonlat), dtype=object))
    return np.asarray(shapely.orient_polygons(placed), dtype=object)


def split_at_180(shapes: Shapes) -> Shapes:
    """Lines and polygons in degrees, cut at 180 degrees; parts of one shape stay one shape.

    >>> line = shapely.LineString([(179, 1), (-179, 3)])
    >>> print(split_at_180(np.array([line]))[0])
    MULTILINESTRING ((179 1, 180 2), (-180 2, -179 3))
    """
    split = np.array(shapes, dtype=object, copy=True)
    for index in np.flatnonzero(crosses_antimeridian(split)):
        split[index] = _collect(
            piece for part in shapely.get_parts(split[index]) for piece in _pieces(_unwrapped(part))
        )
    return split


def join_at_180(shapes: Shapes) -> Shapes:
    """What ``split_at_180`` cut, as one again; counted on past 180 degrees.

    >>> cut = split_at_180(np.array([shapely.LineString([(179, 1), (-179, 3)])]))
    >>> print(join_at_180(cut)[0])
    LINESTRING (179 1, 180 2, 181 3)
    """
    joined = np.array(shapes, dtype=object, copy=True)
    left, _, right, _ = shapely.bounds(joined).T
    many = shapely.get_num_geometries(joined) > 1
    for index in np.flatnonzero(many & (left <= _AT - _HALF) & (right >= _HALF - _AT)):
        joined[index] = _joined(joined[index])
    return joined


def wrap_to_bounds(shape: Any, crs: CRS, bounds: tuple[float, float, float, float]) -> Any:
    """All of a shape that meets ``bounds`` (left, bottom, right, top) in ``crs``, turn by turn.

    Where coordinates go around the earth (degrees, Mercator), a place has one in each turn: -179
    degrees are 181. Elsewhere the shape is as it was.
    """
    turn = world_width(crs)
    if turn is None:
        return shape
    box = shapely.box(*bounds)
    near = []
    for part in shapely.get_parts(shape):
        left, _, right, _ = shapely.bounds(part)
        first, last = np.floor((bounds[0] - right) / turn), np.ceil((bounds[2] - left) / turn)
        moved = (_moved(part, number * turn) for number in range(int(first), int(last) + 1))
        near += [each for each in moved if each.intersects(box)]
    return shapely.union_all(near) if near else shape


def world_width(crs: CRS) -> float | None:
    """How far once around the earth is in a CRS; None where coordinates do not go around.

    >>> [world_width(CRS.from_epsg(code)) for code in (4326, 32660)]
    [360.0, None]
    >>> round(world_width(CRS.from_epsg(3857)))
    40075017
    """
    if crs.is_geographic:
        return float(round(2 * np.pi / crs.axis_info[0].unit_conversion_factor, 6))  # or 400 gon
    operation = crs.coordinate_operation
    method = operation.method_name if operation is not None else ""
    if not method.startswith(("Popular Visualisation Pseudo Mercator", "Mercator")):
        return None
    there = Transformer.from_crs(_WGS84, crs, always_xy=True)
    xs, _ = there.transform(np.array([-60.5, -59.5, 59.5, 60.5]), np.zeros(4))
    return float(_TURN * max(xs[1] - xs[0], xs[3] - xs[2]))  # one of them may be at the seam


def crosses_antimeridian(shapes: Shapes) -> NDArray[np.bool_]:
    """Which shapes, in degrees, reach past 180 or make a step of more than half a turn."""
    left, _, right, _ = shapely.bounds(shapes).T
    with np.errstate(invalid="ignore"):
        return np.asarray((right - left > _HALF) | (left < -_HALF) | (right > _HALF))


def _unwrapped(part: Any) -> Any:
    """A line or polygon without a step of more than half a turn."""
    if shapely.get_dimensions(part) == _POLYGON:
        shell, *holes = (_unwrapped_ring(ring) for ring in (part.exterior, *part.interiors))
        if abs(shell[0, 0] - shell[-1, 0]) > _HALF:  # around a pole
            return part
        middle = shell[:, 0].mean()
        near = [hole - [_TURN * round((hole[:, 0].mean() - middle) / _TURN), 0] for hole in holes]
        return shapely.make_valid(shapely.Polygon(shell, near))
    if shapely.get_dimensions(part) == _LINE:
        return shapely.LineString(_unwrapped_ring(part))
    return part


def _unwrapped_ring(line: Any) -> Floats:
    """Its points (k, 2); what is at 180 degrees but for rounding is there."""
    xy: Floats = shapely.get_coordinates(line)
    lon = np.unwrap(xy[:, 0], period=_TURN)
    edge = np.round((lon - _HALF) / _TURN) * _TURN + _HALF
    xy[:, 0] = np.where(np.abs(lon - edge) < _ROUNDING, edge, lon)
    return xy


def _pieces(part: Any) -> Iterator[Any]:
    """A part turn by turn, each brought to -180..180 degrees."""
    left, _, right, _ = shapely.bounds(part)
    if np.isnan(left):
        return
    if left >= -_HALF and right <= _HALF:
        yield part
        return
    if shapely.get_dimensions(part) == _LINE:
        yield from _line_pieces(shapely.get_coordinates(part))
        return
    first = int(np.floor((left + _HALF) / _TURN))
    last = max(first, int(np.ceil((right + _HALF) / _TURN)) - 1)
    for number in range(first, last + 1):
        west = number * _TURN - _HALF
        inside = shapely.intersection(part, shapely.box(west, -_TURN, west + _TURN, _TURN))
        kept = shapely.get_parts(inside)
        for piece in kept[shapely.get_dimensions(kept) == shapely.get_dimensions(part)]:
            yield _moved(piece, -number * _TURN)


def _line_pieces(xy: Floats) -> Iterator[Any]:
    """A line cut where it goes from one turn to the next; its direction stays."""
    points = [xy[:1]]
    for start, stop in pairwise(xy):
        low, high = sorted(((start[0] + _HALF) / _TURN, (stop[0] + _HALF) / _TURN))
        edges = np.arange(np.floor(low) + 1, np.ceil(high)) * _TURN - _HALF
        part = (edges - start[0]) / (stop[0] - start[0]) if len(edges) else edges
        at_edges = np.column_stack([edges, start[1] + part * (stop[1] - start[1])])
        points += [at_edges[np.argsort(part)], stop[None]]
    whole = np.concatenate(points)
    turns = np.floor(((whole[:-1, 0] + whole[1:, 0]) / 2 + _HALF) / _TURN)
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(turns)) + 1).tolist(), len(turns)]):
        piece = whole[first : last + 1] - [turns[first] * _TURN, 0]
        if len(np.unique(piece, axis=0)) > 1:
            yield shapely.LineString(piece)


def _joined(shape: Any) -> Any:
    """Parts on both sides of 180 degrees as one, where they touch there; others as they are."""
    if shape.geom_type not in ("MultiLineString", "MultiPolygon"):
        return shape
    parts = [
        _moved(part, _TURN if shapely.bounds(part)[[0, 2]].mean() < 0 else 0.0)
        for part in shapely.get_parts(shape)
    ]
    whole = (
        shapely.line_merge(shapely.MultiLineString(parts), directed=True)
        if shape.geom_type == "MultiLineString"
        else shapely.union_all(parts)
    )
    return whole if shapely.get_num_geometries(whole) < len(parts) else shape


def _moved(shape: Any, by: float) -> Any:
    return shapely.transform(shape, lambda xy: np.add(xy, [by, 0])) if by else shape


def _collect(pieces: Iterable[Any]) -> Any:
    """Parts of one kind as one shape."""
    parts = list(pieces)
    if len(parts) == 1:
        return parts[0]
    kinds = {shapely.get_dimensions(part) for part in parts}
    many = {0: shapely.MultiPoint, _LINE: shapely.MultiLineString, _POLYGON: shapely.MultiPolygon}
    of_one_kind = len(kinds) == 1
    return many[kinds.pop()](parts) if of_one_kind else shapely.GeometryCollection(parts)


# An edge bends when its CRS changes: it is cut into pieces of at most this part of the area's size.
_PIECES = 64
_TURN = 360.0


@dataclass(frozen=True)
class Area:
    """Polygons ``shape`` (one geometry, coordinates ``(x, y)``) in ``crs``; ``name`` is for errors.

    >>> Area.from_bounds((9.0, 47.0, 9.5, 47.25)).shape.area
    0.125
    """

    shape: Any
    crs: CRS
    name: str

    @classmethod
    def from_bounds(cls, bounds: Sequence[float]) -> "Area":
        """West, south, east, north in degrees (WGS 84). Raises ``InputError``.

        A west that is east of the east is across 180 degrees, as is an east over 180.

        >>> Area.from_bounds((178.0, -18.0, -179.0, -17.0)).shape.area
        3.0
        """
        text = ",".join(f"{number:g}" for number in bounds)
        if len(bounds) == 4 and bounds[2] < bounds[0] <= bounds[2] + _TURN <= bounds[0] + _TURN / 2:
            bounds = [bounds[0], bounds[1], bounds[2] + _TURN, bounds[3]]
        inside = len(bounds) == 4 and bounds[0] < bounds[2] and bounds[1] < bounds[3]
        if (
            not inside
            or np.abs(bounds[::2]).max() > _TURN
            or bounds[2] - bounds[0] > _TURN
            or np.abs(bounds[1::2]).max() > 90
        ):
            raise InputError(
                f"bounds in degrees were wanted as west,south,east,north, such as 9,47,9.5,47.25; "
                f"{text} came"
            )
        return cls(shapely.box(*bounds), _WGS84, f"the bounds {text}")

    @property
    def sha256(self) -> str:
        """Equal for equal areas, to be stored in what was made with it."""
        told = f"{self.crs.to_wkt()} {shapely.to_wkb(self.shape, hex=True)}"
        return hashlib.sha256(told.encode()).hexdigest()

    def to_pixels(self, grid: Grid) -> "PixelArea":
        """Where it lies in the pixels of ``grid``.

        Raises ``InputError`` when it lies elsewhere, or nobody knows where the grid lies.
        """
        if grid.crs is None:
            raise InputError(f"{self.name} has a place on the earth, the scene has none: no CRS")
        pixels = self._in_pixels(grid, grid.crs)
        placed = PixelArea(shapely.make_valid(pixels), grid.shape) if _finite(pixels) else None
        if placed is None or not placed.touches(0, 0, grid.shape):
            raise InputError(f"{self.name} and the scene do not meet: {_places(self, grid)}")
        return placed

    def _in_pixels(self, grid: Grid, crs: CRS) -> Any:
        """The shape in pixels of a grid in ``crs``, also where one goes past 180 degrees."""
        west, south, east, north = self.shape.bounds
        pieces = shapely.segmentize(self.shape, max(east - west, north - south) / _PIECES)
        lonlat, own = _brought(pieces, self.crs, _WGS84), self.crs
        if _finite(lonlat) and crosses_antimeridian(np.array([lonlat]))[0]:
            pieces, own = split_at_180(np.array([lonlat]))[0], _WGS84
        there = _brought(pieces, own, crs)
        near = wrap_to_bounds(there, crs, grid.bounds) if _finite(there) else there
        return shapely.transform(near, grid.colrow, interleaved=False)


@dataclass(frozen=True, eq=False)
class PixelArea:
    """An area in pixel coordinates ``(col, row)`` of a raster of ``size`` (height, width)."""

    pixels: Any
    size: tuple[int, int]

    @cached_property
    def window(self) -> tuple[int, int, tuple[int, int]]:
        """First row, first column and shape of the smallest window around it."""
        left, top, right, bottom = self.pixels.bounds
        row, col = (max(0, int(np.floor(start))) for start in (top, left))
        below = min(self.size[0], int(np.ceil(bottom)))
        beyond = min(self.size[1], int(np.ceil(right)))
        return row, col, (below - row, beyond - col)

    def touches(self, row: int, col: int, shape: tuple[int, int]) -> bool:
        """Whether a window holds any of it."""
        window = shapely.box(col, row, col + shape[1], row + shape[0])
        return bool(self._prepared.intersects(window) and not self._prepared.touches(window))

    def inside(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels of a window are inside."""
        if self._prepared.contains(shapely.box(col, row, col + shape[1], row + shape[0])):
            return np.ones(shape, bool)
        place = Affine.translation(col, row)
        burnt = rasterize([self.pixels], out_shape=shape, transform=place, dtype="uint8")
        return np.asarray(burnt > 0)

    @cached_property
    def _prepared(self) -> Any:
        shapely.prepare(self.pixels)
        return self.pixels


def _brought(shape: Any, crs: CRS, to: CRS) -> Any:
    there = Transformer.from_crs(crs, to, always_xy=True)
    return shapely.transform(shape, there.transform, interleaved=False)


def _finite(shape: Any) -> bool:
    return bool(np.isfinite(shapely.get_coordinates(shape)).all())


def _places(area: Area, grid: Grid) -> str:
    """Both places in degrees, where they can be told."""
    scene = Area(shapely.box(*grid.bounds), grid.crs or _WGS84, "the scene")
    return " and ".join(f"{each.name} is at {_degrees(each)}" for each in (area, scene))


def _degrees(area: Area) -> str:
    there = Transformer.from_crs(area.crs, _WGS84, always_xy=True)
    corners = there.transform_bounds(*area.shape.bounds)
    return ",".join(f"{corner:.4f}" for corner in corners)
