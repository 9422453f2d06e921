"""Roads and buildings with their tags as tables, of any file that holds some, or of an area."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS, Transformer

from terralink.errors import InputError
from terralink.raster.grid import Grid
from terralink.vector.osm.features import (
    Features,
    check_one_crs,
    choose_buildings,
    choose_roads,
    concatenated,
    layers_to_read,
    load,
)  # fmt: skip
from terralink.vector.osm.files import is_osm, read_elements, tell_broken
from terralink.vector.osm.tags import tags_of

if TYPE_CHECKING:
    import geopandas as gpd

Bounds = tuple[float, float, float, float]

# Some count degrees on across the date line
_LAST_DEGREE = 360
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
    """Roads and buildings of .osm, .osm.pbf, or what GDAL reads, such as GeoJSON, and GeoParquet.

    In GeoJSON and tables tags are columns, or in columns ``tags`` (JSON) and ``other_tags`` (of
    ogr2ogr). Raises ``InputError`` for a file that is damaged, or lies nowhere on Earth.
    """
    if is_osm(path):
        elements = read_elements(path)
        tell_broken(path, elements)
        tables = (
            Features(*told, {}, _WGS84) for told in (elements.streets(), elements.buildings())
        )
        return Osm(*(_table([each]) for each in tables))
    names = layers_to_read(path, "roads"), layers_to_read(path, "buildings")
    loaded = {name: load(path, name) for name in dict.fromkeys(names[0] + names[1])}
    _check_placed(path, [*loaded.values()])
    roads, buildings = ([loaded[name] for name in each] for each in names)
    return Osm(_table(choose_roads(roads)), _table(choose_buildings(buildings)))


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
    found = [_fetch_box(osmnx, box) for box in _around(grid)]
    return Osm(
        _table(choose_roads(found, tagged=True)), _table(choose_buildings(found, tagged=True))
    )


def _fetch_box(osmnx: ModuleType, box: Bounds) -> Features:
    try:
        frame = osmnx.features_from_bbox(box, tags={"highway": True, "building": True})
    except osmnx._errors.InsufficientResponseError:
        return Features(np.empty(0, object), [], {}, _WGS84)
    except (OSError, osmnx._errors.ResponseStatusCodeError) as error:  # requests' are OSErrors
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"OpenStreetMap could not be fetched: {reason}; give a file instead"
        ) from error
    columns = {name: frame[name].to_numpy() for name in frame.columns if name != "geometry"}
    shapes = np.asarray(frame.geometry.to_numpy(), dtype=object)
    return Features(shapes, tags_of(columns, len(frame)), {}, CRS(frame.crs))


def _around(grid: Grid) -> list[Bounds]:
    """(left, bottom, right, top) in degrees, with what may reach in from outside.

    There are two boxes on a grid that lies across 180 degrees.
    """
    if grid.crs is None:
        raise InputError("an area without CRS lies nowhere on Earth: nothing can be fetched")
    to_lonlat = Transformer.from_crs(grid.crs, _WGS84, always_xy=True)
    left, bottom, right, top = to_lonlat.transform_bounds(*grid.bounds)
    high = _MARGIN_M / _DEGREE_M
    wide = high / max(math.cos(math.radians((bottom + top) / 2)), 0.01)
    low, left, right, high = bottom - high, left - wide, right + wide, top + high
    if left < right:
        return [(left, low, right, high)]
    return [(left, low, 180.0, high), (-180.0, low, right, high)]


def _check_placed(path: str | os.PathLike[str], found: Sequence[Features]) -> None:
    crs = check_one_crs(path, found)
    shapes = concatenated(each.geometry for each in found)
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


def _table(found: Sequence[Features]) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    rows = [tags for each in found for tags in each.tags]
    tags = np.empty(len(rows), dtype=object)
    tags[:] = rows
    shapes = concatenated(each.geometry for each in found)
    crs = found[0].crs if found else None
    return gpd.GeoDataFrame({"tags": tags}, geometry=list(shapes), crs=crs)
