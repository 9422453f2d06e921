"""Shapes and scenes across 180 degrees: cut, joined, and met from both sides."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.raster import Area, Grid, SceneOptions, open_scene
from terralink.raster.geometry import join_at_180, split_at_180, to_rfc7946
from terralink.vector.layers import Layer, read_layer, write_geojson

WGS84 = CRS.from_epsg(4326)
LAT = -17.0


def around(shape: Any) -> bool:
    """Whether each part of a shape lies within -180..180 degrees, on one side."""
    left, _, right, _ = shapely.bounds(shapely.get_parts(shape)).T
    return bool((left >= -180).all() and (right <= 180).all() and (right - left < 180).all())


def signed(lon: float) -> float:
    return (lon + 180) % 360 - 180


walks = st.lists(
    st.tuples(st.floats(-30, 30), st.floats(-60, 60)), min_size=2, max_size=12, unique=True
)


@given(walks, st.sampled_from([180.0, -180.0, 540.0, 0.0]))
def test_lines_are_cut_at_180_degrees_and_joined_again(
    steps: list[tuple[float, float]], middle: float
) -> None:
    line = shapely.LineString([(middle + x, y) for x, y in steps])
    written = shapely.LineString([(signed(middle + x), y) for x, y in steps])
    (cut,) = split_at_180(np.array([written], dtype=object))
    assert around(cut)
    assert shapely.length(cut) == pytest.approx(line.length)
    (again,) = join_at_180(np.array([cut], dtype=object))
    xs, ys = shapely.get_coordinates(again).T
    assert shapely.length(again) == pytest.approx(line.length)
    if again.geom_type == "LineString":  # its direction stays
        assert signed(xs[0] - middle - steps[0][0]) == pytest.approx(0, abs=1e-6)
        assert ys[-1] == pytest.approx(steps[-1][1])


@given(st.floats(-20, 20), st.floats(-40, 40), st.floats(1, 25), st.floats(1, 25), st.booleans())
def test_polygons_are_cut_and_joined_again(
    x: float, y: float, width: float, height: float, clockwise: bool
) -> None:
    whole = shapely.box(180 + x, y, 180 + x + width, y + height, ccw=not clockwise)
    hole = shapely.box(180 + x + width / 3, y + height / 3, 180 + x + width / 2, y + height / 2)
    shape = shapely.Polygon(whole.exterior, [hole.exterior])
    ring = [(signed(a), b) for a, b in shape.exterior.coords]
    inner = [(signed(a), b) for a, b in shape.interiors[0].coords]
    (cut,) = to_rfc7946(np.array([shapely.Polygon(ring, [inner])], dtype=object), WGS84)
    assert around(cut)
    assert cut.is_valid
    assert cut.area == pytest.approx(shape.area)
    for part in shapely.get_parts(cut):
        assert part.exterior.is_ccw
        assert not any(each.is_ccw for each in part.interiors)
    (again,) = join_at_180(np.array([cut], dtype=object))
    assert again.geom_type == "Polygon"
    assert again.area == pytest.approx(shape.area)


def test_what_does_not_cross_stays_bit_by_bit() -> None:
    shapes = np.array(
        [
            shapely.LineString([(179, 1), (180, 2)]),
            shapely.box(-180, 0, -170, 5),
            shapely.Point(3, 4),
        ],
        dtype=object,
    )
    assert shapely.equals_exact(split_at_180(shapes), shapes).all()
    assert shapely.equals_exact(join_at_180(shapes), shapes).all()


def test_points_and_mixed_shapes_at_180_degrees_stay_what_they_are() -> None:
    line = shapely.LineString([(-180, 0), (-179, 0)])
    shapes = np.array(
        [
            None,
            shapely.Polygon(),
            shapely.MultiPoint([(180, 1), (-180, 1)]),
            shapely.GeometryCollection([shapely.Point(180, 0), line]),
            shapely.MultiLineString([line, shapely.LineString([(170, 5), (180, 5)])]),
        ],
        dtype=object,
    )
    assert (join_at_180(shapes) == shapes).all()
    split = split_at_180(shapes)
    assert [shape and shape.geom_type for shape in split] == [
        shape and shape.geom_type for shape in shapes
    ]
    assert (split[1:] == shapes[1:]).all()


@pytest.mark.parametrize("zone", [32760, 32701])
def test_geojson_of_roads_in_fiji_is_as_its_standard_wants_and_comes_back(
    tmp_path: Path, zone: int
) -> None:
    there = Transformer.from_crs(WGS84, zone, always_xy=True)
    lon, lat = np.array([179.99, 180.0, -179.99]), np.array([LAT, LAT + 0.003, LAT])
    line = shapely.LineString(np.column_stack(there.transform(lon, lat)))
    graph = RoadGraph.from_lines([line], crs=CRS.from_epsg(zone))
    path = tmp_path / "fiji.geojson"
    graph.to_file(path)
    told = json.loads(path.read_text())
    assert "crs" not in told
    (feature,) = told["features"]
    assert feature["geometry"]["type"] == "MultiLineString"
    xs = np.array([x for part in feature["geometry"]["coordinates"] for x, _ in part])
    assert np.abs(xs).min() > 179.9
    assert np.abs(xs).max() == 180
    again = RoadGraph.from_file(path)
    assert len(again) == 1
    assert again.length_m.sum() == pytest.approx(graph.length_m.sum(), abs=0.01)


def test_geojson_of_areas_has_counter_clockwise_rings_and_no_crs(tmp_path: Path) -> None:
    clockwise = shapely.box(600000, 4000000, 600100, 4000050, ccw=False)
    hole = shapely.box(600020, 4000020, 600030, 4000030, ccw=True)
    shape = shapely.Polygon(clockwise.exterior, [hole.exterior])
    layer = Layer("areas", "Polygon", np.array([shape], dtype=object), {"n": np.array([7])})
    write_geojson(tmp_path / "a.geojson", layer, CRS.from_epsg(32611))
    told = json.loads((tmp_path / "a.geojson").read_text())
    assert "crs" not in told
    (feature,) = told["features"]
    assert feature["properties"] == {"n": 7}
    outer, inner = feature["geometry"]["coordinates"]
    assert shapely.LinearRing(outer).is_ccw
    assert not shapely.LinearRing(inner).is_ccw
    assert -118 < outer[0][0] < -115
    assert len(str(outer[0][0]).partition(".")[2]) > 6
    assert read_layer(tmp_path / "a.geojson", None).crs == WGS84


def test_a_polygon_across_180_degrees_comes_back_as_one(tmp_path: Path) -> None:
    layer = Layer("a", "Polygon", np.array([shapely.box(179, 0, 181, 1)], dtype=object), {})
    write_geojson(tmp_path / "a.geojson", layer, WGS84)
    told = json.loads((tmp_path / "a.geojson").read_text())
    assert told["features"][0]["geometry"]["type"] == "MultiPolygon"
    (shape,) = read_layer(tmp_path / "a.geojson", None).geometry
    assert shape.geom_type == "Polygon"
    assert shape.equals(shapely.box(179, 0, 181, 1))


def scene(folder: Path, crs: str, lon: float) -> Path:
    """200 x 200 px of about 100 m around a longitude, 17 degrees south."""
    path = folder / "scene.tif"
    code = CRS.from_user_input(crs)
    if code.is_geographic:
        place = Affine(0.001, 0, lon - 0.1, 0, -0.001, LAT + 0.1)
    else:
        x, y = Transformer.from_crs(WGS84, code, always_xy=True).transform(lon, LAT)
        if crs == "EPSG:3857" and lon > 180:
            x += 2 * np.pi * 6378137
        place = Affine(100, 0, x - 10000, 0, -100, y + 10000)
    size = {"count": 1, "height": 200, "width": 200, "dtype": "uint8", "crs": crs}
    with rasterio.open(path, "w", driver="GTiff", transform=place, **size) as dataset:
        dataset.write(np.random.default_rng(0).integers(1, 255, (1, 200, 200), dtype=np.uint8))
    return path


SCENES = [
    ("EPSG:32760", 180.0),
    ("EPSG:32760", -179.95),
    ("EPSG:32701", 180.0),
    ("EPSG:32701", 179.95),
    ("EPSG:4326", 180.0),
    ("EPSG:4326", -180.0),
    ("EPSG:3857", 179.99),
    ("EPSG:3857", 180.01),
    ("EPSG:3857", -180.0),
    ("EPSG:3832", 180.0),
]
BOUNDS = [
    (179.96, LAT - 0.03, -179.98, LAT + 0.02),
    (179.96, LAT - 0.03, 180.02, LAT + 0.02),
    (-180.04, LAT - 0.03, -179.98, LAT + 0.02),
]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize(("crs", "lon"), SCENES)
def test_bounds_across_180_degrees_are_met(
    tmp_path: Path, crs: str, lon: float, bounds: tuple[float, ...]
) -> None:
    with open_scene(
        scene(tmp_path, crs, lon), SceneOptions(no_data=(), area=Area.from_bounds(bounds))
    ) as part:
        grid = part.native_grid
        valid = part.read(0, 0, part.grid.shape).valid
    assert valid is not None
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    assert grid.crs is not None
    lons, lats = Transformer.from_crs(grid.crs, WGS84, always_xy=True).transform(
        *grid.xy(cols, rows)
    )
    east = np.asarray(lons) % 360
    wanted = (east > 179.96) & (east < 180.02) & (lats > LAT - 0.03) & (lats < LAT + 0.02)
    assert valid.sum() > 2000
    assert (valid != wanted).sum() <= 2


@pytest.mark.parametrize("lon", [-179.0, 181.0])
def test_a_scene_of_0_to_360_degrees_is_met_by_bounds_of_either_kind(
    tmp_path: Path, lon: float
) -> None:
    bounds = (lon - 0.05, LAT - 0.05, lon + 0.05, LAT + 0.05)
    for where in (-179.0, 181.0):
        path = scene(tmp_path, "EPSG:4326", where)
        with open_scene(path, SceneOptions(no_data=(), area=Area.from_bounds(bounds))) as part:
            assert part.grid.shape == pytest.approx((100, 100), abs=1)


def test_an_area_in_utm_meets_a_scene_in_degrees_across_180(tmp_path: Path) -> None:
    zone = CRS.from_epsg(32760)
    x, y = Transformer.from_crs(WGS84, zone, always_xy=True).transform(180, LAT)
    area = Area(shapely.box(x - 3000, y - 2000, x + 3000, y + 2000), zone, "the park")
    for lon in (180.0, -180.0):
        with open_scene(
            scene(tmp_path, "EPSG:4326", lon), SceneOptions(no_data=(), area=area)
        ) as part:
            height, width = part.grid.shape
            assert height == pytest.approx(37, abs=3)
            assert width == pytest.approx(57, abs=3)


def test_the_whole_earth_is_no_strip() -> None:
    grid = Grid((10, 10), Affine(1, 0, 5, 0, -1, 50), WGS84)
    for bounds in ((-180, -90, 180, 90), (-179, -80, 179, 80), (0, -80, 360, 80)):
        assert Area.from_bounds(bounds).to_pixels(grid).window == (0, 0, (10, 10))


@pytest.mark.parametrize(
    "bounds", [(9, 47, 9, 48), (10, 47, 9, 48), (-400, 0, 3, 4), (0, 0, 361, 3), (0, 5, 1, 4)]
)
def test_bounds_that_are_none_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="west,south,east,north"):
        Area.from_bounds(bounds)
