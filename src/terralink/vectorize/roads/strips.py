"""Strips of rows with a halo, and what is stored of each strip until the whole scene is read.

The tracer receives rows and works on strips. Strips are counted from the first row of the scene, so
the result does not depend on how many rows arrive at a time.

Two things are stored of the whole scene, because the cleaning of the graph needs them at the end:
the mask (``MaskStore``) and the probability below the threshold (``SubthresholdStore``). Both are
compressed. A large scene stores them on disk.
"""

import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile, gettempdir

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink._typing import Floats, Ints
from terralink.errors import OutputError
from terralink.graph.polylines import Lines, map_chunks
from terralink.raster.grid import Grid

STRIP_ROWS = 512
# Each round of thinning removes a pixel from both sides of a road, and carries information from
# beyond the strip two pixels inward. So roads up to about this width get the same centre line as in
# the whole scene.
HALO_ROWS = 64
_ALL = slice(None)
_IN_MEMORY_BYTES = 8 << 20  # small scenes need no file
_BLOCK_M = 1.0  # the largest block: much narrower than a road, so its origin does not matter
_STEPS = 15  # to which a share of the threshold is rounded
_BLOCK_ROWS = 16  # a multiple of every block size; the sums need 12 times the memory of the pixels


@dataclass(frozen=True, eq=False)
class Strip:
    """Rows of a scene; those of ``core`` are the strip's own, the others are its halo.

    prob (row, col)  probability of road, 0..255
    top              the row of the scene that is row 0 of the strip
    threshold        the lowest probability that is road

    Outside the scene there is no road.
    """

    prob: NDArray[np.uint8]
    core: slice
    top: int
    threshold: int

    @property
    def begins_scene(self) -> bool:
        """Whether row 0 of the strip is the first row of the scene."""
        return bool(self.core.start < HALO_ROWS)

    @property
    def ends_scene(self) -> bool:
        """Whether the last row of the strip is the last row of the scene."""
        return bool(len(self.prob) - self.core.stop < HALO_ROWS)

    def mask(self, rows: slice = _ALL, cols: slice = _ALL) -> NDArray[np.bool_]:
        """(row, col) where road is. To save memory, ask for few rows or columns of a wide strip."""
        return np.asarray(self.prob[rows, cols] >= self.threshold)

    def measure_road(
        self, start: Floats, heading: Floats, max_m: Floats, pixel_size_m: Floats
    ) -> Floats:
        """(k,) how far road continues from points along unit vectors (k, 2), up to ``max_m`` (k,).

        Points are (x, y) in metres from the strip's first pixel. ``pixel_size_m`` is (width,
        height). The result is exact to a pixel. Outside the strip pixels count as road.
        """
        height, width = self.prob.shape
        road_m = max_m.astype(float).copy()
        active, along_m = np.arange(len(start)), 0.0
        while len(active):
            points = (start[active] + heading[active] * along_m) / pixel_size_m
            col, row = np.floor(points).astype(np.int64).T
            inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
            off_road = inside.copy()
            off_road[inside] = self.prob[row[inside], col[inside]] < self.threshold
            road_m[active[off_road]] = along_m
            along_m += float(pixel_size_m.min())
            active = active[~off_road & (max_m[active] > along_m)]
        return road_m


class StripBuffer:
    """Collects rows and yields strips. Memory is one strip and its halo, a byte a pixel."""

    def __init__(
        self,
        width_px: int,
        *,
        threshold: int,
        strip_rows: int = STRIP_ROWS,
        halo_rows: int = HALO_ROWS,
    ) -> None:
        self._threshold, self._strip_rows, self._halo_rows = threshold, strip_rows, halo_rows
        self._prob = np.zeros((strip_rows + 2 * halo_rows, width_px), np.uint8)
        self._top = 0  # the row of the scene that is row 0 of the buffer
        self._filled = 0  # rows in the buffer
        self._yielded = 0  # rows of the scene that were the core of a strip

    def add(self, prob: NDArray[np.uint8]) -> Iterator[Strip]:
        """Add rows; yield the strips that are complete with them."""
        copied = 0
        while copied < len(prob):
            count = min(len(prob) - copied, len(self._prob) - self._filled)
            target = slice(self._filled, self._filled + count)
            self._prob[target] = prob[copied : copied + count]
            self._filled += count
            copied += count
            if self._filled == len(self._prob):
                yield self._next_strip()
                self._discard_rows()

    def flush(self) -> Iterator[Strip]:
        """Yield the remaining strips, after the last row of the scene."""
        while self._yielded < self._top + self._filled:
            yield self._next_strip()

    def _next_strip(self) -> Strip:
        start = self._yielded - self._top
        stop = min(start + self._strip_rows, self._filled)
        self._yielded += stop - start
        rows = slice(0, min(stop + self._halo_rows, self._filled))
        return Strip(self._prob[rows], slice(start, stop), self._top, self._threshold)

    def _discard_rows(self) -> None:
        """Drop the rows above the halo of the next strip."""
        count = self._yielded - self._halo_rows - self._top
        if count > 0:
            remaining = self._filled - count
            self._prob[:remaining] = self._prob[count : self._filled]
            self._top, self._filled = self._top + count, remaining


