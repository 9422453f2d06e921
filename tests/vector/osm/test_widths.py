"""How wide a road is, and which are drawn."""

import geopandas as gpd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from terralink.vector.osm import RoadFilter, road_width_m, select_centre_lines
from terralink.vector.osm.widths import parse_length_m


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("3.5", 3.5),
        ("3,5 m", 3.5),
        ("3.5m", 3.5),
        (" 4 Metres ", 4),
        ("12 ft", 12 * 0.3048),
        ("10'", 3.048),
        ("10'6\"", 10.5 * 0.3048),
        ('96"', 96 * 0.0254),
        ("350 cm", 3.5),
        ("6;8", 7),
        ("3-4", 3.5),
        ("3 m - 4 m", 3.5),
        ("3.5m - 4m", 3.75),
        ("6-8m", 7),
        ("10-12 ft", 11 * 0.3048),
        ("3 – 4 m", 3.5),
        ("3 to 4 m", 3.5),
        ("2.5 m;", 2.5),
        (";2.5 m; ;", 2.5),
        (";", None),
        ("10ft 6in", 10.5 * 0.3048),
        ("10 feet 6 inches", 10.5 * 0.3048),
        ("12'6\"", 12.5 * 0.3048),
        ("12'6", 12.5 * 0.3048),
        ("12'-6\"", 12.5 * 0.3048),
        ("10' - 12'", 11 * 0.3048),
        ("~4", 4),
        ("4,5", 4.5),
        ("circa 5m", 5),
        ("['3', '4.5']", 3.75),
        ("3;-4", None),
        ("3-4-5", None),
        ("~5", 5),
        ("ca. 5 m", 5),
        ("6;wide", None),
        ("narrow", None),
        ("", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("5 parsecs", None),
    ],
)
def test_lengths_are_read_as_people_write_them(text: str, metres: float | None) -> None:
    assert parse_length_m(text) == (metres if metres is None else pytest.approx(metres))


@given(st.text(max_size=20))
def test_whatever_a_tag_says_a_road_has_a_width(text: str) -> None:
    tags = {"highway": "residential", "width": text, "lanes": text}
    assert 0.5 <= road_width_m(tags) <= 100


@pytest.mark.parametrize(
    ("tags", "metres"),
    [
        ({"width": "5", "est_width": "6", "lanes": "4"}, 5),
        ({"width": "?", "est_width": "6", "lanes": "4"}, 6),
        ({"width": "0", "lanes": "4"}, 16),
        ({"width": "350", "lanes": "1"}, 4),
        ({"lanes": "2;3"}, 10),
        ({"lanes": "1;"}, 4),
        ({"lanes": "2-4"}, 12),
        ({"lanes": "2 ft", "highway": "tertiary"}, 6),
        ({"lanes": "-2", "highway": "tertiary"}, 6),
        ({"width": "-3", "lanes": "2"}, 8),
        ({"lanes": "2.0"}, 8),
        ({"lanes": "0", "highway": "motorway"}, 6),
        ({"lanes": "200", "highway": "tertiary"}, 6),
        ({"highway": "residential"}, 4),
        ({"highway": "unclassified"}, 4),
        ({"highway": "service"}, 4),
        ({"highway": "track"}, 2),
        ({"highway": "living_street"}, 2),
        ({"highway": "motorway_link"}, 4),
        ({}, 4),
    ],
)
def test_the_first_rule_that_gives_a_width_holds(tags: dict[str, str], metres: float) -> None:
    assert road_width_m(tags) == metres


def test_a_lane_may_be_of_another_width() -> None:
    assert road_width_m({"highway": "primary"}, lane_m=3) == 4.5


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"bridge": "viaduct"}, "bridges"),
        ({"tunnel": "yes"}, "tunnels"),
        ({"covered": "yes"}, "tunnels"),
        ({"highway": "trunk_link"}, "links"),
        ({"highway": "service"}, "service"),
        ({"highway": "track"}, "tracks"),
    ],
)
def test_each_kind_is_drawn_or_not_by_choice(tags: dict[str, str], name: str) -> None:
    assert RoadFilter(**{name: True}).accepts(tags)
    assert not RoadFilter(**{name: False}).accepts(tags)


def test_tunnels_alone_are_left_out_unless_asked_for() -> None:
    assert not RoadFilter().accepts({"tunnel": "yes"})
    assert RoadFilter().accepts({"tunnel": "no", "bridge": "yes", "highway": "motorway_link"})


def test_centre_lines_are_those_taken_each_with_its_width() -> None:
    lines = [shapely.LineString([(0, i), (1, i)]) for i in range(3)]
    tags = [{"highway": "track"}, {"highway": "primary", "tunnel": "yes"}, {"width": "9"}]
    roads = gpd.GeoDataFrame({"tags": tags}, geometry=lines, crs=4326)
    taken = select_centre_lines(roads)
    assert taken.width_m.tolist() == [2, 9]
    assert shapely.equals(taken.lines, [lines[0], lines[2]]).all()
    assert taken.crs == 4326
    assert len(select_centre_lines(roads.iloc[:0]).lines) == 0
