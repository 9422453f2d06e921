"""The tiles of web maps: where a tile x, y, z of the usual scheme (XYZ) lies."""

import os
import re
from functools import cache
from pathlib import Path

from affine import Affine
from pyproj import CRS

from terralink.errors import InputError
from terralink.raster.grid import Grid

# Half the side of the web-mercator square in its own metres: half the equator of WGS 84
_HALF_WORLD = 20037508.342789244
_MAX_ZOOM = 30
# 'OAM-386690-220241-19', or the folders of a tile server: '19/386690/220241'
_IN_NAME = re.compile(r"(?:^|\D)(?P<x>\d+)-(?P<y>\d+)-(?P<z>\d+)$")
_IN_FOLDERS = re.compile(r"(?:^|/)(?P<z>\d+)/(?P<x>\d+)/(?P<y>\d+)$")


def tile_grid(x: int, y: int, z: int, side_px: int = 256) -> Grid:
    """The grid (EPSG:3857) of tile ``x``, ``y`` (from the north) at zoom ``z``.

    At zoom z the world is a square of 2^z by 2^z tiles. Raises ``InputError`` for a tile outside.

    >>> tile_grid(0, 0, 0).bounds
    (-20037508.342789244, -20037508.342789244, 20037508.342789244, 20037508.342789244)
    >>> [round(tile_grid(386613, 219854, 19).pixel_size_m[0], 3)]
    [0.264]
    """
    side_tiles = 2**z if 0 <= z <= _MAX_ZOOM else 0
    if not (0 <= x < side_tiles and 0 <= y < side_tiles):
        raise InputError(
            f"a tile x, y, z with z from 0 to {_MAX_ZOOM} and x, y from 0 to 2^z - 1 was wanted, "
            f"{x}, {y}, {z} came"
        )
    side = 2 * _HALF_WORLD / side_tiles
    left, top = x * side - _HALF_WORLD, _HALF_WORLD - y * side
    pixel = side / side_px
    return Grid((side_px, side_px), Affine(pixel, 0, left, 0, -pixel, top), _web_mercator())


def tile_of(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """The x, y, z in a tile's name, ``...x-y-z.jpg`` or ``z/x/y.jpg``.

    Raises ``InputError`` where there is none.

    >>> tile_of("tiles/OAM-386690-220241-19.jpg"), tile_of("tiles/19/386690/220241.png")
    ((386690, 220241, 19), (386690, 220241, 19))
    """
    stem = Path(path).with_suffix("").as_posix()
    found = _IN_NAME.search(stem) or _IN_FOLDERS.search(stem)
    if found is None:
        raise InputError(
            f"{path} is not named as a tile of a web map is: x-y-z, such as "
            "OAM-386690-220241-19.jpg, or z/x/y, such as 19/386690/220241.jpg"
        )
    return int(found["x"]), int(found["y"]), int(found["z"])


@cache
def _web_mercator() -> CRS:
    return CRS.from_epsg(3857)