class SpillBuffer:
    """A list of bytes, in memory while it is small, else in a temporary file without a name.

    >>> buffer = SpillBuffer()
    >>> buffer.append(b"first")
    >>> buffer.append(b"second")
    >>> [bytes(item) for item in buffer], buffer[0]
    ([b'first', b'second'], b'first')
    """

    def __init__(self, in_memory_bytes: int = _IN_MEMORY_BYTES) -> None:
        self._file = SpooledTemporaryFile(max_size=in_memory_bytes)  # noqa: SIM115
        self._starts = [0]
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def append(self, data: bytes) -> None:
        """Add an item at the end; raises ``OutputError`` when the disk is full."""
        try:
            self._file.seek(self._starts[-1])
            self._file.write(data)
        except OSError as error:
            raise OutputError(
                f"cannot write temporary data of the scene to {gettempdir()}: "
                f"{error.strerror}; set TMPDIR to a folder on a larger disk"
            ) from error
        self._starts.append(self._starts[-1] + len(data))

    def __getitem__(self, number: int) -> bytes:
        start, stop = self._starts[number], self._starts[number + 1]
        self._file.seek(start)
        return self._file.read(stop - start)


class MaskStore:
    """The mask of the whole scene: a bit a pixel, compressed strip by strip.

    >>> store = MaskStore(width_px=3)
    >>> store.add(Strip(np.array([[0, 9, 9]], np.uint8), slice(0, 1), top=0, threshold=5))
    >>> store.is_road(np.array([0, 0, 0, 7]), np.array([0, 1, 3, 1])).tolist()
    [False, True, False, False]
    """

    def __init__(self, *, width_px: int) -> None:
        self._width_px = width_px
        self._first_rows = [0]
        self._bits = SpillBuffer()

    def add(self, strip: Strip) -> None:
        """Store the strip's own rows; strips come from top to bottom."""
        bits = np.packbits(strip.mask(rows=strip.core), axis=1)
        self._bits.append(zlib.compress(bits.data, 1))
        self._first_rows.append(self._first_rows[-1] + strip.core.stop - strip.core.start)

    def is_road(self, rows: Ints, cols: Ints) -> NDArray[np.bool_]:
        """(k,) whether pixels are road; outside the scene none is."""
        road = np.zeros(len(rows), bool)
        inside = (rows >= 0) & (rows < self._first_rows[-1])
        inside &= (cols >= 0) & (cols < self._width_px)
        number = np.searchsorted(self._first_rows, rows, side="right") - 1
        for strip in np.unique(number[inside]):
            in_strip = np.flatnonzero(inside & (number == strip))
            bits = np.frombuffer(zlib.decompress(self._bits[strip]), np.uint8)
            bits = bits.reshape(-1, -(-self._width_px // 8))
            row, col = rows[in_strip] - self._first_rows[strip], cols[in_strip]
            road[in_strip] = bits[row, col // 8] >> (7 - col % 8) & 1
        return road

    def measure_road(self, start: Floats, heading: Floats, max_m: Floats, grid: Grid) -> Floats:
        """(k,) how far road continues from points along unit vectors (k, 2), up to ``max_m`` (k,).

        Points are in the metric CRS of ``grid``. The result is up to half a pixel too short.
        """
        top_down = np.argsort(-start[:, 1], kind="stable")  # each strip is read once
        road_m = np.empty(len(start))
        road_m[top_down] = map_chunks(
            partial(self._measure, grid=grid), *(c[top_down] for c in (start, heading, max_m))
        )
        return road_m

    def trim_road(self, lines: Lines, grid: Grid) -> Lines:
        """(k,) lines of two points without the road at their beginning and at their end."""
        begin, end = shapely.get_coordinates(lines).reshape(-1, 2, 2).swapaxes(0, 1)
        length_m = shapely.length(lines)
        heading = (end - begin) / np.where(length_m > 0, length_m, 1)[:, None]
        from_begin_m = self.measure_road(begin, heading, length_m, grid)
        from_end_m = self.measure_road(end, -heading, length_m - from_begin_m, grid)
        first = begin + heading * from_begin_m[:, None]
        last = end - heading * from_end_m[:, None]
        return np.asarray(shapely.linestrings(np.stack([first, last], axis=1)), dtype=object)

    def _measure(self, start: Floats, heading: Floats, max_m: Floats, grid: Grid) -> Floats:
        stop = start + heading * max_m[:, None]
        first, last = (np.column_stack(grid.metric_colrow(*xy.T)) for xy in (start, stop))
        steps = np.ceil(2 * np.hypot(*(last - first).T)).astype(np.int64) + 1
        owner = np.repeat(np.arange(len(start)), steps + 1)
        begins = np.cumsum(steps + 1) - steps - 1
        share = (np.arange(len(owner)) - begins[owner]) / steps[owner]
        cols, rows = (first[owner] + (last - first)[owner] * share[:, None]).T
        road = self.is_road(np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64))
        road_share = np.where(road, 1, np.maximum(share - 1 / steps[owner], 0))
        return np.asarray(np.minimum.reduceat(road_share, begins) * max_m)


@dataclass(frozen=True)
class _Blocks:
    """The blocks of one strip; ``shape`` is (0, 0) where the strip is a mask."""

    first_row: int
    shape: tuple[int, ...]


class SubthresholdStore:
    """The probability below the threshold of the whole scene, for gaps (RULE 10).

        strip -> means over blocks of up to a metre -> fifteenths of the threshold -> compressed

    It needs about a tenth of a byte a square metre. ``threshold`` is a probability, 0..255. A strip
    of 0 and 255 alone is a mask: what it has in a gap is unknown, not zero.
    """

    def __init__(self, *, threshold: float, pixel_m: float) -> None:
        self._threshold = threshold
        # a power of two, so that blocks do not depend on the strips
        self._block_px = next((px for px in (8, 4, 2) if px * pixel_m <= _BLOCK_M), 1)
        self._block_m = self._block_px * pixel_m
        self._strips: list[_Blocks] = []
        self._data = SpillBuffer()  # the compressed blocks of each strip

    def add(self, strip: Strip) -> None:
        """Store the strip's own rows; strips come from top to bottom."""
        prob, first_row = strip.prob[strip.core], strip.top + strip.core.start
        parts = np.split(prob, range(_BLOCK_ROWS, len(prob), _BLOCK_ROWS))
        if any(_has_intermediate_values(part) for part in parts):
            compressor = zlib.compressobj(1)
            data = b"".join(compressor.compress(self._block_shares(part).data) for part in parts)
            shape = tuple(-(-size // self._block_px) for size in prob.shape)
            self._append(_Blocks(first_row, shape), data + compressor.flush())
        else:
            self._append(_Blocks(first_row, (0, 0)), b"")

    def _append(self, blocks: _Blocks, data: bytes) -> None:
        self._strips.append(blocks)
        self._data.append(data)

    def mean_share(self, lines: Lines, grid: Grid) -> Floats:
        """(k,) mean share of the threshold, 0..1, along lines of two points in metres of ``grid``.

        It is nan where only a mask is known.
        """
        top_down = np.argsort(
            -shapely.bounds(lines)[:, 3], kind="stable"
        )  # each strip is read once
        share = np.empty(len(lines))
        share[top_down] = map_chunks(partial(self._mean_share, grid=grid), lines[top_down])
        return share

    def _mean_share(self, lines: Lines, grid: Grid) -> Floats:
        count = np.maximum(np.ceil(shapely.length(lines) / self._block_m), 1).astype(np.int64)
        owner = np.repeat(np.arange(len(lines)), count)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        begin, end = shapely.get_coordinates(lines).reshape(-1, 2, 2)[owner].swapaxes(0, 1)
        points = begin + (end - begin) * ((nth + 0.5) / count[owner])[:, None]
        cols, rows = grid.metric_colrow(*points.T)
        share = self._pixel_shares(np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64))
        known = ~np.isnan(share)
        total = np.bincount(owner[known], share[known], minlength=len(lines))
        size = np.bincount(owner[known], minlength=len(lines))
        mean = np.full(len(lines), np.nan)
        np.divide(total, size, out=mean, where=size > 0)
        return mean

    def _pixel_shares(self, rows: Ints, cols: Ints) -> Floats:
        """The share at each pixel; one strip is decompressed at a time."""
        share = np.full(len(rows), np.nan)
        first = np.array([strip.first_row for strip in self._strips])
        number = np.maximum(np.searchsorted(first, rows, side="right") - 1, 0)
        for each in np.unique(number):
            strip, in_strip = self._strips[each], number == each
            if strip.shape != (0, 0):
                row = (rows[in_strip] - strip.first_row) // self._block_px
                col = cols[in_strip] // self._block_px
                last = np.subtract(strip.shape, 1)
                block = np.clip(row, 0, last[0]), np.clip(col, 0, last[1])
                share[in_strip] = self._read_blocks(each)[block] / _STEPS
        return share

    def _read_blocks(self, number: int) -> NDArray[np.uint8]:
        data = np.frombuffer(zlib.decompress(self._data[number]), np.uint8)
        return data.reshape(self._strips[number].shape)

    def _block_shares(self, prob: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Mean shares of blocks in ``_STEPS``; probabilities above the threshold count as 1."""
        px = self._block_px
        padding = [(0, -size % px) for size in prob.shape]
        whole = np.pad(prob, padding, mode="edge") if any(after for _, after in padding) else prob
        height, width = whole.shape
        rows = np.add.reduce(whole.reshape(height // px, px, width), axis=1, dtype=np.uint32)
        sums = sum(rows[:, col::px] for col in range(px))
        full = max(round(self._threshold * px**2), 1)
        return np.asarray((np.minimum(sums, full) * _STEPS + full // 2) // full, dtype=np.uint8)


def _has_intermediate_values(prob: NDArray[np.uint8]) -> bool:
    """Whether any probability is neither 0 nor 255."""
    return bool((prob - np.uint8(1) < 254).any())
