"""What is new, matched and gone: nothing is lost, nothing counts twice."""

import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyogrio import list_layers
from pyproj import CRS
from shapely import LineString, box

from terralink import diff
from terralink.errors import InputError, TerralinkError
from terralink.graph import RoadGraph

UTM = CRS.from_epsg(32611)
HERE = np.array([664000.0, 4012000.0])


def roads(*lines: list[tuple[float, float]]) -> RoadGraph:
    return RoadGraph.from_lines([LineString(HERE + np.array(line)) for line in lines], UTM)


MAIN: list[tuple[float, float]] = [(0, 0), (500, 0)]
SIDE: list[tuple[float, float]] = [(200, 0), (200, 100)]


def test_a_new_side_road_is_new_from_its_beginning() -> None:
    changes = diff.roads(roads(MAIN, SIDE), roads(MAIN))
    assert changes.size == pytest.approx({"new": 100, "matched": 500, "gone": 0})


def test_a_new_road_across_an_old_one_is_new_all_along() -> None:
    changes = diff.roads(roads(MAIN, [(200, -90), (200, 90)]), roads(MAIN))
    assert changes.size == pytest.approx({"new": 180, "matched": 500, "gone": 0})
    assert changes.count == {"new": 1, "matched": 1, "gone": 0}


def test_old_and_new_the_other_way_round_are_gone_and_new() -> None:
    one = diff.roads(roads(MAIN, SIDE), roads(MAIN))
    other = diff.roads(roads(MAIN), roads(MAIN, SIDE))
    assert other.size["gone"] == pytest.approx(one.size["new"])


def test_lengths_add_up_to_those_of_the_map() -> None:
    given, old = roads(MAIN, SIDE, [(0, 20), (250, 3), (500, 60)]), roads([(0, 4), (300, 4)])
    size = diff.roads(given, old).size
    assert size["new"] + size["matched"] == pytest.approx(given.length_m.sum())


def test_a_desert_has_neither_new_nor_gone_roads() -> None:
    nothing = RoadGraph.empty(UTM)
    assert diff.roads(nothing, nothing).size == {"new": 0, "matched": 0, "gone": 0}
    assert diff.roads(nothing, roads(MAIN)).size["gone"] == pytest.approx(500)


def houses(*corners: tuple[float, float]) -> "gpd.GeoSeries":
    return gpd.GeoSeries([box(x, y, x + 10, y + 10) for x, y in HERE + corners], crs=UTM)


def test_buildings_match_one_to_one() -> None:
    changes = diff.buildings(houses((0, 0), (30, 0), (60, 0)), houses((1, 0), (60, 8)))
    assert changes.count == {"new": 2, "matched": 1, "gone": 1}
    assert changes.size == pytest.approx({"new": 200, "matched": 100, "gone": 100})


def write(path: Path, series: "gpd.GeoSeries", layer: str) -> None:
    series.to_file(path, layer=layer, driver="GPKG")


def test_files_are_compared_in_what_both_have_and_written_in_a_layer_each(tmp_path: Path) -> None:
    now, old = tmp_path / "now.gpkg", tmp_path / "old.gpkg"
    roads(MAIN, SIDE).to_file(now)
    write(now, houses((300, 30), (500, 30)), "buildings")
    roads(MAIN, [(0, 9000), (500, 9000)]).to_file(old)
    write(old, houses((400, 30), (400, 9000)), "buildings")
    changes = diff.of_files(now, old)
    assert [each.kind for each in changes] == ["roads", "buildings"]
    assert changes[0].size == pytest.approx({"new": 100, "matched": 500, "gone": 0})
    diff.write(tmp_path / "diff.gpkg", changes)
    names = {str(name) for name, _ in list_layers(tmp_path / "diff.gpkg")}
    wanted = {f"{k}_{n}" for k in ("roads", "buildings") for n in ("new", "matched", "gone")}
    assert names >= wanted
    new = gpd.read_file(tmp_path / "diff.gpkg", layer="roads_new")
    assert new.length_m.tolist() == pytest.approx([100])


def test_lines_of_raw_openstreetmap_share_inner_points(tmp_path: Path) -> None:
    roads(MAIN, SIDE).to_file(tmp_path / "map.osm")
    changes = diff.of_files(tmp_path / "map.osm", tmp_path / "map.osm")
    assert changes[0].size == pytest.approx({"new": 0, "matched": 600, "gone": 0}, abs=0.01)


def test_maps_of_two_places_are_an_error(tmp_path: Path) -> None:
    roads(MAIN).to_file(tmp_path / "here.gpkg")
    roads([(90000, 0), (90500, 0)]).to_file(tmp_path / "there.gpkg")
    with pytest.raises(InputError, match="the map and the reference do not overlap: the map is at"):
        diff.of_files(tmp_path / "here.gpkg", tmp_path / "there.gpkg")


def test_roads_against_buildings_are_an_error(tmp_path: Path) -> None:
    roads(MAIN).to_file(tmp_path / "roads.gpkg")
    write(tmp_path / "houses.gpkg", houses((0, 0)), "houses")
    with pytest.raises(InputError, match="nothing in common"):
        diff.of_files(tmp_path / "roads.gpkg", tmp_path / "houses.gpkg")


def test_another_suffix_than_gpkg_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TerralinkError, match=r"name the file \.gpkg"):
        diff.write(tmp_path / "diff.shp", [])


def test_buildings_that_cross_themselves_are_mended() -> None:
    corners = np.array([(0, 0), (10, 10), (10, 0), (0, 10)])
    bow = gpd.GeoSeries([shapely.Polygon(HERE + corners)], crs=UTM)
    assert diff.buildings(bow, bow).count == {"new": 0, "matched": 1, "gone": 0}


def test_every_layer_has_a_style_in_its_colour(tmp_path: Path) -> None:
    changes = [diff.roads(roads(MAIN), roads(MAIN)), diff.buildings(houses((0, 0)), houses((0, 0)))]
    diff.write(tmp_path / "diff.gpkg", changes)
    with closing(sqlite3.connect(tmp_path / "diff.gpkg")) as base:
        styles = dict(base.execute("SELECT f_table_name, styleQML FROM layer_styles").fetchall())
    assert len(styles) == 6
    for name, qml in styles.items():
        key = "line_color" if name.startswith("roads") else "outline_color"
        options = ElementTree.fromstring(qml).iter("Option")
        [colour] = [each.get("value") for each in options if each.get("name") == key]
        assert colour == diff.COLOURS[name.partition("_")[2]]
