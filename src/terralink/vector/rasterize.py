"""Lines and polygons drawn into rasters, with widths in metres in any CRS.

RULE 1: a pixel is drawn when its centre is covered. Pixel (row, col) has its centre at
        (col + 0.5, row + 0.5) in pixel coordinates, of which (0, 0) is the outer corner of the
        first pixel: equation 1 of PP-LinkNet (Tran et al. 2020), (lon, lat) = T (c + 0.5, r + 0.5).
RULE 2: edges are not blended: a pixel is drawn or not.
RULE 3: a window is equal to that part of the whole raster.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from terralink.raster.grid import Grid
from terralink.raster.scene import Raster

if TYPE_CHECKING:
    import geopandas as gpd

# Width of a road whose width is unknown: a lane of PP-LinkNet
ROAD_M = 4.0
# Corners to a quarter of a round end: within 0.12% of the radius
_QUARTER = 16
_log = logging.getLogger(__name__)
_WORLD = (-180.0, -90.0, 180.0, 90.0)


class RoadLines(Protocol):
    """A ``RoadGraph``, or ``CentreLines`` of OpenStreetMap: nan widths are unknown."""

    @property
    def lines(self) -> NDArray[np.object_]: ...
    @property
    def width_m(self) -> NDArray[np.float64]: ...
    @property
    def crs(self) -> CRS | None: ...


def rasterize_roads(roads: RoadLines, grid: Grid, *, width_m: float | None = None) -> Raster:
    """A label uint8 (row, col) of ``grid``: 1 on roads, each as wide as it says, or ``width_m``.

    Where neither says, a road is 4 m wide.

    >>> from types import SimpleNamespace
    >>> from affine import Affine
    >>> lines = np.array([shapely.LineString([(0, 2), (6, 2)])])
    >>> street = SimpleNamespace(lines=lines, width_m=np.array([2.0]), crs=None)
    >>> rasterize_roads(street, Grid((4, 6), Affine.identity())).array.sum()
    np.uint64(12)
    """
    return _to_label(road_shapes(roads, width_m=width_m), grid)


def rasterize_buildings(buildings: "gpd.GeoDataFrame", grid: Grid) -> Raster:
    """A label uint8 (row, col) of ``grid``: 1 where a polygon covers a pixel's centre."""
    return _to_label(building_shapes(buildings), grid)


def burn(
    geometries: Iterable[BaseGeometry],
    grid: Grid,
    *,
    crs: CRS | None = None,
    width_m: ArrayLike = 0.0,
) -> NDArray[np.bool_]:
    """A mask (row, col) of ``grid``, True where a pixel's centre is covered by a geometry.

    Geometries are in ``crs``; None means metres of ``grid.metric_crs`` (pixels for a grid without
    CRS). Lines and points become ``width_m`` wide, one width for all or one each; a line of width
    0 marks the pixels it passes. Polygons are taken as they are.

    >>> from affine import Affine
    >>> street = shapely.LineString([(0, 2), (6, 2)])
    >>> burn([street], Grid((4, 6), Affine.identity()), width_m=2).astype(int)
    array([[0, 0, 0, 0, 0, 0],
           [1, 1, 1, 1, 1, 1],
           [1, 1, 1, 1, 1, 1],
           [0, 0, 0, 0, 0, 0]])
    """
    return Shapes.from_geometries(geometries, crs=crs, width_m=width_m).burn(grid)


def road_shapes(roads: RoadLines, *, width_m: float | None = None) -> "Shapes":
    """Roads as shapes, to draw them window by window; see ``rasterize_roads``."""
    width_or_nan_m = roads.width_m if width_m is None else np.full(len(roads.lines), width_m)
    return Shapes.from_geometries(
        roads.lines, crs=roads.crs, width_m=np.where(width_or_nan_m > 0, width_or_nan_m, ROAD_M)
    )


def building_shapes(buildings: "gpd.GeoDataFrame") -> "Shapes":
    """Buildings as shapes, to draw them window by window."""
    return Shapes.from_geometries(
        buildings.geometry, crs=CRS(buildings.crs) if buildings.crs else None
    )


