"""Dividing a plane into tiles of one size, and blending the results of the tiles.

Along each axis tile k starts at ``k * stride - border``; neighbours share ``overlap_px`` pixels:

    tile k      --================~~~~--                -  border: weight 0 (a network sees padding)
    tile k+1                    --~~~~================~~~~--            =  weight 1
                                                        ~  ramp: the two weights add up to 1

So the borders of the outer tiles lie outside the plane, where ``reflect_index`` continues it.
Weights are multiples of 1/256 on each axis. So 8-bit integers are exact in float32 sums and 16-bit
integers in float64 sums; floats are exact but for rounding.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terralink._typing import Bools

Floats: TypeAlias = NDArray[np.float32]
Span: TypeAlias = tuple[int, int]

_WEIGHT_STEPS = 256


def reflect_index(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices into an axis of ``size`` that is extended by reflection at both ends.

    >>> reflect_index(-2, 5, 3).tolist()
    [1, 0, 0, 1, 2, 2, 1]
    """
    index = np.arange(start, stop) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index).astype(np.intp)


def iter_windows(
    shape: tuple[int, int], largest: tuple[int, int]
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Row, column and shape of windows that cover a plane exactly once, row by row.

    >>> list(iter_windows((5, 4), (4, 3)))
    [(0, 0, (4, 3)), (0, 3, (4, 1)), (4, 0, (1, 3)), (4, 3, (1, 1))]
    """
    (height, width), (down, across) = shape, largest
    for row in range(0, height, down):
        for col in range(0, width, across):
            yield row, col, (min(down, height - row), min(across, width - col))


def read_reflected(
    read: Callable[[Span, Span], tuple[NDArray[Any], Bools]],
    size: tuple[int, int],
    row: int,
    col: int,
    shape: tuple[int, int],
) -> tuple[NDArray[Any], Bools]:
    """Image (band, row, col) and valid (row, col) of a window that may extend beyond a raster.

    ``read`` returns both for ranges of rows and columns inside a raster of ``size``. Pixels outside
    are reflected, and not valid.
    """
    rows, cols = (
        reflect_index(start, start + length, limit)
        for start, length, limit in zip((row, col), shape, size, strict=True)
    )
    top, left = int(rows.min()), int(cols.min())
    image, valid = read((top, int(rows.max()) + 1), (left, int(cols.max()) + 1))
    if (row, col) != (top, left) or image.shape[1:] != shape:
        image = image.take(rows - top, axis=1).take(cols - left, axis=2)
        valid = valid.take(rows - top, axis=0).take(cols - left, axis=1)
        valid &= _is_inside(row, shape[0], size[0])[:, None] & _is_inside(col, shape[1], size[1])
    return image, valid


def _is_inside(start: int, length: int, size: int) -> Bools:
    index = np.arange(start, start + length)
    return (index >= 0) & (index < size)


class Tile(NamedTuple):
    """One tile: its row and column among the tiles, and its first pixel in the plane."""

    tile_row: int
    tile_col: int
    row: int
    col: int


class Block(NamedTuple):
    """A finished part of the plane: its first pixel, and its array (band, row, col)."""

    row: int
    col: int
    array: NDArray[Any]


@dataclass(frozen=True)
class TileGrid:
    """A plane of ``shape`` (height, width) covered by square tiles of ``tile`` pixels a side.

    Iteration gives the tiles row by row. Neighbours share ``overlap_px`` pixels, of which at least
    ``margin_px`` at the border of each tile have weight 0; two margins fit in an overlap, which is
    shorter than a tile. A tile may extend beyond the plane.

    >>> tiles = TileGrid((5, 9), tile=4, overlap_px=1)
    >>> [(tile.row, tile.col) for tile in tiles]
    [(0, 0), (0, 3), (0, 6), (3, 0), (3, 3), (3, 6)]
    >>> image = np.arange(45, dtype=np.uint8).reshape(1, 5, 9)
    >>> blocks = list(tiles.blend(tiles.cut(image)))
    >>> [(block.row, block.col, block.array.shape[1:]) for block in blocks[:3]]
    [(0, 0, (3, 3)), (0, 3, (3, 3)), (0, 6, (3, 3))]
    >>> bool((np.concatenate([block.array for block in blocks[:3]], axis=2) == image[:, :3]).all())
    True
    """

    shape: tuple[int, int]
    tile: int
    overlap_px: int = 0
    margin_px: int = 0

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"expected a plane of at least one pixel; got shape {self.shape}")
        if not 0 <= 2 * self.margin_px <= self.overlap_px < self.tile:
            raise ValueError(
                "expected 0 <= 2 * margin_px <= overlap_px < tile; "
                f"got margin {self.margin_px}, overlap {self.overlap_px}, tile {self.tile}"
            )

    @property
    def stride_px(self) -> int:
        return self.tile - self.overlap_px

    @property
    def border_px(self) -> int:
        """How many pixels at each border of a tile have weight 0.

        More than the margin where the overlap is over half a tile, so that only two tiles blend.
        """
        return max(self.margin_px, -(-(self.overlap_px - self.stride_px) // 2))

    @property
    def core_px(self) -> int:
        """The side of a tile without its borders."""
        return self.tile - 2 * self.border_px

    @property
    def ramp_px(self) -> int:
        """The number of pixels over which two neighbours blend."""
        return self.overlap_px - 2 * self.border_px

    @property
    def counts(self) -> tuple[int, int]:
        """The number of rows and of columns of tiles."""
        tile_rows, tile_cols = (
            max(1, -(-(n - self.ramp_px) // self.stride_px)) for n in self.shape
        )
        return tile_rows, tile_cols

    def __len__(self) -> int:
        return self.counts[0] * self.counts[1]

    def __iter__(self) -> Iterator[Tile]:
        return self.from_row(0)

    def from_row(self, first: int) -> Iterator[Tile]:
        """The tiles from row ``first`` of the tiles to the last."""
        tile_rows, tile_cols = self.counts
        for i in range(first, tile_rows):
            for j in range(tile_cols):
                row, col = i * self.stride_px, j * self.stride_px
                yield Tile(i, j, row - self.border_px, col - self.border_px)

    def weights(self, tile: Tile) -> tuple[Floats, Floats]:
        """The weights of the rows and columns of a tile's core: multiples of 1/256 in 0..1.

        Over all tiles, the products (row weight times column weight) add up to 1 at every pixel.
        """
        tile_rows, tile_cols = self.counts
        return (
            self._axis_weights(tile.tile_row, tile_rows),
            self._axis_weights(tile.tile_col, tile_cols),
        )

    def cut(self, array: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The tiles of an array (band, row, col), in their order."""
        height, width = self.shape
        for tile in self:
            rows = reflect_index(tile.row, tile.row + self.tile, height)
            cols = reflect_index(tile.col, tile.col + self.tile, width)
            yield array[:, rows[:, None], cols]

    def blend(self, pieces: Iterable[NDArray[Any]], *, first: int = 0) -> Iterator[Block]:
        """Blend tiles (band, tile, tile), in their order; each finishes one block.

        The blocks cover the plane once, row by row. Only the overlaps are kept in memory. Where the
        tiles begin at row ``first``, blocks are complete from the row after it.
        """
        blender = Blender(self, first=first)
        return (blender.add(piece) for piece in pieces)

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
    """Blends the tiles of a ``TileGrid``, one by one in its order, into finished blocks.

    A tile finishes the block that ends where the ramps to its right and below begin. The ramps are
    kept as weighted floats: a column of a tile's height, and a row of the plane's width.
    """

    def __init__(self, tiles: TileGrid, *, first: int = 0) -> None:
        self.tiles = tiles
        self._remaining = tiles.from_row(first)
        self._left: NDArray[Any] | None = None  # (band, core, ramp) of the tile to the left
        self._above: NDArray[Any] | None = None  # (band, ramp, width) of the row of tiles above

    def add(self, piece: NDArray[Any]) -> Block:
        """Add the next tile (band, tile, tile); return the block that it finishes."""
        tile = next(self._remaining)
        border, ramp = self.tiles.border_px, self.tiles.ramp_px
        core = piece[:, border : self.tiles.tile - border, border : self.tiles.tile - border]
        height, width = self._block_shape(tile)
        block = core[:, :height, :width].copy()
        if ramp:
            down, across = (w.astype(_sum_dtype(piece.dtype)) for w in self.tiles.weights(tile))
            left = self._blend_left(tile, core, across)[:, :, :width]
            block[:, :, :ramp] = _cast(piece.dtype, left[:, :height])
            top = self._blend_top(tile, core[:, :, :width], left, down)
            block[:, :ramp] = _cast(piece.dtype, top[:, :height])
        return Block(tile.row + border, tile.col + border, block)

    def _block_shape(self, tile: Tile) -> tuple[int, int]:
        """Height and width of a tile's block: up to the next ramps, or to the end of the plane."""
        first = (tile.row + self.tiles.border_px, tile.col + self.tiles.border_px)
        height, width = (
            size - start if index == count - 1 else self.tiles.stride_px
            for size, start, index, count in zip(
                self.tiles.shape, first, tile[:2], self.tiles.counts, strict=True
            )
        )
        return height, width

    def _blend_left(self, tile: Tile, core: NDArray[Any], across: NDArray[Any]) -> NDArray[Any]:
        """The first columns of a core, (band, core, ramp), blended with the tile to the left."""
        left: NDArray[Any] = core[:, :, : self.tiles.ramp_px] * across[: self.tiles.ramp_px]
        if tile.tile_col:
            left += self._left
        self._left = core[:, :, self.tiles.stride_px :] * across[self.tiles.stride_px :]
        return left

    def _blend_top(
        self, tile: Tile, core: NDArray[Any], left: NDArray[Any], down: NDArray[Any]
    ) -> NDArray[Any]:
        """The first rows of a core, (band, ramp, width), blended with the tiles above."""
        if self._above is None:
            self._above = np.zeros((len(core), self.tiles.ramp_px, self.tiles.shape[1]), left.dtype)
        top, bottom = slice(0, self.tiles.ramp_px), slice(self.tiles.stride_px, None)
        first_col = tile.col + self.tiles.border_px
        above = self._above[:, :, first_col : first_col + core.shape[2]]
        blended: NDArray[Any] = _with_left(core[:, top], left[:, top]) * down[top, None]
        if tile.tile_row:
            blended += above
        above[:] = _with_left(core[:, bottom], left[:, bottom]) * down[bottom, None]
        return blended


def _sum_dtype(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """The dtype of exact sums: 8 bits of a pixel and 8 of each weight fit the 24 of a float32."""
    short = dtype in (np.uint8, np.int8, np.bool_, np.float32, np.float16)
    return np.float32 if short else np.float64


def _cast(dtype: np.dtype[Any], floats: NDArray[Any]) -> NDArray[Any]:
    return (np.rint(floats) if dtype.kind in "iu" else floats).astype(dtype)


def _with_left(rows: NDArray[Any], left: NDArray[Any]) -> NDArray[Any]:
    """Rows (band, row, col) as floats, with the blended columns ``left`` in place of the first."""
    return np.concatenate([left, rows[:, :, left.shape[2] :]], axis=2)
