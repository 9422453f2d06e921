"""Roads and buildings of files of any form, as arrays.

``tags`` has the rules by which they are told. The layers of a file that are looked at are the one
named ``roads`` (or ``buildings``), else all; a layer without a tag of OpenStreetMap is drawn by its
geometry, but where another layer of the file has the tag that is looked for.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from terralink.errors import InputError
from terralink.vector.layers import Vectors, is_parquet, layers, read_vectors
from terralink.vector.osm.elements import Shapes, are_parts
from terralink.vector.osm.files import is_osm, read_elements, tell_broken
from terralink.vector.osm.tags import (
    RULE_COLUMNS,
    Tags,
    are_known,
    is_area,
    is_building,
    is_drivable,
    is_relation,
    tags_of,
)  # fmt: skip

What: TypeAlias = Literal["roads", "buildings"]

_KEY_OF: Mapping[What, str] = {"roads": "highway", "buildings": "building"}
_KIND_OF: Mapping[What, str] = {"roads": "LineString", "buildings": "Polygon"}
_OF_GDAL = {".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".kml", ".geojsonl"}
_COLLECTION = 7  # GEOS: GeometryCollection
_WGS84 = CRS.from_epsg(4326)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Features:
    """Shapes (k,) of one layer with their tags, the columns beside them, and their CRS."""

    geometry: Shapes
    tags: Sequence[Tags]
    columns: Mapping[str, NDArray[Any]]
    crs: CRS | None

    def select(self, rows: NDArray[np.bool_]) -> "Features":
        """Those that ``rows`` (k,) marks."""
        tags = [self.tags[i] for i in np.flatnonzero(rows).tolist()]
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Features(self.geometry[rows], tags, columns, self.crs)


def is_vector(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix names a file of shapes that is read here.

    >>> is_vector("a.geojson"), is_vector("a.osm.gz"), is_vector("a.geoparquet"), is_vector("a.tif")
    (True, True, True, False)
    """
    return is_osm(path) or is_parquet(path) or Path(path).suffix.lower() in _OF_GDAL


def read_roads(path: str | os.PathLike[str]) -> list[Features]:
    """Lines of roads of what GDAL reads, or of GeoParquet, layer by layer.

    Squares are left out, since nobody drives along their edge. The log names what else is, where
    nothing remains, or where a layer without tags has more than lines. ``tags`` have but what tells
    roads and their widths. Raises ``InputError`` where there are shapes, and none is a line.
    """
    found = [load(path, name, only=RULE_COLUMNS) for name in layers_to_read(path, "roads")]
    check_one_crs(path, found)
    roads = choose_roads(found, squares=False)
    _tell_left_out(path, found, roads, what="roads", wanted="lines")
    return roads


def read_buildings(path: str | os.PathLike[str]) -> Vectors:
    """Polygons of buildings of any file but a graph's.

    Raises ``InputError`` for no vector file, and where there are shapes, and none is a polygon.
    """
    if is_osm(path):
        elements = read_elements(path, keys=("building",))
        tell_broken(path, elements)
        return Vectors(elements.buildings()[0], {}, _WGS84)
    found = [load(path, name, only=RULE_COLUMNS) for name in layers_to_read(path, "buildings")]
    check_one_crs(path, found)
    houses = choose_buildings(found)
    _tell_left_out(path, found, houses, what="buildings", wanted="polygons")
    crs = found[0].crs if found else None
    return Vectors(concatenated(each.geometry for each in houses), {}, crs)


def has(path: str | os.PathLike[str], what: What) -> bool:
    """Whether a file has roads, or buildings, or a layer for them: an empty map is a map."""
    if is_osm(path):
        elements = read_elements(path, keys=(_KEY_OF[what],))
        shapes, _ = elements.roads() if what == "roads" else elements.buildings()
        return len(shapes) > 0
    kinds, names = layers(path), layers_to_read(path, what)
    found = [load(path, name, only=RULE_COLUMNS) for name in names]
    if not any(len(each.geometry) for each in found):
        return any(_KIND_OF[what] in kinds[name] or kinds[name] == "Unknown" for name in names)
    chosen = choose_roads(found, squares=False) if what == "roads" else choose_buildings(found)
    return any(len(each.geometry) for each in chosen)


def layers_to_read(path: str | os.PathLike[str], named: str) -> list[str]:
    """The layer ``named`` so, else all with geometry; raises ``InputError`` where none has."""
    # pyogrio writes "None" for what has no geometry, such as the styles of a GeoPackage
    shown = [name for name, kind in layers(path).items() if kind != "None"]
    if not shown:
        raise InputError(f"{path} is a table without geometry")
    return [named] if named in shown else shown


def load(
    path: str | os.PathLike[str], layer: str, *, only: frozenset[str] | None = None
) -> Features:
    """One layer, with the tags in the columns of ``only`` these names; None takes all."""
    found = read_vectors(path, layer)
    shapes, columns = _without_collections(found.geometry, found.columns)
    told = {name: each for name, each in columns.items() if only is None or name in only}
    return Features(shapes, tags_of(told, len(shapes)), columns, found.crs)


