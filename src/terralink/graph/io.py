"""Road graphs as files and as graphs of networkx and osmnx.

The suffix names the format: GeoPackage, GeoJSON, GeoParquet, GraphML as osmnx has it, and XML of
OpenStreetMap. What is written are the arrays of a graph (``GraphArrays``), and what is read are
lines (``LineTable``), so that nothing here has to know ``RoadGraph``.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from terralink.atomic_write import MARK, write_atomically
from terralink.errors import GraphError, InputError
from terralink.graph.polylines import Lines
from terralink.raster.grid import WGS84
from terralink.vector import layers, styles
from terralink.vector.osm import (
    is_osm,
    is_road,
    read_elements,
    read_roads,
    read_xml,
    tagged_width_m,
    write_ways,
)
from terralink.vector.osm.features import Features
from terralink.vector.osm.tags import Tags, any_known
from terralink.vector.projection import reproject

if TYPE_CHECKING:
    import networkx as nx

_log = logging.getLogger(__name__)


class GraphArrays(Protocol):
    """What is written of a graph with n junctions and m roads; a ``RoadGraph`` is one."""

    @property
    def junctions(self) -> NDArray[np.float64]: ...
    @property
    def edges(self) -> NDArray[np.int64]: ...
    @property
    def lines(self) -> NDArray[np.object_]: ...
    @property
    def length_m(self) -> NDArray[np.float64]: ...
    @property
    def width_m(self) -> NDArray[np.float64]: ...
    @property
    def prob(self) -> NDArray[np.float64]: ...
    @property
    def degree(self) -> NDArray[np.int64]: ...
    @property
    def crs(self) -> CRS | None: ...


@dataclass(frozen=True, eq=False)
class LineTable:
    """What a file says of its lines; unknown widths and probabilities are nan."""

    lines: NDArray[np.object_]
    width_m: NDArray[np.float64]
    prob: NDArray[np.float64]
    crs: CRS | None


def read_lines(path: str | os.PathLike[str]) -> LineTable:
    """Read the lines of roads in a file; its suffix names the format, and GDAL reads all others.

    Raises ``GraphError`` where there is no such file, or it holds no lines of roads.
    """
    if not Path(path).exists():
        raise GraphError(f"no file {path}")
    if Path(path).suffix.lower() == ".graphml":
        return read_graphml(path)
    return read_osm(path) if is_osm(path) else read_layers(path)


def write_graph(path: str | os.PathLike[str], graph: GraphArrays) -> None:
    """Write a graph in the format that the suffix names, the whole file or none.

    Raises ``GraphError`` for another suffix, and for GeoJSON or OSM XML without a CRS.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".gpkg", ".geojson", ".json"):
        write_layers(path, graph)
    elif suffix in (".parquet", ".geoparquet"):
        try:
            layers.write_parquet(path, roads_layer(graph), graph.crs)
        except InputError as error:  # pyarrow is missing
            raise GraphError(str(error)) from error
    elif suffix == ".graphml":
        write_graphml(path, graph)
    elif suffix == ".osm":
        write_osm_xml(path, graph)
    else:
        raise GraphError(
            f"cannot write roads as {suffix or 'a file without suffix'!s}: "
            "name it .gpkg or .geojson (or .parquet, .graphml, .osm)"
        )


def roads_layer(graph: GraphArrays) -> layers.Layer:
    """The roads with their columns, as files have them."""
    columns = {
        "u": graph.edges[:, 0],
        "v": graph.edges[:, 1],
        "length_m": graph.length_m,
        "width_m": graph.width_m,
        "prob": graph.prob,
    }
    return layers.Layer("roads", "LineString", graph.lines, columns)


def junctions_layer(graph: GraphArrays) -> layers.Layer:
    """The junctions with their columns, as files have them."""
    columns = {"id": np.arange(len(graph.junctions)), "degree": graph.degree}
    return layers.Layer("junctions", "Point", shapely.points(graph.junctions), columns)


