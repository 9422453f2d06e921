"""Road graphs as XML: GraphML as osmnx reads and writes it, and OpenStreetMap's own form."""

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from terralink.atomic_write import MARK, written_whole
from terralink.errors import GraphError
from terralink.graph.lines import reprojected
from terralink.graph.polylines import Lines
from terralink.vector.layers import LineTable, widths_m
from terralink.vector.osm import is_road, read_elements, read_xml, write_ways
from terralink.vector.osm.tags import Tags, are_known

if TYPE_CHECKING:
    from terralink.graph.roads import RoadGraph

_log = logging.getLogger(__name__)
_WGS84 = CRS.from_epsg(4326)


def write_graphml(path: str | os.PathLike[str], graph: "RoadGraph") -> None:
    """Write the graph of ``to_osmnx`` as osmnx does: values are text, lines are WKT."""
    import networkx as nx

    plain = graph.to_osmnx()
    plain.graph = {name: value for name, value in plain.graph.items() if value is not None}
    for values in (*plain.nodes.values(), *plain.edges.values()):
        values.update({name: _text(value) for name, value in values.items()})
    with written_whole(path) as part:
        nx.write_graphml_xml(plain, part)
        with part.open("a", encoding="utf-8") as file:
            file.write(f"<!-- {MARK} -->\n")


def read_graphml(path: str | os.PathLike[str]) -> LineTable:
    """Lines of a GraphML file whose nodes have x and y; the two directions of a road are one.

    An edge without a geometry is a straight line. Raises ``GraphError`` for other graphs.
    """
    import networkx as nx

    read_xml(path)  # it is read again by networkx, which would expand entities
    try:
        graph = nx.read_graphml(path, force_multigraph=True)
        places = {node: (float(at["x"]), float(at["y"])) for node, at in graph.nodes(data=True)}
        edges = list(graph.edges(data=True))
        lines = _lines([_line(values, places[u], places[v]) for u, v, values in edges])
        named = graph.graph.get("crs")
        crs = CRS.from_user_input(named) if named else None
    except (nx.NetworkXException, CRSError, shapely.GEOSException, KeyError, ValueError) as error:
        raise GraphError(f"{path} is no graph of roads: {error}") from error
    tags = [{name: str(value) for name, value in values.items()} for _, _, values in edges]
    roads = np.arange(len(lines))
    if are_known(tags):
        roads = np.flatnonzero([is_road(each) for each in tags])
    if graph.is_directed():
        _, once = np.unique(shapely.to_wkb(shapely.normalize(lines[roads])), return_index=True)
        roads = roads[np.sort(once)]
    tags = [tags[road] for road in roads]
    return LineTable(lines[roads], widths_m(tags), _numbers(tags, "prob"), crs)


def write_osm_xml(path: str | os.PathLike[str], graph: "RoadGraph") -> None:
    """Write roads as ways tagged ``highway=road``, with ``width`` and ``terralink:prob``.

    Numbers are negative, as those of what is not in OpenStreetMap are. Raises ``GraphError`` for a
    graph without a CRS: it lies nowhere on Earth.
    """
    if graph.crs is None:
        raise GraphError(
            "OSM XML is longitude and latitude, and these roads have no CRS: write a .gpkg"
        )
    lonlat = reprojected(graph.lines, graph.crs, _WGS84)
    places: dict[int, tuple[float, float]] = {}
    ways: dict[int, tuple[list[int], Tags]] = {}
    for road, ((u, v), line) in enumerate(zip(graph.ends.tolist(), lonlat, strict=True)):
        points = shapely.get_coordinates(line).tolist()
        inner = range(-len(graph.junctions) - len(places) - 1, -(1 << 62), -1)
        nodes = [-1 - u, *inner[: len(points) - 2], -1 - v]
        places.update((node, (lon, lat)) for node, (lon, lat) in zip(nodes, points, strict=True))
        ways[-1 - road] = nodes, _tags(graph, road)
    write_ways(path, places, ways)


def read_osm(path: str | os.PathLike[str]) -> LineTable:
    """Roads of a file of OpenStreetMap's own, cut where ways share a node."""
    elements = read_elements(path, keys=("highway",))
    lines, tags = elements.roads()
    if len(elements.ways) and not len(lines):
        classes = sorted({each.get("highway", "") for each in elements.ways.tags})
        _log.warning("%s: no way is a road for cars, only %s", path, ", ".join(classes))
    return LineTable(lines, widths_m(tags), _numbers(tags, "terralink:prob"), _WGS84)


def _tags(graph: "RoadGraph", road: int) -> dict[str, str]:
    known = {"width": graph.width_m[road], "terralink:prob": graph.prob[road]}
    numbers = {key: repr(float(value)) for key, value in known.items() if not np.isnan(value)}
    return {"highway": "road", **numbers}


def _text(value: Any) -> str:
    """Text that is read back as the same value."""
    if isinstance(value, shapely.LineString):
        return str(shapely.to_wkt(value, rounding_precision=-1))
    return str(value)


def _line(values: dict[str, Any], begin: tuple[float, float], end: tuple[float, float]) -> Any:
    wkt = values.get("geometry")
    return shapely.from_wkt(wkt) if wkt else shapely.LineString([begin, end])


def _lines(lines: list[Any]) -> Lines:
    result = np.empty(len(lines), dtype=object)
    result[:] = lines
    return result


def _numbers(rows: Sequence[Tags], key: str) -> NDArray[np.float64]:
    """(m,) the numbers that a key has; nan where it has none."""
    return np.array([_number(tags.get(key)) for tags in rows], dtype=np.float64)


def _number(text: str | None) -> float:
    try:
        return float(str(text))
    except ValueError:
        return float("nan")
