"""From a scene's levels to the 0..255 that networks are trained on: one fixed map per scene.

A network sees what it was trained on: 8-bit pictures of middling brightness. RULE 1: a uint8 scene
whose levels are ordinary stays as it is, bit by bit, so that any part of it looks as it does in the
whole. RULE 2: any other (dark, flat, glaring, 16-bit, float) is stretched: in each band the 2nd
percentile goes to 0 and the 98th to 255, then one gamma, common to the bands so that colours stay,
brings the mean of their medians to ``MIDDLE``. RULE 3: the map is measured once per scene, never
per tile, and is recorded in what is made with it.

Where a probability is positive: at the threshold and above, in shares and in bytes alike.

RULE: a pixel is positive where what it stands for is the threshold or more, and more than nothing.
A stored level stands for ``level / full``: bytes of probability are 255ths, masks are full or none.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Levels: TypeAlias = tuple[float, ...]

# Where the median goes, as a part of the range. The Massachusetts Roads images have percentiles
# 2/50/98 of 10/78/195, so their median lies at 0.37.
MIDDLE = 0.375
# RULE 1: ordinary is a median (mean of the bands) within these levels and a range over that many.
# Of 400-px crops of Massachusetts, Dubai, HOT-OSM and DeepGlobe, nine in ten are; the Vegas scene
# (1/26/253) is not.
ORDINARY_MEDIAN = (40.0, 200.0)
ORDINARY_RANGE = 64.0
_PERCENTILES = (2, 50, 98)
# A nearly even 8-bit scene is not blown up into its own noise: gain 8 at most.
_LEAST_RANGE = 32.0
# The relative median is held in here: a gamma between 0.2 and 5.
_DARKEST, _BRIGHTEST = MIDDLE**5, MIDDLE**0.2
_TABLE_STEPS = 1 << 16
_TAG = "TERRALINK_STRETCH"


@dataclass(frozen=True)
class Stretch:
    """Maps source levels to 0..255: ``low`` to 0, ``high`` to 255, ``middle`` near 255 * MIDDLE.

    One value per band, or a single one for any number of bands.

    >>> dark = Stretch(low=(1.0,), middle=(26.0,), high=(254.0,))
    >>> dark(np.array([[[1, 26, 254]]], np.uint8)).tolist()
    [[[0, 96, 255]]]
    >>> Stretch.from_tags(dark.to_tags()) == dark
    True
    """

    low: Levels
    middle: Levels
    high: Levels

    @classmethod
    def none(cls) -> "Stretch":
        """The identity on 0..255."""
        return cls((0.0,), (255.0 * MIDDLE,), (255.0,))

    @classmethod
    def fit(cls, levels: NDArray[Any]) -> "Stretch":
        """The stretch for a scene of which ``levels`` (band, pixel) is a sample of valid pixels.

        The dtype matters: ordinary levels of uint8 need none (RULE 1). No pixels, none either.
        """
        if levels.size == 0:
            return cls.none()
        low, middle, high = np.percentile(levels, _PERCENTILES, axis=1)
        if levels.dtype == np.uint8:
            if _ordinary(low.mean(), middle.mean(), high.mean()):
                return cls.none()
            lack = np.maximum(_LEAST_RANGE - (high - low), 0) / 2
            low, high = low - lack, high + lack
        return cls(tuple(low.tolist()), tuple(middle.tolist()), tuple(high.tolist()))

    @property
    def gamma(self) -> float:
        """The exponent, common to the bands, that brings the mean relative median to MIDDLE."""
        relative = [
            (middle - low) / (high - low) if high > low else MIDDLE
            for low, middle, high in zip(self.low, self.middle, self.high, strict=True)
        ]
        mean = min(max(math.fsum(relative) / len(relative), _DARKEST), _BRIGHTEST)
        return math.log(MIDDLE) / math.log(mean)

    def __call__(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Stretch an image (band, row, col) of any real dtype to uint8; NaN becomes 0."""
        if self == Stretch.none():
            return image if image.dtype == np.uint8 else _rounded(image)
        if len(self.low) not in (1, len(image)):
            raise ValueError(f"a stretch of {len(self.low)} bands for an image of {len(image)}")
        table = _table(self.gamma)
        stretched = np.empty(image.shape, np.uint8)
        for index, band in enumerate(image):
            own = index if len(self.low) > 1 else 0
            stretched[index] = _through(table, band, self.low[own], self.high[own])
        return stretched

    def to_tags(self) -> dict[str, str]:
        """As GeoTIFF tags, to be stored in what was made with it."""
        levels = {"low": self.low, "middle": self.middle, "high": self.high}
        return {_TAG: json.dumps(levels)}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Stretch":
        """The stretch that ``to_tags`` wrote; the identity where there is none."""
        if _TAG not in tags:
            return cls.none()
        return cls(**{name: tuple(values) for name, values in json.loads(tags[_TAG]).items()})


