"""Ways and areas of OpenStreetMap as shapes: cut at shared nodes, buildings of several rings."""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terralink.errors import InputError
from terralink.vector.osm import read_buildings, read_elements, read_tables

from .conftest import INNER, NODES, OUTER, SECOND, Relation, Way, WriteOsm


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


HOUSE, PLAIN = {"building": "yes"}, MappingProxyType[str, str]({})
MULTI, OLD = {"type": "multipolygon", "building": "yes"}, {"type": "multipolygon"}
OUTLINE = {"type": "building", "building": "yes"}
COURT = "w1 outer, w2 inner"


def areas_m2(path: Path) -> list[int]:
    table = read_tables(path).buildings
    assert shapely.equals(read_buildings(path).geometry, table.geometry).all()
    return sorted(round(area / 10) * 10 for area in table.to_crs(32611).area)


CASES: Mapping[str, tuple[dict[int, Way], Sequence[Relation], list[int]]] = {
    "two courtyards that share a wall": (
        {1: (OUTER, PLAIN), 2: (INNER, PLAIN), 3: (SECOND, PLAIN)},
        [("w1 outer, w2 inner, w3 inner", MULTI)],
        [2800],
    ),
    "an outer ring of two ways": (
        {1: ([1, 2, 3], PLAIN), 2: ([1, 4, 3], PLAIN), 3: (INNER, PLAIN)},
        [("w1 outer, w2 outer, w3 inner", MULTI)],
        [3200],
    ),
    "an outer ring that an extract cuts": (
        {1: ([1, 2, 3], PLAIN), 2: (INNER, PLAIN)},
        [("w1 outer, w9 outer, w2 inner", MULTI)],
        [],
    ),
    "rings that cross": ({1: ([1, 3, 2, 4, 1], PLAIN)}, [("w1 outer", MULTI)], []),
    "a cut ring beside a whole house": (
        {1: (OUTER, HOUSE), 2: (INNER, PLAIN)},
        [("w1 outer, w9 inner", MULTI)],
        [3600],
    ),
    "an outline and its part": (
        {1: (OUTER, PLAIN), 2: (INNER, {"building:part": "yes"})},
        [("w1 outline, w2 part", OUTLINE)],
        [3600],
    ),
    "an outline that is tagged too": (
        {1: (OUTER, HOUSE), 2: (INNER, {"building:part": "yes"})},
        [("w1 outline, w2 part", OUTLINE)],
        [3600],
    ),
    "an outline that is a relation": (
        {1: (OUTER, PLAIN), 2: (INNER, PLAIN)},
        [(COURT, OLD), ("r-1 outline", OUTLINE)],
        [3200],
    ),
    "an outline that is a building by itself": (
        {1: (OUTER, PLAIN), 2: (INNER, PLAIN)},
        [(COURT, MULTI), ("r-1 outline", OUTLINE)],
        [3200],
    ),
    "a way that is tagged as its relation is": (
        {1: (OUTER, HOUSE), 2: (INNER, PLAIN)}, [(COURT, MULTI)], [3200],
    ),
    "old style, tags on the outer way": (
        {1: (OUTER, HOUSE), 2: (INNER, PLAIN)}, [(COURT, OLD)], [3200],
    ),
    "old style of two outer ways": (
        {1: ([1, 2, 3], HOUSE), 2: ([3, 4, 1], HOUSE), 3: (INNER, PLAIN)},
        [("w1 outer, w2 outer, w3 inner", OLD)],
        [3200],
    ),
    "a relation of something else": (
        {1: (OUTER, HOUSE), 2: (INNER, PLAIN)},
        [(COURT, {"type": "multipolygon", "amenity": "school"})],
        [3600],
    ),
    "a house in the courtyard": (
        {1: (OUTER, PLAIN), 2: (INNER, HOUSE)}, [(COURT, MULTI)], [400, 3200],
    ),
    "a garden in the courtyard": (
        {1: (OUTER, PLAIN), 2: (INNER, {"leisure": "garden"})}, [(COURT, MULTI)], [3200],
    ),
    "a part within, tagged as both": (
        {1: (OUTER, HOUSE), 2: (INNER, {"building": "yes", "building:part": "yes"})}, [], [3600],
    ),
    "a building that is its only part": (
        {1: (OUTER, {"building": "yes", "building:part": "yes"})}, [], [3600],
    ),
    "no building": ({1: (OUTER, {"building": "no"})}, [], []),
    "a building that is not closed": ({1: ([1, 2, 3, 4], HOUSE)}, [], []),
    "a node beyond the border": ({1: ([1, 2, 99, 3, 4, 1], HOUSE)}, [], []),
}  # fmt: skip


@pytest.mark.parametrize("form", ["xml", "pbf"])
@pytest.mark.parametrize("case", CASES)
def test_each_building_is_there_once(
    case: str, form: str, write_osm: WriteOsm, as_pbf: Callable[[Path], Path]
) -> None:
    ways, relations, wanted = CASES[case]
    path = write_osm(ways, relations)
    assert areas_m2(path if form == "xml" else as_pbf(path)) == wanted


@pytest.mark.parametrize(
    "case",
    [
        "an outer ring that an extract cuts", "rings that cross",
        "a building that is not closed", "a node beyond the border",
    ],
)  # fmt: skip
def test_what_is_left_out_is_told_in_one_line(
    case: str, write_osm: WriteOsm, caplog: pytest.LogCaptureFixture
) -> None:
    ways, relations, _ = CASES[case]
    read_tables(write_osm(ways, relations))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "made.osm: 1 building is left out" in record.message


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None
)
@given(
    outer=st.integers(1, 3), turns=st.lists(st.booleans(), min_size=3, max_size=3),
    start=st.integers(0, 3), order=st.permutations("nwr"), sign=st.sampled_from([1, -1]),
)  # fmt: skip
def test_rings_are_one_area_however_they_are_cut_turned_and_numbered(
    outer: int, turns: list[bool], start: int, order: list[str], sign: int, write_osm: WriteOsm
) -> None:
    ring = [*OUTER[start:-1], *OUTER[: start + 1]]
    cuts = [0, *range(1, outer), len(ring) - 1]
    pieces = [ring[first : last + 1] for first, last in pairwise(cuts)] + [INNER]
    nodes = {sign * number: place for number, place in NODES.items()}
    ways = {
        sign * (i + 1): ([sign * n for n in (piece[::-1] if turn else piece)], PLAIN)
        for i, (piece, turn) in enumerate(zip(pieces, [*turns, False], strict=False))
    }
    roles = ["outer"] * outer + ["inner"]
    members = ", ".join(f"w{number} {role}" for number, role in zip(ways, roles, strict=True))
    path = write_osm(ways, [(members, MULTI)], nodes=nodes, order="".join(order))
    assert areas_m2(path) == [3200]
