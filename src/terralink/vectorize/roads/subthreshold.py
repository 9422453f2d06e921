"""What was seen where no road was found: probability below the threshold, kept small.

    strip -> means over blocks of a metre -> fifteenths of the threshold -> packed -> shelf

Whether a gap is bridged is asked when the whole scene has come, so this is what is kept of its
pixels until then: a tenth of a byte a square metre, and of a large scene on disk.
"""

import zlib
from dataclasses import dataclass
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.graph.polylines import Floats, Ints, Lines, by_chunks
from terralink.raster.grid import Grid
from terralink.vectorize.spill_buffer import Shelf
from terralink.vectorize.strips import Strip

_BLOCK_M = 1.0  # the largest block: much narrower than a road, so that where it begins is no matter
_STEPS = 15
_ROWS = 16  # whole blocks; sums of a block take four times the room of its pixels, thrice


@dataclass(frozen=True)
class _Packed:
    """Where blocks of one strip are; none are there of a mask, which says nothing of its gaps."""

    first_row: int
    shape: tuple[int, ...]


class Faint:
    """Collects strips from top to bottom; ``full`` is the threshold as a level, 0..255."""

    def __init__(self, *, full: float, pixel_m: float) -> None:
        self._full = full
        # a power of two, so that blocks are the same in whatever strips
        self._block_px = next((px for px in (8, 4, 2) if px * pixel_m <= _BLOCK_M), 1)
        self._step_m = self._block_px * pixel_m
        self._strips: list[_Packed] = []
        self._shelf = Shelf()  # the blocks of each, packed

    def add(self, strip: Strip) -> None:
        """Keep what the strip's own rows say."""
        levels, first_row = strip.prob[strip.core], strip.top + strip.core.start
        parts = np.split(levels, range(_ROWS, len(levels), _ROWS))
        if any(_has_shades(part) for part in parts):
            packer = zlib.compressobj(1)
            data = b"".join(packer.compress(self._shares(part).data) for part in parts)
            shape = tuple(-(-size // self._block_px) for size in levels.shape)
            self._keep(_Packed(first_row, shape), data + packer.flush())
        else:
            self._keep(_Packed(first_row, (0, 0)), b"")

    def _keep(self, strip: _Packed, data: bytes) -> None:
        self._strips.append(strip)
        self._shelf.put(data)

    def along(self, lines: Lines, grid: Grid) -> Floats:
        """(k,) mean share of the threshold, 0..1, along lines of two points, in metres of ``grid``.

        It is nan where all that is known is a mask, of nothing but 0 and 255.
        """
        top_down = np.argsort(-shapely.bounds(lines)[:, 3], kind="stable")  # strip by strip
        share = np.empty(len(lines))
        share[top_down] = by_chunks(partial(self._along, grid=grid), lines[top_down])
        return share

    def _along(self, lines: Lines, grid: Grid) -> Floats:
        count = np.maximum(np.ceil(shapely.length(lines) / self._step_m), 1).astype(np.int64)
        owner = np.repeat(np.arange(len(lines)), count)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        begin, end = shapely.get_coordinates(lines).reshape(-1, 2, 2)[owner].swapaxes(0, 1)
        points = begin + (end - begin) * ((nth + 0.5) / count[owner])[:, None]
        cols, rows = grid.metric_colrow(*points.T)
        share = self._at(np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64))
        known = ~np.isnan(share)
        total = np.bincount(owner[known], share[known], minlength=len(lines))
        size = np.bincount(owner[known], minlength=len(lines))
        mean = np.full(len(lines), np.nan)
        np.divide(total, size, out=mean, where=size > 0)
        return mean

    def _at(self, rows: Ints, cols: Ints) -> Floats:
        """Share at each pixel; one strip is unpacked at a time."""
        share = np.full(len(rows), np.nan)
        first = np.array([strip.first_row for strip in self._strips])
        number = np.maximum(np.searchsorted(first, rows, side="right") - 1, 0)
        for each in np.unique(number):
            strip, here = self._strips[each], number == each
            if strip.shape != (0, 0):
                row = (rows[here] - strip.first_row) // self._block_px
                col = cols[here] // self._block_px
                most = np.subtract(strip.shape, 1)
                at = np.clip(row, 0, most[0]), np.clip(col, 0, most[1])
                share[here] = self._blocks(each)[at] / _STEPS
        return share

    def _blocks(self, number: int) -> NDArray[np.uint8]:
        packed = np.frombuffer(zlib.decompress(self._shelf[number]), np.uint8)
        return packed.reshape(self._strips[number].shape)

    def _shares(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Means over blocks in steps of the share, what is road and more being all of it."""
        px = self._block_px
        past = [(0, -size % px) for size in levels.shape]
        whole = np.pad(levels, past, mode="edge") if any(more for _, more in past) else levels
        height, width = whole.shape
        rows = np.add.reduce(whole.reshape(height // px, px, width), axis=1, dtype=np.uint32)
        sums = sum(rows[:, aside::px] for aside in range(px))
        full = max(round(self._full * px**2), 1)
        return np.asarray((np.minimum(sums, full) * _STEPS + full // 2) // full, dtype=np.uint8)


def _has_shades(levels: NDArray[np.uint8]) -> bool:
    """Whether any level is neither 0 nor 255."""
    return bool((levels - np.uint8(1) < 254).any())
