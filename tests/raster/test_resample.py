"""Results come back to a scene's own pixels in their place, finer or coarser."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from terralink import raster

CORNER = (500_000.0, 4_000_000.0)
UTM = CRS.from_epsg(32611)


def grid(shape: tuple[int, int], pixel_m: float, crs: CRS | None = UTM) -> raster.Grid:
    return raster.Grid(shape, Affine(pixel_m, 0, CORNER[0], 0, -pixel_m, CORNER[1]), crs)


def written(path: Path, on: raster.Grid, *, hole: bool = False) -> Path:
    """Levels that rise by 2 a metre to the right and by 1 a metre downwards."""
    xs, ys = on.xy(*np.meshgrid(np.arange(on.width) + 0.5, np.arange(on.height) + 0.5))
    levels = np.rint(2 * (xs - CORNER[0]) + CORNER[1] - ys).astype(np.uint8)
    valid = np.ones(on.shape, bool)
    valid[10:20, 10:30] = not hole
    with raster.RasterWriter(
        path, on, scale=1 / 255, description="slope", tags={"TERRALINK_MODEL": "slope"}
    ) as writer:
        writer.write(0, 0, levels, valid)
    return path


@pytest.mark.parametrize("crs", [UTM, None])
@pytest.mark.parametrize(
    ("pixel_m", "shape", "first"), [(0.5, (79, 119), (0, 0)), (2.0, (20, 30), (0, 0)),
                                    (0.3, (60, 70), (7, 11))],
)  # fmt: skip
def test_each_pixel_has_the_level_of_its_place(
    pixel_m: float, shape: tuple[int, int], first: tuple[int, int], crs: CRS | None, tmp_path: Path
) -> None:
    made = written(tmp_path / "made.tif", grid((40, 60), 1, crs))
    wanted = grid((200, 300), pixel_m, crs).window(*first, shape)
    raster.regrid(wanted, made, tmp_path / "back.tif")
    back = raster.read_raster(tmp_path / "back.tif")
    assert back.grid.shape == wanted.shape
    assert back.grid.transform.almost_equals(wanted.transform)
    assert back.grid.crs == crs
    expected = raster.read_raster(written(tmp_path / "expected.tif", wanted)).array
    inner = (slice(2, -2), slice(2, -2))
    assert np.abs(back.array[inner].astype(int) - expected[inner]).max() <= 1


def test_what_is_invalid_stays_so_and_counts_nothing(tmp_path: Path) -> None:
    on = grid((40, 60), 1)
    raster.regrid(
        grid((80, 120), 0.5), written(tmp_path / "made.tif", on, hole=True), tmp_path / "back.tif"
    )
    back = raster.read_raster(tmp_path / "back.tif")
    assert back.valid is not None
    assert not back.valid[21:39, 21:59].any()
    assert back.valid[:19].all()
    whole = raster.read_raster(written(tmp_path / "whole.tif", grid((80, 120), 0.5)))
    beside = back.array[10:50, 62:70].astype(int) - whole.array[10:50, 62:70]
    assert np.abs(beside).max() <= 2
