"""Polygons on the ground: an area of interest in the pixels of a grid, and the antimeridian.

RULE 1: a step of more than half a turn (180 degrees) between two points goes the other way around
the earth. A shape that crosses the antimeridian is split there into parts within -180..180 degrees,
as in RFC 7946 (3.1.9); joined again, its longitudes go on past 180. RULE 2: a pixel is inside an
area when its centre is. The edges of an area are straight in the CRS of the area, so a box in
degrees follows its meridians and parallels.
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

from terralink._typing import Floats, Shapes
from terralink.errors import InputError
from terralink.raster.grid import WGS84, Grid

_HALF_TURN, _TURN = 180.0, 360.0
_SEAM_TOLERANCE = 1e-7  # degrees; a point that was read this near to 180 is at 180
_ROUNDING = 5e-9  # degrees, less than the digits that are written
_LINE, _POLYGON = 1, 2  # dimensions


def to_rfc7946(shapes: Shapes, crs: CRS) -> Shapes:
    """Shapes as GeoJSON wants them: in degrees, split at 180, outer rings counter-clockwise.

    >>> square = shapely.box(179, 0, 181, 1)
    >>> shape = to_rfc7946(np.array([square]), CRS.from_epsg(4326))[0]
    >>> [(part.bounds, part.exterior.is_ccw) for part in shape.geoms]
    [((179.0, 0.0, 180.0, 1.0), True), ((-180.0, 0.0, -179.0, 1.0), True)]
    """
    transformer = Transformer.from_crs(crs, WGS84, always_xy=True)
    lonlat = np.column_stack(transformer.transform(*shapely.get_coordinates(shapes).T))
    degrees = np.asarray(shapely.set_coordinates(shapes.copy(), lonlat), dtype=object)
    return np.asarray(shapely.orient_polygons(split_at_180(degrees)), dtype=object)


def split_at_180(shapes: Shapes) -> Shapes:
    """Split lines and polygons in degrees at 180; the parts of one shape stay one shape.

    >>> line = shapely.LineString([(179, 1), (-179, 3)])
    >>> print(split_at_180(np.array([line]))[0])
    MULTILINESTRING ((179 1, 180 2), (-180 2, -179 3))
    """
    split = np.array(shapes, dtype=object, copy=True)
    for index in np.flatnonzero(crosses_antimeridian(split)):
        split[index] = _collect(
            piece for part in shapely.get_parts(split[index]) for piece in _split(_unwrap(part))
        )
    return split


def join_at_180(shapes: Shapes) -> Shapes:
    """Join the parts that ``split_at_180`` made; longitudes go on past 180.

    >>> split = split_at_180(np.array([shapely.LineString([(179, 1), (-179, 3)])]))
    >>> print(join_at_180(split)[0])
    LINESTRING (179 1, 180 2, 181 3)
    """
    joined = np.array(shapes, dtype=object, copy=True)
    left, _, right, _ = shapely.bounds(joined).T
    has_parts = shapely.get_num_geometries(joined) > 1
    at_west = left <= _SEAM_TOLERANCE - _HALF_TURN
    at_east = right >= _HALF_TURN - _SEAM_TOLERANCE
    for index in np.flatnonzero(has_parts & at_west & at_east):
        joined[index] = _join(joined[index])
    return joined


def wrap_to_bounds(shape: Any, crs: CRS, bounds: tuple[float, float, float, float]) -> Any:
    """The copies of a shape, each shifted by whole turns, that meet ``bounds`` in ``crs``.

    Where coordinates go around the earth (degrees, Mercator) a point has one in each turn: -179 and
    181 degrees are the same. In any other CRS the shape is returned unchanged. ``bounds`` is (left,
    bottom, right, top).
    """
    turn = world_width(crs)
    if turn is None:
        return shape
    box = shapely.box(*bounds)
    near = []
    for part in shapely.get_parts(shape):
        left, _, right, _ = shapely.bounds(part)
        first, last = np.floor((bounds[0] - right) / turn), np.ceil((bounds[2] - left) / turn)
        copies = (_shift(part, number * turn) for number in range(int(first), int(last) + 1))
        near += [copy for copy in copies if copy.intersects(box)]
    return shapely.union_all(near) if near else shape


def world_width(crs: CRS) -> float | None:
    """The length of one turn around the earth in a CRS; None where coordinates do not wrap.

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
    transformer = Transformer.from_crs(WGS84, crs, always_xy=True)
    xs, _ = transformer.transform(np.array([-60.5, -59.5, 59.5, 60.5]), np.zeros(4))
    return float(_TURN * max(xs[1] - xs[0], xs[3] - xs[2]))  # one of the two may be at the seam


