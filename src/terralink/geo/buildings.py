"""Buildings of any file that holds some."""

import os

from pyproj import CRS

from terralink.geo.osm.files import is_osm, read_elements
from terralink.geo.vectors import Vectors, layer_of, read_vectors


def read_buildings(path: str | os.PathLike[str]) -> Vectors:
    """The layer ``buildings``, or the first of polygons; of OSM files what is tagged ``building``.

    A file without such a layer gives its first one. Raises ``InputError`` for no vector file.
    """
    if is_osm(path):
        return Vectors(read_elements(path).areas("building")[0], {}, CRS.from_epsg(4326))
    return read_vectors(path, layer_of(path, named="buildings", kind="Polygon"))
