import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from terralink.geo import Grid
from terralink.geo.rasterize import burn

UTM = CRS.from_epsg(32611)
METRES = Grid((200, 300), Affine(0.5, 0, 600000, 0, -0.5, 4000000), UTM)
DEGREES = Grid((200, 300), Affine(2.7e-6, 0, -115.17, 0, -2.7e-6, 36.24), CRS.from_epsg(4326))


def street(grid: Grid) -> shapely.LineString:
    """A line across the middle of the grid, in metres of its metric CRS."""
    xs, ys = grid.metric_xy([10, grid.width - 10], [grid.height / 2] * 2)
    return shapely.LineString(np.column_stack([xs, ys]))


@pytest.mark.parametrize("grid", [METRES, DEGREES])
def test_a_street_is_as_wide_as_it_is_in_metres(grid: Grid) -> None:
    mask = burn([street(grid)], grid, width_m=8)
    assert mask[:, grid.width // 2].sum() * grid.pixel_size_m[1] == pytest.approx(8, abs=0.5)


def test_a_street_in_degrees_is_burnt_where_it_lies() -> None:
    lonlat = shapely.LineString([(-115.17, 36.2399), (-115.169, 36.2399)])
    rows = np.flatnonzero(burn([lonlat], DEGREES, crs=CRS.from_epsg(4326), width_m=2)[:, 150])
    assert rows.mean() + 0.5 == pytest.approx((36.24 - 36.2399) / 2.7e-6, abs=0.6)


def test_each_line_may_have_its_own_width() -> None:
    x, y = 600000.0, 4000000.0
    lines = [shapely.LineString([(x, y - d), (x + 150, y - d)]) for d in (20, 60)]
    column = burn(lines, METRES, width_m=[4, 12])[:, 150]
    assert (column[:80].sum(), column[80:].sum()) == (8, 24)


def test_a_polygon_is_taken_as_it_is() -> None:
    block = shapely.box(600010, 3999950, 600030, 3999990)
    mask = burn([block], METRES, width_m=5)
    assert mask.sum() == 40 * 80
    assert mask[20:100, 20:60].all()


def test_nothing_gives_an_empty_mask() -> None:
    assert not burn([], METRES, width_m=3).any()
    assert not burn([shapely.Point(0, 0)], METRES, width_m=3).any()


@given(st.integers(0, 199), st.integers(0, 299), st.integers(1, 50), st.integers(1, 50))
def test_a_window_is_burnt_as_the_whole_is(row: int, col: int, height: int, width: int) -> None:
    lines = [
        shapely.LineString([(600003, 3999990), (600100, 3999905), (600140, 3999999)]),
        shapely.box(600050, 3999950, 600090, 3999990),
    ]
    whole = burn(lines, METRES, width_m=7)[row : row + height, col : col + width]
    window = METRES.window(row, col, whole.shape)
    np.testing.assert_array_equal(burn(lines, window, width_m=7), whole)
