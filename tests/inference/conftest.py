"""A scene that tests of predictions share."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from terralink import raster

UTM = CRS.from_epsg(32611)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A scene of 700 x 1,100 pixels with grey and coloured patches, and a hole without data."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (3, 35, 55)).astype(np.uint8)
    patches[:, ::2, ::3] = 128
    image = patches.repeat(20, 1).repeat(20, 2)
    grid = raster.Grid(image.shape[1:], Affine(1, 0, 500_000, 0, -1, 4_000_000), UTM)
    valid = np.ones(grid.shape, bool)
    valid[300:350, 400:900] = False
    with raster.RasterWriter(tmp_path / "picture.tif", grid, bands=3) as writer:
        writer.write(0, 0, image, valid)
    return tmp_path / "picture.tif"
