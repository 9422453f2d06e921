"""OpenStreetMap's elements: what is a road, what is an area."""

from pathlib import Path

import pytest
import shapely

from terralink.errors import InputError
from terralink.vector.osm import read_elements


def test_roads_are_what_a_car_may_drive_on_cut_at_shared_nodes(town: Path) -> None:
    lines, tags = read_elements(town).roads()
    assert [line.wkt for line in lines[:3]] == [
        "LINESTRING (0 0, 1 0)",
        "LINESTRING (1 0, 2 0)",
        "LINESTRING (1 0, 1 1)",
    ]
    assert tags[2]["width"] == "4 m"


def test_buildings_are_closed_ways_and_relations_with_holes(town: Path) -> None:
    areas, tags = read_elements(town).buildings()
    assert shapely.area(areas).tolist() == [1, 9 - 0.5]
    assert [each["building"] for each in tags] == ["yes", "yes"]


def test_streets_are_whole_ways_and_squares_are_areas(town: Path) -> None:
    shapes, tags = read_elements(town).streets()
    assert [shape.wkt for shape in shapes[:2]] == [
        "LINESTRING (0 0, 1 0, 2 0)",
        "LINESTRING (1 0, 1 1)",
    ]
    assert shapes[2].equals(shapely.Polygon([(6, 6), (7, 6), (7, 7)]))
    assert [each["highway"] for each in tags] == ["residential", "service", "service"]


@pytest.mark.parametrize(
    "text",
    [
        '<osm><node id="x" lon="0" lat="0"/></osm>',
        '<osm><node lon="0" lat="0"/></osm>',
        "<gpx/>",
        '<osm version="0.6"><node id="1" lon="0" lat="1x"/></osm>',
        '<osm version="0.6"><node id="1" lon="0" lat="91e9"/></osm>',
    ],
)
def test_what_is_not_of_openstreetmap_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.osm"
    path.write_text(text)
    with pytest.raises(InputError, match=r"odd\.osm"):
        read_elements(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_elements(tmp_path / "none.osm")