def crosses_antimeridian(shapes: Shapes) -> NDArray[np.bool_]:
    """Which shapes, in degrees, go past 180 or have a step of more than half a turn (RULE 1)."""
    left, _, right, _ = shapely.bounds(shapes).T
    with np.errstate(invalid="ignore"):
        return np.asarray((right - left > _HALF_TURN) | (left < -_HALF_TURN) | (right > _HALF_TURN))


def _unwrap(part: Any) -> Any:
    """A line or polygon with continuous longitudes: no step of more than half a turn."""
    if shapely.get_dimensions(part) == _POLYGON:
        shell, *holes = (_unwrap_ring(ring) for ring in (part.exterior, *part.interiors))
        if abs(shell[0, 0] - shell[-1, 0]) > _HALF_TURN:  # around a pole
            return part
        centre = shell[:, 0].mean()
        near = [hole - [_TURN * round((hole[:, 0].mean() - centre) / _TURN), 0] for hole in holes]
        return shapely.make_valid(shapely.Polygon(shell, near))
    if shapely.get_dimensions(part) == _LINE:
        return shapely.LineString(_unwrap_ring(part))
    return part


def _unwrap_ring(line: Any) -> Floats:
    """The points (k, 2) with continuous longitudes; those near 180 but for rounding are at 180."""
    xy: Floats = shapely.get_coordinates(line)
    lon = np.unwrap(xy[:, 0], period=_TURN)
    seam = np.round((lon - _HALF_TURN) / _TURN) * _TURN + _HALF_TURN
    xy[:, 0] = np.where(np.abs(lon - seam) < _ROUNDING, seam, lon)
    return xy


def _split(part: Any) -> Iterator[Any]:
    """The pieces of a part in each turn, shifted to -180..180 degrees."""
    left, _, right, _ = shapely.bounds(part)
    if np.isnan(left):
        return
    if left >= -_HALF_TURN and right <= _HALF_TURN:
        yield part
        return
    if shapely.get_dimensions(part) == _LINE:
        yield from _split_line(shapely.get_coordinates(part))
        return
    first = int(np.floor((left + _HALF_TURN) / _TURN))
    last = max(first, int(np.ceil((right + _HALF_TURN) / _TURN)) - 1)
    for number in range(first, last + 1):
        west = number * _TURN - _HALF_TURN
        inside = shapely.intersection(part, shapely.box(west, -_TURN, west + _TURN, _TURN))
        pieces = shapely.get_parts(inside)
        for piece in pieces[shapely.get_dimensions(pieces) == shapely.get_dimensions(part)]:
            yield _shift(piece, -number * _TURN)


def _split_line(xy: Floats) -> Iterator[Any]:
    """The pieces of a line in each turn, shifted to -180..180 degrees, in its direction."""
    points = [xy[:1]]
    for start, stop in pairwise(xy):
        low, high = sorted(((start[0] + _HALF_TURN) / _TURN, (stop[0] + _HALF_TURN) / _TURN))
        seams = np.arange(np.floor(low) + 1, np.ceil(high)) * _TURN - _HALF_TURN
        part = (seams - start[0]) / (stop[0] - start[0]) if len(seams) else seams
        crossings = np.column_stack([seams, start[1] + part * (stop[1] - start[1])])
        points += [crossings[np.argsort(part)], stop[None]]
    whole = np.concatenate(points)
    turns = np.floor(((whole[:-1, 0] + whole[1:, 0]) / 2 + _HALF_TURN) / _TURN)
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(turns)) + 1).tolist(), len(turns)]):
        piece = whole[first : last + 1] - [turns[first] * _TURN, 0]
        if len(np.unique(piece, axis=0)) > 1:
            yield shapely.LineString(piece)


def _join(shape: Any) -> Any:
    """Join parts that touch at 180 degrees; other shapes are returned unchanged."""
    if shape.geom_type not in ("MultiLineString", "MultiPolygon"):
        return shape
    parts = [
        _shift(part, _TURN if shapely.bounds(part)[[0, 2]].mean() < 0 else 0.0)
        for part in shapely.get_parts(shape)
    ]
    whole = (
        shapely.line_merge(shapely.MultiLineString(parts), directed=True)
        if shape.geom_type == "MultiLineString"
        else shapely.union_all(parts)
    )
    return whole if shapely.get_num_geometries(whole) < len(parts) else shape


def _shift(shape: Any, by: float) -> Any:
    return shapely.transform(shape, lambda xy: np.add(xy, [by, 0])) if by else shape


def _collect(pieces: Iterable[Any]) -> Any:
    """One shape of all pieces, a collection where they differ in dimension."""
    parts = list(pieces)
    if len(parts) == 1:
        return parts[0]
    dimensions = {shapely.get_dimensions(part) for part in parts}
    types = {0: shapely.MultiPoint, _LINE: shapely.MultiLineString, _POLYGON: shapely.MultiPolygon}
    if len(dimensions) > 1:
        return shapely.GeometryCollection(parts)
    return types[dimensions.pop()](parts)


