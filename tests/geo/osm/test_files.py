"""OpenStreetMap's binary files say what its XML says; damaged ones say so in a line."""

import sys
from pathlib import Path

import pytest
import shapely

from terralink.errors import InputError
from terralink.geo.osm import read, read_elements


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
    xml, pbf = read(town), read(binary)
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
    ours = read(town).buildings.geometry
    assert len(houses) == len(ours) == 2
    assert all(any(house.equals(other) for other in houses) for house in ours)


def test_a_pbf_that_is_cut_off_is_told(binary: Path) -> None:
    whole = binary.read_bytes()
    for size in (0, 3, 40, len(whole) // 2, len(whole) - 1):
        binary.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"town\.osm\.pbf is no .*or is cut off") as caught:
            read_elements(binary)
        assert "\n" not in str(caught.value)


def test_pbf_without_the_extra_names_it(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "osmium", None)
    with pytest.raises(InputError, match=r"pip install 'terralink\[osm\]'"):
        read_elements(town.with_suffix(".pbf"))
    assert len(read(town).roads) == 3


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
        read(path)
