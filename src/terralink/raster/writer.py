"""Writing Cloud Optimized GeoTIFFs window by window, completely or not at all.

    windows -> a draft, a plain GeoTIFF beside the output -> GDAL's copy of it, with overviews

A COG begins with its overviews, so it cannot be written in the order of the windows. The draft is
removed at the end. Until then the disk must have room for both files, and the draft can be read.

When a disk is full GDAL may only log it and leave a file with holes. RULE 1: a window is refused
when the disk clearly has no room for it. RULE 2: before the file gets its name, each window is read
from it and compared with what was written, by checksum. RULE 3: statistics are those of the valid
pixels, computed while windows are written. (GDAL's own, STATISTICS=YES of the COG driver, reads the
draft again, and with a mask it stores a wrong standard deviation and valid percentage.)
"""

import os
import shutil
import warnings
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import DTypeLike, NDArray
from rasterio._err import CPLE_BaseError  # raised by rasterio.shutil; it has no public name
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.shutil import copy as gdal_copy
from rasterio.windows import Window

from terralink.atomic_write import MARK, write_atomically
from terralink.errors import OutputError, SceneError
from terralink.raster.grid import Grid
from terralink.raster.source import gdal_env, gdal_message, open_dataset

_STATISTICS_ROWS = 16  # rows that are converted to float64 at a time


