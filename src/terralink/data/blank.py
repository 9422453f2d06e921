"""Where a picture holds nothing over an area, though nothing in its file says so."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


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
