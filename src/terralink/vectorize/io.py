"""Buildings and land cover to files: a GeoPackage with its style, GeoJSON, or GeoParquet."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from terralink.errors import InputError
from terralink.vector import styles
from terralink.vector.layers import (
    Layer,
    is_parquet,
    write_geojson,
    write_geopackage,
    write_parquet,
)

if TYPE_CHECKING:
    import geopandas as gpd

_ROOF, _WALL = "#d9b79a", "#8a5a3c"
# Light, and told apart by every kind of eye (Paul Tol's light scheme); classes have no names here.
_CLASSES = (
    "#dddddd", "#eedd88", "#bbcc33", "#77aadd", "#44bb99", "#ee8866", "#ffaabb", "#99ddff",
    "#aaaa00",
)  # fmt: skip


def write_buildings(path: str | os.PathLike[str], table: "gpd.GeoDataFrame") -> None:
    """Write what ``buildings`` found as the layer ``buildings``; raises ``InputError``."""
    _write(path, table, "buildings", styles.solid_areas(_ROOF, _WALL))


def write_regions(path: str | os.PathLike[str], table: "gpd.GeoDataFrame") -> None:
    """Write what ``regions`` made as the layer ``landcover``; raises ``InputError``.

    Classes have a colour each, the same one in every file, and their names in the legend.
    """
    classes = np.unique(table["class"]).tolist()
    colours = {number: _CLASSES[number % len(_CLASSES)] for number in classes}
    names = (
        dict(zip(table["class"].tolist(), table["name"], strict=True)) if "name" in table else {}
    )
    _write(path, table, "landcover", styles.areas_by("class", colours, names))


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
