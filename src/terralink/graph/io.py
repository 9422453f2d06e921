"""Which file form a suffix names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from terralink.errors import GraphError
from terralink.graph import graphml
from terralink.vector import layers
from terralink.vector.osm import is_osm

if TYPE_CHECKING:
    from terralink.graph.roads import RoadGraph


def read(path: str | os.PathLike[str]) -> layers.LineTable:
    """Read the form that the suffix names; what has no suffix of its own here is left to GDAL."""
    if not Path(path).exists():
        raise GraphError(f"no file {path}")
    if Path(path).suffix.lower() == ".graphml":
        return graphml.read_graphml(path)
    return graphml.read_osm(path) if is_osm(path) else layers.read(path)


def write(path: str | os.PathLike[str], graph: "RoadGraph") -> None:
    """Write the form that the suffix names; raises ``GraphError`` where it names none."""
    suffix = Path(path).suffix.lower()
    if suffix in (".gpkg", ".geojson", ".json"):
        layers.write(path, graph.roads_layer(), graph.junctions_layer(), graph.crs)
    elif suffix in (".parquet", ".geoparquet"):
        layers.write_parquet(path, graph.roads_layer(), graph.crs)
    elif suffix == ".graphml":
        graphml.write_graphml(path, graph)
    elif suffix == ".osm":
        graphml.write_osm_xml(path, graph)
    else:
        raise GraphError(
            f"cannot write roads as {suffix or 'a file without suffix'!s}: "
            "name it .gpkg or .geojson (or .parquet, .graphml, .osm)"
        )
