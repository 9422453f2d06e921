"""Burning lines and polygons onto a grid, with widths in metres whatever the CRS."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from terralink.geo.grid import Grid


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
    shapes = np.asarray(list(geometries), dtype=object)
    widths_m = np.broadcast_to(np.asarray(width_m, float), shapes.shape)
    shapes, widths_m = _within_reach(_metric(shapes, grid, crs), widths_m, grid)
    if len(shapes) == 0:
        return np.zeros(grid.shape, bool)
    wide = (shapely.get_dimensions(shapes) < 2) & (widths_m > 0)
    shapes[wide] = shapely.buffer(shapes[wide], widths_m[wide] / 2)
    burnt: NDArray[np.uint8] = rasterize(_in_pixels(shapes, grid), grid.shape, dtype=np.uint8)
    return burnt.astype(bool)


def _metric(shapes: NDArray[Any], grid: Grid, crs: CRS | None) -> NDArray[Any]:
    if crs is None or grid.metric_crs is None or crs == grid.metric_crs:
        return shapes
    there = Transformer.from_crs(crs, grid.metric_crs, always_xy=True)
    return _mapped(shapes, there.transform)


def _within_reach(
    shapes: NDArray[Any], widths_m: NDArray[np.float64], grid: Grid
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Only those that may touch the grid: most of a town does not touch a tile."""
    height, width = grid.shape
    xs, ys = grid.metric_xy([0, width, 0, width], [0, 0, height, height])
    left, bottom, right, top = shapely.bounds(shapes).reshape(-1, 4).T
    reach_m = widths_m / 2 + max(grid.pixel_size_m)
    near = (left <= xs.max() + reach_m) & (right >= xs.min() - reach_m)
    near &= (bottom <= ys.max() + reach_m) & (top >= ys.min() - reach_m)
    return shapes[near], widths_m[near]


def _in_pixels(shapes: NDArray[Any], grid: Grid) -> NDArray[Any]:
    return _mapped(shapes, grid.metric_colrow)


def _mapped(shapes: NDArray[Any], there: Any) -> NDArray[Any]:
    """The shapes with their coordinates sent through ``there(xs, ys) -> xs, ys``."""
    mapped: NDArray[Any] = shapely.transform(
        shapes, lambda xy: np.column_stack(there(xy[:, 0], xy[:, 1]))
    )
    return mapped
