"""Heat and lines lie where the grid says."""

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from terralink.raster import Grid
from terralink.report import pictures

GRID = Grid((60, 100), Affine(2, 0, 600000, 0, -2, 4000000), CRS.from_epsg(32611))


def test_what_is_surely_no_road_is_transparent_and_what_is_road_is_not() -> None:
    picture = pictures.heat(np.array([[0, 255]], np.uint8))
    assert picture.size == (2, 1)
    assert [picture.getpixel((col, 0))[3] for col in (0, 1)] == [0, 255]  # type: ignore[index]


def test_heat_grows_brighter_with_probability() -> None:
    colours = np.asarray(pictures.heat(np.arange(256, dtype=np.uint8)[None]), float)[0]
    seen = colours[:, :3].sum(axis=1) * colours[:, 3]
    assert (np.diff(seen) >= 0).all()


def test_a_line_is_drawn_where_its_metres_lie() -> None:
    street = shapely.LineString([(600020, 3999970), (600180, 3999970)])  # row 15, columns 10..90
    picture = np.asarray(pictures.lines(GRID, [(np.array([street]), "#ff0000")], width_px=4))
    assert picture.shape == (60, 100, 4)
    assert picture[15, 50].tolist() == [255, 0, 0, 255]
    rows, cols = np.nonzero(picture[..., 3])
    drawn = [rows.min(), rows.max(), cols.min(), cols.max()]  # round ends stick out by half a width
    np.testing.assert_allclose(drawn, [13, 16, 8, 91], atol=1)


def test_parts_and_empty_lines_are_drawn_too() -> None:
    halves = shapely.MultiLineString(
        [[(600020, 3999970), (600060, 3999970)], [(600100, 3999970), (600180, 3999970)]]
    )
    picture = np.asarray(
        pictures.lines(GRID, [(np.array([halves, shapely.LineString()]), "#00ff00")], width_px=2)
    )
    assert picture[15, [20, 40, 70], 3].tolist() == [255, 0, 255]
