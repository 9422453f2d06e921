import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from terralink.errors import InputError
from terralink.raster import Grid, tile_grid

UTM = Grid((100, 200), Affine(0.5, 0, 600000, 0, -0.5, 4000000), CRS.from_epsg(32611))
DEGREES = Grid((1300, 1300), Affine(2.7e-6, 0, -115.17, 0, -2.7e-6, 36.24), CRS.from_epsg(4326))
WEB = Grid((256, 256), Affine(0.3, 0, 4364000, 0, -0.3, -687000), CRS.from_epsg(3857))
FEET = Grid((50, 50), Affine(1, 0, 980000, 0, -1, 200000), CRS.from_epsg(2263))
PIXELS = Grid((7, 9), Affine.identity())


@pytest.mark.parametrize("grid", [UTM, DEGREES, WEB, FEET, PIXELS])
@given(st.floats(-500, 2000), st.floats(-500, 2000))
def test_coordinates_come_back(grid: Grid, col: float, row: float) -> None:
    for there, back in [(grid.xy, grid.colrow), (grid.metric_xy, grid.metric_colrow)]:
        np.testing.assert_allclose(back(*there(col, row)), (col, row), atol=1e-3)


@pytest.mark.parametrize("grid", [UTM, DEGREES, WEB, FEET])
def test_metres_are_metres_on_the_ground(grid: Grid) -> None:
    xs, ys = grid.metric_xy([0, grid.width], [grid.height / 2] * 2)
    lonlat = Grid.xy(grid, [0, grid.width], [grid.height / 2] * 2)
    if grid.crs is not None and not grid.crs.is_geographic:
        from pyproj import Transformer

        lonlat = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(*lonlat)
    (lon0, lon1), (lat0, lat1) = lonlat
    ground_m = Geod(ellps="WGS84").inv(lon0, lat0, lon1, lat1)[2]
    assert np.hypot(xs[1] - xs[0], ys[1] - ys[0]) == pytest.approx(ground_m, rel=2e-3)
    assert grid.pixel_size_m[0] * grid.width == pytest.approx(ground_m, rel=2e-3)


def test_web_mercator_and_feet_are_measured_in_utm() -> None:
    assert WEB.metric_crs == CRS.from_epsg(32737)
    assert FEET.metric_crs == CRS.from_epsg(32618)
    assert UTM.metric_crs == UTM.crs
    assert FEET.pixel_size_m == pytest.approx((0.3048, 0.3048), rel=1e-3)


def test_pixels_without_a_crs_are_the_unit() -> None:
    assert PIXELS.metric_crs is None
    assert PIXELS.pixel_size_m == (1, 1)


def test_a_window_lies_where_its_pixels_lie() -> None:
    window = UTM.window(-3, 7, (5, 6))
    assert window.shape == (5, 6)
    np.testing.assert_allclose(window.xy(0, 0), UTM.xy(7, -3))


@given(st.floats(0.05, 40))
def test_a_resampled_grid_covers_the_ground_with_square_pixels(pixel_size_m: float) -> None:
    grid = DEGREES.with_pixel_size(pixel_size_m)
    assert grid.pixel_size_m == pytest.approx((pixel_size_m, pixel_size_m), rel=0.0101)
    cols, rows = DEGREES.colrow(*grid.xy(grid.width, grid.height))
    step = pixel_size_m / min(DEGREES.pixel_size_m) * 1.01
    assert 1300 - 0.001 <= cols < 1300 + step
    assert 1300 - 0.001 <= rows < 1300 + step


def test_a_size_that_is_nearly_a_whole_number_of_pixels_is_made_whole() -> None:
    assert UTM.with_pixel_size(1.0) == Grid(
        (50, 100), Affine(1, 0, 600000, 0, -1, 4000000), UTM.crs
    )
    assert UTM.with_pixel_size(0.5) == UTM


TILES = st.integers(0, 22).flatmap(
    lambda z: st.tuples(st.integers(0, 2**z - 1), st.integers(0, 2**z - 1), st.just(z))
)


@given(TILES)
def test_a_tile_lies_where_the_formula_of_web_maps_puts_it(tile: tuple[int, int, int]) -> None:
    x, y, z = tile
    grid = tile_grid(x, y, z)
    lon, lat = Transformer.from_crs(3857, 4326, always_xy=True).transform(*grid.xy(0, 0))
    assert lon == pytest.approx(x / 2**z * 360 - 180, abs=1e-9)
    northing = math.pi * (1 - 2 * y / 2**z)
    assert lat == pytest.approx(math.degrees(math.atan(math.sinh(northing))), abs=1e-9)


@given(TILES, st.integers(1, 512))
def test_four_tiles_of_the_next_zoom_make_one(tile: tuple[int, int, int], side_px: int) -> None:
    x, y, z = tile
    left, bottom, right, top = tile_grid(x, y, z, side_px).bounds
    northwest, southeast = (tile_grid(2 * x + i, 2 * y + i, z + 1).bounds for i in (0, 1))
    assert (northwest[0], northwest[3]) == pytest.approx((left, top), abs=1e-6)
    assert (southeast[2], southeast[1]) == pytest.approx((right, bottom), abs=1e-6)
    assert tile_grid(x, y, z, side_px).shape == (side_px, side_px)


@pytest.mark.parametrize("tile", [(1, 0, 0), (0, -1, 3), (0, 8, 3), (0, 0, -1), (0, 0, 99)])
def test_a_tile_outside_the_world_is_refused(tile: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="got"):
        tile_grid(*tile)
