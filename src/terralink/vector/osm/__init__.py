"""OpenStreetMap: its files in and out, and roads and buildings with their tags.

tags      what is a road, an area, a building: one rule for all files
files     .osm, .osm.pbf, .o5m by osmium to ``Elements``; XML that is written
elements  ways and areas, and the shapes they make
features  roads and buildings of any file, as arrays and as tables; an area by osmnx
widths    how wide a road is by its tags, in metres, and which roads are drawn
"""

from terralink.vector.osm.elements import Elements
from terralink.vector.osm.features import (
    Osm,
    fetch,
    has,
    is_vector,
    read,
    read_buildings,
    read_roads,
)
from terralink.vector.osm.files import is_osm, read_elements, read_xml, stem_of, write_ways
from terralink.vector.osm.tags import DRIVABLE, is_road
from terralink.vector.osm.widths import (
    CentreLines,
    RoadChoice,
    centre_lines,
    road_width_m,
    tagged_width_m,
)  # fmt: skip

__all__ = [
    "DRIVABLE",
    "CentreLines",
    "Elements",
    "Osm",
    "RoadChoice",
    "centre_lines",
    "fetch",
    "has",
    "is_osm",
    "is_road",
    "is_vector",
    "read",
    "read_buildings",
    "read_elements",
    "read_roads",
    "read_xml",
    "road_width_m",
    "stem_of",
    "tagged_width_m",
    "write_ways",
]
