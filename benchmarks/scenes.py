"""Large scenes for the benchmarks: a drawn town, repeated, for a large one takes long to draw."""

from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from terralink import geo, town

_TOWN_PX = 4096


def drawn(folder: Path, shape: tuple[int, int]) -> Path:
    """A scene of ``shape`` (height, width) at 1 m per pixel; kept in the folder and used again."""
    path = folder / f"town{shape[0]}x{shape[1]}.tif"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    side = tuple(min(_TOWN_PX, length) for length in shape)
    image = town.draw(side, seed=0, pixel_size_m=1.0).image(0, 0, side)
    grid = geo.Grid(shape, Affine(1, 0, 500_000, 0, -1, 4_000_000), CRS.from_epsg(32611))
    with geo.RasterWriter(path, grid, bands=3) as writer:
        for row in range(0, shape[0], side[0]):
            for col in range(0, shape[1], side[1]):
                part = image[:, : shape[0] - row, : shape[1] - col]
                writer.write(row, col, np.ascontiguousarray(part))
    return path
