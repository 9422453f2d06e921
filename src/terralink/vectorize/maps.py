"""Any kind of map from rows of probabilities: traced, written and read in one way.

A new kind of map is a tracer, a line in each of the functions here, and a name in ``map_kind``.
Files are GeoPackages with their QGIS style, GeoJSON, or GeoParquet.
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
    """Makes the kind of map that the options are of, from bands of rows, top to bottom.

    ``classes`` name the bands of probabilities: of them those that show what is wanted are taken.
    None takes them as they are. ``source`` is what an error calls the model or file that they are
    of. Raises ``InputError`` where the classes do not show what is wanted.
    """

    def __init__(
        self,
        options: MapOptions,
        classes: Sequence[str] | None,
        *,
        source: str = "the raster",
    ) -> None:
        self.kind = options.kind
        self._taken = None if classes is None else class_bands(self.kind, classes, source=source)
        self._tracer = _tracer(options, classes)

    def add(self, band: Raster) -> None:
        """Take the next rows. Raises ``InputError`` when they do not follow those before."""
        several = band.array.ndim == 3 and len(band.array) > 1
        if self._taken is not None and several and self.kind is not MapKind.LANDCOVER:
            parts = [band.array[bands].max(axis=0) for bands in self._taken]
            band = replace(band, array=np.stack(parts))
        self._tracer.add(band)

    def finish(self) -> Map:
        """The map of all rows that came in."""
        return self._tracer.finish()


def _tracer(options: MapOptions, classes: Sequence[str] | None) -> Any:
    match options:
        case RoadOptions():
            return RoadTracer(options)
        case BuildingOptions():
            return BuildingTracer(options)
        case LandcoverOptions():
            return LandcoverTracer(options, classes=classes)


def write_map(path: str | os.PathLike[str], found: Map, kind: MapKind) -> None:
    """Write a map with the style of its kind; raises ``InputError`` and ``OutputError``."""
    if isinstance(found, RoadGraph):
        found.to_file(path)
    elif kind is MapKind.BUILDINGS:
        write_buildings(path, found)
    else:
        write_landcover(path, found)


def read_map(path: str | os.PathLike[str], kind: MapKind) -> Map:
    """Read back what ``write_map`` wrote as a GeoPackage."""
    if kind is MapKind.ROADS:
        return RoadGraph.from_file(path)
    import geopandas as gpd

    return gpd.read_file(path, layer=kind.value)


_ROOF, _WALL = "#d9b79a", "#8a5a3c"
# Light, and told apart by every kind of eye (Paul Tol's light scheme); classes have no names here.
_CLASSES = (
    "#dddddd", "#eedd88", "#bbcc33", "#77aadd", "#44bb99", "#ee8866", "#ffaabb", "#99ddff",
    "#aaaa00",
)  # fmt: skip


def write_buildings(path: str | os.PathLike[str], table: "gpd.GeoDataFrame") -> None:
    """Write a table of ``trace_buildings`` as the layer ``buildings``; raises ``InputError``."""
    _write(path, table, "buildings", styles.fill_style(_ROOF, _WALL))


def write_landcover(path: str | os.PathLike[str], table: "gpd.GeoDataFrame") -> None:
    """Write a table of ``trace_landcover`` as the layer ``landcover``; raises ``InputError``.

    Classes have a colour each, the same one in every file, and their names in the legend.
    """
    classes = np.unique(table["class"]).tolist()
    colours = {number: _CLASSES[number % len(_CLASSES)] for number in classes}
    names = (
        dict(zip(table["class"].tolist(), table["name"], strict=True)) if "name" in table else {}
    )
    _write(path, table, "landcover", styles.category_style("class", colours, names))


def _write(path: str | os.PathLike[str], table: "gpd.GeoDataFrame", name: str, qml: str) -> None:
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
