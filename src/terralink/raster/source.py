"""The interface to GDAL: any raster that it reads, as image bands and valid pixels on a ``Grid``.

This module converts palettes to colours, alpha, masks, nodata tags and NaN to ``valid``, and the
messages of GDAL to a ``SceneError`` of one line.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import (
    NodataShadowWarning,
    NotGeoreferencedWarning,
    RasterioError,
    RasterioIOError,
)
from rasterio.io import DatasetReader
from rasterio.windows import Window

from terralink.atomic_write import gdal_name
from terralink.errors import SceneError
from terralink.raster.bands import Names, check_bands, find_alpha_bands, read_band_names
from terralink.raster.grid import Grid, parse_crs, set_pixel_size

Span: TypeAlias = tuple[int, int]

# GDAL's block cache, for the whole process: by default it grows to 5% of the machine's memory.
CACHE_BYTES = 128 * 2**20
# For a file in strips the cache holds this many whole rows, else each tile would decode them again:
# 8-bit RGB needs more than 128 MB above a width of 27,000 px, and has enough up to 110,000 px.
_STRIP_ROWS = 1600
_MAX_CACHE_BYTES = 512 * 2**20
# No sensor has such a value: the lowest float means nodata, also in a file without a tag.
_MAX_VALUE = 1e38
_PNG_TAIL_BYTES = 1024  # some writers add a few bytes after the last chunk
# A request that fails is repeated.
_HTTP = {
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_TIMEOUT": "120",
}
_NULL_HANDLER = logging.NullHandler()


class CorruptBlockError(SceneError):
    """A part of a scene that cannot be read."""


@contextmanager
def gdal_env(cache_bytes: int = CACHE_BYTES, **options: Any) -> Iterator[None]:
    """Options for GDAL: a small block cache, and nothing logged; errors hold its messages.

    Use it for single calls only. Environments of rasterio must end in reverse order, and scenes
    and writers that are open at the same time need not.
    """
    logging.getLogger("rasterio").addHandler(_NULL_HANDLER)
    with rasterio.Env(GDAL_CACHEMAX=cache_bytes, **_HTTP, **options):
        yield


@contextmanager
def open_source(
    path: str | os.PathLike[str],
    *,
    bands: Sequence[int | str] | None = None,
    assumed_pixel_size_m: float | None = None,
    assumed_crs: CRS | str | None = None,
    expand_palette: bool = True,
    display_name: str | None = None,
) -> Iterator["Source"]:
    """Open any raster that GDAL reads; see ``Source``.

    ``bands`` are numbers from 1, names in the file, or names such as "red"; None means all but
    alpha. ``assumed_pixel_size_m`` is the size of a pixel on the ground where the file has no CRS;
    the origin and rotation of its transform are kept. ``assumed_crs`` is the CRS of a file that has
    only a transform. Raises ``SceneError`` for no such raster, or bands that cannot be used.
    """
    with open_dataset(path) as dataset:
        crs = None if assumed_crs is None else parse_crs(assumed_crs)
        grid = _grid(dataset, assumed_pixel_size_m, crs)
        palette = _palette(dataset) if expand_palette else None
        name = os.fspath(path) if display_name is None else display_name
        with gdal_env():
            names = read_band_names(dataset, palette=palette is not None)
            alpha = () if palette is not None else find_alpha_bands(dataset)
        numbers = check_bands(dataset, names, alpha, bands)
        yield Source(dataset, grid, numbers, palette, name, names, alpha)


@dataclass(frozen=True, eq=False)
class Source:
    """An open raster: ``grid``, the ``bands`` to read (from 1), and a ``palette`` or None.

    With a palette (value, RGBA), bands 1, 2, 3 are its red, green and blue. ``names`` are those of
    all bands, such as "red"; ``alpha`` are the bands that mark valid pixels. For one thread only.
    """

    dataset: DatasetReader
    grid: Grid
    bands: tuple[int, ...]
    palette: NDArray[np.uint8] | None
    display_name: str | None = None
    names: Names = ()
    alpha: tuple[int, ...] = ()

    @property
    def image_bands(self) -> dict[int, str | None]:
        """The numbers and names of all bands but alpha."""
        numbers = enumerate(self.names, start=1)
        return {number: name for number, name in numbers if number not in self.alpha}

    @property
    def false_alpha(self) -> tuple[int, ...]:
        """Bands that are tagged as alpha but hold many values: image bands without a name."""
        kinds = enumerate(self.dataset.colorinterp, start=1)
        tagged = {number for number, kind in kinds if kind == ColorInterp.alpha}
        return tuple(
            number for number in sorted(tagged - {*self.alpha}) if not self.names[number - 1]
        )

    def with_bands(self, bands: tuple[int, ...]) -> "Source":
        """The same raster with other bands to read."""
        return replace(self, bands=bands)

    @property
    def path(self) -> str:
        """The name to show: that of the user, else that of the file."""
        return self.display_name or str(self.dataset.name)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that holds the values of every band."""
        if self.palette is not None:
            return np.dtype(np.uint8)
        return np.result_type(*(self.dataset.dtypes[band - 1] for band in self.bands))

    @property
    def class_names(self) -> list[str] | None:
        """The classes of a probability file, which ``predict`` stores; None in other files."""
        tag = self.dataset.tags().get("TERRALINK_CLASSES")
        names = [] if tag is None else tag.split(",")
        return names if len(names) == self.dataset.count else None

    @property
    def value_names(self) -> dict[int, str]:
        """The class names of the values of a label file, which ``rasterize`` stores."""
        try:
            names = json.loads(self.dataset.tags().get("classes", "{}"))
            return {int(value): str(name) for value, name in names.items()}
        except (ValueError, AttributeError):  # a tag of another program
            return {}

    @property
    def scale(self) -> float | None:
        """The factor of stored values, where the file has one that all bands to read share."""
        if self.palette is not None:
            return None
        scalings = {(self.dataset.scales[b - 1], self.dataset.offsets[b - 1]) for b in self.bands}
        scale, offset = scalings.pop()
        return None if scalings or offset or scale == 1 else float(scale)

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster.

        Raises ``CorruptBlockError`` where the file is damaged or cut off.
        """
        window = Window.from_slices(rows, cols)
        try:
            with gdal_env(self._cache_bytes):
                has_palette = self.palette is not None
                return self._read_colours(window) if has_palette else self._read_values(window)
        except RasterioError as error:
            raise CorruptBlockError(
                f"cannot read rows {rows[0]}-{rows[1]}, columns {cols[0]}-{cols[1]} of "
                f"{self.path}: {gdal_message(error)}; the file is damaged or cut off, "
                "download it again"
            ) from error

    def _read_values(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        indexes = [*self.bands, *self.alpha]
        values = self.dataset.read(indexes, window=window, out_dtype=self._read_dtype)
        image, alpha = values[: len(self.bands)], values[len(self.bands) :]
        valid = (alpha > 0).all(axis=0) & self._read_mask(window)
        if image.dtype.kind == "f":
            valid &= (np.abs(image) < _MAX_VALUE).all(axis=0)
        return image, valid

    def _read_colours(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        assert self.palette is not None
        colours = np.moveaxis(self.palette[self.dataset.read(1, window=window)], -1, 0)
        valid = (colours[3] > 0) & self._read_mask(window)
        return colours[[band - 1 for band in self.bands]], valid

    def _read_mask(self, window: Window) -> NDArray[np.bool_]:
        """False where a mask band or a nodata tag masks the pixel.

        RULE: a pixel of bytes is masked where all bands are nodata (black is often 0, 0, 0, but 9,
        0, 0 is a dark red); of any other dtype, where one band is.
        """
        if not self._mask_bands:
            return np.ones((window.height, window.width), bool)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NodataShadowWarning)  # alpha is read as a band
            masks = self.dataset.read_masks(self._mask_bands, window=window)
        valid = masks > 0
        return np.asarray(valid.any(axis=0) if self.dtype == np.uint8 else valid.all(axis=0))

    @cached_property
    def _cache_bytes(self) -> int:
        count, width = self.dataset.count, self.dataset.width
        if any(block_width < width for _, block_width in self.dataset.block_shapes):
            return CACHE_BYTES
        row_bytes: int = width * count * self.dtype.itemsize
        return min(max(CACHE_BYTES, _STRIP_ROWS * row_bytes), _MAX_CACHE_BYTES)

    @cached_property
    def _read_dtype(self) -> np.dtype[Any]:
        return np.result_type(*(self.dataset.dtypes[i - 1] for i in (*self.bands, *self.alpha)))

    @cached_property
    def _mask_bands(self) -> list[int]:
        """The bands whose masks must be read; alpha is read as a band."""
        numbers = self.bands if self.palette is None else (1,)
        flags = {band: self.dataset.mask_flag_enums[band - 1] for band in numbers}
        if any(MaskFlags.alpha in own for own in flags.values()):
            return []
        # in a VRT one band may have a nodata tag and another none: the tag is used
        bands = [band for band, own in flags.items() if MaskFlags.all_valid not in own]
        if bands and MaskFlags.per_dataset in flags[bands[0]]:
            return bands[:1]
        return bands


@contextmanager
def open_dataset(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """Open a raster; raises ``SceneError`` where it is none, or is a PNG that is cut off."""
    try:
        with gdal_env(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(gdal_name(path))
    except RasterioIOError as error:
        raise SceneError(_cannot_open(path, error)) from error
    try:
        with gdal_env():
            _check_png_ends(dataset)
        yield dataset
    finally:
        dataset.close()


def _check_png_ends(dataset: DatasetReader) -> None:
    """Check that a PNG, or each PNG in a VRT, has its last chunk.

    GDAL reads the missing part of a PNG as black, without an error.
    """
    if dataset.driver == "PNG":
        _check_png_end(Path(dataset.name))
    elif dataset.driver == "VRT":
        for name in _source_names("".join(dataset.tags(ns="xml:VRT").values())):
            if name.lower().endswith(".png"):
                _check_png_end(Path(dataset.name).parent / name)


def _source_names(vrt_text: str) -> list[str]:
    """The files that a VRT names; no entity is expanded (GDAL itself writes none)."""
    if "<!DOCTYPE" in vrt_text:
        return []
    root = ElementTree.fromstring(vrt_text)
    return [element.text for element in root.iter("SourceFilename") if element.text]


def _check_png_end(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _PNG_TAIL_BYTES))
            tail = file.read()
        if b"IEND" not in tail:
            raise SceneError(f"{path} has no end: it was cut off; download it again")


def _cannot_open(path: str | os.PathLike[str], error: RasterioError) -> str:
    name = os.fspath(path)
    if name.startswith("/vsi") or "://" in name:
        return f"cannot open {name}: {gdal_message(error)}"
    if not Path(name).exists():
        return f"no such file: {name}; check the path"
    if Path(name).is_dir():
        return f"{name} is a folder; name the raster in it"
    return f"{name} is not a raster that GDAL can read, or is cut off: {gdal_message(error)}"


def gdal_message(error: BaseException) -> str:
    """The first message of GDAL that led to an error, as one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".")


