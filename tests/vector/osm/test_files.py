"""OpenStreetMap's binary files say what its XML says; damaged ones say so in a line."""

import bz2
import gzip
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import shapely

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.vector.osm import read_elements, read_tables

from .conftest import NODES, OUTER, Way, WriteOsm


@pytest.fixture
def binary(town: Path) -> Path:
    """The town as PBF, written by pyosmium."""
    osmium = pytest.importorskip("osmium")
    path = town.with_suffix(".osm.pbf")
    with osmium.SimpleWriter(str(path)) as writer:
        for element in osmium.FileProcessor(str(town)):
            writer.add(element)
    return path


def test_pbf_says_what_xml_says(town: Path, binary: Path) -> None:
    xml, pbf = read_tables(town), read_tables(binary)
    for ours, theirs in [(xml.roads, pbf.roads), (xml.buildings, pbf.buildings)]:
        assert list(ours.tags) == list(theirs.tags)
        assert shapely.equals_exact(ours.geometry, theirs.geometry, 1e-7).all()


def test_buildings_are_the_areas_that_pyosmium_makes(town: Path, binary: Path) -> None:
    osmium = pytest.importorskip("osmium")
    to_wkb = osmium.geom.WKBFactory().create_multipolygon
    areas = osmium.FileProcessor(str(binary)).with_areas()
    houses = [
        shapely.from_wkb(to_wkb(area))
        for area in areas
        if area.is_area() and "building" in area.tags
    ]
    ours = read_tables(town).buildings.geometry
    assert len(houses) == len(ours) == 2
    assert all(any(house.equals(other) for other in houses) for house in ours)


def test_a_pbf_that_is_cut_off_is_told(binary: Path) -> None:
    whole = binary.read_bytes()
    for size in (0, 3, 40, len(whole) // 2, len(whole) - 1):
        binary.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"town\.osm\.pbf is no .*or is cut off") as caught:
            read_elements(binary)
        assert "\n" not in str(caught.value)


def test_without_osmium_the_line_names_it(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "osmium", None)
    with pytest.raises(InputError, match=r"town\.osm is read by osmium, .* pip install osmium"):
        read_tables(town)


