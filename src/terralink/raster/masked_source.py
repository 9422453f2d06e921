"""A raster whose unreadable blocks are masked, named and counted, where that was chosen.

RULE: a block of the file is lost as a whole or not at all, so what a pixel gives does not depend on
the window that it is read through.

A raster whose levels without data are not valid: found on a sample, masked as it is read.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from terralink.errors import NoDataWarning
from terralink.raster.find_no_data import empty, find_no_data
from terralink.raster.grid import Grid
from terralink.raster.no_data import MARGIN_PX, Bools, EmptyArea, NoData, Readable, Sample
from terralink.raster.pixel_values import Stretch
from terralink.raster.source import CorruptBlockError, Source, Span

Block: TypeAlias = tuple[Span, Span]

_NAMED = 3


@dataclass(frozen=True, eq=False)
class MaskedSource:
    """A ``Source`` whose unreadable blocks are not valid; ``corrupt_blocks`` lists them."""

    source: Source
    corrupt_blocks: dict[Block, str] = field(default_factory=dict)

    def with_bands(self, bands: tuple[int, ...]) -> "MaskedSource":
        """The same raster, of which other bands are read; its corrupt blocks are of both."""
        return MaskedSource(self.source.with_bands(bands), self.corrupt_blocks)

    @property
    def path(self) -> str:
        return self.source.path

    @property
    def image_bands(self) -> dict[int, str | None]:
        return self.source.image_bands

    @property
    def dataset(self) -> DatasetReader:
        return self.source.dataset

    @property
    def grid(self) -> Grid:
        return self.source.grid

    @property
    def bands(self) -> tuple[int, ...]:
        return self.source.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster."""
        try:
            return self.source.read(rows, cols)
        except CorruptBlockError:
            return self._by_blocks(rows, cols)

    def describe(self) -> str:
        """How many blocks are lost, and the first of them."""
        named = [
            f"rows {rows[0]}-{rows[1]}, columns {cols[0]}-{cols[1]}"
            for rows, cols in sorted(self.corrupt_blocks)
        ]
        count = f"{len(named)} block{'s' if len(named) != 1 else ''}"
        more = "; ..." if len(named) > _NAMED else ""
        return (
            f"{count} of {self.path} could not be read and "
            f"{'are' if len(named) != 1 else 'is'} masked: {'; '.join(named[:_NAMED])}{more}"
        )

    def _by_blocks(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        shape = rows[1] - rows[0], cols[1] - cols[0]
        image = np.zeros((len(self.bands), *shape), self.dtype)
        valid = np.zeros(shape, bool)
        for block_rows, block_cols in self._blocks(rows, cols):
            down, from_down = _shared(rows, block_rows)
            across, from_across = _shared(cols, block_cols)
            read = self._block(block_rows, block_cols)
            if read is not None:
                image[:, down, across] = read[0][:, from_down, from_across]
                valid[down, across] = read[1][from_down, from_across]
        return image, valid

    def _block(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        """A block, or None when it cannot be read; that is tried once."""
        if (rows, cols) in self.corrupt_blocks:
            return None
        try:
            return self.source.read(rows, cols)
        except CorruptBlockError as error:
            self.corrupt_blocks[rows, cols] = str(error)
            return None

    def _blocks(self, rows: Span, cols: Span) -> Iterator[tuple[Span, Span]]:
        height, width = self.source.dataset.block_shapes[0]
        for top in range(rows[0] // height * height, rows[1], height):
            for left in range(cols[0] // width * width, cols[1], width):
                below = min(top + height, self.grid.height)
                yield (top, below), (left, min(left + width, self.grid.width))


def _shared(wanted: Span, block: Span) -> tuple[slice, slice]:
    """What two ranges share, as slices of the first and of the second."""
    start, stop = max(wanted[0], block[0]), min(wanted[1], block[1])
    return slice(start - wanted[0], stop - wanted[0]), slice(start - block[0], stop - block[0])


class NoDataSource:
    """A ``Readable`` in which pixels of ``no_data`` are not valid.

    ``no_data`` None looks for them when something is read, and warns of what it finds with a
    ``NoDataWarning``; values are those of every band; nothing is masked for no values.
    """

    def __init__(self, source: Readable, no_data: Sequence[float] | NoData | None = None) -> None:
        self.source = source
        self._wanted = no_data
        self._given = (
            no_data
            if no_data is None or isinstance(no_data, NoData)
            else NoData.of(no_data, source)
        )

    def with_bands(self, bands: tuple[int, ...]) -> "NoDataSource":
        """The same raster, of which other bands are read."""
        return NoDataSource(self.source.with_bands(bands), self._wanted)

    @property
    def path(self) -> str:
        return self.source.path

    @property
    def dataset(self) -> DatasetReader:
        return self.source.dataset

    @property
    def grid(self) -> Grid:
        return self.source.grid

    @property
    def bands(self) -> tuple[int, ...]:
        return self.source.bands

    @property
    def image_bands(self) -> dict[int, str | None]:
        return self.source.image_bands

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def no_data(self) -> NoData:
        """What was given, else what was found."""
        return self._measured[0] if self._given is None else self._given

    @property
    def stretch(self) -> Stretch:
        """Measured on a sample of the whole scene, of pixels with data."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[NoData, Stretch]:
        sample = Sample.of(self.source)
        found = find_no_data(sample) if self._given is None else self._given
        known = sample.valid & ~empty(found, sample)
        if self._given is None and found:
            lost = 1 - float(known.sum() / sample.valid.sum())
            warnings.warn(_describe(self.path, found, lost), NoDataWarning, stacklevel=3)
        return found, Stretch.fit(sample.image[:, known])

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], Bools]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster."""
        no_data = self.no_data
        near = [area for area in no_data.areas if area.surrounds(rows, cols).any()]
        image, valid = self._read_around(rows, cols, near) if near else self.source.read(rows, cols)
        return image, valid & ~no_data.mask_levels(image) if any(no_data.levels) else valid

    def _read_around(
        self, rows: Span, cols: Span, areas: Sequence[EmptyArea]
    ) -> tuple[NDArray[Any], Bools]:
        """The same without the ``areas``, which are told by what is around each pixel."""
        (top, below, *down), (left, right, *across) = (
            _with_margin(span, size)
            for span, size in zip((rows, cols), self.grid.shape, strict=True)
        )
        image, valid = self.source.read((top, below), (left, right))
        # Continued at the scene's border, where an area may be narrower than a full square.
        around = np.pad(image, ((0, 0), down, across), mode="edge")
        window = slice(rows[0] - top, rows[1] - top), slice(cols[0] - left, cols[1] - left)
        image, valid = image[:, *window], valid[window]
        inner = slice(MARGIN_PX, -MARGIN_PX)
        for area in areas:
            valid = valid & ~(area.mask(around)[inner, inner] & area.surrounds(rows, cols))
        return image, valid


def _with_margin(span: Span, size: int) -> tuple[Any, ...]:
    """A range with what must be known around it, held inside ``size``, and how much was cut off.

    >>> _with_margin((10, 50), 60)
    (0, 60, 20, 20)
    """
    start, stop = span[0] - MARGIN_PX, span[1] + MARGIN_PX
    first, last = max(start, 0), min(stop, size)
    return first, last, first - start, stop - last


def _describe(path: str, found: NoData, lost: float) -> str:
    """What is masked, how much, and how to have it otherwise, as one line."""
    levels = sorted({level for band in found.levels for level in band})
    areas = [area.levels[0] if len(set(area.levels)) == 1 else area.levels for area in found.areas]
    told = [f"{level:g}" for level in levels]
    told += [
        f"{area:g} in all bands" if isinstance(area, float) else ", ".join(f"{x:g}" for x in area)
        for area in areas
    ]
    percent = f"{lost:.1%}" if lost >= 0.001 else "less than 0.1%"
    return (
        f"{path} has no tag for it, but {' and '.join(told)} mean{'s' * (len(told) == 1)} no data: "
        f"about {percent} of the pixels are masked; --no-data none keeps them, --no-data VALUE "
        "names another level"
    )
