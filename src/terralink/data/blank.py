"""Where a picture holds nothing over an area, though nothing in its file says so."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralink.raster.no_data import SIDE_PX, apply_opening


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
    inner = slice(SIDE_PX, -SIDE_PX)
    return apply_opening(np.pad(empty, SIDE_PX, mode="edge"), SIDE_PX)[inner, inner]