def to_networkx(graph: GraphArrays) -> "nx.MultiGraph":
    """A MultiGraph of a graph's roads; see ``RoadGraph.to_networkx``."""
    import networkx as nx

    result = nx.MultiGraph(crs=graph.crs)
    result.add_nodes_from(_nodes(graph))
    names = ("length_m", "width_m", "prob", "geometry")
    columns = (graph.length_m.tolist(), graph.width_m.tolist(), graph.prob.tolist(), graph.lines)
    for (u, v), *values in zip(graph.edges.tolist(), *columns, strict=True):
        result.add_edge(u, v, **dict(zip(names, values, strict=True)))
    return result


def to_osmnx(graph: GraphArrays) -> "nx.MultiDiGraph":
    """A MultiDiGraph of a graph's roads; see ``RoadGraph.to_osmnx``."""
    import networkx as nx

    result = nx.MultiDiGraph(crs=graph.crs.to_string() if graph.crs else None)
    result.add_nodes_from(_nodes(graph))
    nx.set_node_attributes(result, dict(enumerate(graph.degree.tolist())), "street_count")
    columns = (graph.length_m.tolist(), graph.width_m.tolist(), graph.prob.tolist())
    both = graph.lines, shapely.reverse(graph.lines)
    roads = zip(graph.edges.tolist(), *both, *columns, strict=True)
    for number, ((u, v), ahead, back, length_m, width_m, prob) in enumerate(roads):
        values = {"osmid": number, "highway": "road", "oneway": False, "length": length_m}
        known = {"width": width_m, "prob": prob}
        values |= {name: value for name, value in known.items() if not np.isnan(value)}
        result.add_edge(u, v, **values, reversed=False, geometry=ahead)
        result.add_edge(v, u, **values, reversed=True, geometry=back)
    return result


def _nodes(graph: GraphArrays) -> list[tuple[int, dict[str, float]]]:
    return [(i, {"x": x, "y": y}) for i, (x, y) in enumerate(graph.junctions.tolist())]


def write_graphml(path: str | os.PathLike[str], graph: GraphArrays) -> None:
    """Write the graph of ``to_osmnx`` as osmnx does: values are text, lines are WKT."""
    import networkx as nx

    plain = to_osmnx(graph)
    plain.graph = {name: value for name, value in plain.graph.items() if value is not None}
    for values in (*plain.nodes.values(), *plain.edges.values()):
        values.update({name: _text(value) for name, value in values.items()})
    with write_atomically(path) as part:
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
        positions = {node: (float(at["x"]), float(at["y"])) for node, at in graph.nodes(data=True)}
        edges = list(graph.edges(data=True))
        lines = _lines([_line(values, positions[u], positions[v]) for u, v, values in edges])
        named = graph.graph.get("crs")
        crs = CRS.from_user_input(named) if named else None
    except (nx.NetworkXException, CRSError, shapely.GEOSException, KeyError, ValueError) as error:
        raise GraphError(f"{path} is no graph of roads: {error}") from error
    tags = [{name: str(value) for name, value in values.items()} for _, _, values in edges]
    roads = np.arange(len(lines))
    if any_known(tags):
        roads = np.flatnonzero([is_road(each) for each in tags])
    if graph.is_directed():
        _, once = np.unique(shapely.to_wkb(shapely.normalize(lines[roads])), return_index=True)
        roads = roads[np.sort(once)]
    tags = [tags[road] for road in roads]
    return LineTable(lines[roads], _widths_m(tags), _tag_numbers(tags, "prob"), crs)


