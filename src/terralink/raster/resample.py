"""Resampling to another pixel size; the result at a pixel does not depend on the window.

Along each axis a target pixel is a weighted sum of source pixels, which its absolute index
determines: the mean over its area where pixels become coarser, linear interpolation between the two
nearest centres where they become finer. Both axes start at the origin of the scene. The order of
the sums is fixed, and weights are multiples of 1/4096 with a sum of exactly 1. So a pixel with only
valid pixels around it is the same whether or not the window has invalid ones elsewhere.

``regrid`` writes a result at a model's pixel size on another grid, such as the scene's own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from scipy.sparse import csr_array

from terralink._typing import Bools
from terralink.raster.grid import Grid
from terralink.raster.source import gdal_env, open_dataset
from terralink.raster.tiling import iter_windows
from terralink.raster.writer import RasterWriter

Floats: TypeAlias = NDArray[np.float32]

_WEIGHT_STEPS = 4096
# A target pixel is valid when at least this part of its source pixels is.
_MIN_VALID_SHARE = 0.5


@dataclass(frozen=True)
class Axis:
    """One axis of ``size`` source pixels; a target pixel is ``step`` of them long."""

    size: int
    step: float

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """The range of source pixels that the target pixels start..stop depend on."""
        if self.step == 1:
            return start, stop
        index, _ = self._taps(start, stop)
        return int(index.min()), int(index.max()) + 1

    def matrix(self, start: int, stop: int) -> csr_array:
        """Weights (target, source) of the target pixels start..stop on their source range."""
        index, weight = self._taps(start, stop)
        rows, taps = index.shape
        columns = (index - index.min()).ravel()
        where = (weight.ravel(), columns, np.arange(rows + 1) * taps)
        return csr_array(where, shape=(rows, int(columns.max()) + 1))

    def _taps(self, start: int, stop: int) -> tuple[NDArray[np.intp], Floats]:
        """Index and weight (target, tap) of the source pixels of each target pixel."""
        target = np.arange(start, stop, dtype=np.float64)[:, None]
        first, weight = self._mean(target) if self.step > 1 else self._linear(target)
        index = first.astype(np.intp) + np.arange(weight.shape[1])
        # the running sums are rounded, so that weights are accurate and their sum is exactly 1
        sums = np.rint(np.cumsum(weight, axis=1) / weight.sum(axis=1)[:, None] * _WEIGHT_STEPS)
        exact = np.diff(sums, axis=1, prepend=0) / _WEIGHT_STEPS
        return np.clip(index, 0, self.size - 1), exact.astype(np.float32)

    def _mean(self, target: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
        low, high = target * self.step, np.minimum((target + 1) * self.step, self.size)
        first = np.floor(low)
        pixel = first + np.arange(int(np.ceil(self.step)) + 1)
        return first, np.clip(np.minimum(pixel + 1, high) - np.maximum(pixel, low), 0, None)

    def _linear(self, target: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
        centre = (target + 0.5) * self.step - 0.5
        first = np.floor(centre)
        return first, np.concatenate([1 - (centre - first), centre - first], axis=1)


@dataclass(frozen=True)
class Resampler:
    """Computes a window of target pixels from a window of source pixels, by two axes."""

    rows: Axis
    cols: Axis

    @property
    def is_identity(self) -> bool:
        return self.rows.step == self.cols.step == 1

    def __call__(
        self, image: NDArray[Any], valid: Bools, rows: tuple[int, int], cols: tuple[int, int]
    ) -> tuple[Floats, Bools]:
        """Image (band, row, col) and valid pixels of the target ranges ``rows`` and ``cols``.

        ``image`` and ``valid`` are the source ranges of ``Axis.source``. Invalid pixels have no
        weight: a target pixel is the mean of its valid source pixels.
        """
        row_weights = self.rows.matrix(*rows) if self.rows.step != 1 else None
        col_weights = self.cols.matrix(*cols) if self.cols.step != 1 else None
        if valid.all():
            target = np.stack([_weighted_sums(band, row_weights, col_weights) for band in image])
            return target, np.ones(target.shape[1:], bool)
        share = _weighted_sums(valid, row_weights, col_weights)
        inverse = np.divide(1, share, out=np.zeros_like(share), where=share > 0)
        masked = np.where(valid, image, 0)
        target = np.stack(
            [_weighted_sums(band, row_weights, col_weights) * inverse for band in masked]
        )
        return target, share >= _MIN_VALID_SHARE


def _weighted_sums(
    band: NDArray[Any], row_weights: csr_array | None, col_weights: csr_array | None
) -> Floats:
    sums = band.astype(np.float32)
    if row_weights is not None:
        sums = row_weights @ sums
    if col_weights is not None:
        sums = (col_weights @ sums.T).T
    return sums


_WINDOW_PX = 2048, 2048
_ANY_CRS = "EPSG:3857"  # for two grids without a CRS, which are in the same plane


def regrid(grid: Grid, path: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Write the raster at ``path`` to ``out`` on the pixels of ``grid``, in the same CRS.

    Finer pixels are interpolated linearly, coarser ones are means. Masked pixels have no weight and
    stay masked. Scale, description and tags are copied. Raises ``OutputError`` when ``out`` cannot
    be written.
    """
    with (
        open_dataset(path) as source,
        _open_warped(source, grid) as warped,
        RasterWriter(
            out,
            grid,
            bands=source.count,
            dtype=source.dtypes[0],
            scale=source.scales[0],
            tags={key: tag for key, tag in source.tags().items() if key.startswith("TERRALINK_")},
            description=source.descriptions[0],
        ) as writer,
    ):
        for row, col, (height, width) in iter_windows(grid.shape, _WINDOW_PX):
            with gdal_env():
                *bands, alpha = warped.read(window=Window(col, row, width, height))
            valid = alpha > 0
            writer.write(row, col, np.stack(bands) * valid, None if valid.all() else valid)


@contextmanager
def _open_warped(source: DatasetReader, grid: Grid) -> Iterator[WarpedVRT]:
    finer = abs(grid.transform.determinant) < abs(source.transform.determinant)
    crs = _ANY_CRS if grid.crs is None else grid.crs.to_wkt()
    with (
        gdal_env(),
        WarpedVRT(
            source,
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
