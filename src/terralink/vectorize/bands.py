"""What the values of a raster of probabilities mean, and how its rows are read from top to bottom.

This is decided once for the whole raster, not for each part of it.

    RULE 1: a raster with a scale is read by it; files of ``predict`` have 1/255
    RULE 2: without a scale, floats are probabilities of 0 to 1, and bytes are 255ths
    RULE 3: two values are a mask, whatever their type: 0 and 1, 0 and 255, 0 and 65535, or 0 and
            the maximum of the type
    RULE 4: a few whole numbers that do not reach the threshold are classes; they are refused, like
            all other values
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralink.errors import InputError
from terralink.raster.grid import Grid
from terralink.raster.pixel_values import keep_threshold_side, min_positive_value
from terralink.raster.scene import Raster, read_rows
from terralink.raster.source import open_source

_CHUNK_ROWS = 64  # rows that are examined, and converted to bytes, at a time
_MAX_CLASSES = 32  # more different values are not classes
_MAX_LOW_VALUES = 2  # of low values that may be probabilities; three and more are classes
_FULL = 255  # the byte of probability 1
_MASK_VALUES = (1, _FULL, 65535)  # values of a mask, beside the maximum of the type
_TOLERANCE = 1e-3  # resampled probabilities may be below 0 or above 1 by this
_PROBABILITIES = "probabilities are 0 to 1, or bytes (uint8) of 0 to 255"
_HINT = "; other numbers need a scale: gdal_edit.py -scale 0.01 FILE for per cent"


class PixelValues:
    """The values of the valid pixels of a raster.

    dtype            of the last pixels; None before any were added
    lowest, highest  inf and -inf while there are no values
    distinct         all different values if they are few, else None

    >>> values = PixelValues()
    >>> values.add(np.array([[0, 7], [7, 3]]), np.array([[True, True], [True, False]]))
    >>> sorted(values.distinct), values.highest
    ([0.0, 7.0], 7.0)
    """

    def __init__(self) -> None:
        self.dtype: np.dtype[Any] | None = None
        self.lowest, self.highest = np.inf, -np.inf
        self.distinct: set[float] | None = set()

    @classmethod
    def from_rasters(cls, parts: Iterable[Raster]) -> "PixelValues":
        """The values of all parts; it stops as soon as there are many values."""
        values = cls()
        for part in parts:
            values.add(part.array, part.valid)
            if values.distinct is None:
                break
        return values

    def add(self, array: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> None:
        """Add pixels (row, col) or (band, row, col); nan is not a value."""
        self.dtype = array.dtype
        for start in range(0, array.shape[-2], _CHUNK_ROWS):
            rows = array[..., start : start + _CHUNK_ROWS, :]
            self._add(rows if valid is None else rows[..., valid[start : start + _CHUNK_ROWS]])

    def _add(self, values: NDArray[Any]) -> None:
        if values.dtype != np.uint8 and values.size:  # for bytes the distinct values are enough
            self.lowest = float(np.fmin(self.lowest, np.fmin.reduce(values, axis=None)))
            self.highest = float(np.fmax(self.highest, np.fmax.reduce(values, axis=None)))
        if self.distinct is None:
            return
        is_new = np.ones(values.shape, bool)
        for value in self.distinct:
            is_new &= values != values.dtype.type(value)  # otherwise all are converted to floats
        if not is_new.any():
            return
        rest = values[is_new & (values == values)]  # without nan
        while len(rest) and len(self.distinct) <= _MAX_CLASSES:
            new = np.unique(rest[: _MAX_CLASSES * _MAX_CLASSES])
            self.distinct.update(new.astype(float).tolist())
            self.lowest, self.highest = min(self.lowest, new[0]), max(self.highest, new[-1])
            for value in new[: _MAX_CLASSES + 1]:
                rest = rest[rest != value]
        if len(self.distinct) > _MAX_CLASSES:
            self.distinct = None

    def __str__(self) -> str:
        if self.distinct is not None and len(self.distinct) <= 6:
            return "the values " + ", ".join(f"{value:.6g}" for value in sorted(self.distinct))
        return f"values of {self.lowest:.6g} to {self.highest:.6g}"


def find_scale(values: PixelValues, *, threshold: float = 0.5) -> float:
    """The scale of a raster of these ``values`` that has none (RULES 2 to 4).

    ``threshold`` is the lowest threshold that will be applied. Raises ``InputError``.
    """
    full = _mask_value(values)
    if full is None:
        full = _default_full(values.dtype)
        if not (
            _are_probability_bytes(values, threshold)
            if full == _FULL
            else _are_probabilities(values)
        ):
            raise InputError(_describe_refusal(values))
    return 1 / full


def assign_scale(raster: Raster, *, threshold: float = 0.5) -> Raster:
    """The raster with a scale: its own, or the one of all its values; raises ``InputError``."""
    if raster.scale is not None:
        return raster
    if raster.array.dtype == bool:
        return replace(raster, scale=1)
    starts = range(0, raster.grid.height, _CHUNK_ROWS)
    values = PixelValues.from_rasters(raster.rows(start, start + _CHUNK_ROWS) for start in starts)
    return replace(raster, scale=find_scale(values, threshold=threshold))


def read_probabilities(
    path: str | os.PathLike[str],
    *,
    threshold: float = 0.5,
    crs: str | None = None,
    progress: Callable[[float], None] = lambda _part: None,
) -> Iterator[Raster]:
    """The rows of a raster file from top to bottom, with its scale or the one of all its values.

    ``crs`` is used for a file with a transform but no CRS. A file without a scale is read twice,
    unless it has many values. Raises ``SceneError``, and ``InputError`` that names the file.
    """
    with open_source(path, expand_palette=False, assumed_crs=crs) as source:
        scale = source.scale
        if scale is None:
            try:
                scale = find_scale(PixelValues.from_rasters(read_rows(source)), threshold=threshold)
            except InputError as error:
                raise InputError(f"{source.path}: {error}") from error
        count = 0
        for rows in read_rows(source):
            yield replace(rows, scale=scale)
            count += rows.grid.height
            progress(count / source.grid.height)


class ProbabilityReader:
    """Converts the rows of one raster to probabilities in bytes, 0..255.

    A value at one of the ``thresholds``, or above it, is so in bytes too (``keep_threshold_side``).

    Rows without a scale are read by RULE 2, and ``check`` tests after the last row whether that was
    right. To decide it before, give them the scale of the whole raster (``assign_scale``).
    """

    def __init__(self, *thresholds: float) -> None:
        self._thresholds = sorted(set(thresholds), reverse=True)
        self._unscaled = PixelValues()

    def read(self, rows: Raster) -> NDArray[np.uint8]:
        """Probabilities as bytes; 0 where pixels are not valid. Raises ``InputError``."""
        parts = [_to_bytes(part, self._scale(part), self._thresholds) for part in _split_rows(rows)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)

    def _scale(self, rows: Raster) -> float:
        if rows.scale is not None:
            return rows.scale  # RULE 1
        if rows.array.dtype == np.uint8:
            self._unscaled.add(rows.array, rows.valid)
        return 1 / _default_full(rows.array.dtype)  # RULE 2

    def check(self) -> None:
        """Raise ``InputError`` if bytes without a scale were not 255ths."""
        if self._unscaled.dtype is None:
            return
        if find_scale(self._unscaled, threshold=self._thresholds[-1]) != 1 / _FULL:
            raise InputError(
                "all values are 0 and 1, and there is no scale: this may be a mask or low "
                "probabilities; give the rows the scale 1 (a mask) or 1/255: Raster(..., scale=1)"
            )


def _split_rows(raster: Raster) -> Iterator[Raster]:
    """Few rows at a time, because the floats need eight times the memory of the bytes."""
    if raster.array.dtype == np.uint8:
        return iter([raster])
    starts = range(0, max(raster.grid.height, 1), _CHUNK_ROWS)
    return (raster.rows(start, start + _CHUNK_ROWS) for start in starts)


def _to_bytes(rows: Raster, scale: float, thresholds: Sequence[float]) -> NDArray[np.uint8]:
    array = rows.array if rows.array.dtype != bool else rows.array.view(np.uint8)
    if rows.valid is not None:
        array = np.where(rows.valid, array, array.dtype.type(0))
    if array.dtype == np.uint8 and round(scale * _FULL, 6) == 1:
        return array
    check_probabilities(array, scale)
    if array.dtype != np.uint8:
        return _quantize(array, scale, thresholds)
    if scale == 1:
        return array * np.uint8(_FULL)
    return np.asarray(_quantize(np.arange(_FULL + 1), scale, thresholds)[array])


def check_probabilities(array: NDArray[Any], scale: float = 1) -> None:
    """Raise ``InputError`` unless all numbers are probabilities of 0 to 1."""
    highest = scale * np.fmax.reduce(array, axis=None, initial=0)
    lowest = scale * np.fmin.reduce(array, axis=None, initial=0) if array.dtype.kind != "u" else 0
    if not (lowest >= -_TOLERANCE and highest <= 1 + _TOLERANCE):
        worst = highest if highest > 1 + _TOLERANCE else lowest
        raise InputError(f"{_PROBABILITIES}, not {worst / scale:.6g}{_HINT}")


def _quantize(values: NDArray[Any], scale: float, thresholds: Sequence[float]) -> NDArray[np.uint8]:
    shares = np.fmax(values, 0) * (scale * _FULL)
    np.minimum(np.rint(shares, out=shares), _FULL, out=shares)
    prob = values if scale == 1 else values * scale
    return keep_threshold_side(shares.astype(np.uint8), prob, *thresholds)


def _default_full(dtype: np.dtype[Any] | None) -> int:
    return _FULL if dtype == np.uint8 else 1


def _mask_value(values: PixelValues) -> float | None:
    """The value of the marked pixels of a mask; None if the values are not a mask (RULE 3)."""
    if values.distinct is None or values.dtype is None:
        return None
    marked = values.distinct - {0.0}
    highest = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    mask = len(marked) == 1 and marked <= {*_MASK_VALUES, float(highest)}
    return marked.pop() if mask else None


def _are_probabilities(values: PixelValues) -> bool:
    whole = values.dtype is not None and values.dtype.kind in "iu" and values.highest > 0
    return not whole and values.lowest >= -_TOLERANCE and values.highest <= 1 + _TOLERANCE


def _are_probability_bytes(values: PixelValues, threshold: float) -> bool:
    """Whether bytes are probabilities, not classes (RULE 4); in labels 255 is often no data."""
    if values.distinct is None:
        return True
    between = sorted(values.distinct - {0.0, float(_FULL)})
    if not between:
        return True
    if _FULL in values.distinct:
        return between != list(range(1, len(between) + 1))
    classes = between[-1] <= _MAX_CLASSES or len(between) > _MAX_LOW_VALUES
    return between[-1] >= min_positive_value(threshold) or not classes


def _describe_refusal(values: PixelValues) -> str:
    line = f"the raster has {values}: {_PROBABILITIES}, and a mask is of two values, 0 and 1 or 255"
    if values.lowest < 0:
        return (
            f"{line}; mark what stands for no data: gdal_edit.py -a_nodata {values.lowest:g} FILE"
        )
    if values.distinct is None or any(value % 1 for value in values.distinct):
        return line + _HINT
    return (
        f"{line}; are these classes? Then make land cover of them, or a mask of the one that is "
        "wanted: gdal_calc.py -A FILE --calc 'A==1' --outfile MASK"
    )


class RowTracker:
    """Checks that rows of a scene arrive from top to bottom, and counts them."""

    def __init__(self, first: Grid) -> None:
        self._first = first
        self.count = 0

    @property
    def grid(self) -> Grid:
        """The grid of all rows so far."""
        return self._first.window(0, 0, (self.count, self._first.width))

    def append(self, grid: Grid) -> None:
        """Add the grid of the next rows; raises ``InputError`` when they are not the next."""
        expected = self._first.window(self.count, 0, (grid.height, self._first.width))
        same_place = np.allclose(expected.transform[:6], grid.transform[:6], rtol=1e-9, atol=1e-9)
        if expected.shape != grid.shape or expected.crs != grid.crs or not same_place:
            raise InputError(
                f"a raster of {grid.shape} at {grid.transform[:6]} does not follow row "
                f"{self.count} of the scene: add whole rows from top to bottom"
            )
        self.count += grid.height
