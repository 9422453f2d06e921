"""The edge to GDAL: any raster it reads, as image bands and valid pixels on a ``Grid``.

Here palettes become colours, here alpha, masks, nodata tags and NaN become ``valid``, and here what
GDAL says becomes a ``SceneError`` of one line.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias
from xml.sax.saxutils import unescape

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
from terralink.raster.bands import Names, alpha_bands, band_names, check_bands
from terralink.raster.grid import Grid, parse_crs

Span: TypeAlias = tuple[int, int]

# GDAL's block cache, for the whole process: by default it grows to 5% of the machine's memory.
CACHE_BYTES = 128 * 2**20
# A file in strips gets room for this many whole rows, or else each tile would unpack them again:
# RGB of 8 bits needs more than 128 MB from 27,000 px of width on, and has enough to 110,000.
_STRIP_ROWS = 1600
_MOST_CACHE_BYTES = 512 * 2**20
# No sensor's level: NaN, or the lowest float, which means nodata even when its tag is lost.
_NO_LEVEL = 1e38
_SAME_SIZE_WITHIN = 0.01  # a pixel size that differs less is the transform's
_PNG_TAIL_BYTES = 1024  # some writers add a little after the end
_PNG_IN_VRT = re.compile(r"<SourceFilename[^>]*>([^<]+\.png)</SourceFilename>", re.IGNORECASE)
# A server that falters is asked again; beside a scene on one, nothing else is looked for.
_HTTP = {
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_TIMEOUT": "120",
}
_UNHEARD = logging.NullHandler()


class CorruptBlockError(SceneError):
    """A part of a scene that cannot be read."""


@contextmanager
def gdal_env(cache_bytes: int = CACHE_BYTES, **options: Any) -> Iterator[None]:
    """GDAL with a small block cache; what it logs is in the errors that are raised.

    Held for single calls only: rasterio's environments must end in the order they began, which
    scenes and writers that are open side by side need not.
    """
    logging.getLogger("rasterio").addHandler(_UNHEARD)
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
    """Open any raster GDAL reads; see ``Source``. ``bands`` count from 1 or are names.

    Names are those of the file's bands, or of what they show; None means all but alpha.
    ``assumed_pixel_size_m`` is the ground size of a pixel where the file has no CRS; a transform
    keeps its origin and rotation. ``assumed_crs`` is the CRS of a file that has a transform alone.
    Raises ``SceneError`` when there is no such raster or its bands cannot be used.
    """
    with open_dataset(path) as dataset:
        crs = None if assumed_crs is None else parse_crs(assumed_crs)
        grid = _grid(dataset, assumed_pixel_size_m, crs)
        palette = _palette(dataset) if expand_palette else None
        name = os.fspath(path) if display_name is None else display_name
        with gdal_env():
            names = band_names(dataset, palette=palette is not None)
            alpha = () if palette is not None else alpha_bands(dataset)
        wanted = check_bands(dataset, names, alpha, bands)
        yield Source(dataset, grid, wanted, palette, name, names, alpha)


@dataclass(frozen=True, eq=False)
class Source:
    """An open raster: ``grid``, the ``bands`` that are read (from 1), and a ``palette`` or None.

    With a palette (level, RGBA), bands 1, 2, 3 are its red, green and blue. ``names`` are what all
    bands show, ``alpha`` those that say what is valid. For one thread.
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
        """All bands but alpha, and what they show."""
        numbers = enumerate(self.names, start=1)
        return {number: name for number, name in numbers if number not in self.alpha}

    @property
    def unlikely_alpha(self) -> tuple[int, ...]:
        """Bands that are tagged as alpha but hold many levels, and no name: they are bands."""
        kinds = enumerate(self.dataset.colorinterp, start=1)
        tagged = {number for number, kind in kinds if kind == ColorInterp.alpha}
        return tuple(
            number for number in sorted(tagged - {*self.alpha}) if not self.names[number - 1]
        )

    def with_bands(self, bands: tuple[int, ...]) -> "Source":
        """The same raster, of which other bands are read."""
        return replace(self, bands=bands)

    @property
    def path(self) -> str:
        """What it is called: the name that was given, else the file's."""
        return self.display_name or str(self.dataset.name)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """One dtype that holds the levels of every band."""
        if self.palette is not None:
            return np.dtype(np.uint8)
        return np.result_type(*(self.dataset.dtypes[band - 1] for band in self.bands))

    @property
    def class_names(self) -> list[str] | None:
        """Those of the bands of a probability, which ``predict`` stores; None without them."""
        told = self.dataset.tags().get("TERRALINK_CLASSES")
        names = [] if told is None else told.split(",")
        return names if len(names) == self.dataset.count else None

    @property
    def value_names(self) -> dict[int, str]:
        """Those of the values of a label, which ``rasterize`` stores."""
        try:
            told = json.loads(self.dataset.tags().get("classes", "{}"))
            return {int(value): str(name) for value, name in told.items()}
        except (ValueError, AttributeError):  # some other program's tag
            return {}

    @property
    def scale(self) -> float | None:
        """What a stored value counts, where the file says so, and the same for all bands read."""
        if self.palette is not None:
            return None
        told = {(self.dataset.scales[b - 1], self.dataset.offsets[b - 1]) for b in self.bands}
        scale, offset = told.pop()
        return None if told or offset or scale == 1 else float(scale)

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster.

        Raises ``CorruptBlockError`` where the file is damaged or cut off.
        """
        window = Window.from_slices(rows, cols)
        try:
            with gdal_env(self._cache_bytes):
                colours = self.palette is not None
                return self._read_colours(window) if colours else self._read_levels(window)
        except RasterioError as error:
            raise CorruptBlockError(
                f"cannot read rows {rows[0]}-{rows[1]}, columns {cols[0]}-{cols[1]} of "
                f"{self.path}: {gdal_message(error)}; the file is damaged or cut off, "
                "fetch it again"
            ) from error

    def _read_levels(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        indexes = [*self.bands, *self.alpha]
        levels = self.dataset.read(indexes, window=window, out_dtype=self._read_dtype)
        image, alpha = levels[: len(self.bands)], levels[len(self.bands) :]
        valid = (alpha > 0).all(axis=0) & self._unmasked(window)
        if image.dtype.kind == "f":
            valid &= (np.abs(image) < _NO_LEVEL).all(axis=0)
        return image, valid

    def _read_colours(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        assert self.palette is not None
        colours = np.moveaxis(self.palette[self.dataset.read(1, window=window)], -1, 0)
        valid = (colours[3] > 0) & self._unmasked(window)
        return colours[[band - 1 for band in self.bands]], valid

    def _unmasked(self, window: Window) -> NDArray[np.bool_]:
        """False where a mask band or the nodata tag says so.

        RULE: a byte that is nodata in one band only is a level (black is often 0, 0, 0 and red 9,
        0, 0); in other dtypes one band of nodata spoils the pixel.
        """
        if not self._masked:
            return np.ones((window.height, window.width), bool)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NodataShadowWarning)  # alpha is read as a band
            masks = self.dataset.read_masks(self._masked, window=window)
        known = masks > 0
        return np.asarray(known.any(axis=0) if self.dtype == np.uint8 else known.all(axis=0))

    @cached_property
    def _cache_bytes(self) -> int:
        count, width = self.dataset.count, self.dataset.width
        if any(block_width < width for _, block_width in self.dataset.block_shapes):
            return CACHE_BYTES
        row_bytes: int = width * count * self.dtype.itemsize
        return min(max(CACHE_BYTES, _STRIP_ROWS * row_bytes), _MOST_CACHE_BYTES)

    @cached_property
    def _read_dtype(self) -> np.dtype[Any]:
        return np.result_type(*(self.dataset.dtypes[i - 1] for i in (*self.bands, *self.alpha)))

    @cached_property
    def _masked(self) -> list[int]:
        """The bands whose masks must be read; alpha is read as a band already."""
        bands = self.bands if self.palette is None else (1,)
        flags = {band: self.dataset.mask_flag_enums[band - 1] for band in bands}
        if any(MaskFlags.alpha in each for each in flags.values()):
            return []
        # In a VRT one band may have a nodata tag and another none: the tag counts.
        masked = [band for band, each in flags.items() if MaskFlags.all_valid not in each]
        if masked and MaskFlags.per_dataset in flags[masked[0]]:
            return masked[:1]
        return masked


@contextmanager
def open_dataset(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """An open dataset; raises ``SceneError`` for what is no raster, or a PNG that was cut off."""
    try:
        with gdal_env(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(gdal_name(path))
    except RasterioIOError as error:
        raise SceneError(_cannot_open(path, error)) from error
    try:
        with gdal_env():
            _check_ends(dataset)
        yield dataset
    finally:
        dataset.close()


def _check_ends(dataset: DatasetReader) -> None:
    """GDAL reads a PNG that is cut off without a word, as black: its last chunk is looked for.

    Of a VRT that is done with what it names as PNG; no other of its files is touched.
    """
    if dataset.driver == "PNG":
        _check_end(Path(dataset.name))
    elif dataset.driver == "VRT":
        for name in _PNG_IN_VRT.findall("".join(dataset.tags(ns="xml:VRT").values())):
            _check_end(Path(dataset.name).parent / unescape(name))


def _check_end(path: Path) -> None:
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _PNG_TAIL_BYTES))
        if b"IEND" not in file.read():
            raise SceneError(f"{path} has no end: it was cut off; fetch it again")


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
    """What GDAL said first, as one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".")


