"""A georeferenced array in memory.

A scene read in windows: at the pixel size a model wants, in the levels it was trained on.

What ``Scene.read`` gives for a pixel does not depend on the window: tiles, bands and whole scenes
agree bit by bit.
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
    """An array (row, col) or (band, row, col) and the ``grid`` it lies on.

    ``valid`` (row, col) is False where nothing is known; None means that all pixels are valid.
    ``scale`` is what a stored value counts, as GDAL has it: 1/255 for probabilities as bytes, 1 for
    a mask of 0 and 1; None where nobody says.
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
            raise ValueError(f"array, grid and valid of one shape were wanted, {shapes} came")

    def rows(self, start: int, stop: int) -> "Raster":
        """The whole-width rows start..stop, with their grid; a view, not a copy."""
        start, stop, _ = slice(start, stop).indices(self.grid.height)
        grid = self.grid.window(start, 0, (stop - start, self.grid.width))
        valid = None if self.valid is None else self.valid[start:stop]
        return Raster(self.array[..., start:stop, :], grid, valid, self.scale)


def read_raster(path: str | os.PathLike[str], *, crs: str | None = None) -> Raster:
    """Read a small raster whole, its levels as they are stored (palette indices stay indices).

    The array is (row, col) for one band, (band, row, col) for more; an alpha band becomes
    ``valid``. ``crs`` is that of a file which has none, but a transform. Raises ``SceneError`` when
    the file cannot be read.
    """
    with open_source(path, expand_palette=False, assumed_crs=crs) as source:
        height, width = source.grid.shape
        image, valid = source.read((0, height), (0, width))
        array = image[0] if len(image) == 1 else image
        return Raster(array, source.grid, None if valid.all() else valid, source.scale)


def read_rows(source: Source, *, count: int = 1024) -> Iterator[Raster]:
    """An open raster in bands of ``count`` whole rows, (band, row, col), from top to bottom."""
    height, width = source.grid.shape
    for row in range(0, height, count):
        stop = min(row + count, height)
        image, valid = source.read((row, stop), (0, width))
        grid = source.grid.window(row, 0, (stop - row, width))
        yield Raster(image, grid, None if valid.all() else valid, source.scale)


# Finer than this many pixels for one, there is nothing to see that a model could use.
_MAX_ENLARGEMENT = 4
# Source pixels that are resampled at once.
_CHUNK_PX = 1 << 22


