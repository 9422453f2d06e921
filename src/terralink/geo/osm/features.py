"""Roads and buildings with their tags, of any file that holds some, or fetched for an area.

RULE 1: what is tagged ``highway`` (for cars) is a road, what is tagged ``building`` a building.
RULE 2: a file that knows neither tag, such as SpaceNet's centre lines or the labels of a project,
        tells by its geometry: lines are roads, polygons are buildings.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from terralink.errors import InputError
from terralink.geo.grid import Grid
from terralink.geo.osm.elements import DRIVABLE, Shapes, Tags, is_square
from terralink.geo.osm.files import is_osm, read_elements
from terralink.geo.vectors import Vectors, layers, read_vectors

if TYPE_CHECKING:
    import geopandas as gpd

Bounds = tuple[float, float, float, float]

# How exporters write that a tag is not there
_ABSENT = {"", "none", "nan", "null"}
# Names of other sources, and of our own maps, for what OpenStreetMap calls otherwise
_ALSO_CALLED = {"width_m": "width", "lane_number": "lanes"}
_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')
# Exporters round, and some cross the date line a little
_LAST_DEGREE = 181
_MARGIN_M, _DEGREE_M = 50.0, 111_320.0
_WGS84 = CRS.from_epsg(4326)


@dataclass(frozen=True, eq=False)
class Osm:
    """Tables with a geometry and ``tags``, a dict of strings a row, in one CRS.

    ``roads`` are lines (or polygons, for squares), whole ways and not cut at junctions;
    ``buildings`` are polygons, with holes.
    """

    roads: "gpd.GeoDataFrame"
    buildings: "gpd.GeoDataFrame"


def read(path: str | os.PathLike[str]) -> Osm:
    """Roads and buildings of .osm, .osm.pbf (extra ``osm``), or what GDAL reads, such as GeoJSON.

    In GeoJSON and tables tags are columns, or in columns ``tags`` (JSON) and ``other_tags`` (of
    ogr2ogr). Raises ``InputError`` for a file that is damaged, or lies nowhere on Earth.
    """
    if is_osm(path):
        elements = read_elements(path)
        return Osm(_table(*elements.streets(), _WGS84), _table(*elements.areas("building"), _WGS84))
    # pyogrio writes "None" for what has no geometry, such as the styles of a GeoPackage
    shown = [layer for layer, kind in layers(path).items() if kind != "None"]
    read_layers = [read_vectors(path, layer) for layer in shown]
    if not read_layers:
        raise InputError(f"{path} is a table without geometry")
    crs = read_layers[0].crs
    _check_placed(path, read_layers, crs)
    tags = [each for layer in read_layers for each in tags_of(layer.columns, len(layer.geometry))]
    shapes = np.concatenate([layer.geometry for layer in read_layers])
    return sorted_out(shapes, tags, crs)


def fetch(grid: Grid) -> Osm:
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
    try:
        frame = osmnx.features_from_bbox(_around(grid), tags={"highway": True, "building": True})
    except osmnx._errors.InsufficientResponseError:
        return sorted_out(np.empty(0, object), [], _WGS84)
    except (OSError, osmnx._errors.ResponseStatusCodeError) as error:  # requests' are OSErrors
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"OpenStreetMap could not be fetched: {reason}; give a file instead"
        ) from error
    columns = {name: frame[name].to_numpy() for name in frame.columns if name != "geometry"}
    shapes = np.asarray(frame.geometry.to_numpy(), dtype=object)
    return sorted_out(shapes, tags_of(columns, len(frame)), CRS(frame.crs), tagged=True)


def _around(grid: Grid) -> Bounds:
    """(left, bottom, right, top) in degrees, with what may reach in from outside."""
    if grid.crs is None:
        raise InputError("an area without CRS lies nowhere on Earth: nothing can be fetched")
    to_lonlat = Transformer.from_crs(grid.crs, _WGS84, always_xy=True)
    left, bottom, right, top = to_lonlat.transform_bounds(*grid.bounds)
    high = _MARGIN_M / _DEGREE_M
    wide = high / max(math.cos(math.radians((bottom + top) / 2)), 0.01)
    return left - wide, bottom - high, right + wide, top + high


def sorted_out(
    shapes: Shapes, tags: list[Tags], crs: CRS | None, *, tagged: bool | None = None
) -> Osm:
    """Roads and buildings among shapes with tags (RULES 1 and 2); ``tagged`` None looks."""
    if tagged is None:
        tagged = any("highway" in each or "building" in each for each in tags)
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    kinds = shapely.get_dimensions(shapes)
    highways = [each.get("highway") in DRIVABLE or not tagged for each in tags]
    houses = [each.get("building", "no") != "no" or not tagged for each in tags]
    is_road = there & np.array(highways, bool) & (kinds == 1 if not tagged else kinds >= 1)
    is_house = there & np.array(houses, bool) & (kinds == 2)
    roads = _table(shapes[is_road], _chosen(tags, is_road), crs)
    roads.geometry = [_along(*row) for row in zip(roads.geometry, roads.tags, strict=True)]
    return Osm(roads, _table(shapes[is_house], _chosen(tags, is_house), crs))


def tags_of(columns: Mapping[str, NDArray[Any]], count: int) -> list[Tags]:
    """The tags of each of ``count`` rows, from the columns of a table.

    >>> columns = {"highway": np.array(["track", None]), "tags": np.array([None, '{"lanes": 2}'])}
    >>> tags_of(columns, 2)
    [{'highway': 'track'}, {'lanes': '2'}]
    """
    rows: list[Tags] = [{} for _ in range(count)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row.update(_unpacked(name, value))
    return rows


def _unpacked(name: str, value: Any) -> Tags:
    nested = _nested(name, value)
    if nested is not None:
        return {key: str(each) for key, each in nested.items() if not _is_absent(each)}
    return {} if _is_absent(value) else {_ALSO_CALLED.get(name, name): str(value)}


def _nested(name: str, value: Any) -> Mapping[str, Any] | None:
    """The tags within a value of the columns ``tags`` and ``other_tags``, else None."""
    if isinstance(value, Mapping) and name == "tags":
        return value
    if name == "other_tags":
        return dict(_HSTORE.findall(str(value)))
    if name == "tags" and str(value).startswith("{"):
        with suppress(ValueError):
            return dict(json.loads(value))
    return None


def _is_absent(value: Any) -> bool:
    return str(value).lower() in _ABSENT


def _along(shape: shapely.Geometry, tags: Tags) -> shapely.Geometry:
    """A ring that an exporter took for an area is a road again, such as a roundabout."""
    is_ring = shapely.get_dimensions(shape) == 2 and not is_square(tags)
    return shapely.boundary(shape) if is_ring else shape


def _check_placed(
    path: str | os.PathLike[str], read_layers: list[Vectors], crs: CRS | None
) -> None:
    shapes = np.concatenate([layer.geometry for layer in read_layers])
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
    if any(layer.crs != crs for layer in read_layers):
        raise InputError(f"the layers of {path} are of different CRSs; give them as files apart")


def _chosen(tags: list[Tags], chosen: NDArray[np.bool_]) -> list[Tags]:
    return [tags[i] for i in np.flatnonzero(chosen)]


def _table(shapes: Shapes, tags: list[Tags], crs: CRS | None) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    held = np.empty(len(tags), dtype=object)
    held[:] = tags
    return gpd.GeoDataFrame({"tags": held}, geometry=list(shapes), crs=crs)