def _palette(dataset: DatasetReader) -> NDArray[np.uint8] | None:
    """Colours (level, RGBA) of a raster of one palette band, else None."""
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
    placed = transform != Affine.identity()
    if not placed and (dataset.gcps[0] or dataset.rpcs is not None):
        raise SceneError(
            f"{dataset.name} is not rectified: it has ground control points or RPCs, no transform; "
            f"warp it first: gdalwarp {dataset.name} rectified.tif"
        )
    crs = _crs(dataset, assumed_crs) if placed or assumed_crs is not None else None
    if crs is not None and not placed:
        raise SceneError(
            f"{dataset.name} has no transform, so a CRS does not say where it lies; give it a "
            "world file, or say how large a pixel is with --pixel-size"
        )
    if crs is None and assumed_pixel_size_m is not None:
        transform = _with_pixel_size(transform, assumed_pixel_size_m)
    grid = Grid(shape, transform, crs)
    try:
        sides_m = grid.pixel_size_m
    except ProjError as error:
        raise SceneError(_unknown_crs(dataset.name, error)) from error
    if not all(np.isfinite(side) and side > 0 for side in sides_m):
        raise SceneError(f"the transform of {dataset.name} does not fit its CRS: {transform[:6]}")
    return grid


def _with_pixel_size(transform: Affine, size: float) -> Affine:
    """The same origin, rotation and shape of a pixel, whose mean side is ``size``.

    >>> _with_pixel_size(Affine(2, 0, 100, 0, -2, 900), 0.5)
    Affine(0.5, 0.0, 100.0,
           0.0, -0.5, 900.0)
    """
    side = float(np.sqrt(abs(transform.determinant)))
    if side == 0 or abs(size / side - 1) < _SAME_SIZE_WITHIN:
        return transform
    a, b, c, d, e, f = transform[:6]
    times = size / side
    return Affine(a * times, b * times, c, d * times, e * times, f)


def _crs(dataset: DatasetReader, assumed: CRS | None) -> CRS | None:
    """The CRS when it ties the raster to the earth (a local plan does not), else the assumed one.

    Raises ``SceneError`` where both are there and differ.
    """
    own = _own_crs(dataset, strict=assumed is None)
    if assumed is None or own is None:
        return own if assumed is None else assumed
    if own != assumed:
        raise SceneError(
            f"{dataset.name} says that it is in {own.to_string()}, not in {assumed.to_string()}; "
            "--crs is for scenes without a CRS: leave it out, or set another one with gdal_edit"
        )
    return own


def _own_crs(dataset: DatasetReader, *, strict: bool) -> CRS | None:
    """The CRS that the file says; one that is not known is an error, or none."""
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
        "name it with --crs EPSG:..., or set it: gdal_edit.py -a_srs EPSG:... FILE"
    )
