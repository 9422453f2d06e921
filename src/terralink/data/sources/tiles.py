"""Tiles of a web map with one file of shapes: HOT-OSM's and OpenAerialMap's.

``images/OAM-x-y-z.jpg`` (or ``images/z/x/y.png``) and ``labels.geojson``. A tile's position is in
its name, its mask is drawn from the shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat

from terralink.data.chips import Chip, Chips, list_images, pixel_size_m, read_image
from terralink.data.masks import Drawn, VectorMasks
from terralink.data.sources.source import Source, find_folder
from terralink.errors import InputError
from terralink.raster import tile_grid
from terralink.raster.grid import parse_xyz


@dataclass(frozen=True, eq=False)
class TileChips:
    """Pictures named ``...x-y-z`` or ``z/x/y``, with what ``masks`` draws of ``shapes`` on each."""

    paths: Sequence[Path]
    shapes: Path
    masks: VectorMasks

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
        return Chip(bands, self.masks.draw(self.shapes, grid), str(path), pixel_size_m(grid))

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


class Tiles(Source):
    """``values`` are the classes of "road" and "building"; see ``spacenet`` for ``width_m``.

    A split keeps the tiles of each tile at ``area_zoom`` together: at 17 about 300 m, so that the
    same ground at two zooms, and most neighbours, are on one side of it.
    """

    kind: Literal["tiles"]
    folder: str
    images: str = "images"
    labels: str = "labels.geojson"
    values: dict[Drawn, int] = Field(default={"building": 1}, min_length=1)
    width_m: PositiveFloat | None = None
    area_zoom: NonNegativeInt = 17

    def read(self, root: Path) -> TileChips:
        folder = find_folder(root, self.folder)
        if not (shapes := folder / self.labels).is_file():
            raise InputError(f"no file {shapes} with the shapes of the tiles in {folder}")
        images = find_folder(folder, self.images)
        found = [
            *list_images(images),
            *(path for deeper in _folders(images) for path in list_images(deeper)),
        ]
        if not found:
            raise InputError(f"no tiles in {images}: wanted pictures named x-y-z, or z/x/y")
        return TileChips(found, shapes, VectorMasks(self.values, self.width_m))

    def groups(self, chips: Chips) -> Sequence[tuple[int, int]]:
        """The area that a tile lies in."""
        assert isinstance(chips, TileChips)
        return chips.areas(self.area_zoom)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_dir())
