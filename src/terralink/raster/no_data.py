"""Pixel values that mean "no data" although no tag, mask or alpha says so, and a scene's sample.

They are searched for once, in a sample of the scene (``no_data_search``), and masked when a window
is read (``NoDataSource``). So a scene of any size is read in windows, and whether a pixel is masked
does not depend on the window. A sample costs 256 blocks at most, whatever the size of the scene. It
has patches rather than every nth pixel, which without overviews would decode every block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from scipy import ndimage

from terralink._typing import Bools
from terralink.errors import SceneError
from terralink.raster.grid import Grid
from terralink.raster.source import Span

# At most 16 x 16 patches of 64 px.
MAX_PATCHES, PATCH_PX = 16, 64


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
        """The same raster with other bands to read."""
        ...

    def read(self, rows: Span, cols: Span) -> tuple[NDArray[Any], Bools]:
        """Image (band, row, col) and valid (row, col) of a window inside the raster."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """Evenly spaced patches of a scene, side by side: ``image`` (band, row, col) and ``valid``.

    A scene that is no larger than all patches together is sampled whole; of a larger one the first
    and last rows and columns are in the sample. ``row_starts`` and ``col_starts`` are the positions
    of the patches in the scene.
    """

    image: NDArray[Any]
    valid: Bools
    row_starts: NDArray[np.intp]
    col_starts: NDArray[np.intp]

    @classmethod
    def read(cls, source: Readable) -> "Sample":
        """Read a million pixels at most. Raises ``CorruptBlockError``."""
        rows, cols = (_spans(size) for size in source.grid.shape)
        parts = {window: source.read(*window) for window in product(rows, cols)}
        image = np.concatenate(
            [np.concatenate([parts[row, col][0] for col in cols], axis=2) for row in rows], axis=1
        )
        valid = np.concatenate([np.hstack([parts[row, col][1] for col in cols]) for row in rows])
        return cls(image, valid, _starts(rows), _starts(cols))

    @property
    def has_gaps(self) -> bool:
        """Whether parts of the scene are not in the sample."""
        return any(
            len(starts) > 1 and starts[1] > PATCH_PX
            for starts in (self.row_starts, self.col_starts)
        )

    def patches_with(self, mask: Bools) -> Bools:
        """Which patches (row, col) contain a pixel of a mask of the sample."""
        rows = np.arange(0, mask.shape[0], PATCH_PX)
        cols = np.arange(0, mask.shape[1], PATCH_PX)
        counts = np.add.reduceat(np.add.reduceat(mask.astype(int), rows, axis=0), cols, axis=1)
        return np.asarray(counts > 0)


def find_nearest_patch(starts: NDArray[np.intp], first: int, stop: int) -> NDArray[np.intp]:
    """The index of the nearest patch of each pixel first..stop along an axis.

    >>> find_nearest_patch(np.array([0, 100]), 80, 84).tolist()
    [0, 0, 1, 1]
    """
    middles = (starts[:-1] + PATCH_PX + starts[1:]) / 2
    return np.searchsorted(middles, np.arange(first, stop) + 0.5)


def _spans(size: int) -> list[Span]:
    """The ranges of an axis that are read."""
    if size <= MAX_PATCHES * PATCH_PX:
        return [(0, size)]
    starts = np.linspace(0, size - PATCH_PX, MAX_PATCHES).astype(int).tolist()
    return [(start, start + PATCH_PX) for start in starts]


def _starts(spans: list[Span]) -> NDArray[np.intp]:
    """The first pixels of the patches; a range of several is divided without gaps."""
    return np.concatenate([np.arange(first, stop, PATCH_PX) for first, stop in spans])


Values: TypeAlias = tuple[float, ...]

SIDE_PX = 15  # a square of one value of this size is neither a roof nor a shadow
# Lossy compression changes the edge of an area: by these values, within two blocks of 8 px.
MAX_NOISE, NOISE_PX = 10, 16
MARGIN_PX = SIDE_PX - 1 + NOISE_PX  # the surroundings that decide whether a pixel is masked


@dataclass(frozen=True, eq=False)
class NoDataArea:
    """An area without data, in which each band has one of the ``values``.

    It lies near the ``patches`` (row, col) of a ``Sample``, which contain it or are next to it.
    Values may differ by ``tolerance``; with ``has_noise`` the edge is blurred.
    """

    values: Values
    patches: Bools
    row_starts: NDArray[np.intp]
    col_starts: NDArray[np.intp]
    tolerance: float = 0.0
    has_noise: bool = False

    def is_near(self, rows: Span, cols: Span) -> Bools:
        """Which pixels of a window (row, col) of the scene are near the area."""
        patch_rows = find_nearest_patch(self.row_starts, *rows)
        patch_cols = find_nearest_patch(self.col_starts, *cols)
        return np.asarray(self.patches[np.ix_(patch_rows, patch_cols)])

    def mask(self, image: NDArray[Any]) -> Bools:
        """Which pixels of an image (band, row, col) look like the area, at any position."""
        mask = apply_opening(match_values(image, self.values, self.tolerance), SIDE_PX)
        if self.has_noise and mask.any():
            nearby = ndimage.maximum_filter(mask.view(np.uint8), 2 * NOISE_PX + 1) > 0
            mask |= nearby & match_values(image, self.values, MAX_NOISE)
        return mask


@dataclass(frozen=True, eq=False)
class NoData:
    """The ``values`` of each band that are no data at every position, and the ``areas``."""

    values: tuple[Values, ...] = ()
    areas: tuple[NoDataArea, ...] = ()

    @classmethod
    def from_values(cls, values: Sequence[float], source: Readable) -> "NoData":
        """The same values for all bands. Raises ``SceneError`` where the dtype cannot hold one."""
        if source.dtype.kind in "iu":
            limits = np.iinfo(source.dtype)
            for value in values:
                if not (float(value).is_integer() and limits.min <= value <= limits.max):
                    raise SceneError(
                        f"{value:g} cannot be no data of {source.path}: its pixel values are "
                        f"{source.dtype}, {limits.min} to {limits.max}; give another --no-data"
                    )
        return cls((tuple(map(float, values)),) * len(source.bands) if values else ())

    def __bool__(self) -> bool:
        return any(self.values) or bool(self.areas)

    @property
    def to_json(self) -> dict[str, Any]:
        """The values, as text: JSON has no NaN and no infinity."""
        return {
            "levels": [[repr(value) for value in band] for band in self.values],
            "areas": [[repr(value) for value in area.values] for area in self.areas],
        }

    def mask_values(self, image: NDArray[Any]) -> Bools:
        """Which pixels of an image (band, row, col) have one of the ``values``.

        RULE: as for a nodata tag, a pixel of bytes is masked where all bands have such a value; of
        any other dtype, where one band has.
        """
        if not any(self.values):
            return np.zeros(image.shape[1:], bool)
        pairs = zip(image, self.values, strict=True)
        matches = np.stack(
            [np.isin(band, cast_values(values, band.dtype)) for band, values in pairs]
        )
        return np.asarray(matches.all(axis=0) if image.dtype == np.uint8 else matches.any(axis=0))


def match_values(image: NDArray[Any], values: Values, tolerance: float = 0.0) -> Bools:
    """Which pixels of an image (band, row, col) have these values, one for each band."""
    matches = np.ones(image.shape[1:], bool)
    for band, value in zip(image, values, strict=True):
        if tolerance:
            matches &= (band >= value - tolerance) & (band <= value + tolerance)
        else:
            matches &= band == band.dtype.type(value)
    return matches


def apply_opening(mask: Bools, side_px: int) -> Bools:
    """The morphological opening of a mask (row, col) by a square of ``side_px``.

    It filters along rows, then along columns, which is much faster than filtering by the square.

    >>> mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
    >>> apply_opening(mask, 3).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    """
    if np.count_nonzero(mask) < side_px**2:
        return np.zeros_like(mask)
    pixels = mask.view(np.uint8)
    cores = ndimage.minimum_filter(pixels, side_px, mode="constant", cval=0)
    return np.asarray(ndimage.maximum_filter(cores, side_px, mode="constant", cval=0)).astype(bool)


def cast_values(values: Sequence[float], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values that a dtype can hold, in that dtype (1e20 is rounded in 32 bits)."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(values, np.float64).astype(dtype)
    limits = np.iinfo(dtype)
    representable = [
        value
        for value in values
        if np.isfinite(value) and limits.min <= value <= limits.max and value == int(value)
    ]
    return np.array(representable, np.float64).astype(dtype)
