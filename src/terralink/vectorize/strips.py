"""Rows come in as they are made; strips with a halo go out.

Strips are counted from the first row of the scene. So what is made of them does not depend on how
many rows came in at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRIP_ROWS = 512
# Thinning eats a road from both sides, a pixel a round, and is told of what lies beyond its own
# rows at two pixels a round: centre lines of roads up to about this wide are those of the scene.
HALO_ROWS = 64
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Strip:
    """Rows of a scene; those of ``core`` are the strip's own, the others are its halo.

    prob (row, col)  probability of road, 0..255
    road             the lowest probability that is road
    top              the scene's row that is row 0 here

    Outside the scene there is no road.
    """

    prob: NDArray[np.uint8]
    core: slice
    top: int
    road: int

    @property
    def begins_scene(self) -> bool:
        """Whether row 0 here is the scene's first."""
        return bool(self.core.start < HALO_ROWS)

    @property
    def ends_scene(self) -> bool:
        """Whether the last row here is the scene's last."""
        return bool(len(self.prob) - self.core.stop < HALO_ROWS)

    def mask(self, rows: slice = ALL, cols: slice = ALL) -> NDArray[np.bool_]:
        """(row, col) road or not; of few rows or columns, where the strip is wide."""
        return np.asarray(self.prob[rows, cols] >= self.road)


class Strips:
    """A buffer of one strip and its halo: a byte a pixel. Memory depends on ``width_px`` alone."""

    def __init__(
        self,
        width_px: int,
        *,
        road: int,
        strip_rows: int = STRIP_ROWS,
        halo_rows: int = HALO_ROWS,
    ) -> None:
        self._road, self._strip_rows, self._halo_rows = road, strip_rows, halo_rows
        self._prob = np.zeros((strip_rows + 2 * halo_rows, width_px), np.uint8)
        self._top = 0  # the scene's row that is row 0 of the buffer
        self._filled = 0  # rows in the buffer
        self._done = 0  # rows of the scene whose strips have gone out

    def add(self, prob: NDArray[np.uint8]) -> Iterator[Strip]:
        """Take rows, give the strips that are whole with them."""
        taken = 0
        while taken < len(prob):
            count = min(len(prob) - taken, len(self._prob) - self._filled)
            into = slice(self._filled, self._filled + count)
            self._prob[into] = prob[taken : taken + count]
            self._filled += count
            taken += count
            if self._filled == len(self._prob):
                yield self._next()
                self._forget()

    def rest(self) -> Iterator[Strip]:
        """The strips that were waiting for rows that will not come."""
        while self._done < self._top + self._filled:
            yield self._next()

    def _next(self) -> Strip:
        start = self._done - self._top
        stop = min(start + self._strip_rows, self._filled)
        self._done += stop - start
        whole = slice(0, min(stop + self._halo_rows, self._filled))
        return Strip(self._prob[whole], slice(start, stop), self._top, self._road)

    def _forget(self) -> None:
        """Move up what the next strip needs: its halo and what has come of it."""
        gone = self._done - self._halo_rows - self._top
        if gone > 0:
            kept = self._filled - gone
            self._prob[:kept] = self._prob[gone : self._filled]
            self._top, self._filled = self._top + gone, kept
