"""A sample of a scene: what its levels are like, whatever its size, for the cost of 256 blocks.

Patches rather than every nth pixel: without overviews, every nth pixel would decode every block.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from terralink.raster.grid import Grid
from terralink.raster.source import Span

Bools: TypeAlias = NDArray[np.bool_]

# The lattice: at most 16 x 16 patches of 64 px.
PATCHES, PATCH_PX = 16, 64


class Readable(Protocol):
    """An open raster that is read in windows, such as ``Source``."""

    @property
    def path(self) -> str: ...
    @property
    def dataset(self) -> DatasetReader: ...
    @property
    def grid(self) -> Grid: ...
    @property
    def bands(self) -> tuple[int, ...]: ...
    @property
    def image_bands(self) -> dict[int, str | None]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

    def with_bands(self, bands: tuple[int, ...]) -> "Readable":
        """The same raster, of which other bands are read."""
        ...

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], Bools]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """Patches spread evenly over a scene, side by side: ``image`` (band, row, col) and ``valid``.

    A scene that is no larger than all patches together is there whole, else its first and last
    rows and columns are. ``row_starts`` and ``col_starts`` are where patches begin in the scene.
    """

    image: NDArray[Any]
    valid: Bools
    row_starts: NDArray[np.intp]
    col_starts: NDArray[np.intp]

    @classmethod
    def of(cls, source: Readable) -> "Sample":
        """Read a million pixels at most. Raises ``DamageError``."""
        rows, cols = (_spans(size) for size in source.grid.shape)
        parts = {place: source.read(*place) for place in product(rows, cols)}
        image = np.concatenate(
            [np.concatenate([parts[row, col][0] for col in cols], axis=2) for row in rows], axis=1
        )
        valid = np.concatenate([np.hstack([parts[row, col][1] for col in cols]) for row in rows])
        return cls(image, valid, _starts(rows), _starts(cols))

    @property
    def levels(self) -> NDArray[Any]:
        """Levels (band, pixel) of the valid pixels."""
        return self.image[:, self.valid]

    @property
    def has_gaps(self) -> bool:
        """Whether there is more of the scene than the sample shows."""
        return any(
            len(starts) > 1 and starts[1] > PATCH_PX
            for starts in (self.row_starts, self.col_starts)
        )

    def cells(self, mask: Bools) -> Bools:
        """Which patches (row, col) of the lattice hold any of a mask of the sample."""
        rows = np.arange(0, mask.shape[0], PATCH_PX)
        cols = np.arange(0, mask.shape[1], PATCH_PX)
        counts = np.add.reduceat(np.add.reduceat(mask.astype(int), rows, axis=0), cols, axis=1)
        return np.asarray(counts > 0)


def nearest_patch(starts: NDArray[np.intp], first: int, stop: int) -> NDArray[np.intp]:
    """The number of the patch that is nearest to each of the pixels first..stop of an axis.

    >>> nearest_patch(np.array([0, 100]), 80, 84).tolist()
    [0, 0, 1, 1]
    """
    between = (starts[:-1] + PATCH_PX + starts[1:]) / 2
    return np.searchsorted(between, np.arange(first, stop) + 0.5)


def _spans(size: int) -> list[Span]:
    """What of an axis is read."""
    if size <= PATCHES * PATCH_PX:
        return [(0, size)]
    starts = np.linspace(0, size - PATCH_PX, PATCHES).astype(int).tolist()
    return [(start, start + PATCH_PX) for start in starts]


def _starts(spans: list[Span]) -> NDArray[np.intp]:
    """Where patches begin: what is there whole is cut into patches without gaps."""
    return np.concatenate([np.arange(first, stop, PATCH_PX) for first, stop in spans])
