"""What GIS programs stretch colours by, counted while a raster is written instead of read again.

Writing Cloud Optimized GeoTIFFs in bands or blocks, whole or not at all.

    windows -> a draft, a plain GeoTIFF beside -> GDAL's copy, with overviews

The order of bytes in a COG is overviews first, so it cannot be written as the windows come. The
draft is gone in the end; until then there must be room for both, and it can be read.

When a disk runs full GDAL may only log it, and leave a file with holes. RULE 1: a window is refused
while there is clearly no room for it. RULE 2: before the file gets its name, every window is read
back and compared with what was written, by checksum.
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
from rasterio._err import CPLE_BaseError  # what rasterio.shutil lets through, by no public name
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.shutil import copy as gdal_copy
from rasterio.windows import Window

from terralink.atomic_write import MARK, write_atomically
from terralink.errors import OutputError, SceneError
from terralink.raster.grid import Grid
from terralink.raster.source import gdal_env, gdal_message, open_dataset

_ROWS = 16  # values are summed as floats, eight bytes each


class Statistics:
    """Least, most, mean and standard deviation of one band's known pixels.

    >>> statistics = Statistics()
    >>> statistics.add(np.array([[1, 3, 9]]), np.array([[True, True, False]]))
    >>> statistics.tags()["STATISTICS_MEAN"]
    '2'
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = 0.0
        self._least, self._most = np.inf, -np.inf

    def add(self, band: NDArray[Any], valid: NDArray[np.bool_] | None) -> None:
        """Count a window (row, col); what is not finite is not known."""
        for start in range(0, len(band), _ROWS):
            rows = slice(start, start + _ROWS)
            values = (band[rows].ravel() if valid is None else band[rows][valid[rows]]).astype(
                float
            )
            self._add(values[np.isfinite(values)] if band.dtype.kind == "f" else values)

    def _add(self, values: NDArray[np.float64]) -> None:
        self._count += len(values)
        self._sum += float(values.sum())
        self._squares += float(np.square(values).sum())
        self._least = min(self._least, values.min(initial=np.inf))
        self._most = max(self._most, values.max(initial=-np.inf))

    def tags(self) -> dict[str, str]:
        """As GDAL names them; none where nothing is known."""
        if not self._count:
            return {}
        mean = self._sum / self._count
        variance = max(self._squares / self._count - mean**2, 0)
        values = {"MINIMUM": self._least, "MAXIMUM": self._most, "MEAN": mean}
        values["STDDEV"] = variance**0.5
        return {f"STATISTICS_{name}": f"{value:.14g}" for name, value in values.items()}


RGB: TypeAlias = tuple[int, int, int]

_BLOCK_PX = 512
# RULE 1: nothing we write shrinks to less than this part of its raw size, but for blank scenes.
_LEAST_PART = 1 / 8


