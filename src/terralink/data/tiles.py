"""Tiles of a web map as chips: their place is in their names, their masks are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from terralink.data.chips import Chip, pixel_size_m, read_image
from terralink.data.masks import DrawnMasks
from terralink.errors import InputError
from terralink.raster import tile_grid
from terralink.raster.grid import parse_xyz


@dataclass(frozen=True, eq=False)
class Tiles:
    """Pictures named ``...x-y-z`` or ``z/x/y``, with what ``masks`` draws of ``shapes`` on each."""

    paths: Sequence[Path]
    shapes: Path
    masks: DrawnMasks

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Chip:
        path = self.paths[index]
        image = read_image(path, "RGB")
        height, width = image.shape[:2]
        if height != width:
            raise InputError(f"a tile of a web map is square, {path} is {width} x {height} px")
        grid = tile_grid(*parse_xyz(path), side_px=height)
        bands = np.ascontiguousarray(image.transpose(2, 0, 1))
        return Chip(bands, self.masks.drawn(self.shapes, grid), str(path), pixel_size_m(grid))

    def areas(self, zoom: int) -> list[tuple[int, int]]:
        """For each tile the x, y of the tile at ``zoom`` that it lies in.

        Tiles of several zooms that show the same ground are in one area.
        """
        return [_within(*parse_xyz(path), zoom=zoom) for path in self.paths]


def _within(x: int, y: int, z: int, *, zoom: int) -> tuple[int, int]:
    """
    >>> _within(386690, 220241, 19, zoom=17), _within(773381, 440482, 20, zoom=17)
    ((96672, 55060), (96672, 55060))
    """
    if z < zoom:
        raise InputError(f"a tile of zoom {z} is larger than the areas of zoom {zoom} to split by")
    return x >> (z - zoom), y >> (z - zoom)
