"""What of a scene is wanted: polygons on the ground, and where they lie in a grid's pixels.

RULE: a pixel is inside when its centre is. Edges are straight in the CRS that the area came in, so
a box of degrees is bent as its meridians and parallels are.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize

from terralink.errors import InputError
from terralink.raster.antimeridian import crosses, move_near, split_at_180
from terralink.raster.grid import Grid

_WGS84 = CRS.from_epsg(4326)
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

    def on(self, grid: Grid) -> "PlacedArea":
        """Where it lies in the pixels of ``grid``.

        Raises ``InputError`` when it lies elsewhere, or nobody knows where the grid lies.
        """
        if grid.crs is None:
            raise InputError(f"{self.name} has a place on the earth, the scene has none: no CRS")
        pixels = self._in_pixels(grid, grid.crs)
        placed = PlacedArea(shapely.make_valid(pixels), grid.shape) if _finite(pixels) else None
        if placed is None or not placed.touches(0, 0, grid.shape):
            raise InputError(f"{self.name} and the scene do not meet: {_places(self, grid)}")
        return placed

    def _in_pixels(self, grid: Grid, crs: CRS) -> Any:
        """The shape in pixels of a grid in ``crs``, also where one goes past 180 degrees."""
        west, south, east, north = self.shape.bounds
        pieces = shapely.segmentize(self.shape, max(east - west, north - south) / _PIECES)
        lonlat, own = _brought(pieces, self.crs, _WGS84), self.crs
        if _finite(lonlat) and crosses(np.array([lonlat]))[0]:
            pieces, own = split_at_180(np.array([lonlat]))[0], _WGS84
        there = _brought(pieces, own, crs)
        near = move_near(there, crs, grid.bounds) if _finite(there) else there
        return shapely.transform(near, grid.colrow, interleaved=False)


@dataclass(frozen=True, eq=False)
class PlacedArea:
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
