"""RoadGraph: junctions and the roads between them, as one frozen value.

Parallel roads, loops and closed rings are all there: a road is a row, not a pair of junctions.
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
from terralink.graph import io, noding
from terralink.graph.polylines import Lines, Polylines, link_chains
from terralink.vector.projection import reproject_points, to_metric

if TYPE_CHECKING:
    import networkx as nx

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RoadGraph:
    """Junctions, and roads that begin and end in one.

    junctions (n, 2)  x, y in metres of ``crs`` (in the grid's own unit where there is no CRS)
    ends (m, 2)       the junctions at the first and the last point of each road
    polylines (m)     its points from there to there; ``lines`` has them as shapely's
    width_m (m,)      mean width, nan where unknown
    prob (m,)         mean probability of road along it, nan where unknown
    crs               a CRS in true metres (see ``Grid.metric_crs``), or None

    Raises ``GraphError`` where these do not fit each other: a line has some length, and begins and
    ends exactly at the coordinates of its junctions.
    """

    junctions: NDArray[np.float64]
    ends: NDArray[np.int64]
    polylines: Polylines
    width_m: NDArray[np.float64]
    prob: NDArray[np.float64]
    crs: CRS | None = None

    def __post_init__(self) -> None:
        count = len(self.polylines)
        shapes = [self.ends.shape, self.width_m.shape, self.prob.shape, self.junctions.shape[1:]]
        if shapes != [(count, 2), (count,), (count,), (2,)]:
            raise GraphError(f"{count} lines do not fit ends, widths, probs, junctions of {shapes}")
        if count and not (self.ends.min() >= 0 and self.ends.max() < len(self.junctions)):
            raise GraphError(f"road ends count past the {len(self.junctions)} junctions")
        if count and self.polylines.counts.min() < 2:
            raise GraphError("a line of a road graph has two points or more")
        if not np.array_equal(self.polylines.tips(), self.junctions[self.ends]):
            raise GraphError("a line does not begin and end at the coordinates of its junctions")
        if count and not self.length_m.min() > 0:
            raise GraphError("a road has no length; RoadGraph.from_lines leaves such lines out")

    def __len__(self) -> int:
        """The number of roads."""
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
        """(m,) shapely LineStrings, made when they are first asked for."""
        return self.polylines.drawn()

    @cached_property
    def length_m(self) -> NDArray[np.float64]:
        """(m,) length of each road."""
        return self.polylines.length()

    @cached_property
    def degree(self) -> NDArray[np.int64]:
        """(n,) how many road ends meet at each junction; a loop counts twice."""
        return np.bincount(self.ends.ravel(), minlength=len(self.junctions))

    @classmethod
    def empty(cls, crs: CRS | None = None) -> "RoadGraph":
        """A graph without roads: the map of a desert."""
        return cls(
            np.empty((0, 2)),
            np.empty((0, 2), np.int64),
            Polylines.of(np.empty(0, object)),
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
        node: noding.Noding = "ends",
    ) -> "RoadGraph":
        """Roads from line geometries; points where their ends meet exactly become junctions.

        RULE 1: lines are joined at shared end points only; where they merely cross, a bridge and a
        crossing look the same. With ``node`` "vertices" they are joined at every point that is
        there twice, as OpenStreetMap's and SpaceNet's are, and with "crossings" wherever they meet.
        RULE 2: the parts of a MultiLineString are roads of their own; heights are dropped.
        RULE 3: what has no length (empty, one point twice, None) is left out, and logged.
        RULE 4: a CRS that is not in true metres is brought to the UTM zone of the lines' centre.
        RULE 5: what is drawn twice is there once: a copy of a line or of a part of it, in either
        direction, within 5 cm (``noding.drop_repeats``). It is left out, and logged.

        ``width_m`` and ``prob`` are one value or one a line. Raises ``GraphError`` for geometries
        that are not lines, and for coordinates that are not of ``crs``.

        >>> from shapely import LineString
        >>> street = LineString([(0, 0), (100, 0)])
        >>> graph = RoadGraph.from_lines([street, LineString([(100, 0), (100, 50)])], None)
        >>> graph.degree.tolist(), graph.length_m.tolist()
        ([1, 2, 1], [100.0, 50.0])
        """
        given = np.asarray(list(lines), dtype=object)
        columns = np.stack(
            [np.broadcast_to(np.asarray(c, float), given.shape) for c in (width_m, prob)]
        )
        parts, source = noding.explode_lines(given)
        parts, metric = to_metric(parts, crs)
        whole = shapely.length(parts) > 0
        if not whole.all():
            _log.warning("%d of %d lines have no length: left out", (~whole).sum(), len(whole))
        with_length = parts[whole]
        once, line = noding.drop_repeats(with_length, metric=metric is not None)
        _log_repeats(with_length, once)
        pieces, piece_of = noding.cut_at_nodes(once, node)
        source = source[whole][line][piece_of]
        junctions, ends = noding.find_junctions(pieces.tips())
        return cls(junctions, ends, pieces, columns[0, source], columns[1, source], metric)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, crs: CRS | None = None, node: noding.Noding = "ends"
    ) -> "RoadGraph":
        """Roads of a vector file: those that ``to_file`` writes, or any of lines that GDAL reads.

        Of several layers the one named ``roads`` is read, else all. Where a file has tags of
        OpenStreetMap, in whatever form, its roads are what a car may drive along, and not squares;
        without any, all lines are (``terralink.vector.osm.tags`` has the rules). Columns
        ``width_m`` and ``prob`` are taken where they are there, else the width that the tags tell.
        ``crs`` replaces what the file says; a file without a CRS (GeoJSON without one is WGS84)
        gives a graph without one. OpenStreetMap's own files give ways cut where they share a node.

        A file that holds nothing at all is an empty graph; one that holds points or areas without
        tags, and no lines, raises ``GraphError``, as does one that is missing or not a vector file.
        XML may declare no document type.
        """
        table = io.read_lines(path)
        try:
            return cls.from_lines(
                table.lines,
                crs or table.crs,
                width_m=table.width_m,
                prob=table.prob,
                node=node,
            )
        except GraphError as error:
            raise GraphError(f"{path}: {error}") from error

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the form that the suffix names, whole or not at all.

            .gpkg             GeoPackage, styled
            .geojson, .json   GeoJSON
            .parquet          GeoParquet (extra 'parquet')
            .graphml          GraphML: ``osmnx.load_graphml`` reads it
            .osm              OSM XML, for JOSM and routers

        The GeoPackage has the layers ``roads`` (u, v, length_m, width_m, prob) and ``junctions``
        (id, degree), and opens in QGIS as a map. GeoJSON is WGS84 by its standard and holds the
        roads; it is read back with the same junctions, about a millimetre off, and OSM XML about a
        centimetre.

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
        """The MultiDiGraph that osmnx routes on, measures and draws; itself it is not needed.

        Nodes have x, y and street_count; each road is two edges, one a direction, with osmid (the
        road's number), highway ("road"), length, oneway (False: a map knows no signs), reversed,
        geometry, and width and prob where they are known. The graph's ``crs`` is this one's.

        >>> from shapely import LineString
        >>> graph = RoadGraph.from_lines([LineString([(0, 0), (100, 0)])], None).to_osmnx()
        >>> [(u, v, edge["length"], edge["reversed"]) for u, v, edge in graph.edges(data=True)]
        [(0, 1, 100.0, False), (1, 0, 100.0, True)]
        """
        return io.to_osmnx(self)

    def to_crs(self, crs: CRS) -> "RoadGraph":
        """The same graph in another CRS in metres, for graphs that are to be compared.

        Raises ``GraphError`` for a graph without a CRS.
        """
        if self.crs is None:
            raise GraphError("a graph without a CRS lies nowhere: it cannot be brought to another")
        if crs == self.crs:
            return self
        points = reproject_points(self.polylines.points, self.crs, crs)
        polylines = replace(self.polylines, points=points)
        junctions = np.empty_like(self.junctions)
        junctions[self.ends] = polylines.tips()
        return RoadGraph(junctions, self.ends, polylines, self.width_m, self.prob, crs)

    def select(self, keep: NDArray[np.bool_ | np.int64]) -> "RoadGraph":
        """Only the roads that ``keep`` marks (m,) or names, and the junctions that they need."""
        return self._with(
            self.ends[keep], self.polylines[keep], self.width_m[keep], self.prob[keep]
        )

    def pieces(self, roads: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """(n,) for each junction the number of the piece it hangs together with.

        Where ``roads`` (m,) is given, only those roads hold anything together.
        """
        u, v = (self.ends if roads is None else self.ends[roads]).T
        size = len(self.junctions)
        links = coo_array((np.ones(len(u)), (u, v)), shape=(size, size))
        return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)

    def joined(self, keep: NDArray[np.bool_] | None = None) -> "RoadGraph":
        """The lines, or those that ``keep`` (m,) marks, joined where just two road ends meet.

        A ring keeps one junction. Widths and probabilities become means weighted by length.
        """
        kept = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
        ends, length_m = self.ends[kept], self.length_m[kept]
        chains = link_chains(ends)
        if len(chains) == len(kept):
            return self.select(kept)
        width_m, prob = (chains.mean(c[kept], length_m) for c in (self.width_m, self.prob))
        polylines = self.polylines.strung(replace(chains, edges=kept[chains.edges]))
        return self._with(chains.ends(ends), polylines, width_m, prob)

    def split(self, road: NDArray[np.int64], along_m: NDArray[np.float64]) -> "RoadGraph":
        """Roads cut in two at new junctions, which are numbered on in the order given.

        ``road`` (k,) and ``along_m`` (k,) name the places, strictly inside their roads and no
        place twice.
        """
        xy = self.polylines.at(road, along_m)
        pieces, source, cuts = noding.cut_at_points(self.polylines, road, along_m, xy)
        new = np.arange(len(road)) + len(self.junctions)
        ends = self.ends[source]
        ends[cuts[:, 0], 1] = new
        ends[cuts[:, 1], 0] = new
        columns = self.width_m[source], self.prob[source]
        return RoadGraph(np.concatenate([self.junctions, xy]), ends, pieces, *columns, self.crs)

    def with_roads(self, ends: NDArray[np.int64], polylines: Polylines) -> "RoadGraph":
        """More roads between junctions that are there; their width and probability are unknown."""
        unknown = np.full(len(polylines), np.nan)
        return RoadGraph(
            self.junctions,
            np.concatenate([self.ends, ends]),
            Polylines.together([self.polylines, polylines]),
            np.concatenate([self.width_m, unknown]),
            np.concatenate([self.prob, unknown]),
            self.crs,
        )

    def _with(
        self,
        ends: NDArray[np.int64],
        polylines: Polylines,
        width_m: NDArray[np.float64],
        prob: NDArray[np.float64],
    ) -> "RoadGraph":
        used, ends = np.unique(ends, return_inverse=True)
        ends = ends.reshape(-1, 2)
        return RoadGraph(self.junctions[used], ends, polylines, width_m, prob, self.crs)


def _log_repeats(lines: Lines, once: Lines) -> None:
    if once is not lines:
        total_m, once_m = (float(shapely.length(each).sum()) for each in (lines, once))
        _log.warning("%.1f of %.1f m of lines are drawn twice: left out", total_m - once_m, total_m)
