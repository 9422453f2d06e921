"""Where a probability is positive: at the threshold and above, in shares and in bytes alike.

RULE: a pixel is positive where what it stands for is the threshold or more, and more than nothing.
A stored level stands for ``level / full``: bytes of probability are 255ths, masks are full or none.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def least_level(threshold: float, full: float = 255) -> int:
    """The smallest stored level that is positive, where ``full`` stands for a share of 1.

    >>> least_level(0.3), least_level(0.5), least_level(0.2), least_level(0), least_level(1)
    (77, 128, 51, 1, 255)
    >>> least_level(0.5, 65535), least_level(0.5, 100), least_level(0.5, 1)
    (32768, 50, 1)
    """
    return max(math.ceil(float(threshold) * full - full * _ROUNDING), 1)


def keep_side(
    levels: NDArray[np.uint8], prob: NDArray[Any], *thresholds: float
) -> NDArray[np.uint8]:
    """Bytes that are on the side of each threshold that the shares are on that they came from.

    Rounding moves 0.2995 to 77 / 255, which is more than 0.3, and 0.35 to 89 / 255, which is less.

    >>> prob = np.array([0.2995, 0.302, 0.35])
    >>> keep_side(np.rint(prob * 255).astype(np.uint8), prob, 0.3, 0.35).tolist()
    [76, 77, 90]
    """
    result = levels
    for threshold in thresholds:
        least = np.uint8(least_level(threshold))
        positive = find_positive(prob, threshold)
        moved = np.where(positive, np.maximum(result, least), np.minimum(result, least - 1))
        result = moved.astype(np.uint8, copy=False)
    return result