def _palette(dataset: DatasetReader) -> NDArray[np.uint8] | None:
    """The colours (value, RGBA) of a raster of one palette band, else None."""
    if dataset.count != 1 or dataset.colorinterp[0] != ColorInterp.palette:
        return None
    colours = dataset.colormap(1)
    palette = np.zeros((np.iinfo(dataset.dtypes[0]).max + 1, 4), np.uint8)
    palette[list(colours)] = list(colours.values())
    return palette


def _grid(
    dataset: DatasetReader, assumed_pixel_size_m: float | None, assumed_crs: CRS | None
) -> Grid:
    shape, transform = (dataset.height, dataset.width), dataset.transform
    has_transform = transform != Affine.identity()
    if not has_transform and (dataset.gcps[0] or dataset.rpcs is not None):
        raise SceneError(
            f"{dataset.name} is not rectified: it has control points or RPCs and no transform; "
            f"warp it first: gdalwarp {dataset.name} rectified.tif"
        )
    crs = _crs(dataset, assumed_crs) if has_transform or assumed_crs is not None else None
    if crs is not None and not has_transform:
        raise SceneError(
            f"{dataset.name} has no transform, so a CRS does not give its position; "
            "add a world file, or give the size of a pixel with --pixel-size"
        )
    if crs is None and assumed_pixel_size_m is not None:
        transform = set_pixel_size(transform, assumed_pixel_size_m)
    grid = Grid(shape, transform, crs)
    try:
        sides_m = grid.pixel_size_m
    except ProjError as error:
        raise SceneError(_unknown_crs(dataset.name, error)) from error
    if not all(np.isfinite(side) and side > 0 for side in sides_m):
        raise SceneError(f"the transform of {dataset.name} does not fit its CRS: {transform[:6]}")
    return grid


