"""The plan of a scene's tiles: which tiles, in which order, and which pixels of each count.

Tiles are read in rows from top to bottom, and results come in bands of whole rows. A scene that is
very wide, and wider than high, is planned in columns from left to right instead: its plan and all
results are transposed, grid included, so that code that takes bands of rows need not know. Images
that a network sees are never transposed.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from terralink.inference.model import PROB_SCALE
from terralink.model_card import Metadata
from terralink.raster import Grid, Raster, RasterWriter, Scene, TileGrid

_STRIDE = 32  # the coarsest of a network: tiles start and end at multiples of it
_TILE_PX = 2304  # at most, unless the metadata asks for more: a stream holds 53 bytes a pixel
# Networks of this family see 100 px and more around a pixel. Whatever the shape of the ramp, seams
# are weaker the more two tiles share; a margin of weight 0 removes the worst.
_MARGIN_PX = 64  # or that of the metadata, if wider
_RAMP_PX = 128
_WIDEST_PX = 1 << 15  # each column of a row of tiles needs kilobytes until that row is complete
_DIAGONAL = Affine(0, 1, 0, 1, 0, 0)


@dataclass(frozen=True)
class TilePlan:
    """The tiles of a scene.

    grid        that of the results: the scene's, transposed for a very wide scene
    offset      (row, col) of the scene's first pixel in the plane of the tiles
    plane       tiles that cover the scene, aligned to the coarsest stride on the ground
    transposed  whether results are the transposed scene
    """

    grid: Grid
    offset: tuple[int, int]
    plane: TileGrid
    transposed: bool

    @classmethod
    def create(cls, grid: Grid, metadata: Metadata) -> "TilePlan":
        """The plan of a scene on ``grid`` for the model with that metadata."""
        transposed = grid.width > max(_WIDEST_PX, grid.height)
        row, col = _offset(grid)
        offset = (col, row) if transposed else (row, col)
        if transposed:
            grid = Grid(grid.shape[::-1], grid.transform @ _DIAGONAL, grid.crs)
        shape = (grid.height + offset[0], grid.width + offset[1])
        return cls(grid, offset, _fit_tiles(shape, metadata), transposed)

    def read_tiles(self, scene: Scene, *, first: int = 0) -> Iterator[Raster]:
        """The tiles in order, from row ``first`` of tiles; never transposed."""
        side = (self.plane.tile, self.plane.tile)
        for tile in self.plane.from_row(first):
            start = (tile.row - self.offset[0], tile.col - self.offset[1])
            yield scene.read(*self._swap(start), side)

    def to_plane(self, array: NDArray[Any]) -> NDArray[Any]:
        """(..., row, col) of the scene as the plane of tiles has it; its own inverse."""
        return array.swapaxes(-1, -2) if self.transposed else array

    def crop(self, row: int, col: int, array: NDArray[Any], valid: NDArray[np.bool_]) -> Raster:
        """A part of the plane as a raster, without what lies before the scene's first pixel."""
        down, right = (
            max(0, offset - start) for offset, start in zip(self.offset, (row, col), strict=True)
        )
        array, valid = array[..., down:, right:], valid[down:, right:]
        start = row + down - self.offset[0], col + right - self.offset[1]
        grid = self.grid.window(*start, valid.shape)
        return Raster(array, grid, None if valid.all() else valid, 1 / PROB_SCALE)

    def join(self, bands: Iterable[Raster], grid: Grid) -> Raster:
        """All bands as one raster on the scene's ``grid``, not transposed."""
        parts = list(bands)
        array = np.concatenate([part.array for part in parts], axis=-2)
        valid = np.concatenate([valid_mask(part) for part in parts])
        return Raster(self.to_plane(array), grid, self.to_plane(valid), 1 / PROB_SCALE)

    def write(self, writer: RasterWriter, part: Raster) -> tuple[int, int]:
        """Write a result into the scene's file; returns its first (row, col) in the plan's grid."""
        valid = None if part.valid is None else self.to_plane(part.valid)
        row, col = self._start(part.grid)
        writer.write(*self._swap((row, col)), self.to_plane(part.array), valid)
        return row, col

    def read_rows(self, writer: RasterWriter, first: int, count: int) -> Raster:
        """``count`` whole rows of the plan's grid, from row ``first``, back from the file."""
        shape = (count, self.grid.width)
        array, valid = writer.read(*self._swap((first, 0)), self._swap(shape))
        return Raster(
            self.to_plane(array[0] if len(array) == 1 else array),
            self.grid.window(first, 0, shape),
            None if valid is None else self.to_plane(valid),
            1 / PROB_SCALE,
        )

    def _start(self, part: Grid) -> tuple[int, int]:
        """The first pixel (row, col) of a part of the plan's grid."""
        col, row = ~self.grid.transform @ (part.transform.c, part.transform.f)
        return round(row), round(col)

    def _swap(self, pair: tuple[int, int]) -> tuple[int, int]:
        """(row, col), or a height and width, of the plan's grid as those of the scene, or back."""
        return pair[::-1] if self.transposed else pair


def valid_mask(raster: Raster) -> NDArray[np.bool_]:
    """Which pixels (row, col) are valid."""
    return np.ones(raster.grid.shape, bool) if raster.valid is None else raster.valid


def _offset(grid: Grid) -> tuple[int, int]:
    """How far the first pixel lies past a multiple of the coarsest stride, counted on the ground.

    The result of a network depends on where its strides begin. Tiles that start at multiples of
    them on the ground, not in the file, give a place the same result in every scene around it.
    """
    across, down = grid.transform.a, grid.transform.e
    if not (across and down):  # rotated by a right angle
        return 0, 0
    row, col = grid.transform.f / down, grid.transform.c / across
    return math.floor(round(row, 3)) % _STRIDE, math.floor(round(col, 3)) % _STRIDE


def _fit_tiles(shape: tuple[int, int], metadata: Metadata) -> TileGrid:
    """Of tiles that are large enough for few seams, those with the fewest pixels in total.

    The last tiles extend beyond the scene: with the side that fits it best, the least.
    """
    margin = _to_strides(max(metadata.margin_px, _MARGIN_PX))
    overlap = 2 * margin + _RAMP_PX
    whole = max(_to_strides(max(shape) + 2 * margin), 2 * overlap)
    largest = min(whole, max(metadata.tile_px, _TILE_PX, 2 * overlap))
    smallest = min(largest, max(_to_strides(largest // 2), 2 * overlap))
    sides = range(smallest, largest + 1, _STRIDE)
    grids = [TileGrid(shape, side, overlap, margin) for side in sides]
    return min(grids, key=lambda tiles: len(tiles) * tiles.tile**2)


def _to_strides(pixels: int) -> int:
    return -(-pixels // _STRIDE) * _STRIDE