@dataclass(frozen=True)
class SceneOptions:
    """How a scene is read.

    bands    the bands to read, counted from 1 or by name; None: all but alpha, where a palette
             counts as red, green, blue
    stretch  how pixel values become 0 to 255; None: measured on the whole scene, whatever the area
    no_data  pixel values that mean no data although the file does not say so; (): there are none;
             None: they are searched for (``raster.find_no_data`` has the rules), and a
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
        resolve(path, options.bands) as (name, chosen),
        open_source(
            name,
            bands=chosen,
            assumed_pixel_size_m=options.assumed_pixel_size_m,
            assumed_crs=options.assumed_crs,
            display_name=os.fspath(path),
        ) as source,
    ):
        measured = source.grid.crs is not None or options.assumed_pixel_size_m is not None
        readable = MaskedSource(source) if options.mask_corrupt_blocks else source
        known = NoDataSource(readable, options.no_data)
        if source.false_alpha:
            warnings.warn(_describe_alpha(source), SceneWarning, stacklevel=3)
        scene = Scene(
            known,
            source.grid,
            options.stretch,
            measured=measured,
            area=options.area,
            has_explicit_bands=options.bands is not None,
        )
        yield scene if pixel_size_m is None else scene.with_pixel_size(pixel_size_m)
        if isinstance(readable, MaskedSource) and readable.corrupt_blocks:
            warnings.warn(readable.describe(), UnreadableWarning, stacklevel=3)


class Scene:
    """A raster as uint8 images on ``grid``; made by ``open_scene``. For one thread at a time."""

    def __init__(
        self,
        source: NoDataSource,
        grid: Grid,
        stretch: Stretch | None = None,
        *,
        measured: bool = True,
        area: Area | None = None,
        has_explicit_bands: bool = False,
    ) -> None:
        self.path = source.path
        self.area = area
        self.grid = _around(area, grid)
        self.native_grid = _around(area, source.grid)
        self.bands = source.bands
        self.image_bands = source.image_bands
        self.has_explicit_bands = has_explicit_bands
        self.dtype = source.dtype
        self.has_crs = source.grid.crs is not None
        self._source = source
        self._measured = measured
        self._given_stretch = stretch
        self._whole = grid
        self._placed = None if area is None else area.to_pixels(grid)
        self._first = (0, 0) if self._placed is None else self._placed.window[:2]
        self._resample = _resampler(source.grid, grid)
        self._other_bands: dict[tuple[int, ...], Scene] = {}

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The files that it is read from, as they are now, and what is done about damage; JSON."""
        told = fingerprint(self._source.dataset)
        return {**told, "masks damage": isinstance(self._source.source, MaskedSource)}

    @property
    def corrupt_blocks(self) -> tuple[Block, ...]:
        """Blocks of the file, as (rows, columns), that could not be read so far and are masked."""
        source = self._source.source
        return tuple(source.corrupt_blocks) if isinstance(source, MaskedSource) else ()

    def mask_blocks(self, blocks: Iterable[Block]) -> None:
        """Blocks that others could not read; they are masked and told with ours."""
        if isinstance(self._source.source, MaskedSource):
            self._source.source.corrupt_blocks.update(
                dict.fromkeys(blocks, "could not be read before")
            )

    @cached_property
    def stretch(self) -> Stretch:
        """The stretch that was given, else the one measured on a sample of the whole scene."""
        return self._given_stretch or self._source.stretch

    @property
    def no_data(self) -> NoData:
        """Levels that were given, or found, to mean no data; what the file says is not in it."""
        return self._source.no_data

    def with_pixel_size(self, pixel_size_m: float) -> "Scene":
        """The same scene on a working grid of ``pixel_size_m``; itself where nothing is measured.

        Raises ``SceneError`` when its pixels are too coarse by far.
        """
        if not self._measured:
            return self
        _check_fine_enough(self._source, pixel_size_m)
        grid = self._source.grid.with_pixel_size(pixel_size_m)
        return self._changed(self._source, grid)

    def with_bands(self, bands: tuple[int, ...]) -> "Scene":
        """The same scene with other bands, counted from 1, in that order."""
        if bands == self.bands:
            return self
        if bands not in self._other_bands:  # what is measured of it is measured once
            self._other_bands[bands] = self._changed(self._source.with_bands(bands), self._whole)
        return self._other_bands[bands]

    def _changed(self, source: NoDataSource, grid: Grid) -> "Scene":
        return Scene(
            source,
            grid,
            self._given_stretch,
            measured=self._measured,
            area=self.area,
            has_explicit_bands=self.has_explicit_bands,
        )

    def read(self, row: int, col: int, shape: tuple[int, int]) -> Raster:
        """Image uint8 (band, row, col) of a window of ``grid``, and its valid pixels.

        The window may stick out of the scene: there the pixels are mirrored and not valid. Around
        an area they are those of the ground, and not valid; a window that does not touch it is
        not read. Raises ``SceneError`` where the file is damaged.
        """
        row, col = row + self._first[0], col + self._first[1]
        grid = self._whole.window(row, col, shape)
        if self._placed is None:
            image, valid = self._mirrored(row, col, shape)
            return Raster(image, grid, valid)
        if not self._placed.intersects(row, col, shape):
            nothing = np.zeros((len(self.bands), *shape), np.uint8)
            return Raster(nothing, grid, np.zeros(shape, bool))
        image, valid = self._mirrored(row, col, shape)
        return Raster(image, grid, valid & self._placed.mask(row, col, shape))

    def _mirrored(
        self, row: int, col: int, shape: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Image and valid pixels of a window of the whole scene; it may stick out."""
        return read_reflected(self._inside, self._whole.shape, row, col, shape)

    def _inside(self, rows: Span, cols: Span) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Image and valid pixels of ranges inside the scene."""
        if self._resample.is_identity:
            return self._finished(*self._source.read(rows, cols))
        parts = [self._resampled(part, cols) for part in self._chunks(rows, cols)]
        images, valids = zip(*parts, strict=True)
        return np.concatenate(images, axis=1), np.concatenate(valids)

    def _resampled(self, rows: Span, cols: Span) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        source_rows = self._resample.rows.source(*rows)
        source_cols = self._resample.cols.source(*cols)
        image, valid = self._source.read(source_rows, source_cols)
        return self._finished(*self._resample(image, valid, rows, cols))

    def _finished(
        self, image: NDArray[Any], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Stretched, and 0 where nothing is known."""
        if valid.all():
            return self.stretch(image), valid
        known = np.where(valid, image, image.dtype.type(0))
        return np.where(valid, self.stretch(known), np.uint8(0)), valid

    def _chunks(self, rows: Span, cols: Span) -> Iterator[Span]:
        """Ranges of rows that are made of few enough source pixels to be resampled at once."""
        per_row = self._resample.rows.step * self._resample.cols.step * (cols[1] - cols[0])
        count = max(1, int(_CHUNK_PX / per_row))
        for start in range(*rows, count):
            yield start, min(start + count, rows[1])


def _describe_alpha(source: Source) -> str:
    told = ", ".join(map(str, source.false_alpha))
    return (
        f"band {told} of {source.path} is tagged as alpha but holds many levels, as near infrared "
        "does: it is read as a band and masks nothing"
    )


def _around(area: Area | None, grid: Grid) -> Grid:
    return grid if area is None else grid.window(*area.to_pixels(grid).window)


def _resampler(native: Grid, working: Grid) -> Resampler:
    step = ~native.transform @ working.transform
    # Rounded, because the inverse leaves 2.0000000001 where the step is 2.
    return Resampler(
        rows=Axis(native.height, round(step.e, 9)), cols=Axis(native.width, round(step.a, 9))
    )


def _check_fine_enough(source: Readable, pixel_size_m: float) -> None:
    coarsest_m = max(source.grid.pixel_size_m)
    if coarsest_m > _MAX_ENLARGEMENT * pixel_size_m:
        raise SceneError(
            f"pixels of {pixel_size_m:g} m were wanted, those of {source.path} are "
            f"{coarsest_m:.3g} m; use a scene of {_MAX_ENLARGEMENT * pixel_size_m:g} m or finer"
        )