def _crs(dataset: DatasetReader, assumed: CRS | None) -> CRS | None:
    """The CRS of the file where it is one of the earth, else the assumed one.

    Raises ``SceneError`` where both exist and differ.
    """
    own = _file_crs(dataset, strict=assumed is None)
    if assumed is None or own is None:
        return own if assumed is None else assumed
    if own != assumed:
        raise SceneError(
            f"{dataset.name} is in {own.to_string()}, not in {assumed.to_string()}; "
            "--crs is for scenes without a CRS: leave it out, or correct the file with gdal_edit"
        )
    return own


def _file_crs(dataset: DatasetReader, *, strict: bool) -> CRS | None:
    """The CRS of the file; an unknown one is an error where ``strict``, else None."""
    if not dataset.crs:
        return None
    try:
        authority = dataset.crs.to_authority(confidence_threshold=100)
        crs = CRS.from_authority(*authority) if authority else CRS.from_wkt(dataset.crs.to_wkt())
        flat = crs.to_2d()
    except (CRSError, RasterioError) as error:
        if not strict:
            return None
        raise SceneError(_unknown_crs(dataset.name, error)) from error
    return flat if flat.is_projected or flat.is_geographic else None


def _unknown_crs(name: str, error: Exception) -> str:
    return (
        f"the CRS of {name} is not known: {gdal_message(error)}; "
        "give it with --crs EPSG:..., or set it: gdal_edit.py -a_srs EPSG:... FILE"
    )
