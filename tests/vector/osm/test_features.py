"""Roads and buildings of GeoJSON as exporters write it, and of an area that is fetched."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import geopandas as gpd
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from terralink.errors import InputError
from terralink.raster import Grid
from terralink.vector.osm import fetch_tables, read_tables

LINE = shapely.LineString([(10, 50), (10.001, 50)])
RING = shapely.Polygon([(10, 50), (10.001, 50), (10.001, 50.001)])
GRID = Grid((100, 100), Affine(1, 0, 600000, 0, -1, 5540000), CRS.from_epsg(32632))
Properties = dict[str, Any]


@pytest.fixture
def geojson(tmp_path: Path) -> Callable[..., Path]:
    """Write features, pairs of a shape and its properties."""

    def write(*features: tuple[shapely.Geometry, Properties], **more: Any) -> Path:
        told = [
            {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": given}
            for shape, given in features
        ]
        path = tmp_path / "export.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": told, **more}))
        return path

    return write


@pytest.mark.parametrize(
    "properties",
    [
        {"highway": "primary", "width": "7", "name": None},
        {"tags": {"highway": "primary", "width": "7"}},
        {"tags": '{"highway": "primary", "width": "7", "name": null}'},
        {"highway": "primary", "other_tags": '"width"=>"7"'},
        {"highway": "primary", "width": 7, "lit": "None"},
    ],
)
def test_tags_are_read_as_exporters_write_them(
    properties: Properties, geojson: Callable[..., Path]
) -> None:
    (tags,) = read_tables(geojson((LINE, properties))).roads.tags
    assert tags == {"highway": "primary", "width": "7"}


def test_what_is_neither_road_nor_building_is_left_out(geojson: Callable[..., Path]) -> None:
    path = geojson(
        (LINE, {"highway": "residential"}),
        (LINE, {"highway": "footway"}),
        (LINE, {"waterway": "river"}),
        (RING, {"building": "yes"}),
        (RING, {"building": "no"}),
        (RING, {"landuse": "grass"}),
        (shapely.Point(10, 50), {"highway": "crossing"}),
        (shapely.Point(10, 50), {"building": "yes"}),
    )
    osm = read_tables(path)
    assert [tags["highway"] for tags in osm.roads.tags] == ["residential"]
    assert [tags["building"] for tags in osm.buildings.tags] == ["yes"]
    assert osm.roads.crs == osm.buildings.crs == CRS.from_epsg(4326)


def test_without_tags_lines_are_roads_and_polygons_are_buildings(
    geojson: Callable[..., Path],
) -> None:
    osm = read_tables(geojson((LINE, {"lane_number": "2"}), (RING, {"osm_id": 5})))
    assert list(osm.roads.tags) == [{"lanes": "2"}]
    assert shapely.equals(osm.buildings.geometry, RING).all()


def test_a_roundabout_that_became_an_area_is_a_road_again(geojson: Callable[..., Path]) -> None:
    osm = read_tables(
        geojson((RING, {"highway": "primary"}), (RING, {"highway": "service", "area": "yes"}))
    )
    assert list(osm.roads.geom_type) == ["LineString", "Polygon"]


def test_nothing_is_an_empty_table(geojson: Callable[..., Path]) -> None:
    osm = read_tables(geojson((shapely.Point(10, 50), {"shop": "bakery"})))
    assert len(osm.roads) == len(osm.buildings) == 0


def test_metres_that_are_said_to_be_degrees_are_refused(geojson: Callable[..., Path]) -> None:
    street = shapely.LineString([(600000, 4000000), (600100, 4000000)])
    with pytest.raises(InputError, match=r"should be in degrees .*name its CRS"):
        read_tables(geojson((street, {"highway": "primary"})))


def test_a_crs_that_is_named_is_kept(geojson: Callable[..., Path]) -> None:
    street = shapely.LineString([(600000, 4000000), (600100, 4000000)])
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32611"}}
    assert read_tables(geojson((street, {"highway": "primary"}), crs=crs)).roads.crs == 32611


def test_text_of_another_encoding_is_told(geojson: Callable[..., Path]) -> None:
    path = geojson((LINE, {"highway": "primary", "name": "Strasse"}))
    path.write_bytes(path.read_bytes().replace(b"Strasse", b"Stra\xdfe"))
    with pytest.raises(InputError, match=r"export\.geojson holds text that is not UTF-8"):
        read_tables(path)


def test_overpass_json_is_told_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text('{"version": 0.6, "elements": [{"type": "node", "id": 1, "lat": 1, "lon": 2}]}')
    with pytest.raises(InputError, match=r"answer\.json is no .* Overpass JSON: .*\[out:xml\]"):
        read_tables(path)


@pytest.mark.parametrize("text", ["", "{", '{"type": "FeatureCollection", "features": [{'])
def test_a_truncated_file_is_told(text: str, tmp_path: Path) -> None:
    path = tmp_path / "half.geojson"
    path.write_text(text)
    with pytest.raises(InputError, match=r"half\.geojson"):
        read_tables(path)


class _NothingThereError(ValueError):
    pass


@pytest.fixture
def overpass(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[Any]]:
    """Stand in for osmnx: what it answers is given, what it is asked for is told."""

    def answers(answer: Any) -> list[Any]:
        asked: list[Any] = []

        def features_from_bbox(bbox: Any, tags: Any) -> Any:
            asked.append((bbox, tags))
            if isinstance(answer, Exception):
                raise answer
            return answer

        osmnx: Any = ModuleType("osmnx")
        osmnx.features_from_bbox = features_from_bbox
        osmnx._errors = SimpleNamespace(
            InsufficientResponseError=_NothingThereError, ResponseStatusCodeError=KeyError
        )
        monkeypatch.setitem(sys.modules, "osmnx", osmnx)
        return asked

    return answers


def test_an_area_is_fetched_with_a_margin(overpass: Callable[[Any], list[Any]]) -> None:
    frame = gpd.GeoDataFrame(
        {"highway": ["track", float("nan")], "building": [None, "hut"]},
        geometry=[LINE, RING],
        crs=4326,
    )
    asked = overpass(frame)
    osm = fetch_tables(GRID)
    assert list(osm.roads.tags) == [{"highway": "track"}]
    assert list(osm.buildings.tags) == [{"building": "hut"}]
    ((left, bottom, right, top), tags), *_ = asked
    assert tags == {"highway": True, "building": True}
    asked_for = shapely.box(left, bottom, right, top)
    corners = gpd.GeoSeries(shapely.points(*GRID.xy([0, 100], [0, 100])), crs=32632).to_crs(4326)
    assert asked_for.contains(corners).all()
    assert (top - bottom) * 111_320 == pytest.approx(200, abs=5)


def test_an_area_across_180_degrees_is_fetched_on_both_sides(
    overpass: Callable[[Any], list[Any]],
) -> None:
    frame = gpd.GeoDataFrame({"highway": ["track"]}, geometry=[LINE], crs=4326)
    asked = overpass(frame)
    osm = fetch_tables(
        Grid((100, 100), Affine(100, 0, 815000, 0, -100, 8140000), CRS.from_epsg(32760))
    )
    assert len(osm.roads) == 2
    (west, _), (east, _) = asked
    assert 179 < west[0] < west[2] == 180
    assert -180 == east[0] < east[2] < -179


def test_an_area_without_anything_is_empty(overpass: Callable[[Any], list[Any]]) -> None:
    overpass(_NothingThereError("nothing"))
    assert len(fetch_tables(GRID).roads) == 0


def test_a_network_that_does_not_answer_is_told(overpass: Callable[[Any], list[Any]]) -> None:
    overpass(ConnectionError("no route\nto host"))
    with pytest.raises(InputError, match="could not be fetched: no route to host; give a file"):
        fetch_tables(GRID)


def test_fetching_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "osmnx", None)
    with pytest.raises(InputError, match=r"pip install 'terralink\[osm\]'"):
        fetch_tables(GRID)


def test_an_area_that_lies_nowhere_is_refused(overpass: Callable[[Any], list[Any]]) -> None:
    overpass(None)
    with pytest.raises(InputError, match="nowhere on Earth"):
        fetch_tables(Grid((5, 5), Affine.identity()))
