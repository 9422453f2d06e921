"""RoadGraph: junctions and the roads between them, as one frozen value.

Parallel roads, loops and closed rings are all there: a road is a row, not a pair of junctions.
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from terralink.errors import GraphError
from terralink.geo.grid import Grid
from terralink.graph import store

if TYPE_CHECKING:
    import networkx as nx

_log = logging.getLogger(__name__)
_WGS84 = CRS.from_epsg(4326)
_LINE_TYPES = (1, 2)  # GEOS: LineString, LinearRing


@dataclass(frozen=True, eq=False)
class RoadGraph:
    """Junctions, and roads that begin and end in one.

    junctions (n, 2)  x, y in metres of ``crs`` (in the grid's own unit where there is no CRS)
    ends (m, 2)       the junctions at the first and the last point of each road
    lines (m,)        shapely LineStrings, two-dimensional, of more than no length
    width_m (m,)      mean width, nan where unknown
    prob (m,)         mean probability of road along it, nan where unknown
    crs               a CRS in true metres (see ``Grid.metric_crs``), or None

    Raises ``GraphError`` where these do not fit each other: a line begins and ends exactly at the
    coordinates of its junctions.
    """

    junctions: NDArray[np.float64]
    ends: NDArray[np.int64]
    lines: NDArray[np.object_]
    width_m: NDArray[np.float64]
    prob: NDArray[np.float64]
    crs: CRS | None = None

    def __post_init__(self) -> None:
        count = len(self.lines)
        shapes = [self.ends.shape, self.width_m.shape, self.prob.shape, self.junctions.shape[1:]]
        if shapes != [(count, 2), (count,), (count,), (2,)]:
            raise GraphError(f"{count} lines do not fit ends, widths, probs, junctions of {shapes}")
        if count and not (self.ends.min() >= 0 and self.ends.max() < len(self.junctions)):
            raise GraphError(f"road ends count past the {len(self.junctions)} junctions")
        if not np.array_equal(_line_ends(self.lines), self.junctions[self.ends]):
            raise GraphError("a line does not begin and end at the coordinates of its junctions")
        if count and not self.length_m.min() > 0:
            raise GraphError("a road has no length; RoadGraph.from_lines leaves such lines out")

    def __len__(self) -> int:
        """The number of roads."""
        return len(self.lines)

    def __repr__(self) -> str:
        place = self.crs.to_string() if self.crs else "no CRS"
        total_km = self.length_m.sum() / 1000
        return (
            f"RoadGraph({len(self)} roads, {total_km:.1f} km, {len(self.junctions)} junctions, "
            f"{place})"
        )

    @cached_property
    def length_m(self) -> NDArray[np.float64]:
        """(m,) length of each road."""
        return np.asarray(shapely.length(self.lines), dtype=np.float64)

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
            np.empty(0, object),
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
    ) -> "RoadGraph":
        """Roads from line geometries; points where their ends meet exactly become junctions.

        RULE 1: lines are joined at shared end points only; where they merely cross, a bridge and a
        crossing look the same.
        RULE 2: the parts of a MultiLineString are roads of their own; heights are dropped.
        RULE 3: what has no length (empty, one point twice, None) is left out, and logged.
        RULE 4: a CRS that is not in true metres is brought to the UTM zone of the lines' centre.

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
        parts, source = _parts(given)
        parts, metric = _in_metres(parts, crs)
        whole = shapely.length(parts) > 0
        if not whole.all():
            _log.warning("%d of %d lines have no length: left out", (~whole).sum(), len(whole))
        parts, source = parts[whole], source[whole]
        junctions, ends = _noded(_line_ends(parts))
        return cls(junctions, ends, parts, columns[0, source], columns[1, source], metric)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, crs: CRS | None = None) -> "RoadGraph":
        """Roads of a vector file: ours, or any file of lines that GDAL reads.

        Of several layers the one named ``roads`` is read, else the first that holds lines. Columns
        ``width_m`` and ``prob`` are taken where they are there. ``crs`` replaces what the file
        says; a file without a CRS (GeoJSON without one is WGS84) gives a graph without one. A file
        that holds nothing at all is an empty graph; one that holds points or areas instead of lines
        raises ``GraphError``, as does one that is missing or not a vector file.
        """
        table = store.read(path)
        try:
            return cls.from_lines(
                table.lines, crs or table.crs, width_m=table.width_m, prob=table.prob
            )
        except GraphError as error:
            raise GraphError(f"{path}: {error}") from error

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write a GeoPackage (.gpkg) or GeoJSON (.geojson, .json), whole or not at all.

        The GeoPackage has the layers ``roads`` (u, v, length_m, width_m, prob) and ``junctions``
        (id, degree), and opens in QGIS as a map. GeoJSON is WGS84 by its standard and holds the
        roads; it is read back with the same junctions, about a millimetre off.

        Raises ``GraphError`` for another suffix, and for GeoJSON without a CRS.
        """
        store.write(path, self._roads_layer(), self._junctions_layer(), self.crs)

    def to_networkx(self) -> "nx.MultiGraph":
        """A MultiGraph: nodes with x, y; edges with length_m, width_m, prob, geometry.

        >>> from shapely import LineString
        >>> graph = RoadGraph.from_lines([LineString([(0, 0), (100, 0)])], None)
        >>> graph.to_networkx().edges[0, 1, 0]["length_m"]
        100.0
        """
        import networkx as nx

        result = nx.MultiGraph(crs=self.crs)
        xy = self.junctions.tolist()
        result.add_nodes_from((i, {"x": x, "y": y}) for i, (x, y) in enumerate(xy))
        names = ("length_m", "width_m", "prob", "geometry")
        columns = (self.length_m.tolist(), self.width_m.tolist(), self.prob.tolist(), self.lines)
        for (u, v), *values in zip(self.ends.tolist(), *columns, strict=True):
            result.add_edge(u, v, **dict(zip(names, values, strict=True)))
        return result

    def to_crs(self, crs: CRS) -> "RoadGraph":
        """The same graph in another CRS in metres, for graphs that are to be compared.

        Raises ``GraphError`` for a graph without a CRS.
        """
        if self.crs is None:
            raise GraphError("a graph without a CRS lies nowhere: it cannot be brought to another")
        lines = reprojected(self.lines, self.crs, crs)
        junctions = np.empty_like(self.junctions)
        junctions[self.ends] = _line_ends(lines)
        return RoadGraph(junctions, self.ends, lines, self.width_m, self.prob, crs)

    def _roads_layer(self) -> store.Layer:
        columns = {
            "u": self.ends[:, 0],
            "v": self.ends[:, 1],
            "length_m": self.length_m,
            "width_m": self.width_m,
            "prob": self.prob,
        }
        return store.Layer("roads", "LineString", self.lines, columns)

    def _junctions_layer(self) -> store.Layer:
        columns = {"id": np.arange(len(self.junctions)), "degree": self.degree}
        return store.Layer("junctions", "Point", shapely.points(self.junctions), columns)


def reprojected(lines: NDArray[np.object_], crs: CRS, to: CRS) -> NDArray[np.object_]:
    """Geometries brought from ``crs`` to ``to``; equal points stay equal."""
    if crs == to:
        return lines
    there = Transformer.from_crs(crs, to, always_xy=True)
    xs_ys = shapely.get_coordinates(lines).T
    return np.asarray(
        shapely.set_coordinates(lines.copy(), np.column_stack(there.transform(*xs_ys)))
    )


def _in_metres(
    lines: NDArray[np.object_], crs: CRS | None
) -> tuple[NDArray[np.object_], CRS | None]:
    """The lines in the metric CRS of their centre, and that CRS; no lines have no centre."""
    if crs is None or not len(lines) or shapely.is_empty(lines).all():
        return lines, crs
    _check_lonlat(lines, crs)
    left, bottom, right, top = shapely.total_bounds(lines)
    corner = Affine.translation((left + right - 1) / 2, (bottom + top - 1) / 2)
    metric = Grid((1, 1), corner, crs).metric_crs
    assert metric is not None
    result = reprojected(lines, crs, metric)
    if not np.isfinite(shapely.get_coordinates(result)).all():
        raise GraphError(f"coordinates are not of {crs.to_string()}: give the right crs")
    return result, metric


def _check_lonlat(lines: NDArray[np.object_], crs: CRS) -> None:
    if not crs.is_geographic:
        return
    left, bottom, right, top = (round(float(side), 3) for side in shapely.total_bounds(lines))
    if not (-360 <= left <= right <= 360 and -90 <= bottom <= top <= 90):
        raise GraphError(
            f"coordinates {left, bottom} to {right, top} are not degrees of {crs.to_string()}; "
            "give the crs they are in (GeoJSON that names none is longitude and latitude)"
        )


def _parts(given: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Single flat lines, and the row of ``given`` each comes from."""
    there = np.flatnonzero(~shapely.is_missing(given))
    parts, index = shapely.get_parts(shapely.force_2d(given[there]), return_index=True)
    is_line = np.isin(shapely.get_type_id(parts), _LINE_TYPES)
    if len(parts) and not is_line.all():
        names = sorted({part.geom_type for part in parts[~is_line]})
        raise GraphError(f"a road graph is made of lines, not of {', '.join(names)}")
    if len(there) < len(given):
        _log.warning("%d of %d lines are missing: left out", len(given) - len(there), len(given))
    return np.asarray(parts, dtype=object), there[index]


def _line_ends(lines: NDArray[np.object_]) -> NDArray[np.float64]:
    """(m, 2, 2): the first and the last point of each line."""
    first = shapely.get_coordinates(shapely.get_point(lines, 0))
    last = shapely.get_coordinates(shapely.get_point(lines, -1))
    return np.stack([first, last], axis=1)


def _noded(ends: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Junctions (n, 2) and the numbers (m, 2) of those that the line ends (m, 2, 2) are."""
    as_complex = np.ascontiguousarray(ends + 0.0).view(np.complex128).ravel()  # + 0.0: no -0.0
    unique, inverse = np.unique(as_complex, return_inverse=True)
    return unique.view(np.float64).reshape(-1, 2), inverse.reshape(-1, 2).astype(np.int64)
