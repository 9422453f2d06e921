"""OpenStreetMap's XML: what is a road, what is an area."""

from pathlib import Path

import pytest
import shapely

from terralink.errors import InputError
from terralink.geo.osm import read_elements

TOWN = """<osm version="0.6">
<node id="1" lon="0" lat="0"/><node id="2" lon="1" lat="0"/><node id="3" lon="2" lat="0"/>
<node id="4" lon="1" lat="1"/><node id="5" lon="0" lat="1"/><node id="6" lon="9" lat="9"/>
<node id="11" lon="5" lat="5"/><node id="12" lon="8" lat="5"/>
<node id="13" lon="8" lat="8"/><node id="14" lon="5" lat="8"/>
<node id="21" lon="6" lat="6"/><node id="22" lon="7" lat="6"/><node id="23" lon="7" lat="7"/>
<way id="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="99"/><tag k="highway" v="residential"/>
</way>
<way id="2"><nd ref="2"/><nd ref="4"/><tag k="highway" v="service"/><tag k="width" v="4 m"/></way>
<way id="3"><nd ref="4"/><nd ref="6"/><tag k="highway" v="footway"/></way>
<way id="4"><nd ref="1"/><nd ref="2"/><nd ref="4"/><nd ref="5"/><nd ref="1"/>
<tag k="building" v="yes"/></way>
<way id="5"><nd ref="11"/><nd ref="12"/><nd ref="13"/></way>
<way id="6"><nd ref="13"/><nd ref="14"/><nd ref="11"/></way>
<way id="7"><nd ref="21"/><nd ref="22"/><nd ref="23"/><nd ref="21"/></way>
<relation id="1"><member type="way" ref="5" role="outer"/><member type="way" ref="6" role="outer"/>
<member type="way" ref="7" role="inner"/><member type="node" ref="1" role=""/>
<tag k="type" v="multipolygon"/><tag k="building" v="yes"/></relation>
</osm>"""


@pytest.fixture
def town(tmp_path: Path) -> Path:
    path = tmp_path / "town.osm"
    path.write_text(TOWN)
    return path


def test_roads_are_what_a_car_may_drive_on_cut_at_shared_nodes(town: Path) -> None:
    lines, tags = read_elements(town).roads()
    assert [line.wkt for line in lines] == [
        "LINESTRING (0 0, 1 0)",
        "LINESTRING (1 0, 2 0)",
        "LINESTRING (1 0, 1 1)",
    ]
    assert tags[2]["width"] == "4 m"


def test_buildings_are_closed_ways_and_relations_with_holes(town: Path) -> None:
    areas = read_elements(town).areas("building")[0]
    assert shapely.area(areas).tolist() == [1, 9 - 0.5]


@pytest.mark.parametrize(
    "text",
    ['<osm><node id="x" lon="0" lat="0"/></osm>', '<osm><node lon="0" lat="0"/></osm>', "<gpx/>"],
)
def test_what_is_not_of_openstreetmap_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.osm"
    path.write_text(text)
    with pytest.raises(InputError, match=r"odd\.osm"):
        read_elements(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_elements(tmp_path / "none.osm")
