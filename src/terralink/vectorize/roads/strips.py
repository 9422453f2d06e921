"""Strips of rows with a halo, and what is stored of each strip until the whole scene is read.

A tracer receives rows and works on strips. Strips are counted from the first row of the scene, so
the result does not depend on how many rows arrive at a time.

Two things are stored for the whole scene, because the cleaning of the graph needs them at the end:
the mask (a bit a pixel, compressed) and the probability below the threshold (means over blocks of
up to a metre, in fifteenths of the threshold, compressed). Both grow slowly: about a tenth of a
byte a square metre, and on disk for a large scene.
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

from terralink.errors import OutputError
from terralink.graph.polylines import Floats, Ints, Lines, by_chunks
from terralink.raster.grid import Grid

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

    def measure_road(
        self, start: Floats, heading: Floats, reach_m: Floats, pixel_size_m: Floats
    ) -> Floats:
        """(k,) how far road goes on from points along unit vectors (k, 2), ``reach_m`` at most.

        Points are (x, y) in metres from the strip's first pixel of ``pixel_size_m`` (2,). The
        result is exact to a pixel. Outside the strip nothing is known, and it counts as road.
        """
        height, width = self.prob.shape
        onward_m = reach_m.astype(float).copy()
        active, along_m = np.arange(len(start)), 0.0
        while len(active):
            points = (start[active] + heading[active] * along_m) / pixel_size_m
            col, row = np.floor(points).astype(np.int64).T
            inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
            off = inside.copy()
            off[inside] = self.prob[row[inside], col[inside]] < self.road
            onward_m[active[off]] = along_m
            along_m += float(pixel_size_m.min())
            active = active[~off & (reach_m[active] > along_m)]
        return onward_m


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


_IN_MEMORY_BYTES = 8 << 20  # the files of small scenes need not be


class Shelf:
    """A list of bytes; what is past some megabytes lies in a file without a name, gone in the end.

    >>> shelf = Shelf()
    >>> shelf.put(b"first")
    >>> shelf.put(b"second")
    >>> [bytes(each) for each in shelf], shelf[0]
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

    def put(self, data: bytes) -> None:
        """Put it behind the others; raises ``OutputError`` when the disk is full."""
        try:
            self._file.seek(self._starts[-1])
            self._file.write(data)
        except OSError as error:
            raise OutputError(
                f"no room in {gettempdir()} for what is kept of the scene until it is whole: "
                f"{error.strerror}; set TMPDIR to a folder on a larger disk"
            ) from error
        self._starts.append(self._starts[-1] + len(data))

    def __getitem__(self, number: int) -> bytes:
        start, stop = self._starts[number], self._starts[number + 1]
        self._file.seek(start)
        return self._file.read(stop - start)


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
