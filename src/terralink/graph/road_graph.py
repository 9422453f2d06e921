"""``RoadGraph``: junctions and the roads between them, as one frozen value.

A road is a row of its own, not a pair of junctions, so a graph can have parallel roads and loops.
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from terralink.errors import GraphError
from terralink.graph import io
from terralink.graph.noding import (
    Noding,
    cut_at_nodes,
    cut_at_points,
    drop_repeats,
    explode_lines,
    find_junctions,
)
from terralink.graph.polylines import Lines, Polylines, link_chains
from terralink.vector.projection import reproject_points, to_metric

if TYPE_CHECKING:
    import networkx as nx

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RoadGraph:
    """Junctions (n,), and roads (m,) that begin and end at one.

    junctions (n, 2)  x, y in metres of ``crs`` (in the unit of the grid where there is no CRS)
    edges (m, 2)      the numbers of the junctions at the first and the last point of each road
    polylines (m)     the points of each road; ``lines`` gives them as shapely LineStrings
    width_m (m,)      mean width of each road, nan where unknown
    prob (m,)         mean probability of road along it, 0..1, nan where unknown
    crs               a CRS in true metres (see ``Grid.metric_crs``), or None

    Raises ``GraphError`` for arrays that do not fit each other, for a road without length, and for
    one that does not begin and end exactly at the coordinates of its junctions.
    """

    junctions: NDArray[np.float64]
    edges: NDArray[np.int64]
    polylines: Polylines
    width_m: NDArray[np.float64]
    prob: NDArray[np.float64]
    crs: CRS | None = None

    def __post_init__(self) -> None:
        count = len(self.polylines)
        shapes = [self.edges.shape, self.width_m.shape, self.prob.shape, self.junctions.shape[1:]]
        if shapes != [(count, 2), (count,), (count,), (2,)]:
            raise GraphError(
                f"{count} lines do not fit edges, widths, probs, junctions of {shapes}"
            )
        if count and not (self.edges.min() >= 0 and self.edges.max() < len(self.junctions)):
            raise GraphError(f"edges name more junctions than the {len(self.junctions)} there are")
        if count and self.polylines.counts.min() < 2:
            raise GraphError("a line of a road graph needs two points or more")
        if not np.array_equal(self.polylines.endpoints(), self.junctions[self.edges]):
            raise GraphError("a line does not begin and end at the coordinates of its junctions")
        if count and not self.length_m.min() > 0:
            raise GraphError("a road has no length; RoadGraph.from_lines leaves such lines out")

    def __len__(self) -> int:
        """The number of roads, m."""
        return len(self.polylines)

    def __repr__(self) -> str:
        place = self.crs.to_string() if self.crs else "no CRS"
        total_km = self.length_m.sum() / 1000
        return (
            f"RoadGraph({len(self)} roads, {total_km:.1f} km, {len(self.junctions)} junctions, "
            f"{place})"
        )

    @cached_property
    def lines(self) -> NDArray[np.object_]:
        """(m,) shapely LineStrings, made at the first access."""
        return self.polylines.to_shapely()

    @cached_property
    def length_m(self) -> NDArray[np.float64]:
        """(m,) length of each road in metres."""
        return self.polylines.length()

    @cached_property
    def degree(self) -> NDArray[np.int64]:
        """(n,) how many ends of roads meet at each junction; a loop counts twice."""
        return np.bincount(self.edges.ravel(), minlength=len(self.junctions))

    @classmethod
    def empty(cls, crs: CRS | None = None) -> "RoadGraph":
        """A graph without roads."""
        return cls(
            np.empty((0, 2)),
            np.empty((0, 2), np.int64),
            Polylines.from_shapely(np.empty(0, object)),
            np.empty(0),
            np.empty(0),
            crs,
        )

    @classmethod
    def from_lines(
        cls,
        lines: Iterable[BaseGeometry | None],
        crs: CRS | None,
        *,
        width_m: ArrayLike = np.nan,
        prob: ArrayLike = np.nan,
        noding: Noding = "ends",
    ) -> "RoadGraph":
        """Roads from line geometries (k,); points where lines are joined become junctions.

        RULE 1: ``noding`` says where lines are joined. "ends": at end points that they share; where
        lines only cross there may be a bridge. "vertices": at every point that occurs twice, as in
        OpenStreetMap and SpaceNet. "crossings": wherever lines meet.
        RULE 2: each part of a MultiLineString is a road; heights are dropped.
        RULE 3: lines without length (empty, one point twice, None) are left out, with a warning.
        RULE 4: lines in a CRS that is not in true metres are projected to the UTM zone of their
        centre.
        RULE 5: a copy of a line or of a part of it, in either direction and within 5 cm, is left
        out, with a warning (``noding.drop_repeats``).

        ``width_m`` and ``prob`` are one value for all lines, or one for each (k,). Raises
        ``GraphError`` for geometries that are not lines, for coordinates outside ``crs``, and for
        an unknown ``noding``.

        >>> from shapely import LineString
        >>> street = LineString([(0, 0), (100, 0)])
        >>> graph = RoadGraph.from_lines([street, LineString([(100, 0), (100, 50)])], None)
        >>> graph.degree.tolist(), graph.length_m.tolist()
        ([1, 2, 1], [100.0, 50.0])
        """
        geometries = np.asarray(list(lines), dtype=object)
        columns = np.stack(
            [np.broadcast_to(np.asarray(c, float), geometries.shape) for c in (width_m, prob)]
        )
        parts, source = explode_lines(geometries)
        parts, metric = to_metric(parts, crs)
        has_length = shapely.length(parts) > 0
        if not has_length.all():
            _log.warning(
                "%d of %d lines have no length: left out", (~has_length).sum(), len(has_length)
            )
        with_length = parts[has_length]
        unique, line = drop_repeats(with_length, metric=metric is not None)
        _log_repeats(with_length, unique)
        pieces, piece_line = cut_at_nodes(unique, noding)
        source = source[has_length][line][piece_line]
        junctions, edges = find_junctions(pieces.endpoints())
        return cls(junctions, edges, pieces, columns[0, source], columns[1, source], metric)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, crs: CRS | None = None, noding: Noding = "ends"
    ) -> "RoadGraph":
        """Roads of a vector file: one that ``to_file`` wrote, or any file of lines that GDAL reads.

        The layer ``roads`` is read, or all layers where none has this name. If the file has tags of
        OpenStreetMap, lines that a car may drive along are roads, and squares are not; otherwise
        all lines are roads (``terralink.vector.osm.tags`` has the rules). ``width_m`` and ``prob``
        come from the columns of these names; without the first, widths come from tags. ``crs``
        replaces the CRS of the file. A file without a CRS gives a graph without one, but GeoJSON
        is WGS84. Ways of OpenStreetMap's own formats are cut at nodes that they share. See
        ``from_lines`` for ``noding``.

        An empty file gives an empty graph. Raises ``GraphError`` for a file that is missing or not
        a vector file, for one with points or areas only and no tags, and for XML that declares a
        document type.
        """
        table = io.read_lines(path)
        try:
            return cls.from_lines(
                table.lines,
                crs or table.crs,
                width_m=table.width_m,
                prob=table.prob,
                noding=noding,
            )
        except GraphError as error:
            raise GraphError(f"{path}: {error}") from error

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the format that the suffix names, the whole file or none.

            .gpkg             GeoPackage, styled
            .geojson, .json   GeoJSON
            .parquet          GeoParquet (extra 'parquet')
            .graphml          GraphML: ``osmnx.load_graphml`` reads it
            .osm              OSM XML, for JOSM and routers

        The GeoPackage has the layers ``roads`` (u, v, length_m, width_m, prob) and ``junctions``
        (id, degree), with styles for QGIS. GeoJSON has the roads, in WGS84 as its standard wants
        it. Read again, it has the same junctions to a millimetre, and OSM XML to a centimetre.

        Raises ``GraphError`` for another suffix, and for GeoJSON or OSM XML without a CRS.
        """
        io.write_graph(path, self)

    def to_networkx(self) -> "nx.MultiGraph":
        """A MultiGraph: nodes with x, y; edges with length_m, width_m, prob, geometry.

        >>> from shapely import LineString
        >>> graph = RoadGraph.from_lines([LineString([(0, 0), (100, 0)])], None)
        >>> graph.to_networkx().edges[0, 1, 0]["length_m"]
        100.0
        """
        return io.to_networkx(self)

    def to_osmnx(self) -> "nx.MultiDiGraph":
        """A MultiDiGraph in the form of osmnx, for its routing, statistics and plots.

        Nodes have x, y and street_count. Each road is two edges, one for each direction, with osmid
        (the number of the road), highway ("road"), length, oneway (always False), reversed,
        geometry, and width and prob where they are known. osmnx itself is not needed.

        >>> from shapely import LineString
        >>> graph = RoadGraph.from_lines([LineString([(0, 0), (100, 0)])], None).to_osmnx()
        >>> [(u, v, edge["length"], edge["reversed"]) for u, v, edge in graph.edges(data=True)]
        [(0, 1, 100.0, False), (1, 0, 100.0, True)]
        """
        return io.to_osmnx(self)

    def to_crs(self, crs: CRS) -> "RoadGraph":
        """The same graph in another CRS in metres. Raises ``GraphError`` without a CRS."""
        if self.crs is None:
            raise GraphError("a graph without a CRS cannot be reprojected")
        if crs == self.crs:
            return self
        points = reproject_points(self.polylines.points, self.crs, crs)
        polylines = replace(self.polylines, points=points)
        junctions = np.empty_like(self.junctions)
        junctions[self.edges] = polylines.endpoints()
        return RoadGraph(junctions, self.edges, polylines, self.width_m, self.prob, crs)

    def select(self, keep: NDArray[np.bool_ | np.int64]) -> "RoadGraph":
        """The roads that ``keep`` marks (m,) or numbers (k,), and their junctions."""
        return self._replace_roads(
            self.edges[keep], self.polylines[keep], self.width_m[keep], self.prob[keep]
        )

    def components(self, roads: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """(n,) the number of the connected component of each junction.

        ``roads`` (m,) marks the roads that connect; None is all.
        """
        u, v = (self.edges if roads is None else self.edges[roads]).T
        size = len(self.junctions)
        links = coo_array((np.ones(len(u)), (u, v)), shape=(size, size))
        return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)

    def merge_degree2(self, keep: NDArray[np.bool_] | None = None) -> "RoadGraph":
        """The roads, or those that ``keep`` (m,) marks, merged at junctions of degree 2.

        A ring keeps one junction. Widths and probabilities become means weighted by length.
        """
        roads = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
        edges, length_m = self.edges[roads], self.length_m[roads]
        chains = link_chains(edges)
        if len(chains) == len(roads):
            return self.select(roads)
        width_m, prob = (chains.mean(c[roads], length_m) for c in (self.width_m, self.prob))
        polylines = self.polylines.merge(replace(chains, edge=roads[chains.edge]))
        return self._replace_roads(chains.endpoints(edges), polylines, width_m, prob)

    def split(self, road: NDArray[np.int64], along_m: NDArray[np.float64]) -> "RoadGraph":
        """The graph with k more junctions, at ``along_m`` (k,) metres along ``road`` (k,).

        Each point lies inside its road, not at an end, and no two are the same. The new junctions
        come after the others, in the order of the points.
        """
        xy = self.polylines.interpolate(road, along_m)
        pieces, source, neighbours = cut_at_points(self.polylines, road, along_m, xy)
        new = np.arange(len(road)) + len(self.junctions)
        edges = self.edges[source]
        edges[neighbours[:, 0], 1] = new
        edges[neighbours[:, 1], 0] = new
        columns = self.width_m[source], self.prob[source]
        return RoadGraph(np.concatenate([self.junctions, xy]), edges, pieces, *columns, self.crs)

    def with_roads(self, edges: NDArray[np.int64], polylines: Polylines) -> "RoadGraph":
        """The graph with more roads between its junctions, of unknown width and probability."""
        unknown = np.full(len(polylines), np.nan)
        return RoadGraph(
            self.junctions,
            np.concatenate([self.edges, edges]),
            Polylines.concat([self.polylines, polylines]),
            np.concatenate([self.width_m, unknown]),
            np.concatenate([self.prob, unknown]),
            self.crs,
        )

    def _replace_roads(
        self,
        edges: NDArray[np.int64],
        polylines: Polylines,
        width_m: NDArray[np.float64],
        prob: NDArray[np.float64],
    ) -> "RoadGraph":
        """A graph of these roads, with the junctions that they need."""
        used, edges = np.unique(edges, return_inverse=True)
        edges = edges.reshape(-1, 2)
        return RoadGraph(self.junctions[used], edges, polylines, width_m, prob, self.crs)


def _log_repeats(lines: Lines, unique: Lines) -> None:
    if unique is not lines:
        total_m, unique_m = (float(shapely.length(each).sum()) for each in (lines, unique))
        _log.warning(
            "%.1f of %.1f m of lines are drawn twice: left out", total_m - unique_m, total_m
        )
