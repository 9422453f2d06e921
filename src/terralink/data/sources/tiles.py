"""Tiles of a web map with one file of shapes: HOT-OSM's and OpenAerialMap's, as OpenStreetMap sees.

``images/OAM-x-y-z.jpg`` (or ``images/z/x/y.png``) and ``labels.geojson``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat

from terralink.data import tiles
from terralink.data.chips import Chips, files
from terralink.data.masks import Drawn, DrawnMasks
from terralink.data.sources.source import Source, folder_of
from terralink.errors import InputError


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

    def read(self, root: Path) -> tiles.Tiles:
        folder = folder_of(root, self.folder)
        if not (shapes := folder / self.labels).is_file():
            raise InputError(f"no file {shapes} with the shapes of the tiles in {folder}")
        images = folder_of(folder, self.images)
        found = [*files(images), *(path for deeper in _folders(images) for path in files(deeper))]
        if not found:
            raise InputError(f"no tiles in {images}: wanted pictures named x-y-z, or z/x/y")
        return tiles.Tiles(found, shapes, DrawnMasks(self.values, self.width_m))

    def groups(self, chips: Chips) -> Sequence[tuple[int, int]]:
        """The area that a tile lies in."""
        assert isinstance(chips, tiles.Tiles)
        return chips.areas(self.area_zoom)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_dir())
