"""The position of pixels: shape, transform and CRS as one immutable value.

Sizes are ``(height, width)``, coordinates ``(x, y)``, bounds ``(left, bottom, right, top)``.
(0, 0) is the outer corner of the first pixel, so the centre of pixel (row, col) is at
(col + 0.5, row + 0.5) in pixel coordinates. ``tile_grid`` has the grids of web map tiles (XYZ).
"""

import math
import os
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info
from pyproj.exceptions import CRSError

from terralink.errors import InputError

XY: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

WGS84 = CRS.from_epsg(4326)
_GEOD = Geod(ellps="WGS84")
# Lengths are measured in a projected CRS whose metre differs from one on the ground by less.
_METRE_TOLERANCE = 0.005
# Pixel sizes that differ by less are one size.
_PIXEL_SIZE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Grid:
    """The pixels of a raster: ``shape`` (height, width), ``transform``, and ``crs`` or None.

    Without a CRS, lengths are in the unit of the transform: pixels for the identity, metres when
    the user gave the size of a pixel.

    >>> grid = Grid((100, 200), Affine(0.5, 0, 600000, 0, -0.5, 4000000), CRS.from_epsg(32611))
    >>> grid.bounds
    (600000.0, 3999950.0, 600100.0, 4000000.0)
    >>> [round(side, 3) for side in grid.pixel_size_m]
    [0.5, 0.5]
    """

    shape: tuple[int, int]
    transform: Affine
    crs: CRS | None = None

    @property
    def height(self) -> int:
        return self.shape[0]

    @property
    def width(self) -> int:
        return self.shape[1]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the rectangle around all pixels."""
        xs, ys = self.xy([0, self.width, 0, self.width], [0, 0, self.height, self.height])
        return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())

    def xy(self, cols: ArrayLike, rows: ArrayLike) -> XY:
        """CRS coordinates of pixel coordinates (0, 0 is the first pixel's corner)."""
        return _apply(self.transform, cols, rows)

    def colrow(self, xs: ArrayLike, ys: ArrayLike) -> XY:
        """Pixel coordinates (cols, rows) of CRS coordinates; the inverse of ``xy``."""
        return _apply(~self.transform, xs, ys)

    def window(self, row: int, col: int, shape: tuple[int, int]) -> "Grid":
        """The part of this grid that starts at pixel (row, col); it may extend beyond the grid."""
        return Grid(shape, self.transform @ Affine.translation(col, row), self.crs)

    def with_pixel_size(self, pixel_size_m: float) -> "Grid":
        """The same origin with square pixels of ``pixel_size_m`` on the ground.

        The last row and column may extend beyond the old grid by a part of a pixel; the area is
        never smaller. Where the ratio of the sizes is within 1% of n or 1/n, it is exactly that:
        resampling 0.4998 m to 0.5 m would only blur, and parts of a scene would differ.
        """
        step_x, step_y = (_step(pixel_size_m / side_m) for side_m in self.pixel_size_m)
        shape = (_ceil(self.height / step_y), _ceil(self.width / step_x))
        return Grid(shape, self.transform @ Affine.scale(step_x, step_y), self.crs)

    @cached_property
    def pixel_size_m(self) -> tuple[float, float]:
        """(width, height) of a pixel in metres on the ground, measured at the centre."""
        row, col = self.height / 2, self.width / 2
        return self._length_m((col, row), (col + 1, row)), self._length_m(
            (col, row), (col, row + 1)
        )

    @cached_property
    def metric_crs(self) -> CRS | None:
        """The CRS for lengths: the grid's own where its unit is a metre on the ground, else UTM.

        A metre of Web Mercator is not a metre on the ground, so its grids get a UTM zone too. None
        without a CRS.
        """
        if self.crs is None:
            return None
        if self.crs.is_projected and self._unit_m == 1.0 and self._has_true_scale():
            return self.crs
        lon, lat = self._lonlat(self.width / 2, self.height / 2)
        return _utm((math.floor(lon) + 180) % 360 - 180, min(math.floor(lat), 89))

    def metric_xy(self, cols: ArrayLike, rows: ArrayLike) -> XY:
        """Coordinates in ``metric_crs``, in metres, of pixel coordinates."""
        return self._to_metric(*self.xy(cols, rows))

    def metric_colrow(self, xs: ArrayLike, ys: ArrayLike) -> XY:
        """Pixel coordinates (cols, rows) of metres; the inverse of ``metric_xy``."""
        metric = self.metric_crs
        if metric is None or metric == self.crs:
            return self.colrow(xs, ys)
        transformer = Transformer.from_crs(metric, self.crs, always_xy=True)
        return self.colrow(*transformer.transform(np.asarray(xs, float), np.asarray(ys, float)))

    @property
    def _unit_m(self) -> float:
        assert self.crs is not None
        return float(self.crs.axis_info[0].unit_conversion_factor)

    def _to_metric(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> XY:
        metric = self.metric_crs
        if metric is None or metric == self.crs:
            return xs, ys
        transformer = Transformer.from_crs(self.crs, metric, always_xy=True)
        new_xs, new_ys = transformer.transform(xs, ys)
        return np.asarray(new_xs), np.asarray(new_ys)

    def _has_true_scale(self) -> bool:
        a, b = (self.width / 2, self.height / 2), (self.width / 2 + 1, self.height / 2)
        xs, ys = self.xy([a[0], b[0]], [a[1], b[1]])
        map_length = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
        return abs(self._length_m(a, b) / map_length - 1) < _METRE_TOLERANCE

    def _length_m(self, a: tuple[float, float], b: tuple[float, float]) -> float:
        """Ground distance between two points in pixel coordinates."""
        if self.crs is None:
            (x0, x1), (y0, y1) = self.xy([a[0], b[0]], [a[1], b[1]])
            return math.hypot(x1 - x0, y1 - y0)
        (lon0, lat0), (lon1, lat1) = self._lonlat(*a), self._lonlat(*b)
        return float(_GEOD.inv(lon0, lat0, lon1, lat1)[2])

    def _lonlat(self, col: float, row: float) -> tuple[float, float]:
        transformer = Transformer.from_crs(self.crs, WGS84, always_xy=True)
        x, y = self.transform @ (col, row)
        lon, lat = transformer.transform(x, y)
        return float(lon), float(lat)


def parse_crs(text: CRS | str) -> CRS:
    """A CRS from a code, WKT or PROJ string; raises ``InputError`` for one not of the earth.

    >>> parse_crs("EPSG:32611").name
    'WGS 84 / UTM zone 11N'
    """
    try:
        crs = CRS.from_user_input(text).to_2d()
    except CRSError as error:
        raise InputError(f"expected a CRS, such as EPSG:32611; {text!r} is none") from error
    if not (crs.is_projected or crs.is_geographic):
        raise InputError(f"expected a CRS on the earth, such as EPSG:32611; {text!r} is local")
    return crs


def set_pixel_size(transform: Affine, size: float) -> Affine:
    """The same origin, rotation and shape of a pixel; the mean side is ``size``.

    >>> set_pixel_size(Affine(2, 0, 100, 0, -2, 900), 0.5)
    Affine(0.5, 0.0, 100.0,
           0.0, -0.5, 900.0)
    """
    side = float(np.sqrt(abs(transform.determinant)))
    if side == 0 or abs(size / side - 1) < _PIXEL_SIZE_TOLERANCE:
        return transform
    a, b, c, d, e, f = transform[:6]
    ratio = size / side
    return Affine(a * ratio, b * ratio, c, d * ratio, e * ratio, f)


@cache
def _utm(west: int, south: int) -> CRS:
    """The UTM zone of a cell of one degree; the limits of zones are whole degrees.

    A look-up takes 0.1 s and there may be thousands of grids, so the result is cached.
    """
    lon, lat = west + 0.5, south + 0.5
    zones = query_utm_crs_info(
        datum_name="WGS 84", area_of_interest=AreaOfInterest(lon, lat, lon, lat)
    )
    if not zones:  # the poles
        return CRS.from_epsg(32661 if lat > 0 else 32761)
    return CRS.from_epsg(int(zones[0].code))


def _step(ratio: float) -> float:
    """A ratio of pixel sizes, rounded to n or 1/n where that is within the tolerance.

    >>> _step(2.0008), _step(0.4999), _step(4.12)
    (2.0, 0.5, 4.12)
    """
    rounded = float(round(ratio)) if ratio >= 1 else 1 / round(1 / ratio)
    return rounded if abs(ratio / rounded - 1) < _PIXEL_SIZE_TOLERANCE else ratio


def _ceil(pixels: float) -> int:
    """Round up, except for a rounding error: 100.0000001 pixels are 100."""
    return max(1, math.ceil(pixels - 1e-6))


def _apply(transform: Affine, xs: ArrayLike, ys: ArrayLike) -> XY:
    x, y = np.asarray(xs, float), np.asarray(ys, float)
    a, b, c, d, e, f = transform[:6]
    return a * x + b * y + c, d * x + e * y + f


# Half the side of the square of Web Mercator, in its metres: half the equator of WGS 84
_HALF_WORLD = 20037508.342789244
_MAX_ZOOM = 30
# 'OAM-386690-220241-19', or the folders of a tile server: '19/386690/220241'
_XYZ_IN_NAME = re.compile(r"(?:^|\D)(?P<x>\d+)-(?P<y>\d+)-(?P<z>\d+)$")
_XYZ_IN_FOLDERS = re.compile(r"(?:^|/)(?P<z>\d+)/(?P<x>\d+)/(?P<y>\d+)$")


def tile_grid(x: int, y: int, z: int, side_px: int = 256) -> Grid:
    """The grid (EPSG:3857) of tile ``x``, ``y`` (from the north) at zoom ``z``.

    At zoom z the world is a square of 2^z by 2^z tiles. Raises ``InputError`` for a tile outside.

    >>> tile_grid(0, 0, 0).bounds
    (-20037508.342789244, -20037508.342789244, 20037508.342789244, 20037508.342789244)
    >>> [round(tile_grid(386613, 219854, 19).pixel_size_m[0], 3)]
    [0.264]
    """
    side_tiles = 2**z if 0 <= z <= _MAX_ZOOM else 0
    if not (0 <= x < side_tiles and 0 <= y < side_tiles):
        raise InputError(
            f"expected a tile x, y, z with z from 0 to {_MAX_ZOOM} and x, y from 0 to 2^z - 1; "
            f"got {x}, {y}, {z}"
        )
    side = 2 * _HALF_WORLD / side_tiles
    left, top = x * side - _HALF_WORLD, _HALF_WORLD - y * side
    pixel = side / side_px
    return Grid((side_px, side_px), Affine(pixel, 0, left, 0, -pixel, top), _web_mercator())


def parse_xyz(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """The x, y, z in the name of a tile, ``...x-y-z.jpg`` or ``z/x/y.jpg``.

    Raises ``InputError`` where the name has neither form.

    >>> parse_xyz("tiles/OAM-386690-220241-19.jpg"), parse_xyz("tiles/19/386690/220241.png")
    ((386690, 220241, 19), (386690, 220241, 19))
    """
    stem = Path(path).with_suffix("").as_posix()
    match = _XYZ_IN_NAME.search(stem) or _XYZ_IN_FOLDERS.search(stem)
    if match is None:
        raise InputError(
            f"{path} is not the name of a web map tile: x-y-z, such as "
            "OAM-386690-220241-19.jpg, or z/x/y, such as 19/386690/220241.jpg"
        )
    return int(match["x"]), int(match["y"]), int(match["z"])


@cache
def _web_mercator() -> CRS:
    return CRS.from_epsg(3857)
