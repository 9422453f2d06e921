"""Roads and buildings of files of any form, as arrays and as tables, or of an area.

``tags`` has the rules that select them. The layers of a file that are looked at are the one
named ``roads`` (or ``buildings``), else all; a layer without a tag of OpenStreetMap is drawn by its
geometry, but where another layer of the file has the tag that is looked for.
"""

import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from terralink._typing import Shapes
from terralink.errors import InputError
from terralink.raster.grid import WGS84, Grid
from terralink.vector.layers import VectorTable, is_parquet, list_layers, read_layer
from terralink.vector.osm.elements import find_parts
from terralink.vector.osm.files import is_osm, read_elements, warn_incomplete
from terralink.vector.osm.tags import (
    RULE_COLUMNS,
    Tags,
    any_known,
    is_area,
    is_building,
    is_drivable,
    is_relation,
    parse_tags,
)  # fmt: skip

if TYPE_CHECKING:
    import geopandas as gpd

FeatureKind: TypeAlias = Literal["roads", "buildings"]
Bounds: TypeAlias = tuple[float, float, float, float]

_KEY_OF: Mapping[FeatureKind, str] = {"roads": "highway", "buildings": "building"}
_KIND_OF: Mapping[FeatureKind, str] = {"roads": "LineString", "buildings": "Polygon"}
_OF_GDAL = {".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".kml", ".geojsonl"}
_COLLECTION = 7  # GEOS: GeometryCollection
_LAST_DEGREE = 360  # some count degrees on across the date line
_MARGIN_M, _DEGREE_M = 50.0, 111_320.0
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
    found = [load_layer(path, name, only=RULE_COLUMNS) for name in select_layers(path, "roads")]
    check_one_crs(path, found)
    roads = select_roads(found, squares=False)
    _warn_left_out(path, found, roads, what="roads", wanted="lines")
    return roads


def read_buildings(path: str | os.PathLike[str]) -> VectorTable:
    """Polygons of buildings of any file but a graph's.

    Raises ``InputError`` for no vector file, and where there are shapes, and none is a polygon.
    """
    if is_osm(path):
        elements = read_elements(path, keys=("building",))
        warn_incomplete(path, elements)
        return VectorTable(elements.buildings()[0], {}, WGS84)
    found = [load_layer(path, name, only=RULE_COLUMNS) for name in select_layers(path, "buildings")]
    check_one_crs(path, found)
    buildings = select_buildings(found)
    _warn_left_out(path, found, buildings, what="buildings", wanted="polygons")
    crs = found[0].crs if found else None
    return VectorTable(concat_shapes(each.geometry for each in buildings), {}, crs)


def has_features(path: str | os.PathLike[str], what: FeatureKind) -> bool:
    """Whether a file has roads, or buildings, or an empty layer for them."""
    if is_osm(path):
        elements = read_elements(path, keys=(_KEY_OF[what],))
        shapes, _ = elements.roads() if what == "roads" else elements.buildings()
        return len(shapes) > 0
    kinds, names = list_layers(path), select_layers(path, what)
    found = [load_layer(path, name, only=RULE_COLUMNS) for name in names]
    if not any(len(each.geometry) for each in found):
        return any(_KIND_OF[what] in kinds[name] or kinds[name] == "Unknown" for name in names)
    chosen = select_roads(found, squares=False) if what == "roads" else select_buildings(found)
    return any(len(each.geometry) for each in chosen)


def select_layers(path: str | os.PathLike[str], named: str) -> list[str]:
    """The layer ``named`` so, else all with geometry; raises ``InputError`` where none has."""
    # pyogrio writes "None" for what has no geometry, such as the styles of a GeoPackage
    shown = [name for name, kind in list_layers(path).items() if kind != "None"]
    if not shown:
        raise InputError(f"{path} is a table without geometry")
    return [named] if named in shown else shown


def load_layer(
    path: str | os.PathLike[str], layer: str, *, only: frozenset[str] | None = None
) -> Features:
    """One layer, with the tags in the columns of ``only`` these names; None takes all."""
    table = read_layer(path, layer)
    shapes, columns = _explode_collections(table.geometry, table.columns)
    tag_columns = {name: each for name, each in columns.items() if only is None or name in only}
    return Features(shapes, parse_tags(tag_columns, len(shapes)), columns, table.crs)


def _explode_collections(
    shapes: Shapes, columns: Mapping[str, NDArray[Any]]
) -> tuple[Shapes, Mapping[str, NDArray[Any]]]:
    """Each part of a collection of several kinds by itself, with the columns of the whole."""
    if not (shapely.get_type_id(shapes) == _COLLECTION).any():
        return shapes, columns
    parts, source = shapely.get_parts(shapes, return_index=True)
    return np.asarray(parts, object), {name: each[source] for name, each in columns.items()}


def select_roads(
    found: Sequence[Features], *, squares: bool = True, tagged: bool = False
) -> list[Features]:
    """The roads of each layer: lines, and polygons for squares where these are wanted."""
    tagged = tagged or any("highway" in tags for each in found for tags in each.tags)
    return [_select_layer_roads(each, squares=squares, tagged=tagged) for each in found]


def _select_layer_roads(layer: Features, *, squares: bool, tagged: bool) -> Features:
    kinds = _dimensions(layer.geometry)
    if not (tagged or any_known(layer.tags)):
        return layer.select(kinds == 1)
    drivable = np.array([is_drivable(tags) for tags in layer.tags], bool)
    roads = layer.select(drivable & (kinds >= 1))
    shapes = np.empty(len(roads.geometry), object)
    shapes[:] = [_to_road_shape(*row) for row in zip(roads.geometry, roads.tags, strict=True)]
    wanted = _dimensions(shapes) == 1
    return replace(roads, geometry=shapes).select(wanted | squares & (_dimensions(shapes) == 2))


def _to_road_shape(shape: shapely.Geometry, tags: Tags) -> shapely.Geometry | None:
    """A road as a line, a square as a polygon; None for a square that is not closed.

    Exporters take a ring for an area, such as a roundabout, and an area for a line.
    """
    if shapely.get_dimensions(shape) == 1:
        return _fill_ring(shape) if is_area(tags) else shape
    is_ring = shape.geom_type == "Polygon" and not shape.interiors
    is_way = is_ring and not is_area(tags) and not is_relation(tags)
    return shapely.boundary(shape) if is_way else shape


def _fill_ring(line: shapely.Geometry) -> shapely.Geometry | None:
    """The area within a line that is closed."""
    is_ring = line.geom_type == "LineString" and line.is_closed and len(line.coords) > 3
    return shapely.Polygon(line) if is_ring else None


def select_buildings(found: Sequence[Features], *, tagged: bool = False) -> list[Features]:
    """The polygons of buildings of each layer."""
    tagged = tagged or any("building" in tags for each in found for tags in each.tags)
    buildings = [_select_layer_buildings(each, tagged=tagged) for each in found]
    return [each.select(~find_parts(each.geometry, each.tags)) for each in buildings]


def _select_layer_buildings(layer: Features, *, tagged: bool) -> Features:
    kinds = _dimensions(layer.geometry)
    if not (tagged or any_known(layer.tags)):
        return layer.select(kinds == 2)
    buildings = layer.select(
        np.array([is_building(tags) for tags in layer.tags], bool) & (kinds >= 1)
    )
    shapes = buildings.geometry.copy()
    for row in np.flatnonzero(_dimensions(shapes) == 1):
        shapes[row] = _fill_ring(shapes[row])
    return replace(buildings, geometry=shapes).select(_dimensions(shapes) == 2)


def _dimensions(shapes: Shapes) -> NDArray[np.int64]:
    """0 for points, 1 for lines, 2 for polygons, -1 for what is missing or empty."""
    present = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    return np.where(present, shapely.get_dimensions(shapes), -1)


def _warn_left_out(
    path: str | os.PathLike[str],
    found: Sequence[Features],
    chosen: Sequence[Features],
    *,
    what: str,
    wanted: str,
) -> None:
    """Log shapes that are left out; raise ``InputError`` if nothing remains and no tag says why."""
    shapes = concat_shapes(each.geometry for each in found)
    shapes = shapes[_dimensions(shapes) >= 0]
    others = len(shapes) - sum(len(each.geometry) for each in chosen)
    tagged = any(any_known(each.tags) for each in found)
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


def concat_shapes(parts: Iterable[Shapes]) -> Shapes:
    return np.concatenate([np.empty(0, object), *parts])


@dataclass(frozen=True, eq=False)
class OsmTables:
    """Tables with a geometry and ``tags``, a dict of strings a row, in one CRS.

    ``roads`` are lines (or polygons, for squares), whole ways and not cut at junctions;
    ``buildings`` are polygons, with holes.
    """

    roads: "gpd.GeoDataFrame"
    buildings: "gpd.GeoDataFrame"


def read_tables(path: str | os.PathLike[str]) -> OsmTables:
    """Roads and buildings of .osm, .osm.pbf, or what GDAL reads, such as GeoJSON, and GeoParquet.

    In GeoJSON and tables tags are columns, or in columns ``tags`` (JSON) and ``other_tags`` (of
    ogr2ogr). Raises ``InputError`` for a file that is damaged, or lies nowhere on Earth.
    """
    if is_osm(path):
        elements = read_elements(path)
        warn_incomplete(path, elements)
        tables = (Features(*pair, {}, WGS84) for pair in (elements.streets(), elements.buildings()))
        return OsmTables(*(_to_table([each]) for each in tables))
    names = select_layers(path, "roads"), select_layers(path, "buildings")
    loaded = {name: load_layer(path, name) for name in dict.fromkeys(names[0] + names[1])}
    _check_degrees(path, [*loaded.values()])
    roads, buildings = ([loaded[name] for name in each] for each in names)
    return OsmTables(_to_table(select_roads(roads)), _to_table(select_buildings(buildings)))


def fetch_tables(grid: Grid) -> OsmTables:
    """Roads and buildings on and around a grid, from the Overpass API.

    By osmnx (extra ``osm``), whose cache, rate limits and endpoint hold (``osmnx.settings``).
    Raises ``InputError`` without the extra, and where the network does not answer.
    """
    try:
        import osmnx
    except ModuleNotFoundError as error:
        raise InputError(
            "fetching an area needs osmnx, which the core install leaves out; "
            "get it with: pip install 'terralink[osm]'"
        ) from error
    found = [_fetch_box(osmnx, box) for box in _boxes_around(grid)]
    return OsmTables(
        _to_table(select_roads(found, tagged=True)), _to_table(select_buildings(found, tagged=True))
    )


def _fetch_box(osmnx: ModuleType, box: Bounds) -> Features:
    try:
        frame = osmnx.features_from_bbox(box, tags={"highway": True, "building": True})
    except osmnx._errors.InsufficientResponseError:
        return Features(np.empty(0, object), [], {}, WGS84)
    except (OSError, osmnx._errors.ResponseStatusCodeError) as error:  # requests' are OSErrors
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"OpenStreetMap could not be fetched: {reason}; give a file instead"
        ) from error
    columns = {name: frame[name].to_numpy() for name in frame.columns if name != "geometry"}
    shapes = np.asarray(frame.geometry.to_numpy(), dtype=object)
    return Features(shapes, parse_tags(columns, len(frame)), {}, CRS(frame.crs))