class RasterWriter:
    """A context manager that writes a Cloud Optimized GeoTIFF window by window.

    The file appears under its name when the block ends well, else not at all. ``scale`` is what a
    stored level counts (1/255 for probabilities); ``tags`` and ``description`` are stored in it,
    and ``colours`` as the palette of its levels. Statistics are those of the valid pixels written.
    Write each pixel once; those that never are stay 0, and invalid where others are.

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
        colours: Mapping[int, RGB] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.grid = grid
        self._bands, self._dtype = bands, np.dtype(dtype)
        self._scale = scale
        self._tags = dict(tags or {})
        self._description = description
        self._colours = colours
        self._written: list[_Written] = []
        self._masked = False
        self._statistics = [Statistics() for _ in range(bands)]

    def __enter__(self) -> "RasterWriter":
        with ExitStack() as stack:
            self._part = stack.enter_context(write_atomically(self.path))
            # beside the part and of its name, so that it goes with it
            self._draft = self._part.with_name(self._part.name + ".draft.tif")
            self._dataset = _created(self._draft, _profile(self.grid, self._bands, self._dtype))
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
        cube = np.ascontiguousarray(cube.astype(self._dtype, casting="safe", copy=False))
        window = Window(col, row, *cube.shape[:0:-1])
        self._check_room(cube.nbytes)
        try:
            with gdal_env(GDAL_TIFF_INTERNAL_MASK=True):
                self._dataset.write(cube, window=window)
                self._write_mask(window, valid)
        except RasterioError as error:
            raise self._told(gdal_message(error)) from error
        for band, statistics in zip(cube, self._statistics, strict=True):
            statistics.add(band, valid)
        self._written.append(
            _Written(
                window, cube.nbytes, _checksum(cube), None if valid is None else _checksum(valid)
            )
        )

    def read(
        self, row: int, col: int, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read what was written from pixel (row, col) on: levels (band, row, col) and valid.

        ``valid`` is None where all are. Only for the thread that writes, and what was written.
        """
        window = Window(col, row, *shape[::-1])
        try:
            with gdal_env():
                levels = self._dataset.read(window=window)
                valid = self._dataset.read_masks(1, window=window) > 0 if self._masked else None
        except RasterioError as error:
            raise self._told(gdal_message(error)) from error
        return levels, None if valid is None or valid.all() else valid

    def _write_mask(self, window: Window, valid: NDArray[np.bool_] | None) -> None:
        """The mask is made when it is first needed: then earlier windows are marked valid."""
        if valid is not None and not self._masked:
            self._masked = True
            for earlier in self._written:
                self._write_mask(earlier.window, None)
        if self._masked:
            mask = np.ones((window.height, window.width), bool) if valid is None else valid
            self._dataset.write_mask(mask, window=window)

    def _describe(self) -> None:
        self._dataset.update_tags(**{"TIFFTAG_SOFTWARE": MARK, **self._tags})
        if self._scale is not None:
            self._dataset.scales = (self._scale,) * self._bands
        if self._description is not None:
            self._dataset.set_band_description(1, self._description)
        if self._colours is not None:
            self._dataset.write_colormap(1, dict(self._colours))

    def _check_room(self, coming_bytes: int) -> None:
        raw_bytes = coming_bytes + sum(written.raw_bytes for written in self._written)
        self._check_free(raw_bytes * _LEAST_PART - _size_bytes(self._draft))

    def _check_free(self, wanted_bytes: float) -> None:
        free_bytes = shutil.disk_usage(self._part.parent).free
        if free_bytes < wanted_bytes:
            raise self._told(f"{free_bytes / 1e6:.1f} MB are free")

    def _close(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            for band, statistics in enumerate(self._statistics, start=1):
                self._dataset.update_tags(band, **statistics.tags())
            with gdal_env():
                self._dataset.close()
            whole = error is not None or self._optimized()
        except (RasterioError, SceneError, CPLE_BaseError):
            whole = False
        if error is None and not whole:
            raise self._told("what was written does not read back")

    def _optimized(self) -> bool:
        """Copy the draft; whether the copy is as it was written, overviews aside."""
        self._check_free(_size_bytes(self._draft))
        _copy(self._draft, self._part, overviews="average" if self._colours is None else "mode")
        self._draft.unlink()
        return self._reads_back()

    def _reads_back(self) -> bool:
        with open_dataset(self._part) as copy, gdal_env():
            return all(written.is_in(copy) for written in self._written)

    def _told(self, why: str) -> OutputError:
        return OutputError(
            f"cannot write {self.path}: the disk is full, it seems ({why}); "
            "free some space, start again"
        )


@dataclass(frozen=True)
class _Written:
    """A window that was written: its raw size, and checksums of its levels and valid pixels."""

    window: Window
    raw_bytes: int
    levels: int
    valid: int | None

    def is_in(self, copy: DatasetReader) -> bool:
        if _checksum(copy.read(window=self.window)) != self.levels:
            return False
        mask = copy.read_masks(1, window=self.window) > 0
        return mask.all() if self.valid is None else _checksum(mask) == self.valid


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _created(path: Path, profile: dict[str, Any]) -> DatasetWriter:
    with gdal_env(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a scene may be without CRS
        return rasterio.open(path, "w+", **profile)


def _copy(draft: Path, path: Path, *, overviews: str) -> None:
    """Each overview is made of the one before by this way of resampling; masks have their own."""
    packed = {"compress": "zstd", "level": 1, "predictor": "yes", "num_threads": "all_cpus"}
    with gdal_env(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        gdal_copy(
            draft,
            path,
            driver="COG",
            blocksize=_BLOCK_PX,
            bigtiff="if_safer",
            overview_resampling=overviews,
            **packed,
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
