"""Bands of rows as they come in: probabilities as bytes, and the scene that they add up to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralink.errors import InputError
from terralink.geo.grid import Grid


def levels(prob: NDArray[Any]) -> NDArray[np.uint8]:
    """Probabilities as bytes, 0..255; what is not a number is 0.

    >>> levels(np.array([0.0, 0.5, 1.0, np.nan]))
    array([  0, 128, 255,   0], dtype=uint8)
    """
    if prob.dtype == np.uint8:
        return prob
    if prob.dtype == bool:
        return prob.astype(np.uint8) * np.uint8(255)
    largest = np.fmax.reduce(prob, axis=None, initial=0)
    if not largest <= 1:
        raise InputError(f"probabilities are 0 to 1, or bytes (uint8) of 0 to 255, not {largest}")
    filled: NDArray[np.uint8] = np.rint(np.fmax(prob, 0) * 255).astype(np.uint8)
    return filled


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