def _without_collections(
    shapes: Shapes, columns: Mapping[str, NDArray[Any]]
) -> tuple[Shapes, Mapping[str, NDArray[Any]]]:
    """Each part of a collection of several kinds by itself, with the columns of the whole."""
    if not (shapely.get_type_id(shapes) == _COLLECTION).any():
        return shapes, columns
    parts, source = shapely.get_parts(shapes, return_index=True)
    return np.asarray(parts, object), {name: each[source] for name, each in columns.items()}


def choose_roads(
    found: Sequence[Features], *, squares: bool = True, tagged: bool = False
) -> list[Features]:
    """The roads of each layer: lines, and polygons for squares where these are wanted."""
    tagged = tagged or any("highway" in tags for each in found for tags in each.tags)
    return [_roads_of(each, squares=squares, tagged=tagged) for each in found]


def _roads_of(layer: Features, *, squares: bool, tagged: bool) -> Features:
    kinds = _kinds(layer.geometry)
    if not (tagged or are_known(layer.tags)):
        return layer.select(kinds == 1)
    drivable = np.array([is_drivable(tags) for tags in layer.tags], bool)
    roads = layer.select(drivable & (kinds >= 1))
    shapes = np.empty(len(roads.geometry), object)
    shapes[:] = [_drawn(*row) for row in zip(roads.geometry, roads.tags, strict=True)]
    wanted = _kinds(shapes) == 1
    return replace(roads, geometry=shapes).select(wanted | squares & (_kinds(shapes) == 2))


def _drawn(shape: shapely.Geometry, tags: Tags) -> shapely.Geometry | None:
    """A road as a line, a square as a polygon; None for a square that is not closed.

    Exporters take a ring for an area, such as a roundabout, and an area for a line.
    """
    if shapely.get_dimensions(shape) == 1:
        return _filled(shape) if is_area(tags) else shape
    is_ring = shape.geom_type == "Polygon" and not shape.interiors
    is_way = is_ring and not is_area(tags) and not is_relation(tags)
    return shapely.boundary(shape) if is_way else shape


def _filled(line: shapely.Geometry) -> shapely.Geometry | None:
    """The area within a line that is closed."""
    is_ring = line.geom_type == "LineString" and line.is_closed and len(line.coords) > 3
    return shapely.Polygon(line) if is_ring else None


def choose_buildings(found: Sequence[Features], *, tagged: bool = False) -> list[Features]:
    """The polygons of buildings of each layer."""
    tagged = tagged or any("building" in tags for each in found for tags in each.tags)
    houses = [_buildings_of(each, tagged=tagged) for each in found]
    return [each.select(~are_parts(each.geometry, each.tags)) for each in houses]


def _buildings_of(layer: Features, *, tagged: bool) -> Features:
    kinds = _kinds(layer.geometry)
    if not (tagged or are_known(layer.tags)):
        return layer.select(kinds == 2)
    houses = layer.select(np.array([is_building(tags) for tags in layer.tags], bool) & (kinds >= 1))
    shapes = houses.geometry.copy()
    for row in np.flatnonzero(_kinds(shapes) == 1):
        shapes[row] = _filled(shapes[row])
    return replace(houses, geometry=shapes).select(_kinds(shapes) == 2)


def _kinds(shapes: Shapes) -> NDArray[np.int64]:
    """0 for points, 1 for lines, 2 for polygons, -1 for what is missing or empty."""
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    return np.where(there, shapely.get_dimensions(shapes), -1)


def _tell_left_out(
    path: str | os.PathLike[str],
    found: Sequence[Features],
    chosen: Sequence[Features],
    *,
    what: str,
    wanted: str,
) -> None:
    """Tell of shapes without tags beside the wanted ones; refuse them where there are no others."""
    shapes = concatenated(each.geometry for each in found)
    shapes = shapes[_kinds(shapes) >= 0]
    others = len(shapes) - sum(len(each.geometry) for each in chosen)
    tagged = any(are_known(each.tags) for each in found)
    if others == len(shapes) > 0 and not tagged:
        kinds = ", ".join(sorted({shape.geom_type for shape in shapes}))
        raise InputError(f"{path}: {what} are made of {wanted}, not of {kinds}")
    if others == len(shapes) > 0:
        _log.warning("%s: no %s among %d shapes, by their tags", path, what, len(shapes))
    elif others and not tagged:
        _log.warning("%s: left out %d shapes that are no %s", path, others, wanted)


def check_one_crs(path: str | os.PathLike[str], found: Sequence[Features]) -> CRS | None:
    crs = found[0].crs if found else None
    if any(each.crs != crs for each in found):
        raise InputError(f"the layers of {path} are of different CRSs; give them as files apart")
    return crs


def concatenated(parts: Iterable[Shapes]) -> Shapes:
    return np.concatenate([np.empty(0, object), *parts])