def _boxes_around(grid: Grid) -> list[Bounds]:
    """(left, bottom, right, top) in degrees, with what may reach in from outside.

    There are two boxes on a grid that lies across 180 degrees.
    """
    if grid.crs is None:
        raise InputError("an area without CRS lies nowhere on Earth: nothing can be fetched")
    to_lonlat = Transformer.from_crs(grid.crs, WGS84, always_xy=True)
    left, bottom, right, top = to_lonlat.transform_bounds(*grid.bounds)
    high = _MARGIN_M / _DEGREE_M
    wide = high / max(math.cos(math.radians((bottom + top) / 2)), 0.01)
    low, left, right, high = bottom - high, left - wide, right + wide, top + high
    if left < right:
        return [(left, low, right, high)]
    return [(left, low, 180.0, high), (-180.0, low, right, high)]


def _check_degrees(path: str | os.PathLike[str], found: Sequence[Features]) -> None:
    crs = check_one_crs(path, found)
    shapes = concat_shapes(each.geometry for each in found)
    if not len(shapes):  # a map of nothing, such as SpaceNet's of images without roads
        return
    left, bottom, right, top = shapely.total_bounds(shapes)
    # nan, where there is nothing, is nowhere wrong
    on_earth = not (max(-left, right) > _LAST_DEGREE or max(-bottom, top) > 90)
    if crs is not None and crs.is_geographic and not on_earth:
        raise InputError(
            f"{path} should be in degrees ({crs.to_string()}) and reaches from {left:g}, "
            f"{bottom:g} to {right:g}, {top:g}; name its CRS in it, or convert it: "
            "ogr2ogr -s_srs EPSG:... -t_srs EPSG:4326 OUT.geojson IN"
        )


def _to_table(found: Sequence[Features]) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    rows = [tags for each in found for tags in each.tags]
    tags = np.empty(len(rows), dtype=object)
    tags[:] = rows
    shapes = concat_shapes(each.geometry for each in found)
    crs = found[0].crs if found else None
    return gpd.GeoDataFrame({"tags": tags}, geometry=list(shapes), crs=crs)