@dataclass(frozen=True, eq=False)
class Shapes:
    """Single geometries (k,) in ``crs`` with the widths of their lines, and an index of them."""

    geometry: NDArray[np.object_]
    width_m: NDArray[np.float64]
    crs: CRS | None

    @classmethod
    def from_geometries(
        cls,
        geometries: Iterable[BaseGeometry],
        *,
        crs: CRS | None = None,
        width_m: ArrayLike = 0.0,
    ) -> "Shapes":
        """The parts of geometries; missing and empty ones are left out. See ``burn``."""
        array = np.asarray(list(geometries), dtype=object)
        # In one multipolygon, GDAL takes where two parts overlap for a hole.
        parts, source = shapely.get_parts(array, return_index=True)
        widths_m = np.broadcast_to(np.asarray(width_m, float), array.shape)[source]
        present = ~shapely.is_empty(parts)
        return cls(parts[present], widths_m[present], crs)

    def __len__(self) -> int:
        return len(self.geometry)

    def find_near(self, grid: Grid) -> NDArray[np.int64]:
        """The rows of shapes that may touch ``grid``."""
        found: NDArray[np.int64] = self._tree.query(shapely.box(*self._reach(grid)))
        return found

    def burn(self, grid: Grid) -> NDArray[np.bool_]:
        """True (row, col) where a pixel's centre is covered."""
        near = np.sort(self.find_near(grid))
        if len(near) == 0:
            return np.zeros(grid.shape, bool)
        shapes, widths_m = _drop_infinite(
            _to_metric(self.geometry[near], grid, self.crs), self.width_m[near]
        )
        wide = (shapely.get_dimensions(shapes) < 2) & (widths_m > 0)
        shapes[wide] = shapely.buffer(shapes[wide], widths_m[wide] / 2, quad_segs=_QUARTER)
        burnt: NDArray[np.uint8] = rasterize(_to_pixels(shapes, grid), grid.shape, dtype=np.uint8)
        return burnt.astype(bool)

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.geometry)

    def _reach(self, grid: Grid) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in ``crs`` of what may touch the grid."""
        reach_m = float(self.width_m.max(initial=0.0)) / 2 + max(grid.pixel_size_m)
        xs, ys = grid.metric_xy(*_border_points(grid))
        box = (xs.min() - reach_m, ys.min() - reach_m, xs.max() + reach_m, ys.max() + reach_m)
        metric = grid.metric_crs
        if self.crs is None or metric is None or self.crs == metric:
            return box
        around = Transformer.from_crs(metric, self.crs, always_xy=True).transform_bounds(*box)
        # Across the date line, left is east of right: then all is looked at.
        return around if around[0] <= around[2] else _WORLD


def _to_label(shapes: Shapes, grid: Grid) -> Raster:
    return Raster(shapes.burn(grid).astype(np.uint8), grid)


def _border_points(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates all around a grid: its sides may bend in another CRS."""
    along = np.linspace(0, 1, 9)
    near, far = np.zeros(9), np.ones(9)
    cols = np.concatenate([along, far, along, near]) * grid.width
    rows = np.concatenate([near, along, far, along]) * grid.height
    return cols, rows


def _to_metric(shapes: NDArray[Any], grid: Grid, crs: CRS | None) -> NDArray[Any]:
    if crs is None or grid.metric_crs is None or crs == grid.metric_crs:
        return shapes
    transformer = Transformer.from_crs(crs, grid.metric_crs, always_xy=True)
    return _transform(shapes, transformer.transform)


def _drop_infinite(
    shapes: NDArray[Any], widths_m: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Drop shapes that extend around the Earth, which have no place in the metric CRS."""
    finite = np.isfinite(shapely.bounds(shapes)).all(axis=1)
    if not finite.all():
        _log.warning("%d shapes extend around the Earth: left out", (~finite).sum())
    return shapes[finite], widths_m[finite]


def _to_pixels(shapes: NDArray[Any], grid: Grid) -> NDArray[Any]:
    return _transform(shapes, grid.metric_colrow)


def _transform(shapes: NDArray[Any], transformer: Any) -> NDArray[Any]:
    """The shapes with their coordinates sent through ``there(xs, ys) -> xs, ys``."""
    mapped: NDArray[Any] = shapely.transform(
        shapes, lambda xy: np.column_stack(transformer(xy[:, 0], xy[:, 1]))
    )
    return mapped
