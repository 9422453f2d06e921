import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from terralink.errors import InputError
from terralink.raster import tile_grid

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
    with pytest.raises(InputError, match="came"):
        tile_grid(*tile)