def test_a_missing_pbf_is_told(tmp_path: Path) -> None:
    pytest.importorskip("osmium")
    with pytest.raises(InputError, match="no such file"):
        read_elements(tmp_path / "none.osm.pbf")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<!DOCTYPE osm [<!ENTITY a "aaaa">]><osm>&a;</osm>', "document type"),
        ('<osm><way id="1"><nd ref="1"/>', "not well-formed"),
        ("PBF? no", "not well-formed"),
    ],
)
def test_hostile_and_truncated_xml_is_told_in_a_line(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.osm"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_tables(path)


STREET: Mapping[int, Way] = {1: ([1, 2, 3], {"highway": "primary"})}


def roads_of(path: Path) -> list[str]:
    """The classes of the roads, seen by every reader alike."""
    found = sorted(tags["highway"] for tags in read_tables(path).roads.tags)
    assert len(RoadGraph.from_file(path)) == len(found)
    return found


def test_negative_numbers_are_numbers(write_osm: WriteOsm, as_pbf: Callable[[Path], Path]) -> None:
    nodes = {-number: place for number, place in NODES.items()} | {7: (90.0, 0.0)}
    ways: dict[int, Way] = {
        -1: ([-1, -2, 7], {"highway": "primary"}),
        5: ([-3, -4, -1], {"highway": "track"}),
        -6: ([-1, -2, -3, -4, -1], {"building": "yes"}),
    }
    path = write_osm(ways, nodes=nodes)
    for each in (path, as_pbf(path)):
        assert roads_of(each) == ["primary", "track"]
        assert len(read_tables(each).buildings) == 1
        graph = RoadGraph.from_file(each)
        assert sorted(graph.degree.tolist()) == [1, 1, 2]
        assert graph.length_m.sum() == pytest.approx(90 + 120, abs=0.5)


@pytest.mark.parametrize("order", ["nwr", "wnr", "wrn", "rwn"])
def test_elements_come_in_any_order(order: str, write_osm: WriteOsm) -> None:
    assert roads_of(write_osm(STREET, order=order)) == ["primary"]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_packed_xml_is_read(
    suffix: str, pack: Callable[[bytes], bytes], write_osm: WriteOsm, tmp_path: Path
) -> None:
    plain = write_osm(STREET).read_bytes()
    path = tmp_path / f"packed.osm{suffix}"
    path.write_bytes(pack(plain))
    assert roads_of(path) == ["primary"]
    path.write_bytes(pack(b'<!DOCTYPE osm [<!ENTITY a "b">]><osm version="0.6"/>'))
    with pytest.raises(InputError, match="document type"):
        read_tables(path)
    path.write_bytes(plain)
    with pytest.raises(InputError, match=r"packed\.osm"):
        read_tables(path)


@pytest.mark.parametrize("name", ["UPPER.OSM", "two words;1?.osm", "http:x.osm", "-.osm"])
def test_a_name_is_a_name(name: str, write_osm: WriteOsm) -> None:
    assert roads_of(write_osm(STREET, name=name)) == ["primary"]


def test_ways_that_tell_where_they_run_need_no_nodes(write_osm: WriteOsm, tmp_path: Path) -> None:
    osmium = pytest.importorskip("osmium")
    located = osmium.FileProcessor(str(write_osm(STREET))).with_locations()
    path = tmp_path / "located.osm.pbf"
    file = osmium.io.File(str(path), "pbf,locations_on_ways=true")
    with osmium.SimpleWriter(file) as writer:
        for element in located:
            if element.is_way():
                writer.add(element)
    assert roads_of(path) == ["primary"]


@pytest.mark.parametrize("mark", ['action="delete"', "action='delete'", 'visible="false"'])
def test_what_is_deleted_is_not_there(mark: str, write_osm: WriteOsm) -> None:
    ways: dict[int, Way] = {
        1: ([1, 2], {"highway": "primary"}),
        2: ([2, 3], {"highway": "track"}),
        3: (OUTER, {"building": "yes"}),
    }
    path = write_osm(ways, [("w3 outer", {"type": "multipolygon", "building": "yes"})])
    path.write_text(
        path.read_text()
        .replace('<way id="1"', f'<way id="1" {mark}')
        .replace('<relation id="-1"', f'<relation id="-1" {mark}')
    )
    assert roads_of(path) == ["track"]
    assert len(read_tables(path).buildings) == 1  # the way by itself
    path.write_text(path.read_text().replace('<way id="3"', f'<way id="3" {mark}'))
    assert len(read_tables(path).buildings) == 0


def test_the_last_version_of_a_way_counts(write_osm: WriteOsm) -> None:
    path = write_osm(STREET)
    again = '<way id="1"><nd ref="1"/><nd ref="2"/><tag k="highway" v="track"/></way></osm>'
    path.write_text(path.read_text().replace("</osm>", again))
    assert roads_of(path) == ["track"]


def test_a_road_is_not_drawn_across_a_node_that_is_missing(write_osm: WriteOsm) -> None:
    graph = RoadGraph.from_file(write_osm({1: ([1, 2, 99, 3, 4], {"highway": "primary"})}))
    assert graph.length_m.tolist() == pytest.approx([60, 60], abs=0.5)


def test_squares_are_no_ring_roads(write_osm: WriteOsm, as_pbf: Callable[[Path], Path]) -> None:
    ways: dict[int, Way] = {
        1: ([11, 12], {"highway": "primary"}),
        2: (OUTER, {"highway": "service", "area": "yes"}),
        3: (OUTER, {"highway": "pedestrian"}),
        4: (OUTER, {"area:highway": "residential"}),
        5: (OUTER, {"area:highway": "residential", "highway": "residential"}),
        6: (OUTER[:-1], {"highway": "service", "area": "yes"}),
    }
    path = write_osm(ways)
    for each in (path, as_pbf(path)):
        assert [tags["highway"] for tags in read_elements(each).roads()[1]] == ["primary"]
        drawn = read_tables(each).roads
        assert list(drawn.geom_type) == ["LineString", "Polygon", "Polygon"]
        assert RoadGraph.from_file(each).length_m.tolist() == pytest.approx([20], abs=0.5)


def test_a_roundabout_is_a_ring_road(write_osm: WriteOsm) -> None:
    path = write_osm({1: (OUTER, {"highway": "primary", "junction": "roundabout", "area": "no"})})
    assert RoadGraph.from_file(path).length_m.tolist() == pytest.approx([240], abs=1)


def test_ways_without_a_road_for_cars_are_told(
    write_osm: WriteOsm, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(RoadGraph.from_file(write_osm({1: ([1, 2], {"highway": "footway"})}))) == 0
    (record,) = caplog.records
    assert "no way is a road for cars, only footway" in record.message


def test_a_graph_has_the_width_that_the_tags_tell(write_osm: WriteOsm) -> None:
    ways = {
        i: ([1, i], {"highway": "primary", "width": text})
        for i, text in ((2, "10ft 6in"), (3, "2.5 m;"), (4, "wide"))
    }
    widths_m = sorted(RoadGraph.from_file(write_osm(ways)).width_m.tolist())
    assert widths_m == pytest.approx([2.5, 3.2004, float("nan")], nan_ok=True)