# Edges are divided before they change CRS: into pieces of at most this part of the area's size.
_EDGE_PIECES = 64
_TURN = 360.0


@dataclass(frozen=True)
class Area:
    """An area of interest: ``shape`` (polygons, ``(x, y)``) in ``crs``; ``name`` is for errors.

    >>> Area.from_bounds((9.0, 47.0, 9.5, 47.25)).shape.area
    0.125
    """

    shape: Any
    crs: CRS
    name: str

    @classmethod
    def from_bounds(cls, bounds: Sequence[float]) -> "Area":
        """A box of west, south, east, north in degrees (WGS 84). Raises ``InputError``.

        The box crosses the antimeridian where west is greater than east, or east greater than 180.

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
                f"expected bounds in degrees as west,south,east,north, such as 9,47,9.5,47.25; "
                f"got {text}"
            )
        return cls(shapely.box(*bounds), WGS84, f"the bounds {text}")

    @property
    def sha256(self) -> str:
        """Equal for equal areas; stored in the results of an area."""
        text = f"{self.crs.to_wkt()} {shapely.to_wkb(self.shape, hex=True)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def to_pixels(self, grid: Grid) -> "PixelArea":
        """The area in the pixel coordinates of ``grid``.

        Raises ``InputError`` when the grid has no CRS, or the area lies outside it.
        """
        if grid.crs is None:
            raise InputError(f"{self.name} cannot be located in the scene: the scene has no CRS")
        pixels = self._transform_to_pixels(grid, grid.crs)
        area = PixelArea(shapely.make_valid(pixels), grid.shape) if _is_finite(pixels) else None
        if area is None or not area.intersects(0, 0, grid.shape):
            raise InputError(f"{self.name} and the scene do not meet: {_describe_both(self, grid)}")
        return area

    def _transform_to_pixels(self, grid: Grid, crs: CRS) -> Any:
        """The shape in pixels of a grid in ``crs``, also across the antimeridian."""
        west, south, east, north = self.shape.bounds
        shape = shapely.segmentize(self.shape, max(east - west, north - south) / _EDGE_PIECES)
        lonlat, shape_crs = _reproject(shape, self.crs, WGS84), self.crs
        if _is_finite(lonlat) and crosses_antimeridian(np.array([lonlat]))[0]:
            shape, shape_crs = split_at_180(np.array([lonlat]))[0], WGS84
        projected = _reproject(shape, shape_crs, crs)
        near = wrap_to_bounds(projected, crs, grid.bounds) if _is_finite(projected) else projected
        return shapely.transform(near, grid.colrow, interleaved=False)


@dataclass(frozen=True, eq=False)
class PixelArea:
    """An area in the pixel coordinates ``(col, row)`` of a raster of ``size`` (height, width)."""

    pixels: Any
    size: tuple[int, int]

    @cached_property
    def window(self) -> tuple[int, int, tuple[int, int]]:
        """First row, first column and shape of the smallest window around it."""
        left, top, right, bottom = self.pixels.bounds
        row, col = (max(0, int(np.floor(start))) for start in (top, left))
        row_stop = min(self.size[0], int(np.ceil(bottom)))
        col_stop = min(self.size[1], int(np.ceil(right)))
        return row, col, (row_stop - row, col_stop - col)

    def intersects(self, row: int, col: int, shape: tuple[int, int]) -> bool:
        """Whether a window holds a part of the area."""
        window = shapely.box(col, row, col + shape[1], row + shape[0])
        return bool(self._prepared.intersects(window) and not self._prepared.touches(window))

    def mask(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels of a window are inside the area (RULE 2)."""
        if self._prepared.contains(shapely.box(col, row, col + shape[1], row + shape[0])):
            return np.ones(shape, bool)
        transform = Affine.translation(col, row)
        mask = rasterize([self.pixels], out_shape=shape, transform=transform, dtype="uint8")
        return np.asarray(mask > 0)

    @cached_property
    def _prepared(self) -> Any:
        shapely.prepare(self.pixels)
        return self.pixels


def _reproject(shape: Any, source: CRS, target: CRS) -> Any:
    transformer = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(shape, transformer.transform, interleaved=False)


def _is_finite(shape: Any) -> bool:
    return bool(np.isfinite(shapely.get_coordinates(shape)).all())


def _describe_both(area: Area, grid: Grid) -> str:
    """The bounds of the area and of the scene in degrees, as text."""
    scene = Area(shapely.box(*grid.bounds), grid.crs or WGS84, "the scene")
    return " and ".join(f"{each.name} is at {_format_bounds(each)}" for each in (area, scene))


def _format_bounds(area: Area) -> str:
    transformer = Transformer.from_crs(area.crs, WGS84, always_xy=True)
    bounds = transformer.transform_bounds(*area.shape.bounds)
    return ",".join(f"{number:.4f}" for number in bounds)