def _ordinary(low: float, median: float, high: float) -> bool:
    darkest, brightest = ORDINARY_MEDIAN
    return darkest <= median <= brightest and high - low >= ORDINARY_RANGE


def _rounded(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(_held(image, 255)).astype(np.uint8)


def _held(levels: NDArray[Any], most: float) -> NDArray[np.float32]:
    """Held within 0..most; NaN becomes 0 (fmax, not clip)."""
    held: NDArray[np.float32] = np.fmax(levels, 0, dtype=np.float32, casting="same_kind")
    np.fmin(held, np.float32(most), out=held)
    return held


def _table(gamma: float) -> NDArray[np.uint8]:
    """The gamma curve: 0..1 in 65,536 steps to 0..255."""
    return _rounded(255 * np.linspace(0, 1, _TABLE_STEPS) ** gamma)


def _through(table: NDArray[np.uint8], band: NDArray[Any], low: float, high: float) -> Any:
    if band.dtype in (np.uint8, np.uint16):  # few levels: stretch those, look the pixels up
        levels = np.arange(np.iinfo(band.dtype).max + 1, dtype=np.float32)
        return _through(table, levels, low, high)[band]
    gain = (_TABLE_STEPS - 1) / (high - low) if high > low else 0.0
    steps = (band.astype(np.float32) - np.float32(low)) * np.float32(gain)
    return table[_held(steps, _TABLE_STEPS - 1).astype(np.uint16)]


# Digits that are lost when a share is divided and multiplied: 0.3 is 0.3, however it came.
_ROUNDING = 1e-9


def find_positive(prob: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Where shares of 0..1, of any shape, are positive; what is not a number is not.

    >>> find_positive(np.array([0.0, 0.29, 0.3, 1.0, np.nan], np.float32), 0.3).tolist()
    [False, False, True, True, False]
    """
    if threshold <= 0:
        return np.asarray(prob > 0)
    return np.asarray(prob >= float(threshold) - _ROUNDING)  # a Python float: in the array's type


def min_positive_value(threshold: float, full: float = 255) -> int:
    """The smallest stored level that is positive, where ``full`` stands for a share of 1.

    >>> [min_positive_value(threshold) for threshold in (0.3, 0.5, 0.2, 0, 1)]
    [77, 128, 51, 1, 255]
    >>> [min_positive_value(0.5, full) for full in (65535, 100, 1)]
    [32768, 50, 1]
    """
    return max(math.ceil(float(threshold) * full - full * _ROUNDING), 1)


def keep_threshold_side(
    levels: NDArray[np.uint8], prob: NDArray[Any], *thresholds: float
) -> NDArray[np.uint8]:
    """Bytes that are on the side of each threshold that the shares are on that they came from.

    Rounding moves 0.2995 to 77 / 255, which is more than 0.3, and 0.35 to 89 / 255, which is less.

    >>> prob = np.array([0.2995, 0.302, 0.35])
    >>> keep_threshold_side(np.rint(prob * 255).astype(np.uint8), prob, 0.3, 0.35).tolist()
    [76, 77, 90]
    """
    result = levels
    for threshold in thresholds:
        least = np.uint8(min_positive_value(threshold))
        positive = find_positive(prob, threshold)
        moved = np.where(positive, np.maximum(result, least), np.minimum(result, least - 1))
        result = moved.astype(np.uint8, copy=False)
    return result
