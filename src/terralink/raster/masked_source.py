"""Sources that mask more pixels: blocks that cannot be read, and values that mean no data.

RULE: a block of the file is masked as a whole or not at all, so whether a pixel is masked does not
depend on the window that is read.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from terralink._typing import Bools
from terralink.errors import NoDataWarning
from terralink.raster.grid import Grid
from terralink.raster.no_data import MARGIN_PX, NoData, NoDataArea, Readable, Sample
from terralink.raster.no_data_search import find_no_data, mask_no_data
from terralink.raster.pixel_values import Stretch
from terralink.raster.source import CorruptBlockError, Source, Span

Block: TypeAlias = tuple[Span, Span]

_MAX_LISTED = 3  # blocks that a warning lists


class _SourceView:
    """What a source that masks more pixels shares with the ``source`` that it reads."""

    source: Readable

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


@dataclass(frozen=True, eq=False)
class MaskedSource(_SourceView):
    """A ``Source`` whose unreadable blocks are not valid; ``corrupt_blocks`` lists them."""

    source: Source
    corrupt_blocks: dict[Block, str] = field(default_factory=dict)

    def with_bands(self, bands: tuple[int, ...]) -> "MaskedSource":
        """The same raster with other bands to read; both share the corrupt blocks."""
        return MaskedSource(self.source.with_bands(bands), self.corrupt_blocks)

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster."""
        try:
            return self.source.read(rows, cols)
        except CorruptBlockError:
            return self._read_by_blocks(rows, cols)

    def describe(self) -> str:
        """The number of corrupt blocks, and the first of them, as one line."""
        blocks = [
            f"rows {rows[0]}-{rows[1]}, columns {cols[0]}-{cols[1]}"
            for rows, cols in sorted(self.corrupt_blocks)
        ]
        count = f"{len(blocks)} block{'s' if len(blocks) != 1 else ''}"
        more = "; ..." if len(blocks) > _MAX_LISTED else ""
        return (
            f"{count} of {self.path} could not be read and "
            f"{'are' if len(blocks) != 1 else 'is'} masked: {'; '.join(blocks[:_MAX_LISTED])}{more}"
        )

    def _read_by_blocks(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        shape = rows[1] - rows[0], cols[1] - cols[0]
        image = np.zeros((len(self.bands), *shape), self.dtype)
        valid = np.zeros(shape, bool)
        for block_rows, block_cols in self._iter_blocks(rows, cols):
            window_rows, inner_rows = _overlap(rows, block_rows)
            window_cols, inner_cols = _overlap(cols, block_cols)
            block = self._read_block(block_rows, block_cols)
            if block is not None:
                image[:, window_rows, window_cols] = block[0][:, inner_rows, inner_cols]
                valid[window_rows, window_cols] = block[1][inner_rows, inner_cols]
        return image, valid

    def _read_block(self, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        """A block, or None when it cannot be read, which is tried only once."""
        if (rows, cols) in self.corrupt_blocks:
            return None
        try:
            return self.source.read(rows, cols)
        except CorruptBlockError as error:
            self.corrupt_blocks[rows, cols] = str(error)
            return None

    def _iter_blocks(self, rows: Span, cols: Span) -> Iterator[tuple[Span, Span]]:
        height, width = self.source.dataset.block_shapes[0]
        for top in range(rows[0] // height * height, rows[1], height):
            for left in range(cols[0] // width * width, cols[1], width):
                bottom = min(top + height, self.grid.height)
                yield (top, bottom), (left, min(left + width, self.grid.width))


def _overlap(window: Span, block: Span) -> tuple[slice, slice]:
    """The overlap of two ranges, as slices of the first and of the second."""
    start, stop = max(window[0], block[0]), min(window[1], block[1])
    return slice(start - window[0], stop - window[0]), slice(start - block[0], stop - block[0])


class NoDataSource(_SourceView):
    """A ``Readable`` in which pixels of ``no_data`` are not valid.

    Values of ``no_data`` are those of every band; none mask nothing. With None they are searched
    for when something is read, and a ``NoDataWarning`` says what was found.
    """

    def __init__(self, source: Readable, no_data: Sequence[float] | NoData | None = None) -> None:
        self.source = source
        self._argument = no_data
        self._explicit = (
            no_data
            if no_data is None or isinstance(no_data, NoData)
            else NoData.from_values(no_data, source)
        )

    def with_bands(self, bands: tuple[int, ...]) -> "NoDataSource":
        """The same raster with other bands to read."""
        return NoDataSource(self.source.with_bands(bands), self._argument)

    @property
    def no_data(self) -> NoData:
        """The argument, else what the search found."""
        return self._by_sample[0] if self._explicit is None else self._explicit

    @property
    def stretch(self) -> Stretch:
        """The stretch that fits the valid pixels of a sample of the whole scene."""
        return self._by_sample[1]

    @cached_property
    def _by_sample(self) -> tuple[NoData, Stretch]:
        sample = Sample.read(self.source)
        no_data = find_no_data(sample) if self._explicit is None else self._explicit
        known = sample.valid & ~mask_no_data(no_data, sample)
        if self._explicit is None and no_data:
            share = 1 - float(known.sum() / sample.valid.sum())
            warnings.warn(_describe(self.path, no_data, share), NoDataWarning, stacklevel=3)
        return no_data, Stretch.fit(sample.image[:, known])

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], Bools]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster."""
        no_data = self.no_data
        near = [area for area in no_data.areas if area.is_near(rows, cols).any()]
        image, valid = self._mask_areas(rows, cols, near) if near else self.source.read(rows, cols)
        return image, valid & ~no_data.mask_values(image) if any(no_data.values) else valid

    def _mask_areas(
        self, rows: Span, cols: Span, areas: Sequence[NoDataArea]
    ) -> tuple[NDArray[Any], Bools]:
        """Read a window with a margin, which decides which pixels belong to the ``areas``."""
        (top, bottom, *pad_rows), (left, right, *pad_cols) = (
            _with_margin(span, size)
            for span, size in zip((rows, cols), self.grid.shape, strict=True)
        )
        image, valid = self.source.read((top, bottom), (left, right))
        # the scene is extended at its border, where an area may be narrower than a full square
        padded = np.pad(image, ((0, 0), pad_rows, pad_cols), mode="edge")
        window = slice(rows[0] - top, rows[1] - top), slice(cols[0] - left, cols[1] - left)
        image, valid = image[:, *window], valid[window]
        inner = slice(MARGIN_PX, -MARGIN_PX)
        for area in areas:
            valid = valid & ~(area.mask(padded)[inner, inner] & area.is_near(rows, cols))
        return image, valid


def _with_margin(span: Span, size: int) -> tuple[Any, ...]:
    """A range with a margin, clipped to ``size``, and how much of the margin was clipped.

    >>> _with_margin((10, 50), 60)
    (0, 60, 20, 20)
    """
    start, stop = span[0] - MARGIN_PX, span[1] + MARGIN_PX
    first, last = max(start, 0), min(stop, size)
    return first, last, first - start, stop - last


def _describe(path: str, no_data: NoData, share: float) -> str:
    """What is masked, how much, and which option changes it, as one line."""
    values = sorted({value for band in no_data.values for value in band})
    areas = [
        area.values[0] if len(set(area.values)) == 1 else area.values for area in no_data.areas
    ]
    names = [f"{value:g}" for value in values]
    names += [
        f"{area:g} in all bands" if isinstance(area, float) else ", ".join(f"{x:g}" for x in area)
        for area in areas
    ]
    verb = "means" if len(names) == 1 else "mean"
    percent = f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
    return (
        f"{path} has no tag for it, but {' and '.join(names)} {verb} no data: "
        f"about {percent} of the pixels are masked; --no-data none keeps them, --no-data VALUE "
        "gives another value"
    )
