"""The way through a scene: which tiles, in what order, and which pixels of them are its own.

A scene is walked in rows of tiles, from top to bottom. One that is very wide, and wider than high,
is walked in columns from left to right: then it and all that is made of it are turned over the
diagonal, grid included, so that whoever takes bands of rows need not know. Images never are.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from terralink.inference.backends.openvino_graph import LEVELS
from terralink.model_card import Metadata
from terralink.raster import Grid, Raster, Scene, TileGrid

_STRIDE = 32  # the coarsest of a network: tiles start and end at its multiples
_TILE_PX = 2304  # at most, unless the card's is larger: each stream holds 53 bytes of a pixel
# Networks of this family see 100 px and more around a pixel. Whatever the shape of the ramp, seams
# are the weaker the more two tiles share; a margin that counts nothing keeps the worst out.
_MARGIN_PX = 64  # or the card's, if wider
_RAMP_PX = 128
_WIDEST_PX = 1 << 15  # what waits for the end of a row of tiles costs kilobytes a column
_DIAGONAL = Affine(0, 1, 0, 1, 0, 0)


@dataclass(frozen=True)
class Walk:
    """A scene's way.

    grid    that of the bands: the scene's, or that turned over the diagonal
    first   (row, col) of the scene's first pixel in the plane of the tiles
    plane   tiles that cover the scene, from a multiple of the coarsest stride on the ground
    """

    grid: Grid
    first: tuple[int, int]
    plane: TileGrid
    turned: bool

    @classmethod
    def through(cls, grid: Grid, card: Metadata) -> "Walk":
        """The way through a scene on ``grid`` with the model of that card."""
        turned = grid.width > max(_WIDEST_PX, grid.height)
        down, across = _phase(grid)
        first = (across, down) if turned else (down, across)
        if turned:
            grid = Grid(grid.shape[::-1], grid.transform @ _DIAGONAL, grid.crs)
        shape = (grid.height + first[0], grid.width + first[1])
        return cls(grid, first, _tiles(shape, card), turned)

    def tiles(self, scene: Scene, *, first: int = 0) -> Iterator[Raster]:
        """The tiles in their order, from row ``first`` of them, each as it lies on the ground."""
        side = (self.plane.tile, self.plane.tile)
        for tile in self.plane.from_row(first):
            place = (tile.row - self.first[0], tile.col - self.first[1])
            yield scene.read(*self.upright(place), side)

    def inside(self, row: int, col: int, array: NDArray[Any], valid: NDArray[np.bool_]) -> Raster:
        """Levels of a part of the plane, without what lies before the scene's first pixel."""
        down, right = (
            max(0, first - start) for first, start in zip(self.first, (row, col), strict=True)
        )
        array, valid = array[..., down:, right:], valid[down:, right:]
        place = row + down - self.first[0], col + right - self.first[1]
        grid = self.grid.window(*place, valid.shape)
        return Raster(array, grid, None if valid.all() else valid, 1 / LEVELS)

    def turn(self, array: NDArray[Any]) -> NDArray[Any]:
        """(..., row, col) as it lies on the ground to how it is walked, or back."""
        return array.swapaxes(-1, -2) if self.turned else array

    def start(self, part: Grid) -> tuple[int, int]:
        """The first pixel (row, col) of a part, as it is walked."""
        col, row = ~self.grid.transform @ (part.transform.c, part.transform.f)
        return round(row), round(col)

    def place(self, part: Grid) -> tuple[int, int]:
        """The same on the scene, as it lies on the ground."""
        return self.upright(self.start(part))

    def upright(self, place: tuple[int, int]) -> tuple[int, int]:
        """(row, col), or a height and width, as it is walked to how it lies on the ground."""
        return place[::-1] if self.turned else place


def _phase(grid: Grid) -> tuple[int, int]:
    """How far the first pixel lies past a multiple of the coarsest stride, counted on the ground.

    What a network sees shifts with its strides. Tiles that start at multiples of them on the
    ground, not in the file, give one answer to a place in any scene that is cut around it.
    """
    across, down = grid.transform.a, grid.transform.e
    if not (across and down):  # turned by a right angle
        return 0, 0
    row, col = grid.transform.f / down, grid.transform.c / across
    return math.floor(round(row, 3)) % _STRIDE, math.floor(round(col, 3)) % _STRIDE


def _tiles(shape: tuple[int, int], card: Metadata) -> TileGrid:
    """Of tiles that are large enough for few seams, those that see the fewest pixels in all.

    The last tiles stick out of a scene: with the side that fits it best, the least.
    """
    margin = _to_strides(max(card.margin_px, _MARGIN_PX))
    overlap = 2 * margin + _RAMP_PX
    whole = max(_to_strides(max(shape) + 2 * margin), 2 * overlap)
    largest = min(whole, max(card.tile_px, _TILE_PX, 2 * overlap))
    smallest = min(largest, max(_to_strides(largest // 2), 2 * overlap))
    sides = range(smallest, largest + 1, _STRIDE)
    grids = [TileGrid(shape, side, overlap, margin) for side in sides]
    return min(grids, key=lambda tiles: len(tiles) * tiles.tile**2)


def _to_strides(pixels: int) -> int:
    return -(-pixels // _STRIDE) * _STRIDE
