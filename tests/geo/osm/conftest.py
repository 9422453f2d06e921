"""A small town in OpenStreetMap's XML: streets, a square, a house, and one with a courtyard."""

from pathlib import Path

import pytest

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
<way id="8"><nd ref="21"/><nd ref="22"/><nd ref="23"/><nd ref="21"/>
<tag k="highway" v="service"/><tag k="area" v="yes"/></way>
<relation id="1"><member type="way" ref="5" role="outer"/><member type="way" ref="6" role="outer"/>
<member type="way" ref="7" role="inner"/><member type="node" ref="1" role=""/>
<tag k="type" v="multipolygon"/><tag k="building" v="yes"/></relation>
</osm>"""


@pytest.fixture
def town(tmp_path: Path) -> Path:
    path = tmp_path / "town.osm"
    path.write_text(TOWN)
    return path
