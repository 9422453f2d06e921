"""Cutting a plane into tiles of one size, and blending what comes back into the plane.

Along each axis tile k starts at ``k * stride - border``; neighbours share ``overlap_px`` pixels:

    tile k      --================~~~~--                -  border: weight 0 (a network sees padding)
    tile k+1                    --~~~~================~~~~--            =  weight 1
                                                        ~  ramp: the two weights add up to 1

So the borders of the outer tiles lie outside the plane, where ``mirrored`` continues it. Weights
are multiples of 1/256 in each axis, so 8-bit integers come back from float32 sums bit by bit,
16-bit integers from float64 sums, and floats to rounding.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

_WEIGHT_STEPS = 256


def mirrored(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices into an axis of ``size`` that is continued by mirrors at both of its ends.

    >>> mirrored(-2, 5, 3).tolist()
    [1, 0, 0, 1, 2, 2, 1]
    """
    index = np.arange(start, stop) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index).astype(np.intp)


class Tile(NamedTuple):
    """One tile: its place in the lattice, and the pixel of the plane where it starts."""

    tile_row: int
    tile_col: int
    row: int
    col: int


@dataclass(frozen=True)
class TileGrid:
    """A plane of ``shape`` (height, width) covered by square tiles of ``tile`` pixels a side.

    Iterating gives the tiles row by row. ``overlap_px`` pixels are shared by neighbours, of which
    at least ``margin_px`` at each tile's border count nothing; two margins fit in an overlap, which
    is shorter than a tile. A tile may stick out of the plane.

    >>> tiles = TileGrid((5, 9), tile=4, overlap_px=1)
    >>> [(tile.row, tile.col) for tile in tiles]
    [(0, 0), (0, 3), (0, 6), (3, 0), (3, 3), (3, 6)]
    >>> image = np.arange(45, dtype=np.uint8).reshape(1, 5, 9)
    >>> bands = list(tiles.blend(tiles.cut(image)))
    >>> [(row, band.shape) for row, band in bands]
    [(0, (1, 3, 9)), (3, (1, 2, 9))]
    >>> bool((np.concatenate([band for _, band in bands], axis=1) == image).all())
    True
    """

    shape: tuple[int, int]
    tile: int
    overlap_px: int = 0
    margin_px: int = 0

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"a plane of at least one pixel was wanted, shape {self.shape} came")
        if not 0 <= 2 * self.margin_px <= self.overlap_px < self.tile:
            raise ValueError(
                "0 <= 2 * margin_px <= overlap_px < tile was wanted; "
                f"margin {self.margin_px}, overlap {self.overlap_px}, tile {self.tile} came"
            )

    @property
    def stride_px(self) -> int:
        return self.tile - self.overlap_px

    @property
    def border_px(self) -> int:
        """How many pixels at each border of a tile have weight 0.

        More than the margin when the overlap is over half a tile: no more than two tiles blend.
        """
        return max(self.margin_px, -(-(self.overlap_px - self.stride_px) // 2))

    @property
    def core_px(self) -> int:
        """The side of a tile without its borders."""
        return self.tile - 2 * self.border_px

    @property
    def ramp_px(self) -> int:
        """How many pixels two neighbours blend over."""
        return self.overlap_px - 2 * self.border_px

    @property
    def counts(self) -> tuple[int, int]:
        """How many tiles there are down and across."""
        down, across = (max(1, -(-(n - self.ramp_px) // self.stride_px)) for n in self.shape)
        return down, across

    def __len__(self) -> int:
        return self.counts[0] * self.counts[1]

    def __iter__(self) -> Iterator[Tile]:
        down, across = self.counts
        for i in range(down):
            for j in range(across):
                row, col = i * self.stride_px, j * self.stride_px
                yield Tile(i, j, row - self.border_px, col - self.border_px)

    def weights(self, tile: Tile) -> tuple[Floats, Floats]:
        """What each row and each column of a tile's core counts: multiples of 1/256 in 0..1.

        Over all tiles, the products (row weight times column weight) add up to 1 at every pixel.
        """
        down, across = self.counts
        return self._axis_weights(tile.tile_row, down), self._axis_weights(tile.tile_col, across)

    def cut(self, array: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The pieces of an array (band, row, col) in the order of the tiles."""
        height, width = self.shape
        for tile in self:
            rows = mirrored(tile.row, tile.row + self.tile, height)
            cols = mirrored(tile.col, tile.col + self.tile, width)
            yield array[:, rows[:, None], cols]

    def blend(self, pieces: Iterable[NDArray[Any]]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Blend pieces (band, tile, tile), given in the tiles' order, as they come.

        Yields ``(row, band)``: whole-width row bands (band, rows, width) of the pieces' dtype from
        top to bottom, each as soon as its tiles are there. Only one row of tiles is held.
        """
        blender = Blender(self)
        for piece in pieces:
            yield from blender.add(piece)

    def _axis_weights(self, index: int, count: int) -> Floats:
        weights = np.ones(self.core_px, np.float32)
        if self.ramp_px and index > 0:
            weights[: self.ramp_px] = self._ramp
        if self.ramp_px and index < count - 1:
            weights[-self.ramp_px :] = 1 - self._ramp
        return weights

    @cached_property
    def _ramp(self) -> Floats:
        rise = np.arange(1, self.ramp_px + 1) / (self.ramp_px + 1)
        return (np.rint(rise * _WEIGHT_STEPS) / _WEIGHT_STEPS).astype(np.float32)


class Blender:
    """Blends the pieces of a ``TileGrid``, given one by one in its order, into row bands.

    It holds one row of tiles: the rows that are finished leave, the overlap stays for the next row.
    """

    def __init__(self, tiles: TileGrid) -> None:
        self.tiles = tiles
        self._coming = iter(tiles)
        self._strip: NDArray[Any] | None = None

    def add(self, piece: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
        """Take the next piece (band, tile, tile); return the (row, band)s that it finishes."""
        tile = next(self._coming)
        if self._strip is None:
            self._strip = self._empty_strip(piece)
        self._lay(tile, piece)
        if tile.tile_col < self.tiles.counts[1] - 1:
            return []
        return [(self._first_row(tile), self._finish_strip(tile, piece.dtype))]

    def _lay(self, tile: Tile, piece: NDArray[Any]) -> None:
        assert self._strip is not None
        border, first_col = self.tiles.border_px, tile.tile_col * self.tiles.stride_px
        height = min(self.tiles.core_px, self.tiles.shape[0] - self._first_row(tile))
        width = min(self.tiles.core_px, self.tiles.shape[1] - first_col)
        down, across = self.tiles.weights(tile)
        core = piece[:, border : border + height, border : border + width]
        weighted = core * (down[:height, None] * across[:width]).astype(self._strip.dtype)
        self._strip[:, :height, first_col : first_col + width] += weighted

    def _finish_strip(self, tile: Tile, dtype: np.dtype[Any]) -> NDArray[Any]:
        strip = self._strip
        assert strip is not None
        if tile.tile_row == self.tiles.counts[0] - 1:
            height, self._strip = self.tiles.shape[0] - self._first_row(tile), None
        else:
            height = self.tiles.stride_px
            self._strip = np.zeros_like(strip)
            self._strip[:, : self.tiles.ramp_px] = strip[:, height:]
        done = strip[:, :height]
        return np.rint(done).astype(dtype) if dtype.kind in "iu" else done.astype(dtype, copy=False)

    def _first_row(self, tile: Tile) -> int:
        return tile.tile_row * self.tiles.stride_px

    def _empty_strip(self, piece: NDArray[Any]) -> NDArray[Any]:
        # 8 bits of a pixel and 8 of each weight fill the 24 of a float32; longer ones need float64.
        exact_in_float32 = piece.dtype in (np.uint8, np.int8, np.bool_, np.float32, np.float16)
        dtype = np.float32 if exact_in_float32 else np.float64
        return np.zeros((len(piece), self.tiles.core_px, self.tiles.shape[1]), dtype)