class Statistics:
    """Minimum, maximum, mean and standard deviation of the valid pixels of a band.

    >>> statistics = Statistics()
    >>> statistics.add(np.array([[1, 3, 9]]), np.array([[True, True, False]]))
    >>> statistics.tags()["STATISTICS_MEAN"]
    '2'
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = 0.0
        self._minimum, self._maximum = np.inf, -np.inf

    def add(self, band: NDArray[Any], valid: NDArray[np.bool_] | None) -> None:
        """Add a window (row, col); values that are not finite are left out."""
        for start in range(0, len(band), _STATISTICS_ROWS):
            rows = slice(start, start + _STATISTICS_ROWS)
            values = (band[rows].ravel() if valid is None else band[rows][valid[rows]]).astype(
                float
            )
            self._add(values[np.isfinite(values)] if band.dtype.kind == "f" else values)

    def _add(self, values: NDArray[np.float64]) -> None:
        self._count += len(values)
        self._sum += float(values.sum())
        self._squares += float(np.square(values).sum())
        self._minimum = min(self._minimum, values.min(initial=np.inf))
        self._maximum = max(self._maximum, values.max(initial=-np.inf))

    def tags(self) -> dict[str, str]:
        """The tags that GDAL reads; none without a valid pixel."""
        if not self._count:
            return {}
        mean = self._sum / self._count
        variance = max(self._squares / self._count - mean**2, 0)
        values = {"MINIMUM": self._minimum, "MAXIMUM": self._maximum, "MEAN": mean}
        values["STDDEV"] = variance**0.5
        return {f"STATISTICS_{name}": f"{value:.14g}" for name, value in values.items()}


RGB: TypeAlias = tuple[int, int, int]

_BLOCK_PX = 512
# RULE 1: results are never compressed to less than this part of their size, except blank ones.
_MIN_COMPRESSED_SHARE = 1 / 8


class RasterWriter:
    """A context manager that writes a Cloud Optimized GeoTIFF window by window.

    The file gets its name when the ``with`` block ends without an error, else there is no file.
    ``scale`` is the factor of stored values (1/255 for probabilities). ``tags`` and ``description``
    are stored in the file, ``colormap`` as its palette. Write each pixel once; a pixel that is not
    written is 0, and masked where the file has a mask.

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
        colormap: Mapping[int, RGB] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.grid = grid
        self._bands, self._dtype = bands, np.dtype(dtype)
        self._scale = scale
        self._tags = dict(tags or {})
        self._description = description
        self._colormap = colormap
        self._written: list[_WrittenWindow] = []
        self._has_mask = False
        self._statistics = [Statistics() for _ in range(bands)]

    def __enter__(self) -> "RasterWriter":
        with ExitStack() as stack:
            self._part = stack.enter_context(write_atomically(self.path))
            # in the folder of the part, so that it is removed with it
            self._draft = self._part.with_name(self._part.name + ".draft.tif")
            self._dataset = _create(self._draft, _profile(self.grid, self._bands, self._dtype))
            stack.push(self._close)
            self._write_metadata()
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

        ``valid`` (row, col) is written to the mask in the file; None means that all are valid.
        """
        cube = array[None] if array.ndim == 2 else array
        cube = np.ascontiguousarray(cube.astype(self._dtype, casting="safe", copy=False))
        window = Window(col, row, *cube.shape[:0:-1])
        self._check_room(cube.nbytes)
        try:
            with gdal_env(GDAL_TIFF_INTERNAL_MASK=True):
                self._dataset.write(cube, window=window)
                self._write_mask(window, valid)
        except RasterioError as error:
            raise self._disk_error(gdal_message(error)) from error
        for band, statistics in zip(cube, self._statistics, strict=True):
            statistics.add(band, valid)
        self._written.append(
            _WrittenWindow(
                window, cube.nbytes, _checksum(cube), None if valid is None else _checksum(valid)
            )
        )

    def read(
        self, row: int, col: int, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window that was written: pixel values (band, row, col) and valid (row, col).

        ``valid`` is None where all are valid. Only for the thread that writes.
        """
        window = Window(col, row, *shape[::-1])
        try:
            with gdal_env():
                values = self._dataset.read(window=window)
                valid = self._dataset.read_masks(1, window=window) > 0 if self._has_mask else None
        except RasterioError as error:
            raise self._disk_error(gdal_message(error)) from error
        return values, None if valid is None or valid.all() else valid

    def _write_mask(self, window: Window, valid: NDArray[np.bool_] | None) -> None:
        """Create the mask when it is first needed; the earlier windows are valid."""
        if valid is not None and not self._has_mask:
            self._has_mask = True
            for earlier in self._written:
                self._write_mask(earlier.window, None)
        if self._has_mask:
            mask = np.ones((window.height, window.width), bool) if valid is None else valid
            self._dataset.write_mask(mask, window=window)

    def _write_metadata(self) -> None:
        self._dataset.update_tags(**{"TIFFTAG_SOFTWARE": MARK, **self._tags})
        if self._scale is not None:
            self._dataset.scales = (self._scale,) * self._bands
        if self._description is not None:
            self._dataset.set_band_description(1, self._description)
        if self._colormap is not None:
            self._dataset.write_colormap(1, dict(self._colormap))

    def _check_room(self, new_bytes: int) -> None:
        raw_bytes = new_bytes + sum(window.raw_bytes for window in self._written)
        self._check_free(raw_bytes * _MIN_COMPRESSED_SHARE - _size_bytes(self._draft))

    def _check_free(self, required_bytes: float) -> None:
        free_bytes = shutil.disk_usage(self._part.parent).free
        if free_bytes < required_bytes:
            raise self._disk_error(f"{free_bytes / 1e6:.1f} MB are free")

    def _close(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            for band, statistics in enumerate(self._statistics, start=1):
                self._dataset.update_tags(band, **statistics.tags())
            with gdal_env():
                self._dataset.close()
            is_complete = error is not None or self._convert()
        except (RasterioError, SceneError, CPLE_BaseError):
            is_complete = False
        if error is None and not is_complete:
            raise self._disk_error("the file differs from what was written")

    def _convert(self) -> bool:
        """Convert the draft to a COG; whether its pixels are those that were written."""
        self._check_free(_size_bytes(self._draft))
        _copy(self._draft, self._part, overviews="average" if self._colormap is None else "mode")
        self._draft.unlink()
        return self._is_intact()

    def _is_intact(self) -> bool:
        with open_dataset(self._part) as copy, gdal_env():
            return all(window.is_in(copy) for window in self._written)

    def _disk_error(self, reason: str) -> OutputError:
        return OutputError(
            f"cannot write {self.path}: perhaps the disk is full ({reason}); "
            "free some space and start again"
        )


@dataclass(frozen=True)
class _WrittenWindow:
    """A window that was written: its size, and checksums of its pixel values and mask."""

    window: Window
    raw_bytes: int
    values: int
    valid: int | None

    def is_in(self, copy: DatasetReader) -> bool:
        if _checksum(copy.read(window=self.window)) != self.values:
            return False
        mask = copy.read_masks(1, window=self.window) > 0
        return mask.all() if self.valid is None else _checksum(mask) == self.valid


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _create(path: Path, profile: dict[str, Any]) -> DatasetWriter:
    with gdal_env(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a scene may have no CRS
        return rasterio.open(path, "w+", **profile)


def _copy(draft: Path, path: Path, *, overviews: str) -> None:
    """Write the COG; each overview is resampled from the one before, and so are masks."""
    compression = {"compress": "zstd", "level": 1, "predictor": "yes", "num_threads": "all_cpus"}
    with gdal_env(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        gdal_copy(
            draft,
            path,
            driver="COG",
            blocksize=_BLOCK_PX,
            bigtiff="if_safer",
            overview_resampling=overviews,
            **compression,
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
