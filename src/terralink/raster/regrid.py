"""Results on a model's pixels brought to those of another grid, as the scene's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from terralink.raster.grid import Grid
from terralink.raster.source import gdal, gdal_dataset
from terralink.raster.tiling import windows
from terralink.raster.writer import RasterWriter

_WINDOW_PX = 2048, 2048
_ANY_CRS = "EPSG:3857"  # of two grids without one: both lie in the same plane


def brought_to(grid: Grid, path: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Write the levels of the raster at ``path`` to ``out`` on the pixels of ``grid``.

    Both lie on the same ground, in the same CRS. Finer pixels are interpolated linearly, coarser
    ones are means; what is invalid counts nothing and stays so. Scale, description and tags come
    along. Raises ``OutputError`` when ``out`` cannot be written.
    """
    with (
        gdal_dataset(path) as made,
        _warped(made, grid) as warped,
        RasterWriter(
            out,
            grid,
            bands=made.count,
            dtype=made.dtypes[0],
            scale=made.scales[0],
            tags={key: tag for key, tag in made.tags().items() if key.startswith("TERRALINK_")},
            description=made.descriptions[0],
        ) as writer,
    ):
        for row, col, (height, width) in windows(grid.shape, _WINDOW_PX):
            with gdal():
                *levels, alpha = warped.read(window=Window(col, row, width, height))
            valid = alpha > 0
            writer.write(row, col, np.stack(levels) * valid, None if valid.all() else valid)


@contextmanager
def _warped(made: DatasetReader, grid: Grid) -> Iterator[WarpedVRT]:
    finer = abs(grid.transform.determinant) < abs(made.transform.determinant)
    crs = _ANY_CRS if grid.crs is None else grid.crs.to_wkt()
    with (
        gdal(),
        WarpedVRT(
            made,
            src_crs=crs,
            crs=crs,
            transform=grid.transform,
            height=grid.height,
            width=grid.width,
            resampling=Resampling.bilinear if finer else Resampling.average,
            add_alpha=True,
        ) as warped,
    ):
        yield warped
