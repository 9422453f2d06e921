"""A raster whose unreadable blocks are masked, named and counted, where that was chosen.

RULE: a block of the file is lost as a whole or not at all, so what a pixel gives does not depend on
the window that it is read through.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from terralink.raster.grid import Grid
from terralink.raster.source import DamageError, Source, Span

Block: TypeAlias = tuple[Span, Span]

_NAMED = 3


@dataclass(frozen=True, eq=False)
class Masking:
    """A ``Source`` in which blocks that cannot be read are not valid; ``damage`` holds them."""

    source: Source
    damage: dict[Block, str] = field(default_factory=dict)

    def with_bands(self, bands: tuple[int, ...]) -> "Masking":
        """The same raster, of which other bands are read; its damage is of both."""
        return Masking(self.source.with_bands(bands), self.damage)

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
        except DamageError:
            return self._by_blocks(rows, cols)

    def told(self) -> str:
        """How many blocks are lost, and the first of them."""
        named = [
            f"rows {rows[0]}-{rows[1]}, columns {cols[0]}-{cols[1]}"
            for rows, cols in sorted(self.damage)
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
        if (rows, cols) in self.damage:
            return None
        try:
            return self.source.read(rows, cols)
        except DamageError as error:
            self.damage[rows, cols] = str(error)
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
