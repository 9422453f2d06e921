"""Any kind of map from rows of probabilities: traced, written and read in one way.

A new kind of map needs a tracer, its options, a line in the functions here, and a name in
``map_kind``. Files are GeoPackages with their QGIS style, GeoJSON, or GeoParquet.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.map_kind import MapKind, class_bands
from terralink.raster import Raster
from terralink.vector import styles
from terralink.vector.layers import (
    Layer,
    is_parquet,
    write_geojson,
    write_geopackage,
    write_parquet,
)
from terralink.vectorize.buildings.tracer import BuildingTracer
from terralink.vectorize.landcover import LandcoverTracer
from terralink.vectorize.options import (
    BuildingOptions,
    LandcoverOptions,
    MapOptions,
    RoadOptions,
)
from terralink.vectorize.roads.tracer import RoadTracer

if TYPE_CHECKING:
    import geopandas as gpd

Map: TypeAlias = Union[RoadGraph, "gpd.GeoDataFrame"]


class MapTracer:
    """Traces the kind of map that the options are for; rows arrive from top to bottom.

    ``classes`` are the names of the bands of probabilities; the bands that the map needs are used,
    or all of them if it is None. ``source`` names the model or file in error messages. Raises
    ``InputError`` if the map needs a class that is not there.
    """

    def __init__(
        self,
        options: MapOptions,
        classes: Sequence[str] | None,
        *,
        source: str = "the raster",
    ) -> None:
        self.kind = options.kind
        self._bands = None if classes is None else class_bands(self.kind, classes, source=source)
        self._tracer: Any = _make_tracer(options, classes)

    def add(self, rows: Raster) -> None:
        """Add the next rows; raises ``InputError`` when they do not follow the ones before."""
        has_bands = rows.array.ndim == 3 and len(rows.array) > 1
        if self._bands is not None and has_bands and self.kind is not MapKind.LANDCOVER:
            parts = [rows.array[bands].max(axis=0) for bands in self._bands]
            rows = replace(rows, array=np.stack(parts))
        self._tracer.add(rows)

    def finish(self) -> Map:
        """The map of all rows."""
        return self._tracer.finish()


def _make_tracer(options: MapOptions, classes: Sequence[str] | None) -> Any:
    match options:
        case RoadOptions():
            return RoadTracer(options)
        case BuildingOptions():
            return BuildingTracer(options)
        case LandcoverOptions():
            return LandcoverTracer(options, classes=classes)


def write_map(path: str | os.PathLike[str], result: Map, kind: MapKind) -> None:
    """Write a map with the style of its kind; raises ``InputError`` and ``OutputError``."""
    if isinstance(result, RoadGraph):
        result.to_file(path)
    elif kind is MapKind.BUILDINGS:
        write_buildings(path, result)
    else:
        write_landcover(path, result)


def read_map(path: str | os.PathLike[str], kind: MapKind) -> Map:
    """Read a GeoPackage of ``write_map``."""
    if kind is MapKind.ROADS:
        return RoadGraph.from_file(path)
    import geopandas as gpd

    return gpd.read_file(path, layer=kind.value)


_BUILDING_FILL, _BUILDING_LINE = "#d9b79a", "#8a5a3c"
# Paul Tol's light scheme, which colour-blind people can distinguish too
_CLASS_COLOURS = (
    "#dddddd", "#eedd88", "#bbcc33", "#77aadd", "#44bb99", "#ee8866", "#ffaabb", "#99ddff",
    "#aaaa00",
)  # fmt: skip


def write_buildings(path: str | os.PathLike[str], table: "gpd.GeoDataFrame") -> None:
    """Write a table of ``trace_buildings`` as the layer ``buildings``; raises ``InputError``."""
    _write_table(path, table, "buildings", styles.fill_style(_BUILDING_FILL, _BUILDING_LINE))


def write_landcover(path: str | os.PathLike[str], table: "gpd.GeoDataFrame") -> None:
    """Write a table of ``trace_landcover`` as the layer ``landcover``; raises ``InputError``.

    Each class has a colour, the same in every file, and its name in the legend.
    """
    classes = np.unique(table["class"]).tolist()
    colours = {number: _CLASS_COLOURS[number % len(_CLASS_COLOURS)] for number in classes}
    names = (
        dict(zip(table["class"].tolist(), table["name"], strict=True)) if "name" in table else {}
    )
    _write_table(path, table, "landcover", styles.category_style("class", colours, names))


def _write_table(
    path: str | os.PathLike[str], table: "gpd.GeoDataFrame", name: str, qml: str
) -> None:
    suffix = Path(path).suffix.lower()
    columns = {key: table[key].to_numpy() for key in table.columns if key != "geometry"}
    layer = Layer(name, "Polygon", np.asarray(table.geometry, dtype=object), columns)
    if suffix == ".gpkg":
        write_geopackage(path, [(layer, qml)], table.crs)
    elif is_parquet(path):
        write_parquet(path, layer, table.crs)
    elif suffix not in (".geojson", ".json"):
        raise InputError(
            f"cannot write {name} as {suffix or 'a file without suffix'}: "
            "name it .gpkg or .geojson (or .parquet)"
        )
    elif table.crs is None:
        raise InputError(
            f"GeoJSON is longitude and latitude, and these {name} have no CRS: write a .gpkg"
        )
    else:
        write_geojson(path, layer, table.crs)
