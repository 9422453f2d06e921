"""Bands of rows as they come in: what their values mean, and the scene that they add up to.

What a value means is decided for the whole raster, never for a strip of it.

RULE 1  a raster that has a scale is read by it: 1/255 is what ``predict`` gives
RULE 2  without one, numbers with a fraction are probabilities of 0 to 1, and bytes are 255ths
RULE 3  two values are a mask, whatever their type: 0 and 1, 0 and 255, 0 and 65535, or 0 and the
        most that the type holds
RULE 4  a few whole numbers that reach no threshold are classes; these are refused, as is all else
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

_ROWS = 64  # are looked at, and brought to bytes, at a time
_FEW = 32  # more values than this are no classes
_LIKELY_CLASSES = 2  # nonzero values, of which one may be a faint probability, three are classes
_FULL = 255  # the byte that is probability 1
_MASKS = (1, _FULL, 65535)  # what marks a pixel in a mask, beside the most that its type holds
_ROUNDING = 1e-3  # probabilities that were resampled may be as far beyond 0 and 1
_PROBABILITIES = "probabilities are 0 to 1, or bytes (uint8) of 0 to 255"
_HINT = "; other numbers need a scale: gdal_edit.py -scale 0.01 FILE for per cent"


class PixelValues:
    """Which values the valid pixels of a raster have.

    dtype        that of what was added; None before
    least, most  inf and -inf while there are none
    distinct     all values while they are few, else None

    >>> values = PixelValues()
    >>> values.add(np.array([[0, 7], [7, 3]]), np.array([[True, True], [True, False]]))
    >>> sorted(values.distinct), values.most
    ([0.0, 7.0], 7.0)
    """

    def __init__(self) -> None:
        self.dtype: np.dtype[Any] | None = None
        self.least, self.most = np.inf, -np.inf
        self.distinct: set[float] | None = set()

    @classmethod
    def of(cls, parts: Iterable[Raster]) -> "PixelValues":
        """Those of all parts; no more are looked at when there are many values."""
        values = cls()
        for part in parts:
            values.add(part.array, part.valid)
            if values.distinct is None:
                break
        return values

    def add(self, array: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> None:
        """Count pixels (row, col) or (band, row, col); what is not a number has no value."""
        self.dtype = array.dtype
        for start in range(0, array.shape[-2], _ROWS):
            rows = array[..., start : start + _ROWS, :]
            self._add(rows if valid is None else rows[..., valid[start : start + _ROWS]])

    def _add(self, values: NDArray[Any]) -> None:
        if values.dtype != np.uint8 and values.size:  # bytes are known by their distinct values
            self.least = float(np.fmin(self.least, np.fmin.reduce(values, axis=None)))
            self.most = float(np.fmax(self.most, np.fmax.reduce(values, axis=None)))
        if self.distinct is None:
            return
        fresh = np.ones(values.shape, bool)
        for value in self.distinct:
            fresh &= values != values.dtype.type(value)  # of its type, or all become floats
        if not fresh.any():
            return
        rest = values[fresh & (values == values)]  # what is not a number is nothing
        while len(rest) and len(self.distinct) <= _FEW:
            found = np.unique(rest[: _FEW * _FEW])
            self.distinct.update(found.astype(float).tolist())
            self.least, self.most = min(self.least, found[0]), max(self.most, found[-1])
            for value in found[: _FEW + 1]:
                rest = rest[rest != value]
        if len(self.distinct) > _FEW:
            self.distinct = None

    def __str__(self) -> str:
        if self.distinct is not None and len(self.distinct) <= 6:
            return "the values " + ", ".join(f"{value:.6g}" for value in sorted(self.distinct))
        return f"values of {self.least:.6g} to {self.most:.6g}"


def scale_of(values: PixelValues, *, threshold: float = 0.5) -> float:
    """What a value counts in a raster of these ``values`` that has no scale (RULES 2 to 4).

    ``threshold`` is the lowest probability that will count. Raises ``InputError``.
    """
    full = _mask_value(values)
    if full is None:
        full = _usual_full(values.dtype)
        if not (_are_bytes(values, threshold) if full == _FULL else _are_shares(values)):
            raise InputError(_refused(values))
    return 1 / full


def scaled(raster: Raster, *, threshold: float = 0.5) -> Raster:
    """The raster with a scale: its own, or that of all its values; raises ``InputError``."""
    if raster.scale is not None:
        return raster
    if raster.array.dtype == bool:
        return replace(raster, scale=1)
    starts = range(0, raster.grid.height, _ROWS)
    values = PixelValues.of(raster.rows(start, start + _ROWS) for start in starts)
    return replace(raster, scale=scale_of(values, threshold=threshold))


def read_probabilities(
    path: str | os.PathLike[str],
    *,
    threshold: float = 0.5,
    crs: str | None = None,
    progress: Callable[[float], None] = lambda _part: None,
) -> Iterator[Raster]:
    """A raster file in bands of whole rows that have its scale, or that of all its values.

    ``crs`` is that of a raster which has none, but a transform. Where a raster says no scale it is
    read twice, unless it has many values. Raises ``SceneError``, and ``InputError`` that names the
    file.
    """
    with open_source(path, expand_palette=False, assumed_crs=crs) as source:
        scale = source.scale
        if scale is None:
            try:
                scale = scale_of(PixelValues.of(read_rows(source)), threshold=threshold)
            except InputError as error:
                raise InputError(f"{source.path}: {error}") from error
        done = 0
        for band in read_rows(source):
            yield replace(band, scale=scale)
            done += band.grid.height
            progress(done / source.grid.height)


class ProbabilityReader:
    """Reads bands of one raster as probabilities in bytes, 0..255.

    What is at one of the ``thresholds`` or above is so in bytes (``keep_threshold_side``).

    Bands without a scale are read as RULE 2 says, and ``check`` tells when all of them are there
    whether that was right. To know before, give them the scale of the whole raster (``scaled``).
    """

    def __init__(self, *thresholds: float) -> None:
        self._thresholds = sorted(set(thresholds), reverse=True)
        self._unscaled = PixelValues()

    def read(self, band: Raster) -> NDArray[np.uint8]:
        """Probabilities as bytes; 0 where nothing is valid. Raises ``InputError``."""
        parts = [_to_bytes(rows, self._scale(rows), self._thresholds) for rows in _in_rows(band)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)

    def _scale(self, band: Raster) -> float:
        if band.scale is not None:
            return band.scale
        if band.array.dtype == np.uint8:
            self._unscaled.add(band.array, band.valid)
        return 1 / _usual_full(band.array.dtype)

    def check(self) -> None:
        """Raise ``InputError`` where bytes that came without a scale were no 255ths."""
        if self._unscaled.dtype is None:
            return
        if scale_of(self._unscaled, threshold=self._thresholds[-1]) != 1 / _FULL:
            raise InputError(
                "bands of 0 and 1 alone came, without a scale: they may be a mask or faint "
                "probabilities; give each the scale 1 (a mask) or 1/255, as Raster(..., scale=1)"
            )


def _in_rows(band: Raster) -> Iterator[Raster]:
    """Few rows at a time, for floats take eight times the room."""
    if band.array.dtype == np.uint8:
        return iter([band])
    starts = range(0, max(band.grid.height, 1), _ROWS)
    return (band.rows(start, start + _ROWS) for start in starts)


def _to_bytes(band: Raster, scale: float, thresholds: Sequence[float]) -> NDArray[np.uint8]:
    array = band.array if band.array.dtype != bool else band.array.view(np.uint8)
    if band.valid is not None:
        array = np.where(band.valid, array, array.dtype.type(0))
    if array.dtype == np.uint8 and round(scale * _FULL, 6) == 1:
        return array
    check_shares(array, scale)
    if array.dtype != np.uint8:
        return _bytes_of(array, scale, thresholds)
    if scale == 1:
        return array * np.uint8(_FULL)
    return np.asarray(_bytes_of(np.arange(_FULL + 1), scale, thresholds)[array])


def check_shares(array: NDArray[Any], scale: float = 1) -> None:
    """Raise ``InputError`` unless all that are numbers are probabilities of 0 to 1."""
    most = scale * np.fmax.reduce(array, axis=None, initial=0)
    least = scale * np.fmin.reduce(array, axis=None, initial=0) if array.dtype.kind != "u" else 0
    if not (least >= -_ROUNDING and most <= 1 + _ROUNDING):
        worst = most if most > 1 + _ROUNDING else least
        raise InputError(f"{_PROBABILITIES}, not {worst / scale:.6g}{_HINT}")


def _bytes_of(values: NDArray[Any], scale: float, thresholds: Sequence[float]) -> NDArray[np.uint8]:
    shares = np.fmax(values, 0) * (scale * _FULL)
    np.minimum(np.rint(shares, out=shares), _FULL, out=shares)
    prob = values if scale == 1 else values * scale
    return keep_threshold_side(shares.astype(np.uint8), prob, *thresholds)


def _usual_full(dtype: np.dtype[Any] | None) -> int:
    return _FULL if dtype == np.uint8 else 1


def _mask_value(values: PixelValues) -> float | None:
    """The value of the pixels that a mask marks; None where the values are no mask (RULE 3)."""
    if values.distinct is None or values.dtype is None:
        return None
    marked = values.distinct - {0.0}
    most = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    mask = len(marked) == 1 and marked <= {*_MASKS, float(most)}
    return marked.pop() if mask else None


def _are_shares(values: PixelValues) -> bool:
    whole = values.dtype is not None and values.dtype.kind in "iu" and values.most > 0
    return not whole and values.least >= -_ROUNDING and values.most <= 1 + _ROUNDING


def _are_bytes(values: PixelValues, threshold: float) -> bool:
    """Whether bytes are probabilities, not classes (RULE 4); of labels 255 often means no data."""
    if values.distinct is None:
        return True
    between = sorted(values.distinct - {0.0, float(_FULL)})
    if not between:
        return True
    if _FULL in values.distinct:
        return between != list(range(1, len(between) + 1))
    classes = between[-1] <= _FEW or len(between) > _LIKELY_CLASSES
    return between[-1] >= min_positive_value(threshold) or not classes


def _refused(values: PixelValues) -> str:
    line = f"the raster has {values}: {_PROBABILITIES}, and a mask is of two values, 0 and 1 or 255"
    if values.least < 0:
        return f"{line}; mark what stands for no data: gdal_edit.py -a_nodata {values.least:g} FILE"
    if values.distinct is None or any(value % 1 for value in values.distinct):
        return line + _HINT
    return (
        f"{line}; are these classes? Then make land cover of them, or a mask of the one that is "
        "wanted: gdal_calc.py -A FILE --calc 'A==1' --outfile MASK"
    )


class Bands:
    """Counts the rows of a scene whose bands come from top to bottom."""

    def __init__(self, first: Grid) -> None:
        self._first = first
        self.rows = 0

    @property
    def grid(self) -> Grid:
        """That of all rows so far."""
        return self._first.window(0, 0, (self.rows, self._first.width))

    def follow(self, grid: Grid) -> None:
        """Take a band; raises ``InputError`` when it is not the one that comes next."""
        wanted = self._first.window(self.rows, 0, (grid.height, self._first.width))
        same_place = np.allclose(wanted.transform[:6], grid.transform[:6], rtol=1e-9, atol=1e-9)
        if wanted.shape != grid.shape or wanted.crs != grid.crs or not same_place:
            raise InputError(
                f"a band of {grid.shape} at {grid.transform[:6]} does not follow row {self.rows} "
                "of the scene: give whole rows from top to bottom"
            )
        self.rows += grid.height
