"""OpenStreetMap: its files in and out, and roads and buildings with their tags.

files     .osm by our own reader, .osm.pbf by pyosmium (extra ``osm``), to ``Elements``
elements  nodes, ways and relations, and the shapes they make
features  ``read``: any file to ``Osm``, its roads and buildings; ``fetch``: an area by osmnx
widths    how wide a road is by its tags, in metres, and which roads are drawn
"""

from terralink.geo.osm.elements import DRIVABLE, Elements, Way
from terralink.geo.osm.features import Osm, fetch, read
from terralink.geo.osm.files import is_osm, read_elements
from terralink.geo.osm.markup import read_xml, write_elements
from terralink.geo.osm.widths import CentreLines, RoadChoice, centre_lines, road_width_m

__all__ = [
    "DRIVABLE",
    "CentreLines",
    "Elements",
    "Osm",
    "RoadChoice",
    "Way",
    "centre_lines",
    "fetch",
    "is_osm",
    "read",
    "read_elements",
    "read_xml",
    "road_width_m",
    "write_elements",
]
