"""Resampling whose result at a pixel does not depend on the window it is read through.

Along each axis a target pixel is a weighted sum of source pixels, fixed by its absolute index:
the mean over the ground it covers where pixels get coarser, linear interpolation between the two
nearest centres where they get finer. Both axes are anchored at the scene's origin. The sums run in
a fixed order, and weights are multiples of 1/4096 that add up to exactly 1, so that pixels with
only valid ones around them come out the same whether or not the window has invalid ones elsewhere.

Results on a model's pixels brought to those of another grid, as the scene's own.
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

from terralink.raster.grid import Grid
from terralink.raster.source import gdal_env, open_dataset
from terralink.raster.tiling import iter_windows
from terralink.raster.writer import RasterWriter

Floats: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]

_WEIGHT_STEPS = 4096
# A target pixel is valid when at least this part of what it is made of is.
_VALID_FROM = 0.5


@dataclass(frozen=True)
class Axis:
    """One axis of ``size`` source pixels; a target pixel is ``step`` of them long."""

    size: int
    step: float

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """The range of source pixels that the target pixels start..stop are made of."""
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
        # Rounded as running sums, weights stay near their own value and add up to exactly 1.
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
    """Two axes: how a window of target pixels is made of a window of source pixels."""

    rows: Axis
    cols: Axis

    @property
    def is_identity(self) -> bool:
        return self.rows.step == self.cols.step == 1

    def __call__(
        self, image: NDArray[Any], valid: Bools, rows: tuple[int, int], cols: tuple[int, int]
    ) -> tuple[Floats, Bools]:
        """Target image (band, row, col) and its valid pixels for the target ranges given.

        ``image`` and ``valid`` hold the ranges of source pixels that ``Axis.source`` names. Invalid
        pixels count nothing: a target pixel is the mean of its valid part.
        """
        down = self.rows.matrix(*rows) if self.rows.step != 1 else None
        across = self.cols.matrix(*cols) if self.cols.step != 1 else None
        if valid.all():
            whole = np.stack([_weighted(band, down, across) for band in image])
            return whole, np.ones(whole.shape[1:], bool)
        part = _weighted(valid, down, across)
        per_part = np.divide(1, part, out=np.zeros_like(part), where=part > 0)
        known = np.where(valid, image, 0)
        filled = np.stack([_weighted(band, down, across) * per_part for band in known])
        return filled, part >= _VALID_FROM


def _weighted(band: NDArray[Any], down: csr_array | None, across: csr_array | None) -> Floats:
    out = band.astype(np.float32)
    if down is not None:
        out = down @ out
    if across is not None:
        out = (across @ out.T).T
    return out


_WINDOW_PX = 2048, 2048
_ANY_CRS = "EPSG:3857"  # of two grids without one: both lie in the same plane


def regrid(grid: Grid, path: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Write the levels of the raster at ``path`` to ``out`` on the pixels of ``grid``.

    Both lie on the same ground, in the same CRS. Finer pixels are interpolated linearly, coarser
    ones are means; what is invalid counts nothing and stays so. Scale, description and tags come
    along. Raises ``OutputError`` when ``out`` cannot be written.
    """
    with (
        open_dataset(path) as made,
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
        for row, col, (height, width) in iter_windows(grid.shape, _WINDOW_PX):
            with gdal_env():
                *levels, alpha = warped.read(window=Window(col, row, width, height))
            valid = alpha > 0
            writer.write(row, col, np.stack(levels) * valid, None if valid.all() else valid)


@contextmanager
def _warped(made: DatasetReader, grid: Grid) -> Iterator[WarpedVRT]:
    finer = abs(grid.transform.determinant) < abs(made.transform.determinant)
    crs = _ANY_CRS if grid.crs is None else grid.crs.to_wkt()
    with (
        gdal_env(),
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
