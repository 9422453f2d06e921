"""The mask of a whole scene, kept small: a bit a pixel, compressed strip by strip.

Cleaning the graph asks for it where roads end, when the whole scene has come in.
"""

import zlib
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.graph.polylines import Floats, Ints, Lines, by_chunks
from terralink.raster.grid import Grid
from terralink.vectorize.spill_buffer import Shelf
from terralink.vectorize.strips import Strip


class MaskStore:
    """Takes strips from top to bottom; memory is that of the compressed bits, or a file's.

    >>> store = MaskStore(width_px=3)
    >>> store.add(Strip(np.array([[0, 9, 9]], np.uint8), slice(0, 1), top=0, road=5))
    >>> store.at(np.array([0, 0, 0, 7]), np.array([0, 1, 3, 1])).tolist()
    [False, True, False, False]
    """

    def __init__(self, *, width_px: int) -> None:
        self._width_px = width_px
        self._first_rows = [0]
        self._bits = Shelf()

    def add(self, strip: Strip) -> None:
        """Keep the strip's own rows."""
        bits = np.packbits(strip.mask(rows=strip.core), axis=1)
        self._bits.put(zlib.compress(bits.data, 1))
        self._first_rows.append(self._first_rows[-1] + strip.core.stop - strip.core.start)

    def at(self, rows: Ints, cols: Ints) -> NDArray[np.bool_]:
        """(k,) whether pixels are road; outside the scene none is."""
        road = np.zeros(len(rows), bool)
        inside = (rows >= 0) & (rows < self._first_rows[-1])
        inside &= (cols >= 0) & (cols < self._width_px)
        number = np.searchsorted(self._first_rows, rows, side="right") - 1
        for each in np.unique(number[inside]):
            here = np.flatnonzero(inside & (number == each))
            bits = np.frombuffer(zlib.decompress(self._bits[each]), np.uint8)
            bits = bits.reshape(-1, -(-self._width_px // 8))
            row, col = rows[here] - self._first_rows[each], cols[here]
            road[here] = bits[row, col // 8] >> (7 - col % 8) & 1
        return road

    def measure_road(self, start: Floats, heading: Floats, reach_m: Floats, grid: Grid) -> Floats:
        """(k,) how far road goes on from points along unit vectors (k, 2), in metres of ``grid``.

        It is ``reach_m`` (k,) at most, and up to half a pixel less than there is.
        """
        top_down = np.argsort(-start[:, 1], kind="stable")  # strip by strip
        onward_m = np.empty(len(start))
        onward_m[top_down] = by_chunks(
            partial(self._measure, grid=grid), *(c[top_down] for c in (start, heading, reach_m))
        )
        return onward_m

    def trim(self, lines: Lines, grid: Grid) -> Lines:
        """(k,) lines of two points without the road that they begin and end on."""
        begin, end = shapely.get_coordinates(lines).reshape(-1, 2, 2).swapaxes(0, 1)
        length_m = shapely.length(lines)
        heading = (end - begin) / np.where(length_m > 0, length_m, 1)[:, None]
        from_begin_m = self.measure_road(begin, heading, length_m, grid)
        from_end_m = self.measure_road(end, -heading, length_m - from_begin_m, grid)
        first = begin + heading * from_begin_m[:, None]
        last = end - heading * from_end_m[:, None]
        return np.asarray(shapely.linestrings(np.stack([first, last], axis=1)), dtype=object)

    def _measure(self, start: Floats, heading: Floats, reach_m: Floats, grid: Grid) -> Floats:
        stop = start + heading * reach_m[:, None]
        first, last = (np.column_stack(grid.metric_colrow(*xy.T)) for xy in (start, stop))
        steps = np.ceil(2 * np.hypot(*(last - first).T)).astype(np.int64) + 1
        owner = np.repeat(np.arange(len(start)), steps + 1)
        begins = np.cumsum(steps + 1) - steps - 1
        share = (np.arange(len(owner)) - begins[owner]) / steps[owner]
        cols, rows = (first[owner] + (last - first)[owner] * share[:, None]).T
        road = self.at(np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64))
        road_share = np.where(road, 1, np.maximum(share - 1 / steps[owner], 0))
        return np.asarray(np.minimum.reduceat(road_share, begins) * reach_m)
