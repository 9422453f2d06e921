"""Which file form a suffix names."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from terralink.errors import GraphError
from terralink.graph import markup, parquet, store

if TYPE_CHECKING:
    from terralink.graph.roads import RoadGraph

Reader: TypeAlias = Callable[[str | os.PathLike[str]], store.LineTable]

_READERS: dict[str, Reader] = {
    ".graphml": markup.read_graphml,
    ".osm": markup.read_osm_xml,
    ".pbf": markup.read_osm_xml,
    ".parquet": parquet.read_parquet,
    ".geoparquet": parquet.read_parquet,
}


def read(path: str | os.PathLike[str]) -> store.LineTable:
    """Read the form that the suffix names; what has no suffix of its own here is left to GDAL."""
    if not Path(path).exists():
        raise GraphError(f"no file {path}")
    return _READERS.get(Path(path).suffix.lower(), store.read)(path)


def write(path: str | os.PathLike[str], graph: "RoadGraph") -> None:
    """Write the form that the suffix names; raises ``GraphError`` where it names none."""
    suffix = Path(path).suffix.lower()
    if suffix in (".gpkg", ".geojson", ".json"):
        store.write(path, graph.roads_layer(), graph.junctions_layer(), graph.crs)
    elif suffix in (".parquet", ".geoparquet"):
        parquet.write_parquet(path, graph.roads_layer(), graph.crs)
    elif suffix == ".graphml":
        markup.write_graphml(path, graph)
    elif suffix == ".osm":
        markup.write_osm_xml(path, graph)
    else:
        raise GraphError(
            f"cannot write roads as {suffix or 'a file without suffix'!s}: "
            "name it .gpkg or .geojson (or .parquet, .graphml, .osm)"
        )
