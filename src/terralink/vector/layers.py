"""Vector files in and out: plain columns, no tables, so that it is quick to load.

Written are GeoPackage, with a stored style, GeoJSON and GeoParquet. Read is what GDAL knows, and
GeoParquet, which the wheels of GDAL leave out: pyarrow reads that.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from terralink.atomic_write import MARK, plain_path, write_atomically
from terralink.errors import InputError, OutputError
from terralink.outputs import keep_others
from terralink.raster.geometry import Area, join_at_180, to_rfc7946, world_width
from terralink.raster.grid import WGS84
from terralink.vector import styles

_FIRST_BYTES = 1000
_PARQUET = (".parquet", ".geoparquet")


@dataclass(frozen=True, eq=False)
class Layer:
    """Geometries of one kind ("LineString", "Point", "Polygon") with their columns."""

    name: str
    kind: str
    geometry: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class VectorTable:
    """Geometries (k,), the columns beside them, and their CRS."""

    geometry: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]
    crs: CRS | None


def read_layer(path: str | os.PathLike[str], layer: str | None) -> VectorTable:
    """Read one layer; None is the first. Raises ``InputError``.

    What was cut at 180 degrees is one shape again, which goes on past 180.
    """
    from pyogrio import raw
    from pyogrio.errors import DataLayerError, DataSourceError

    layer = layer or next(iter(list_layers(path)), None)
    if is_parquet(path):
        return _read_parquet(path)
    try:
        with plain_path(path) as plain:
            meta, _, wkb, values = raw.read(plain, layer=layer, force_2d=True)
    except (DataSourceError, DataLayerError) as error:
        raise InputError(f"{path} is no vector file that GDAL can read") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} holds text that is not UTF-8: {error}; convert it") from error
    if wkb is None:
        raise InputError(f"{path} is a table without geometry")
    columns = dict(zip(meta["fields"], values, strict=True))
    crs = CRS.from_user_input(meta["crs"]) if meta["crs"] else None
    shapes = np.asarray(shapely.from_wkb(wkb), dtype=object)
    return VectorTable(join_at_180(shapes) if _is_in_degrees(crs) else shapes, columns, crs)


def read_area(path: str | os.PathLike[str]) -> Area:
    """All polygons of a vector file's first layer. Raises ``InputError``."""
    vectors = read_layer(path, None)
    present = ~(shapely.is_missing(vectors.geometry) | shapely.is_empty(vectors.geometry))
    parts = shapely.get_parts(shapely.make_valid(vectors.geometry[present]))
    shape = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    if shape.is_empty:
        raise InputError(f"{path} holds no polygon; an area is one or more")
    if vectors.crs is None:
        raise InputError(f"{path} does not say its CRS; GeoJSON is always in degrees")
    return Area(shape, vectors.crs, str(path))


def _is_in_degrees(crs: CRS | None) -> bool:
    return crs is not None and crs.is_geographic and world_width(crs) == 360


def list_layers(path: str | os.PathLike[str]) -> dict[str, str]:
    """The layers of a file and their kinds of geometry; raises ``InputError``.

    GeoParquet has one layer, of any kind.
    """
    import pyogrio
    from pyogrio.errors import DataSourceError

    if not Path(path).exists():
        raise InputError(f"no file {path}")
    if is_parquet(path):
        return {Path(path).stem: "Unknown"}
    try:
        with plain_path(path) as plain:
            return {str(name): str(kind) for name, kind in pyogrio.list_layers(plain)}
    except DataSourceError as error:
        raise InputError(
            f"{path} is no vector file that GDAL can read{_explain_overpass(path)}"
        ) from error


def _explain_overpass(path: str | os.PathLike[str]) -> str:
    """What to do with the JSON of Overpass, which looks like a map and is none."""
    if not Path(path).is_file():
        return ""
    with Path(path).open("rb") as file:
        begin = file.read(_FIRST_BYTES)
    is_overpass = begin.lstrip().startswith(b"{") and b'"elements"' in begin
    return ", but Overpass JSON: ask Overpass for [out:xml], or GeoJSON" if is_overpass else ""


def is_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix names GeoParquet."""
    return Path(path).suffix.lower() in _PARQUET


def import_geopandas(path: str | os.PathLike[str]) -> Any:
    """geopandas, which reads and writes GeoParquet; raises ``InputError`` without pyarrow."""
    try:
        import_module("pyarrow")  # geopandas asks for it late, and at length
    except ModuleNotFoundError as error:
        raise InputError(
            f"{Path(path).name} is GeoParquet, which needs pyarrow, and the core install leaves it "
            "out; get it with: pip install 'terralink[parquet]'"
        ) from error
    return import_module("geopandas")


def _read_parquet(path: str | os.PathLike[str]) -> VectorTable:
    """The column that the file names as its geometry, whatever it is called, and the others."""
    geopandas = import_geopandas(path)
    try:
        with plain_path(path) as plain:
            table = geopandas.read_parquet(plain)
    except (ValueError, OSError, KeyError, TypeError) as error:  # Arrow's errors are these too
        reason = " ".join(str(error).split())
        if "geo metadata" in reason:
            reason = (
                "it does not say which column is the geometry; say so with geopandas: "
                "GeoDataFrame(table, geometry=GeoSeries.from_wkb(table.NAME), crs=...)"
            )
        raise InputError(f"{path} is no GeoParquet: {reason}") from error
    shapes = shapely.force_2d(np.asarray(table.geometry.to_numpy(), dtype=object))
    others = [name for name in table.columns if name != table.geometry.name]
    columns = {str(name): table[name].to_numpy() for name in others}
    crs = CRS.from_user_input(table.crs) if table.crs else None
    shapes = np.asarray(shapes, dtype=object)
    return VectorTable(join_at_180(shapes) if _is_in_degrees(crs) else shapes, columns, crs)


def write_parquet(path: str | os.PathLike[str], layer: Layer, crs: CRS | None) -> None:
    """Write a layer as GeoParquet, whole or not at all; raises ``InputError`` without pyarrow."""
    geopandas = import_geopandas(path)
    table = geopandas.GeoDataFrame(layer.columns, geometry=layer.geometry, crs=crs)
    table.attrs["generator"] = MARK
    with write_atomically(path) as part:
        table.to_parquet(part)


def write_geopackage(
    path: str | os.PathLike[str], layers: Sequence[tuple[Layer, str]], crs: CRS | None
) -> None:
    """Write layers, each with its style (QML), whole or not at all.

    Layers that others put into a GeoPackage that is there are kept. Raises ``OutputError`` where
    they have the name of one of these.
    """
    with write_atomically(path) as part:
        keep_others(path, part, [layer.name for layer, _ in layers])
        for layer, _ in layers:
            # 1.2 is what older QGIS and GDAL read without a word
            options = {} if part.exists() else {"VERSION": "1.2"}
            _write_layer(part, layer, crs, driver="GPKG", DESCRIPTION=MARK, **options)
        styles.write_styles(part, {layer.name: qml for layer, qml in layers})


def write_geojson(path: str | os.PathLike[str], layer: Layer, crs: CRS) -> None:
    """Write a layer as RFC 7946 wants it, whole or not at all.

    That is longitude and latitude, outer rings counter-clockwise, and what lies across 180 degrees
    cut there.
    """
    placed = to_rfc7946(layer.geometry, crs)
    # 8 decimals of a degree are a millimetre; the driver's 7 would bend short roads
    with write_atomically(path) as part:
        _write_layer(
            part, replace(layer, geometry=placed, kind="Unknown"), WGS84, driver="GeoJSON",
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
