"""Pixel values: the stretch of a scene to 0..255, and thresholds of probabilities.

A network expects the images that it was trained on: 8-bit pictures of medium brightness. RULE 1: a
uint8 scene with ordinary values is not changed, so each part of it looks as in the whole. RULE 2:
any other scene (dark, flat, bright, 16-bit, float) is stretched: in each band the 2nd percentile
becomes 0 and the 98th 255; then one gamma, the same for all bands so that colours are kept, brings
the mean of their medians to ``MIDDLE``. RULE 3: the stretch is fitted once for a scene, not for
each tile, and is stored in the results. RULE 4: a pixel is positive where its probability is the
threshold or more, and not 0. A stored value means ``value / full_scale``: probabilities are 255ths,
a mask is 0 or 1.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = tuple[float, ...]

# The target of the median, as a part of the range. The Massachusetts Roads images have percentiles
# 2/50/98 of 10/78/195, so their median is at 0.37.
MIDDLE = 0.375
# RULE 1: values are ordinary where the median (mean of the bands) and the range are within these.
# Of 400-px crops of Massachusetts, Dubai, HOT-OSM and DeepGlobe, nine in ten are; the Vegas scene
# (1/26/253) is not.
ORDINARY_MEDIAN = (40.0, 200.0)
ORDINARY_RANGE = 64.0
_PERCENTILES = (2, 50, 98)
# The noise of a nearly uniform 8-bit scene is not amplified: a gain of 8 at most.
_MIN_RANGE = 32.0
# Limits of the relative median, for a gamma between 0.2 and 5.
_DARKEST, _BRIGHTEST = MIDDLE**5, MIDDLE**0.2
_TABLE_STEPS = 1 << 16
_TAG = "TERRALINK_STRETCH"


@dataclass(frozen=True)
class Stretch:
    """Maps pixel values to 0..255: ``low`` to 0, ``high`` to 255, ``middle`` near 255 * MIDDLE.

    One value per band, or a single one for any number of bands.

    >>> dark = Stretch(low=(1.0,), middle=(26.0,), high=(254.0,))
    >>> dark(np.array([[[1, 26, 254]]], np.uint8)).tolist()
    [[[0, 96, 255]]]
    >>> Stretch.from_tags(dark.to_tags()) == dark
    True
    """

    low: Values
    middle: Values
    high: Values

    @classmethod
    def none(cls) -> "Stretch":
        """The identity on 0..255."""
        return cls((0.0,), (255.0 * MIDDLE,), (255.0,))

    @classmethod
    def fit(cls, values: NDArray[Any]) -> "Stretch":
        """The stretch of a scene, from a sample of its valid pixels, ``values`` (band, pixel).

        It is the identity for uint8 with ordinary values (RULE 1), and without any pixel.
        """
        if values.size == 0:
            return cls.none()
        low, middle, high = np.percentile(values, _PERCENTILES, axis=1)
        if values.dtype == np.uint8:
            if _is_ordinary(low.mean(), middle.mean(), high.mean()):
                return cls.none()
            margin = np.maximum(_MIN_RANGE - (high - low), 0) / 2
            low, high = low - margin, high + margin
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
            return image if image.dtype == np.uint8 else _to_uint8(image)
        if len(self.low) not in (1, len(image)):
            raise ValueError(f"a stretch of {len(self.low)} bands for an image of {len(image)}")
        table = _gamma_table(self.gamma)
        stretched = np.empty(image.shape, np.uint8)
        for index, band in enumerate(image):
            limits = index if len(self.low) > 1 else 0
            stretched[index] = _look_up(table, band, self.low[limits], self.high[limits])
        return stretched

    def to_tags(self) -> dict[str, str]:
        """As tags of a GeoTIFF, to be stored in results."""
        values = {"low": self.low, "middle": self.middle, "high": self.high}
        return {_TAG: json.dumps(values)}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Stretch":
        """The stretch in the tags of a GeoTIFF; the identity where there is none."""
        if _TAG not in tags:
            return cls.none()
        return cls(**{name: tuple(values) for name, values in json.loads(tags[_TAG]).items()})


def _is_ordinary(low: float, median: float, high: float) -> bool:
    darkest, brightest = ORDINARY_MEDIAN
    return darkest <= median <= brightest and high - low >= ORDINARY_RANGE


def _to_uint8(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(_clamp(image, 255)).astype(np.uint8)


def _clamp(values: NDArray[Any], upper: float) -> NDArray[np.float32]:
    """Clamp to 0..upper; NaN becomes 0 (by fmax, unlike clip)."""
    clamped: NDArray[np.float32] = np.fmax(values, 0, dtype=np.float32, casting="same_kind")
    np.fmin(clamped, np.float32(upper), out=clamped)
    return clamped


def _gamma_table(gamma: float) -> NDArray[np.uint8]:
    """The gamma curve: 0..1 in 65,536 steps to 0..255."""
    return _to_uint8(255 * np.linspace(0, 1, _TABLE_STEPS) ** gamma)


def _look_up(table: NDArray[np.uint8], band: NDArray[Any], low: float, high: float) -> Any:
    if band.dtype in (np.uint8, np.uint16):  # few values: stretch each once, look up the pixels
        values = np.arange(np.iinfo(band.dtype).max + 1, dtype=np.float32)
        return _look_up(table, values, low, high)[band]
    gain = (_TABLE_STEPS - 1) / (high - low) if high > low else 0.0
    steps = (band.astype(np.float32) - np.float32(low)) * np.float32(gain)
    return table[_clamp(steps, _TABLE_STEPS - 1).astype(np.uint16)]


# Relative error of a threshold that was divided and multiplied: 0.3 must remain 0.3.
_ROUNDING = 1e-9


def find_positive(prob: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Which probabilities in 0..1, of any shape, are positive; NaN is not.

    >>> find_positive(np.array([0.0, 0.29, 0.3, 1.0, np.nan], np.float32), 0.3).tolist()
    [False, False, True, True, False]
    """
    if threshold <= 0:
        return np.asarray(prob > 0)
    return np.asarray(
        prob >= float(threshold) - _ROUNDING
    )  # a Python float keeps the dtype of the array


def min_positive_value(threshold: float, full_scale: float = 255) -> int:
    """The smallest stored value that is positive, where ``full_scale`` means a probability of 1.

    >>> [min_positive_value(threshold) for threshold in (0.3, 0.5, 0.2, 0, 1)]
    [77, 128, 51, 1, 255]
    >>> [min_positive_value(0.5, full) for full in (65535, 100, 1)]
    [32768, 50, 1]
    """
    return max(math.ceil(float(threshold) * full_scale - full_scale * _ROUNDING), 1)


def keep_threshold_side(
    values: NDArray[np.uint8], prob: NDArray[Any], *thresholds: float
) -> NDArray[np.uint8]:
    """Correct rounded probabilities that are on the wrong side of a threshold.

    Rounding changes 0.2995 to 77 / 255, more than 0.3, and 0.35 to 89 / 255, less than 0.35.

    >>> prob = np.array([0.2995, 0.302, 0.35])
    >>> keep_threshold_side(np.rint(prob * 255).astype(np.uint8), prob, 0.3, 0.35).tolist()
    [76, 77, 90]
    """
    result = values
    for threshold in thresholds:
        least = np.uint8(min_positive_value(threshold))
        positive = find_positive(prob, threshold)
        corrected = np.where(positive, np.maximum(result, least), np.minimum(result, least - 1))
        result = corrected.astype(np.uint8, copy=False)
    return result
