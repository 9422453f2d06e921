"""A sample of a scene: what its levels are like, whatever its size, for the cost of 256 blocks.

Patches rather than every nth pixel: without overviews, every nth pixel would decode every block.

Levels that mean "no data" though no tag, mask or alpha says so: what they are, and their mask.

They are found once, on a sample of the scene (``find_no_data``), and masked as it is read
(``NoDataSource``): scenes of any size stream, and a pixel is masked or not whatever the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from scipy import ndimage

from terralink.errors import SceneError
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
        """Read a million pixels at most. Raises ``CorruptBlockError``."""
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


Vector: TypeAlias = tuple[float, ...]

SIDE_PX = 15  # a square of one level of this size is no roof and no shadow
# Lossy compression blurs the edge of an area: so many levels, as far as two blocks of 8 px.
NOISE_LEVELS, NOISE_PX = 10, 16
MARGIN_PX = SIDE_PX - 1 + NOISE_PX  # what must be known around a pixel


@dataclass(frozen=True, eq=False)
class EmptyArea:
    """An area without data: every band has one level, near the patches that are in ``cells``.

    ``levels`` has one for each band; ``within`` is how far a pixel may be off; with ``noisy`` the
    edge is blurred. ``cells`` (row, col) are patches of a ``Sample``, and their neighbours.
    """

    levels: Vector
    cells: Bools
    row_starts: NDArray[np.intp]
    col_starts: NDArray[np.intp]
    within: float = 0.0
    noisy: bool = False

    def surrounds(self, rows: Span, cols: Span) -> Bools:
        """Which pixels of a window (row, col) of the scene are near the area."""
        down = nearest_patch(self.row_starts, *rows)
        across = nearest_patch(self.col_starts, *cols)
        return np.asarray(self.cells[np.ix_(down, across)])

    def mask(self, image: NDArray[Any]) -> Bools:
        """Where an image (band, row, col) looks as the area does, wherever it lies."""
        empty = apply_opening(near_levels(image, self.levels, self.within), SIDE_PX)
        if self.noisy and empty.any():
            reach = ndimage.maximum_filter(empty.view(np.uint8), 2 * NOISE_PX + 1) > 0
            empty |= reach & near_levels(image, self.levels, NOISE_LEVELS)
        return empty


@dataclass(frozen=True, eq=False)
class NoData:
    """What of a scene is no data: ``levels`` of each band, wherever they are, and ``areas``."""

    levels: tuple[Vector, ...] = ()
    areas: tuple[EmptyArea, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float], source: Readable) -> "NoData":
        """The same levels for all bands. Raises ``SceneError`` where the scene cannot hold one."""
        if source.dtype.kind in "iu":
            limits = np.iinfo(source.dtype)
            for value in values:
                if not (float(value).is_integer() and limits.min <= value <= limits.max):
                    raise SceneError(
                        f"{value:g} cannot be no data of {source.path}: its levels are "
                        f"{source.dtype}, {limits.min} to {limits.max}; give another --no-data"
                    )
        return cls((tuple(map(float, values)),) * len(source.bands) if values else ())

    def __bool__(self) -> bool:
        return any(self.levels) or bool(self.areas)

    @property
    def to_json(self) -> dict[str, Any]:
        """The levels, as text; NaN and infinity are no JSON."""
        return {
            "levels": [[repr(level) for level in band] for band in self.levels],
            "areas": [[repr(level) for level in area.levels] for area in self.areas],
        }

    def mask_levels(self, image: NDArray[Any]) -> Bools:
        """Where an image (band, row, col) has one of ``levels``.

        RULE: as with a tag, a byte that is no data in one band only is a level; in other dtypes one
        band spoils the pixel.
        """
        if not any(self.levels):
            return np.zeros(image.shape[1:], bool)
        pairs = zip(image, self.levels, strict=True)
        found = np.stack([np.isin(band, as_dtype(levels, band.dtype)) for band, levels in pairs])
        return np.asarray(found.all(axis=0) if image.dtype == np.uint8 else found.any(axis=0))


def near_levels(image: NDArray[Any], levels: Vector, within: float = 0.0) -> Bools:
    """Where each band of an image (band, row, col) is at its level, or not further off."""
    near = np.ones(image.shape[1:], bool)
    for band, level in zip(image, levels, strict=True):
        if within:
            near &= (band >= level - within) & (band <= level + within)
        else:
            near &= band == band.dtype.type(level)
    return near


def apply_opening(mask: Bools, side_px: int) -> Bools:
    """What of a mask (row, col) lies in squares of ``side_px`` that are full: its opening.

    By filters along rows and columns: much less work than the square itself.

    >>> mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
    >>> apply_opening(mask, 3).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    """
    if np.count_nonzero(mask) < side_px**2:
        return np.zeros_like(mask)
    levels = mask.view(np.uint8)
    cores = ndimage.minimum_filter(levels, side_px, mode="constant", cval=0)
    return np.asarray(ndimage.maximum_filter(cores, side_px, mode="constant", cval=0)).astype(bool)


def as_dtype(levels: Sequence[float], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Those levels that a dtype can hold, as it holds them: 1e20 is another float of 32 bits."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(levels, np.float64).astype(dtype)
    limits = np.iinfo(dtype)
    kept = [
        level
        for level in levels
        if np.isfinite(level) and limits.min <= level <= limits.max and level == int(level)
    ]
    return np.array(kept, np.float64).astype(dtype)
