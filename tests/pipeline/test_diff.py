"""What is new, matched and gone: nothing is lost, nothing counts twice."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyogrio import list_layers
from pyproj import CRS
from shapely import LineString, box

from terralink.errors import InputError, TerralinkError
from terralink.graph import RoadGraph
from terralink.pipeline import diff

UTM = CRS.from_epsg(32611)
HERE = np.array([664000.0, 4012000.0])


def roads(*lines: list[tuple[float, float]]) -> RoadGraph:
    return RoadGraph.from_lines([LineString(HERE + np.array(line)) for line in lines], UTM)


MAIN: list[tuple[float, float]] = [(0, 0), (500, 0)]
SIDE: list[tuple[float, float]] = [(200, 0), (200, 100)]


def test_a_new_side_road_is_new_from_its_beginning() -> None:
    changes = diff.compare_roads(roads(MAIN, SIDE), roads(MAIN))
    assert changes.size == pytest.approx({"new": 100, "matched": 500, "gone": 0})


def test_a_new_road_across_an_old_one_is_new_all_along() -> None:
    changes = diff.compare_roads(roads(MAIN, [(200, -90), (200, 90)]), roads(MAIN))
    assert changes.size == pytest.approx({"new": 180, "matched": 500, "gone": 0})
    assert changes.count == {"new": 1, "matched": 1, "gone": 0}


def test_old_and_new_the_other_way_round_are_gone_and_new() -> None:
    one = diff.compare_roads(roads(MAIN, SIDE), roads(MAIN))
    other = diff.compare_roads(roads(MAIN), roads(MAIN, SIDE))
    assert other.size["gone"] == pytest.approx(one.size["new"])


def test_lengths_add_up_to_those_of_the_map() -> None:
    given, old = roads(MAIN, SIDE, [(0, 20), (250, 3), (500, 60)]), roads([(0, 4), (300, 4)])
    size = diff.compare_roads(given, old).size
    assert size["new"] + size["matched"] == pytest.approx(given.length_m.sum())


def test_a_desert_has_neither_new_nor_gone_roads() -> None:
    nothing = RoadGraph.empty(UTM)
    assert diff.compare_roads(nothing, nothing).size == {"new": 0, "matched": 0, "gone": 0}
    assert diff.compare_roads(nothing, roads(MAIN)).size["gone"] == pytest.approx(500)


def write_map(path: Path, *lines: list[tuple[float, float]]) -> Path:
    roads(*lines).to_file(path)
    return path


def itself(path: Path) -> list[diff.Changes]:
    changes = diff.compare_files(path, path)
    for each in changes:
        assert each.count["new"] == each.count["gone"] == 0
        assert each.size["new"] == each.size["gone"] == 0
        assert not len(each.groups.relation)
    return changes


RING: list[tuple[float, float]] = [(0, 0), (90, 0), (90, 90), (0, 90), (0, 0)]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".osm", ".graphml", ".parquet"])
@pytest.mark.parametrize(
    "lines",
    [[MAIN], [[(0, 0), (0, 300)]], [[(0, 0), (200, 130)]], [RING], [MAIN, SIDE], [RING, RING], []],
)
def test_a_map_against_itself_is_all_matched(
    lines: list[list[tuple[float, float]]], suffix: str, tmp_path: Path
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = write_map(tmp_path / f"map{suffix}", *lines)
    changes = itself(path)[0]
    length = shapely.union_all([LineString(line) for line in lines]).length
    assert changes.size["matched"] == pytest.approx(length, rel=1e-3)


@pytest.mark.parametrize("within_m", [0.01, 1.0, 8.0])
def test_an_axis_parallel_road_is_all_matched_whatever_the_distance(
    within_m: float, tmp_path: Path
) -> None:
    path = write_map(tmp_path / "map.gpkg", MAIN)
    [changes] = diff.compare_files(path, path, within_m=within_m)
    assert changes.size == pytest.approx({"new": 0, "matched": 500, "gone": 0})
    with pytest.raises(InputError, match="more than 0"):
        diff.compare_files(path, path, within_m=0)


step = st.integers(0, 8).map(lambda n: n * 25)  # many share points, lie on each other or on axes
line = st.lists(st.tuples(step, step), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(line, max_size=6), st.sampled_from(["ends", "vertices", "crossings"]))
def test_random_roads_against_themselves_are_all_matched(
    lines: list[list[tuple[float, float]]], node: Literal["ends", "vertices", "crossings"]
) -> None:
    drawn = [LineString(HERE + np.array(each)) for each in lines]
    graph = RoadGraph.from_lines(drawn, UTM, noding=node)
    for changes in (
        diff.compare_roads(graph, graph),
        diff._compare_roads_in_box(graph, graph, 8.0),
    ):
        assert changes.count["new"] == changes.count["gone"] == 0
        assert changes.size["matched"] == pytest.approx(graph.length_m.sum())
        assert changes.size["matched"] == pytest.approx(shapely.union_all(drawn).length)


def test_an_empty_map_has_all_of_the_reference_gone(tmp_path: Path) -> None:
    for suffix in (".gpkg", ".osm"):
        nothing, old = write_map(tmp_path / f"no{suffix}"), write_map(tmp_path / "old.gpkg", MAIN)
        assert diff.compare_files(nothing, old)[0].size["gone"] == pytest.approx(500)
        assert diff.compare_files(old, nothing)[0].size["new"] == pytest.approx(500)


def houses(*corners: tuple[float, float]) -> "gpd.GeoSeries":
    return gpd.GeoSeries([box(x, y, x + 10, y + 10) for x, y in HERE + corners], crs=UTM)


def test_buildings_match_one_to_one() -> None:
    changes = diff.compare_buildings(houses((0, 0), (30, 0), (60, 0)), houses((1, 0), (60, 8)))
    assert changes.count == {"new": 2, "matched": 1, "gone": 1}
    assert changes.size == pytest.approx({"new": 200, "matched": 100, "gone": 100})


def squares(*sides: tuple[float, float, float, float]) -> "gpd.GeoSeries":
    """Boxes of x, y, width and height."""
    shapes = [box(x, y, x + w, y + h) for x, y, w, h in sides]
    return gpd.GeoSeries(shapes, crs=UTM).translate(*HERE)


ROW = squares(*((6 * n, 0, 6, 10) for n in range(4)))
BLOCK = squares((0, 0, 24, 10))


def relations(changes: diff.Changes) -> dict[str, tuple[float, float]]:
    summaries = {name: changes.groups.summary(name) for name in diff.RELATIONS}
    return {name: (of["map"], of["reference"]) for name, of in summaries.items() if of["count"]}


def test_one_polygon_against_a_row_of_four_houses_is_one_to_many() -> None:
    changes = diff.compare_buildings(BLOCK, ROW)
    assert changes.count == {"new": 0, "matched": 0, "gone": 0}
    assert relations(changes) == {"one-to-many": (1, 4)}
    assert changes.groups.summary("one-to-many")["area_m2"] == pytest.approx(240)
    assert relations(diff.compare_buildings(ROW, BLOCK)) == {"many-to-one": (4, 1)}


@pytest.mark.parametrize("parts", [2, 3, 4, 7])
def test_a_building_in_any_number_of_parts_is_one_to_many(parts: int) -> None:
    row = squares(*((24 / parts * n, 0, 24 / parts, 10) for n in range(parts)))
    assert relations(diff.compare_buildings(BLOCK, row)) == {"one-to-many": (1, parts)}


def test_two_halves_against_three_thirds_are_many_to_many() -> None:
    halves, thirds = (
        squares((0, 0, 12, 10), (12, 0, 12, 10)),
        squares((0, 0, 8, 10), (8, 0, 8, 10), (16, 0, 8, 10)),
    )
    changes = diff.compare_buildings(halves, thirds)
    assert relations(changes) == {"many-to-many": (2, 3)}
    assert sum(changes.count.values()) == 0


def test_a_shed_beside_a_house_stays_gone_and_one_inside_is_of_it() -> None:
    house = squares((0, 0, 20, 10))
    beside = diff.compare_buildings(house, squares((0, 0, 20, 10), (21, 0, 3, 3)))
    assert beside.count == {"new": 0, "matched": 1, "gone": 1}
    inside = diff.compare_buildings(house, squares((0, 0, 16, 10), (17, 0, 3, 10)))
    assert relations(inside) == {"one-to-many": (1, 2)}


def test_a_large_false_polygon_around_small_houses_is_new() -> None:
    scattered = squares((0, 0, 5, 5), (40, 0, 5, 5), (0, 40, 5, 5), (40, 40, 5, 5))
    changes = diff.compare_buildings(squares((0, 0, 45, 45)), scattered)
    assert changes.count == {"new": 1, "matched": 0, "gone": 4}


def test_groups_have_a_layer_of_their_own_with_both_sides(tmp_path: Path) -> None:
    now, old = squares((0, 0, 24, 10), (60, 0, 9, 9)), squares(*ROW_AND_ONE)
    write(tmp_path / "now.gpkg", now, "buildings")
    write(tmp_path / "old.gpkg", old, "buildings")
    [changes] = diff.compare_files(tmp_path / "now.gpkg", tmp_path / "old.gpkg")
    assert changes.count == {"new": 0, "matched": 1, "gone": 0}
    diff.write_changes(tmp_path / "diff.gpkg", [changes])
    table = gpd.read_file(tmp_path / "diff.gpkg", layer="buildings_grouped")
    assert table.relation.tolist() == ["one-to-many"] * 5
    assert table.side.tolist() == ["map"] + ["reference"] * 4
    assert table.group.nunique() == 1
    assert table.area_m2.tolist() == pytest.approx([240, 60, 60, 60, 60])


ROW_AND_ONE = [*((6 * n, 0, 6, 10) for n in range(4)), (60, 0, 9, 9)]
corner, side = st.integers(0, 30), st.integers(1, 12)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(corner, corner, side, side), max_size=10),
    st.sampled_from([0.3, 0.5, 0.9, 1.0]),
    st.floats(0, 1.5),
)
def test_random_buildings_against_themselves_are_all_matched(
    sides: list[tuple[int, int, int, int]], iou: float, turn: float
) -> None:
    town = squares(*sides).rotate(turn, origin=tuple(HERE), use_radians=True)
    changes = diff.compare_buildings(town, town, iou=iou)
    assert changes.count == {"new": 0, "matched": len(sides), "gone": 0}
    assert not len(changes.groups.relation)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(corner, corner, side, side), max_size=8),
    st.lists(st.tuples(corner, corner, side, side), max_size=8),
)
def test_every_building_is_in_one_place_and_both_ways_say_the_same(
    now: list[tuple[int, int, int, int]], old: list[tuple[int, int, int, int]]
) -> None:
    one = diff.compare_buildings(squares(*now), squares(*old), allow_disjoint=True)
    other = diff.compare_buildings(squares(*old), squares(*now), allow_disjoint=True)
    assert one.count["new"] + one.count["matched"] + len(one.groups.current) == len(now)
    assert one.count["gone"] + one.count["matched"] + len(one.groups.reference) == len(old)
    mirrored = {"one-to-many": "many-to-one", "many-to-one": "one-to-many"}
    turned = {mirrored.get(name, name): of[::-1] for name, of in relations(other).items()}
    assert relations(one) == turned
    assert one.count["new"] == other.count["gone"]


def write(path: Path, series: "gpd.GeoSeries", layer: str) -> None:
    series.to_file(path, layer=layer, driver="GPKG")


def test_files_are_compared_in_what_both_have_and_written_in_a_layer_each(tmp_path: Path) -> None:
    now, old = tmp_path / "now.gpkg", tmp_path / "old.gpkg"
    roads(MAIN, SIDE).to_file(now)
    write(now, houses((300, 30), (500, 30)), "buildings")
    roads(MAIN, [(0, 9000), (500, 9000)]).to_file(old)
    write(old, houses((400, 30), (400, 9000)), "buildings")
    changes = diff.compare_files(now, old)
    assert [each.kind for each in changes] == ["roads", "buildings"]
    assert changes[0].size == pytest.approx({"new": 100, "matched": 500, "gone": 0})
    diff.write_changes(tmp_path / "diff.gpkg", changes)
    names = {str(name) for name, _ in list_layers(tmp_path / "diff.gpkg")}
    wanted = {f"{k}_{n}" for k in ("roads", "buildings") for n in ("new", "matched", "gone")}
    assert names >= wanted
    new = gpd.read_file(tmp_path / "diff.gpkg", layer="roads_new")
    assert new.length_m.tolist() == pytest.approx([100])


def test_lines_of_raw_openstreetmap_share_inner_points(tmp_path: Path) -> None:
    roads(MAIN, SIDE).to_file(tmp_path / "map.osm")
    changes = diff.compare_files(tmp_path / "map.osm", tmp_path / "map.osm")
    assert changes[0].size == pytest.approx({"new": 0, "matched": 600, "gone": 0}, abs=0.01)


def test_maps_of_two_places_are_an_error(tmp_path: Path) -> None:
    roads(MAIN).to_file(tmp_path / "here.gpkg")
    roads([(90000, 0), (90500, 0)]).to_file(tmp_path / "there.gpkg")
    with pytest.raises(InputError, match="the map and the reference do not overlap: the map is at"):
        diff.compare_files(tmp_path / "here.gpkg", tmp_path / "there.gpkg")


def test_roads_against_buildings_are_an_error(tmp_path: Path) -> None:
    roads(MAIN).to_file(tmp_path / "roads.gpkg")
    write(tmp_path / "houses.gpkg", houses((0, 0)), "houses")
    with pytest.raises(InputError, match="nothing in common"):
        diff.compare_files(tmp_path / "roads.gpkg", tmp_path / "houses.gpkg")


def test_another_suffix_than_gpkg_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TerralinkError, match=r"name the file \.gpkg"):
        diff.write_changes(tmp_path / "diff.shp", [])


def test_buildings_that_cross_themselves_are_mended() -> None:
    corners = np.array([(0, 0), (10, 10), (10, 0), (0, 10)])
    bow = gpd.GeoSeries([shapely.Polygon(HERE + corners)], crs=UTM)
    assert diff.compare_buildings(bow, bow).count == {"new": 0, "matched": 1, "gone": 0}


def test_every_layer_has_a_style_in_its_colour(tmp_path: Path) -> None:
    changes = [
        diff.compare_roads(roads(MAIN), roads(MAIN)),
        diff.compare_buildings(houses((0, 0)), houses((0, 0))),
    ]
    diff.write_changes(tmp_path / "diff.gpkg", changes)
    with closing(sqlite3.connect(tmp_path / "diff.gpkg")) as base:
        styles = dict(base.execute("SELECT f_table_name, styleQML FROM layer_styles").fetchall())
    assert len(styles) == 7
    for name, qml in styles.items():
        key = "line_color" if name.startswith("roads") else "outline_color"
        options = ElementTree.fromstring(qml).iter("Option")
        [colour] = [each.get("value") for each in options if each.get("name") == key]
        assert colour == diff.COLOURS[name.partition("_")[2]]
