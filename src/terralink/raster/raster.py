"""A georeferenced array in memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralink.raster.grid import Grid
from terralink.raster.source import Source, opened


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
    with opened(path, expand_palette=False, assumed_crs=crs) as source:
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
