"""What is drawn on a grid, against distances and shapely at pixel centres, and against PIL."""

import json
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pyproj import CRS, Transformer

from terralink.raster import Grid, tile_grid
from terralink.raster.grid import parse_xyz
from terralink.vector import rasterize as drawn
from terralink.vector.osm import read_tables
from terralink.vector.rasterize import burn

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


def test_a_grid_across_the_date_line_gets_what_lies_on_it() -> None:
    fiji = Grid((60, 60), Affine(10, 0, 20037508 - 300, 0, -10, -1900000), CRS.from_epsg(3857))
    ends = Transformer.from_crs(3857, 4326, always_xy=True).transform(*fiji.xy([5, 25], [30, 30]))
    street = shapely.LineString(np.column_stack(ends))
    column = burn([street], fiji, crs=CRS.from_epsg(4326), width_m=40)[:, 15]
    assert np.flatnonzero(column).mean() == pytest.approx(29.5, abs=0.6)


def test_the_overlap_of_two_parts_is_no_hole() -> None:
    parts = shapely.MultiPolygon([shapely.box(0, 0, 6, 6), shapely.box(3, 3, 9, 9)])
    assert burn([parts], Grid((9, 9), Affine.identity())).sum() == 36 + 36 - 9


def test_a_node_at_the_middle_of_a_pixel_is_that_pixel() -> None:
    """Equation 1 of PP-LinkNet: (lon, lat) = T (c + 0.5, r + 0.5)."""
    lon, lat = DEGREES.transform @ (41 + 0.5, 17 + 0.5)
    dot = burn([shapely.Point(lon, lat)], DEGREES, crs=CRS.from_epsg(4326), width_m=0.3)
    assert np.argwhere(dot).tolist() == [[17, 41]]


ROTATED = Grid(
    (20, 26),
    Affine.translation(600000, 4000000) @ Affine.rotation(33) @ Affine.scale(0.5, -0.7),
    UTM,
)
MERCATOR = Grid((20, 26), Affine(0.4, 0, -12820000, 0, -0.4, 4330000), CRS.from_epsg(3857))
SMALL = [METRES.window(0, 0, (20, 26)), DEGREES.window(90, 0, (20, 26)), MERCATOR, ROTATED]
COLROWS = st.lists(st.tuples(st.floats(-9, 35), st.floats(-9, 29)), min_size=2, max_size=4)


@pytest.mark.parametrize("grid", SMALL)
@settings(max_examples=25)
@given(COLROWS, st.floats(0.5, 9))
def test_a_pixel_is_road_when_its_centre_is_within_half_a_width(
    grid: Grid, colrows: list[tuple[float, float]], width_m: float
) -> None:
    line = shapely.LineString(np.column_stack(grid.metric_xy(*np.array(colrows).T)))
    rows, cols = np.indices(grid.shape) + 0.5
    away_m = shapely.distance(line, shapely.points(*grid.metric_xy(cols, rows)))
    mask = burn([line], grid, width_m=width_m)
    # round ends and bends are drawn with 64 corners to the circle: 0.12% of the radius within
    clear = np.abs(away_m - width_m / 2) > 1e-3 * width_m + 1e-6
    np.testing.assert_array_equal(mask[clear], (away_m < width_m / 2)[clear])


def test_roads_of_a_graph_are_as_wide_as_they_say() -> None:
    lines = [shapely.LineString([(600000, y), (600150, y)]) for y in (3999980.0, 3999940.0)]
    graph = SimpleNamespace(lines=np.array(lines), width_m=np.array([10, np.nan]), crs=UTM)
    told = drawn.rasterize_roads(graph, METRES)
    assert told.grid == METRES
    assert told.array.dtype == np.uint8
    column = told.array[:, 150]
    assert (column[:80].sum(), column[80:].sum()) == (20, 8)
    assert drawn.rasterize_roads(graph, METRES, width_m=6).array[:, 150].sum() == 24


def test_buildings_keep_their_courtyards() -> None:
    house = shapely.box(600010, 3999950, 600030, 3999990).difference(
        shapely.box(600015, 3999960, 600025, 3999980)
    )
    label = drawn.rasterize_buildings(gpd.GeoDataFrame(geometry=[house], crs=UTM), METRES).array
    assert label.sum() == 40 * 80 - 20 * 40
    assert label[60, 40] == 0


@pytest.mark.data
@pytest.mark.parametrize(
    ("labels", "images"),
    [
        ("banepa-osm/osm_buildings.geojson", "banepa-osm/images"),
        ("hotosm/zanzibar-tz/labels.geojson", "hotosm/zanzibar-tz/images"),
        ("hotosm/ggaba-kampala-ug/labels.geojson", "hotosm/ggaba-kampala-ug/images"),
    ],
)
def test_real_buildings_are_drawn_as_a_second_rasteriser_does(
    labels: str, images: str, data_root: Path
) -> None:
    features = json.loads((data_root / labels).read_text())["features"]
    shapes = np.array([shapely.geometry.shape(each["geometry"]) for each in features])
    buildings = read_tables(data_root / labels).buildings
    same, both, either = [], 0, 0
    for path in sorted((data_root / images).iterdir())[::24]:
        tile = parse_xyz(path)
        ours = drawn.rasterize_buildings(buildings, tile_grid(*tile)).array > 0
        houses = shapely.transform(shapes, lambda lonlat, tile=tile: _tile_colrow(lonlat, *tile))
        houses = houses[shapely.intersects(houses, shapely.box(0, 0, 256, 256))]
        same.append(np.array_equal(ours, _at_centres(houses)))
        painted = _painted(houses)
        both, either = both + (ours & painted).sum(), either + (ours | painted).sum()
    assert all(same)
    assert both / either > 0.99


def _tile_colrow(lonlat: NDArray[np.float64], x: int, y: int, z: int) -> NDArray[np.float64]:
    """Pixels of a tile, by the formula of web maps rather than by a CRS."""
    lon, lat = lonlat[:, 0], np.radians(lonlat[:, 1])
    across = (lon + 180) / 360 * 2**z - x
    down = (1 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * 2**z - y
    return np.column_stack([across, down]) * 256


def _at_centres(houses: NDArray[np.object_]) -> NDArray[np.bool_]:
    rows, cols = np.indices((256, 256)) + 0.5
    found = np.zeros((256, 256), bool)
    for house in houses:
        shapely.prepare(house)
        found |= shapely.contains_xy(house, cols, rows)
    return found


def _painted(houses: NDArray[np.object_], fine: int = 9) -> NDArray[np.bool_]:
    """PIL's, which thickens by its own pixel: drawn 9 times finer, the middle is taken."""
    image = Image.new("1", (256 * fine, 256 * fine))
    for house in houses:
        corners = shapely.get_coordinates(house.exterior) * fine - 0.5
        ImageDraw.Draw(image).polygon(list(map(tuple, corners)), fill=1)
    return np.asarray(image)[fine // 2 :: fine, fine // 2 :: fine]
