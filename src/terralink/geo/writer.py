"""Writing GeoTIFFs in bands or blocks, whole or not at all."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import DTypeLike, NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from terralink.errors import OutputError
from terralink.files import written_whole
from terralink.geo.grid import Grid
from terralink.geo.source import CACHE_BYTES, reason

_BLOCK_PX = 512


class RasterWriter:
    """A context manager that writes a tiled, compressed GeoTIFF window by window.

    The file appears under its name when the block ends well, else not at all. ``scale`` is what a
    stored level counts (1/255 for probabilities); ``tags`` and ``description`` are stored in it.
    Pixels that are never written are 0, and invalid when others are.

    Raises ``OutputError`` when the folder cannot be written or the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        grid: Grid,
        *,
        bands: int = 1,
        dtype: DTypeLike = "uint8",
        scale: float | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.grid = grid
        self._profile = _profile(grid, bands, np.dtype(dtype))
        self._scale = scale
        self._tags = dict(tags or {})
        self._description = description
        self._masked = False
        self._all_valid: list[Window] = []

    def __enter__(self) -> "RasterWriter":
        with ExitStack() as stack:
            self._part = stack.enter_context(written_whole(self.path))
            stack.enter_context(
                rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_TIFF_INTERNAL_MASK=True)
            )
            self._dataset = rasterio.open(self._part, "w", **self._profile)
            stack.push(self._close)
            self._describe()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(
        self, row: int, col: int, array: NDArray[Any], valid: NDArray[np.bool_] | None = None
    ) -> None:
        """Write an array (row, col) or (band, row, col) at pixel (row, col) of the grid.

        ``valid`` (row, col) goes to the file's internal mask; None means that all are valid.
        """
        cube = array[None] if array.ndim == 2 else array
        window = Window(col, row, *cube.shape[:0:-1])
        try:
            self._dataset.write(cube, window=window)
            self._write_mask(window, valid)
        except RasterioError as error:
            raise self._told(error) from error

    def _write_mask(self, window: Window, valid: NDArray[np.bool_] | None) -> None:
        if valid is None and not self._masked:
            self._all_valid.append(window)
            return
        if not self._masked:
            self._masked = True
            for earlier in self._all_valid:
                self._write_mask(earlier, None)
        mask = np.ones((window.height, window.width), bool) if valid is None else valid
        self._dataset.write_mask(mask, window=window)

    def _describe(self) -> None:
        self._dataset.update_tags(**self._tags)
        if self._scale is not None:
            self._dataset.scales = (self._scale,) * self._dataset.count
        if self._description is not None:
            self._dataset.set_band_description(1, self._description)

    def _close(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            self._dataset.close()
        except RasterioError as failure:
            if error is None:
                raise self._told(failure) from failure

    def _told(self, error: BaseException) -> OutputError:
        return OutputError(
            f"cannot write {self.path}: {reason(error)}; "
            "is the disk full? Free some space and start again"
        )


def _profile(grid: Grid, bands: int, dtype: np.dtype[Any]) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": bands,
        "dtype": dtype.name,
        "tiled": True,
        "blockxsize": _BLOCK_PX,
        "blockysize": _BLOCK_PX,
        "compress": "zstd",
        "zstd_level": 1,
        "predictor": 3 if dtype.kind == "f" else 2,
        "bigtiff": "IF_SAFER",
        "photometric": "RGB" if bands == 3 and dtype == np.uint8 else "MINISBLACK",
    }
    if grid.transform != Affine.identity():
        profile["transform"] = grid.transform
    if grid.crs is not None:
        profile["crs"] = grid.crs.to_wkt()
    return profile
