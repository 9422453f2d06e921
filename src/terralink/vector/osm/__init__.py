"""OpenStreetMap: its files in and out, and roads and buildings with their tags.

tags      what is a road, an area, a building: one rule for all files
files     .osm, .osm.pbf, .o5m by osmium to ``Elements``; XML that is written
elements  ways and areas, and the shapes they make
features  roads and buildings of any file, as arrays and as tables; an area by osmnx
widths    how wide a road is by its tags, in metres, and which roads are drawn
"""

from terralink.vector.osm.elements import Elements
from terralink.vector.osm.features import (
    OsmTables,
    fetch_tables,
    has_features,
    is_vector,
    read_buildings,
    read_roads,
    read_tables,
)
from terralink.vector.osm.files import file_stem, is_osm, read_elements, read_xml, write_ways
from terralink.vector.osm.tags import DRIVABLE, is_road
from terralink.vector.osm.widths import (
    CentreLines,
    RoadFilter,
    road_width_m,
    select_centre_lines,
    tagged_width_m,
)  # fmt: skip

__all__ = [
    "DRIVABLE",
    "CentreLines",
    "Elements",
    "OsmTables",
    "RoadFilter",
    "fetch_tables",
    "file_stem",
    "has_features",
    "is_osm",
    "is_road",
    "is_vector",
    "read_buildings",
    "read_elements",
    "read_roads",
    "read_tables",
    "read_xml",
    "road_width_m",
    "select_centre_lines",
    "tagged_width_m",
    "write_ways",
]
