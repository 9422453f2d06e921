"""Where a picture holds nothing over an area, though nothing in its file says so."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_BLANK_SIDE_PX = 15  # a square of one level of this size is no roof and no shadow


def find_blank(levels: NDArray[Any], no_data: int | None) -> NDArray[np.bool_]:
    """True (row, col) where all bands of ``levels`` (band, row, col) are ``no_data``, over an area.

    >>> scene = np.full((3, 40, 40), 90, np.uint8)
    >>> scene[:, :20] = 0
    >>> scene[:, 30, 30] = 0
    >>> int(find_blank(scene, 0).sum()), 20 * 40
    (800, 800)
    """
    if no_data is None:
        return np.zeros(levels.shape[1:], bool)
    empty = (levels == no_data).all(axis=0)
    # Continued at the border, where an area may be narrower than the square.
    inner = slice(_BLANK_SIDE_PX, -_BLANK_SIDE_PX)
    return wide(np.pad(empty, _BLANK_SIDE_PX, mode="edge"), _BLANK_SIDE_PX)[inner, inner]


def wide(mask: NDArray[np.bool_], side_px: int) -> NDArray[np.bool_]:
    """What of a mask (row, col) lies in squares of ``side_px`` that are full: its opening.

    By filters along rows and columns: much less work than the square itself.

    >>> wide(np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]], bool), 3).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    """
    if np.count_nonzero(mask) < side_px**2:
        return np.zeros_like(mask)
    levels = mask.view(np.uint8)
    cores = ndimage.minimum_filter(levels, side_px, mode="constant", cval=0)
    return np.asarray(ndimage.maximum_filter(cores, side_px, mode="constant", cval=0)).astype(bool)