def write_osm_xml(path: str | os.PathLike[str], graph: GraphArrays) -> None:
    """Write roads as ways tagged ``highway=road``, with ``width`` and ``terralink:prob``.

    Numbers are negative, as those of what is not in OpenStreetMap are. Raises ``GraphError`` for a
    graph without a CRS: it lies nowhere on Earth.
    """
    if graph.crs is None:
        raise GraphError(
            "OSM XML is longitude and latitude, and these roads have no CRS: write a .gpkg"
        )
    lonlat = reproject(graph.lines, graph.crs, WGS84)
    coordinates: dict[int, tuple[float, float]] = {}
    ways: dict[int, tuple[list[int], Tags]] = {}
    for road, ((u, v), line) in enumerate(zip(graph.edges.tolist(), lonlat, strict=True)):
        points = shapely.get_coordinates(line).tolist()
        inner = range(-len(graph.junctions) - len(coordinates) - 1, -(1 << 62), -1)
        nodes = [-1 - u, *inner[: len(points) - 2], -1 - v]
        coordinates.update(
            (node, (lon, lat)) for node, (lon, lat) in zip(nodes, points, strict=True)
        )
        ways[-1 - road] = nodes, _tags(graph, road)
    write_ways(path, coordinates, ways)


def read_osm(path: str | os.PathLike[str]) -> LineTable:
    """Roads of a file of OpenStreetMap's own, cut where ways share a node."""
    elements = read_elements(path, keys=("highway",))
    lines, tags = elements.roads()
    if len(elements.ways) and not len(lines):
        classes = sorted({each.get("highway", "") for each in elements.ways.tags})
        _log.warning("%s: no way is a road for cars, only %s", path, ", ".join(classes))
    return LineTable(lines, _widths_m(tags), _tag_numbers(tags, "terralink:prob"), WGS84)


def read_layers(path: str | os.PathLike[str]) -> LineTable:
    """Read the layer ``roads`` of a vector file, or the roads of all layers.

    ``terralink.vector.osm.tags`` has the rules for which lines of OpenStreetMap are roads. Raises
    ``GraphError``.
    """
    try:
        found = read_roads(path)
    except InputError as error:
        raise GraphError(str(error)) from error
    tables = [_table(layer) for layer in found]
    return LineTable(
        np.concatenate([each.lines for each in tables]),
        np.concatenate([each.width_m for each in tables]),
        np.concatenate([each.prob for each in tables]),
        found[0].crs,
    )


def _table(layer: Features) -> LineTable:
    """Widths and probabilities are those of our own columns, else those of the tags."""
    count = len(layer.geometry)
    width_m, prob = (
        _column_numbers(layer.columns.get(name), count) for name in ("width_m", "prob")
    )
    if "width_m" not in layer.columns:
        width_m = _widths_m(layer.tags)
    return LineTable(layer.geometry, width_m, prob, layer.crs)


def _widths_m(rows: Sequence[Tags]) -> NDArray[np.float64]:
    """(m,) the widths by tags, nan without one."""
    widths = (tagged_width_m(tags) for tags in rows)
    return np.array([np.nan if each is None else each for each in widths], dtype=np.float64)


def write_layers(path: str | os.PathLike[str], graph: GraphArrays) -> None:
    """Write a styled GeoPackage, or GeoJSON for any other suffix, the whole file or none."""
    suffix = Path(path).suffix.lower()
    if suffix != ".gpkg" and graph.crs is None:
        raise GraphError(
            "GeoJSON is longitude and latitude, and these roads have no CRS: write a .gpkg"
        )
    roads = roads_layer(graph)
    if graph.crs is None or suffix == ".gpkg":
        junctions = junctions_layer(graph)
        layers.write_geopackage(
            path, [(roads, styles.ROADS_STYLE), (junctions, styles.JUNCTIONS_STYLE)], graph.crs
        )
    else:
        layers.write_geojson(path, roads, graph.crs)


def _column_numbers(column: NDArray[Any] | None, count: int) -> NDArray[np.float64]:
    """A column as floats; nan where it is not there or holds no numbers."""
    if column is None or column.dtype.kind not in "iuf":
        return np.full(count, np.nan)
    return column.astype(np.float64)


def _tags(graph: GraphArrays, road: int) -> dict[str, str]:
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


def _tag_numbers(rows: Sequence[Tags], key: str) -> NDArray[np.float64]:
    """(m,) the numbers that a key has; nan where it has none."""
    return np.array([_to_float(tags.get(key)) for tags in rows], dtype=np.float64)


def _to_float(text: str | None) -> float:
    try:
        return float(str(text))
    except ValueError:
        return float("nan")
