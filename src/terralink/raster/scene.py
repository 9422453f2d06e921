"""Rasters in memory, and scenes that are read in windows.

A ``Scene`` gives images at the pixel size and with the pixel values that a model expects. RULE: the
result for a pixel does not depend on the window, so tiles, rows and whole scenes agree bit by bit.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from terralink.errors import SceneError, SceneWarning, UnreadableWarning
from terralink.raster.geometry import Area
from terralink.raster.grid import Grid
from terralink.raster.masked_source import Block, MaskedSource, NoDataSource
from terralink.raster.no_data import NoData, Readable
from terralink.raster.pixel_values import Stretch
from terralink.raster.resample import Axis, Resampler
from terralink.raster.scene_files import fingerprint, resolve
from terralink.raster.source import Source, Span, open_source
from terralink.raster.tiling import read_reflected


@dataclass(frozen=True, eq=False)
class Raster:
    """An array (row, col) or (band, row, col) and its ``grid``.

    ``valid`` (row, col) is False for masked pixels; None means that all pixels are valid. ``scale``
    is the factor of stored values, as in GDAL: 1/255 for probabilities as uint8, 1 for a mask of 0
    and 1; None where it is unknown.
    """

    array: NDArray[Any]
    grid: Grid
    valid: NDArray[np.bool_] | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        shapes = {self.array.shape[-2:], self.grid.shape}
        if self.valid is not None:
            shapes.add(self.valid.shape)
        if len(shapes) > 1:
            raise ValueError(f"array, grid and valid must have one shape; got {shapes}")

    def rows(self, start: int, stop: int) -> "Raster":
        """The rows start..stop at full width, with their grid; a view, not a copy."""
        start, stop, _ = slice(start, stop).indices(self.grid.height)
        grid = self.grid.window(start, 0, (stop - start, self.grid.width))
        valid = None if self.valid is None else self.valid[start:stop]
        return Raster(self.array[..., start:stop, :], grid, valid, self.scale)


def read_raster(path: str | os.PathLike[str], *, crs: str | None = None) -> Raster:
    """Read a whole raster that fits in memory, with its stored values (palette indices stay so).

    The array is (row, col) for one band, (band, row, col) for more; an alpha band becomes
    ``valid``. ``crs`` is for a file that has a transform but no CRS. Raises ``SceneError`` when the
    file cannot be read.
    """
    with open_source(path, expand_palette=False, assumed_crs=crs) as source:
        height, width = source.grid.shape
        image, valid = source.read((0, height), (0, width))
        array = image[0] if len(image) == 1 else image
        return Raster(array, source.grid, None if valid.all() else valid, source.scale)


def read_rows(source: Source, *, count: int = 1024) -> Iterator[Raster]:
    """Read an open raster from top to bottom, ``count`` rows at a time: (band, row, col)."""
    height, width = source.grid.shape
    for row in range(0, height, count):
        stop = min(row + count, height)
        image, valid = source.read((row, stop), (0, width))
        grid = source.grid.window(row, 0, (stop - row, width))
        yield Raster(image, grid, None if valid.all() else valid, source.scale)


# Pixels that are enlarged by more than this show nothing that a model could use.
_MAX_ENLARGEMENT = 4
# Source pixels that are resampled at a time.
_CHUNK_PX = 1 << 22


@dataclass(frozen=True)
class SceneOptions:
    """How a scene is read.

    bands    the bands to read, counted from 1 or by name; None: all but alpha, where a palette
             counts as red, green, blue
    stretch  how pixel values become 0 to 255; None: measured on the whole scene, whatever the area
    no_data  pixel values that mean no data although the file does not say so; (): there are none;
             None: they are searched for (``raster.no_data_search`` has the rules), and a
             ``NoDataWarning`` says what was found
    assumed_pixel_size_m  ground size of a pixel of a scene without CRS; its transform keeps origin
             and rotation. None: the scene stays in its own pixels. Ignored where there is a CRS
    assumed_crs           the CRS of the transform of a scene that has none; where the scene has a
             CRS it must be the same one
    area     only the inside of this area is valid: the scene ends at the smallest window around it,
             and pixels far from it are not read
    mask_corrupt_blocks   blocks of the file that cannot be read are masked, and a warning at the
             end counts and names them; False: they raise ``SceneError``
    """

    bands: Sequence[int | str] | None = None
    stretch: Stretch | None = None
    no_data: Sequence[float] | NoData | None = None
    assumed_pixel_size_m: float | None = None
    assumed_crs: CRS | str | None = None
    area: Area | None = None
    mask_corrupt_blocks: bool = False


@contextmanager
def open_scene(
    path: str | os.PathLike[str],
    options: SceneOptions = SceneOptions(),
    *,
    pixel_size_m: float | None = None,
) -> Iterator["Scene"]:
    """Open a raster to be read in windows.

    ``pixel_size_m`` is the ground size of a pixel of the working grid (None: as it is stored).
    Pixels are not valid where the file says so (tag, mask, alpha, NaN), and by the ``options``.

    Raises ``SceneError``: no such raster, no such band, pixels that are much too coarse, corrupt
    blocks; and ``InputError`` where scene and area do not overlap.
    """
    with (
        resolve(path, options.bands) as (name, bands),
        open_source(
            name,
            bands=bands,
            assumed_pixel_size_m=options.assumed_pixel_size_m,
            assumed_crs=options.assumed_crs,
            display_name=os.fspath(path),
        ) as source,
    ):
        has_pixel_size = source.grid.crs is not None or options.assumed_pixel_size_m is not None
        readable = MaskedSource(source) if options.mask_corrupt_blocks else source
        if source.false_alpha:
            warnings.warn(_describe_alpha(source), SceneWarning, stacklevel=3)
        scene = Scene(
            NoDataSource(readable, options.no_data),
            source.grid,
            options.stretch,
            has_pixel_size=has_pixel_size,
            area=options.area,
            has_explicit_bands=options.bands is not None,
        )
        yield scene if pixel_size_m is None else scene.with_pixel_size(pixel_size_m)
        if isinstance(readable, MaskedSource) and readable.corrupt_blocks:
            warnings.warn(readable.describe(), UnreadableWarning, stacklevel=3)


class Scene:
    """A raster as uint8 images on ``grid``, from ``open_scene``. For one thread at a time."""

    def __init__(
        self,
        source: NoDataSource,
        grid: Grid,
        stretch: Stretch | None = None,
        *,
        has_pixel_size: bool = True,
        area: Area | None = None,
        has_explicit_bands: bool = False,
    ) -> None:
        self.path = source.path
        self.area = area
        self.grid = _crop(grid, area)
        self.native_grid = _crop(source.grid, area)
        self.bands = source.bands
        self.image_bands = source.image_bands
        self.has_explicit_bands = has_explicit_bands
        self.dtype = source.dtype
        self.has_crs = source.grid.crs is not None
        self._source = source
        self._has_pixel_size = has_pixel_size
        self._explicit_stretch = stretch
        self._full_grid = grid
        self._pixel_area = None if area is None else area.to_pixels(grid)
        self._offset = (0, 0) if self._pixel_area is None else self._pixel_area.window[:2]
        self._resample = _resampler(source.grid, grid)
        self._other_bands: dict[tuple[int, ...], Scene] = {}

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The state of its files, and whether corrupt blocks are masked; as JSON."""
        files = fingerprint(self._source.dataset)
        return {**files, "masks damage": isinstance(self._source.source, MaskedSource)}

    @property
    def corrupt_blocks(self) -> tuple[Block, ...]:
        """Blocks of the file, as (rows, columns), that could not be read so far and are masked."""
        source = self._source.source
        return tuple(source.corrupt_blocks) if isinstance(source, MaskedSource) else ()

    def mask_blocks(self, blocks: Iterable[Block]) -> None:
        """Mask blocks that another process could not read, and list them with its own."""
        if isinstance(self._source.source, MaskedSource):
            self._source.source.corrupt_blocks.update(
                dict.fromkeys(blocks, "could not be read before")
            )

    @cached_property
    def stretch(self) -> Stretch:
        """The stretch of the options, else the one that fits a sample of the whole scene."""
        return self._explicit_stretch or self._source.stretch

    @property
    def no_data(self) -> NoData:
        """Values that mean no data, by the options or the search; not those that the file tags."""
        return self._source.no_data

    def with_pixel_size(self, pixel_size_m: float) -> "Scene":
        """The same scene on a working grid of ``pixel_size_m``; itself where the size is unknown.

        Raises ``SceneError`` when its pixels are much too coarse.
        """
        if not self._has_pixel_size:
            return self
        _check_fine_enough(self._source, pixel_size_m)
        grid = self._source.grid.with_pixel_size(pixel_size_m)
        return self._replace(self._source, grid)

    def with_bands(self, bands: tuple[int, ...]) -> "Scene":
        """The same scene with other bands, counted from 1, in that order."""
        if bands == self.bands:
            return self
        if bands not in self._other_bands:  # each is sampled only once
            self._other_bands[bands] = self._replace(
                self._source.with_bands(bands), self._full_grid
            )
        return self._other_bands[bands]

    def _replace(self, source: NoDataSource, grid: Grid) -> "Scene":
        return Scene(
            source,
            grid,
            self._explicit_stretch,
            has_pixel_size=self._has_pixel_size,
            area=self.area,
            has_explicit_bands=self.has_explicit_bands,
        )

    def read(self, row: int, col: int, shape: tuple[int, int]) -> Raster:
        """Image uint8 (band, row, col) of a window of ``grid``, and its valid pixels.

        The window may extend beyond the scene: there the pixels are reflected and not valid.
        Outside an area pixels have their image but are not valid; a window that does not touch the
        area is not read. Raises ``SceneError`` where the file is corrupt.
        """
        row, col = row + self._offset[0], col + self._offset[1]
        grid = self._full_grid.window(row, col, shape)
        if self._pixel_area is None:
            image, valid = self._read_window(row, col, shape)
            return Raster(image, grid, valid)
        if not self._pixel_area.intersects(row, col, shape):
            blank = np.zeros((len(self.bands), *shape), np.uint8)
            return Raster(blank, grid, np.zeros(shape, bool))
        image, valid = self._read_window(row, col, shape)
        return Raster(image, grid, valid & self._pixel_area.mask(row, col, shape))

    def _read_window(
        self, row: int, col: int, shape: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Image and valid pixels of a window, which may extend beyond the scene."""
        return read_reflected(self._read_inside, self._full_grid.shape, row, col, shape)

    def _read_inside(self, rows: Span, cols: Span) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Image and valid pixels of a window inside the scene."""
        if self._resample.is_identity:
            return self._stretch(*self._source.read(rows, cols))
        parts = [self._read_resampled(part, cols) for part in self._chunks(rows, cols)]
        images, valids = zip(*parts, strict=True)
        return np.concatenate(images, axis=1), np.concatenate(valids)

    def _read_resampled(
        self, rows: Span, cols: Span
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        source_rows = self._resample.rows.source(*rows)
        source_cols = self._resample.cols.source(*cols)
        image, valid = self._source.read(source_rows, source_cols)
        return self._stretch(*self._resample(image, valid, rows, cols))

    def _stretch(
        self, image: NDArray[Any], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Stretch an image, with 0 for masked pixels."""
        if valid.all():
            return self.stretch(image), valid
        masked = np.where(valid, image, image.dtype.type(0))
        return np.where(valid, self.stretch(masked), np.uint8(0)), valid

    def _chunks(self, rows: Span, cols: Span) -> Iterator[Span]:
        """Ranges of rows whose source pixels are few enough to be resampled at a time."""
        per_row = self._resample.rows.step * self._resample.cols.step * (cols[1] - cols[0])
        count = max(1, int(_CHUNK_PX / per_row))
        for start in range(*rows, count):
            yield start, min(start + count, rows[1])


def _describe_alpha(source: Source) -> str:
    bands = ", ".join(map(str, source.false_alpha))
    return (
        f"band {bands} of {source.path} is tagged as alpha but holds many levels, as near infrared "
        "does: it is read as an image band and masks nothing"
    )


def _crop(grid: Grid, area: Area | None) -> Grid:
    return grid if area is None else grid.window(*area.to_pixels(grid).window)


def _resampler(native: Grid, working: Grid) -> Resampler:
    step = ~native.transform @ working.transform
    # rounded, because the inverse gives 2.0000000001 where the step is 2
    return Resampler(
        rows=Axis(native.height, round(step.e, 9)), cols=Axis(native.width, round(step.a, 9))
    )


def _check_fine_enough(source: Readable, pixel_size_m: float) -> None:
    coarsest_m = max(source.grid.pixel_size_m)
    if coarsest_m > _MAX_ENLARGEMENT * pixel_size_m:
        raise SceneError(
            f"the model needs pixels of {pixel_size_m:g} m, those of {source.path} are "
            f"{coarsest_m:.3g} m; use a scene of {_MAX_ENLARGEMENT * pixel_size_m:g} m or finer"
        )
