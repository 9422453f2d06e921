"""Vector files in and out: plain columns, no tables, so that it is quick to load.

Written are GeoPackage, with a stored style, and GeoJSON; read is any vector file of lines that
GDAL knows.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from terralink.atomic_write import MARK, written_whole
from terralink.errors import GraphError, InputError, OutputError
from terralink.outputs import keep_others
from terralink.raster.geometry import as_rfc7946
from terralink.vector import styles
from terralink.vector.osm import read_roads, tagged_width_m
from terralink.vector.osm.features import Features
from terralink.vector.osm.tags import Tags
from terralink.vector.reading import import_parquet

_WGS84 = CRS.from_epsg(4326)


@dataclass(frozen=True, eq=False)
class Layer:
    """Geometries of one kind ("LineString", "Point", "Polygon") with their columns."""

    name: str
    kind: str
    geometry: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LineTable:
    """What a file says of its lines; unknown widths and probabilities are nan."""

    lines: NDArray[np.object_]
    width_m: NDArray[np.float64]
    prob: NDArray[np.float64]
    crs: CRS | None


def read(path: str | os.PathLike[str]) -> LineTable:
    """Read the layer ``roads``, or the roads of all; raises ``GraphError``.

    What is a road among lines of OpenStreetMap, ``terralink.vector.osm.tags`` says.
    """
    try:
        layers = read_roads(path)
    except InputError as error:
        raise GraphError(str(error)) from error
    tables = [_table(layer) for layer in layers]
    return LineTable(
        np.concatenate([each.lines for each in tables]),
        np.concatenate([each.width_m for each in tables]),
        np.concatenate([each.prob for each in tables]),
        layers[0].crs,
    )


def _table(layer: Features) -> LineTable:
    """Widths and probabilities are those of our own columns, else what the tags tell."""
    count = len(layer.geometry)
    width_m, prob = (numbers(layer.columns.get(name), count) for name in ("width_m", "prob"))
    if "width_m" not in layer.columns:
        width_m = widths_m(layer.tags)
    return LineTable(layer.geometry, width_m, prob, layer.crs)


def widths_m(rows: Sequence[Tags]) -> NDArray[np.float64]:
    """(m,) the widths that tags tell, nan where they tell none."""
    told = (tagged_width_m(tags) for tags in rows)
    return np.array([np.nan if each is None else each for each in told], dtype=np.float64)


def write(path: str | os.PathLike[str], roads: Layer, junctions: Layer, crs: CRS | None) -> None:
    """Write a GeoPackage, or GeoJSON where the suffix is another, whole or not at all."""
    suffix = Path(path).suffix.lower()
    if suffix != ".gpkg" and crs is None:
        raise GraphError(
            "GeoJSON is longitude and latitude, and these roads have no CRS: write a .gpkg"
        )
    if crs is None or suffix == ".gpkg":
        write_geopackage(path, [(roads, styles.ROADS), (junctions, styles.JUNCTIONS)], crs)
    else:
        write_geojson(path, roads, crs)


def numbers(column: NDArray[Any] | None, count: int) -> NDArray[np.float64]:
    """A column as floats; nan where it is not there or holds no numbers."""
    if column is None or column.dtype.kind not in "iuf":
        return np.full(count, np.nan)
    return column.astype(np.float64)


def write_parquet(path: str | os.PathLike[str], layer: Layer, crs: CRS | None) -> None:
    """Write a layer as GeoParquet, whole or not at all; raises ``GraphError`` without pyarrow."""
    try:
        geopandas = import_parquet(path)
    except InputError as error:
        raise GraphError(str(error)) from error
    table = geopandas.GeoDataFrame(layer.columns, geometry=layer.geometry, crs=crs)
    table.attrs["generator"] = MARK
    with written_whole(path) as part:
        table.to_parquet(part)


def write_geopackage(
    path: str | os.PathLike[str], layers: Sequence[tuple[Layer, str]], crs: CRS | None
) -> None:
    """Write layers, each with its style (QML), whole or not at all.

    Layers that others put into a GeoPackage that is there are kept. Raises ``OutputError`` where
    they have the name of one of these.
    """
    with written_whole(path) as part:
        keep_others(path, part, [layer.name for layer, _ in layers])
        for layer, _ in layers:
            # 1.2 is what older QGIS and GDAL read without a word
            options = {} if part.exists() else {"VERSION": "1.2"}
            _write_layer(part, layer, crs, driver="GPKG", DESCRIPTION=MARK, **options)
        styles.store(part, {layer.name: qml for layer, qml in layers})


def write_geojson(path: str | os.PathLike[str], layer: Layer, crs: CRS) -> None:
    """Write a layer as RFC 7946 wants it, whole or not at all.

    That is longitude and latitude, outer rings counter-clockwise, and what lies across 180 degrees
    cut there.
    """
    placed = as_rfc7946(layer.geometry, crs)
    # 8 decimals of a degree are a millimetre; the driver's 7 would bend short roads
    with written_whole(path) as part:
        _write_layer(
            part, replace(layer, geometry=placed, kind="Unknown"), _WGS84, driver="GeoJSON",
            RFC7946="YES", COORDINATE_PRECISION="8", DESCRIPTION=MARK,
        )  # fmt: skip


def _write_layer(path: Path, layer: Layer, crs: CRS | None, **options: str) -> None:
    from pyogrio import raw
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided")  # None is meant
            raw.write(
                os.fspath(path),
                geometry=shapely.to_wkb(layer.geometry),
                field_data=list(layer.columns.values()),
                fields=np.array(list(layer.columns), dtype=object),
                layer=layer.name,
                geometry_type=layer.kind,
                crs=crs.to_wkt() if crs else None,
                append=path.exists(),
                **options,
            )
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(f"cannot write {layer.name}: {error}") from error
