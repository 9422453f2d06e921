"""Vector files: which layers they have, and one of them as plain columns, quick to load."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from terralink.errors import InputError

# in the order of their numbers
_MANY = ["MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"]
_KINDS = np.array(["Point", "LineString", "LinearRing", "Polygon", *_MANY])


@dataclass(frozen=True, eq=False)
class Vectors:
    """Geometries (k,), the columns beside them, and their CRS."""

    geometry: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]
    crs: CRS | None


def read_vectors(path: str | os.PathLike[str], layer: str | None) -> Vectors:
    """Read one layer; None is the first. Raises ``InputError``."""
    from pyogrio import raw
    from pyogrio.errors import DataLayerError, DataSourceError

    layer = layer or next(iter(layers(path)), None)
    try:
        meta, _, wkb, values = raw.read(os.fspath(path), layer=layer, force_2d=True)
    except (DataSourceError, DataLayerError) as error:
        raise InputError(f"{path} is no vector file that GDAL can read") from error
    if wkb is None:
        raise InputError(f"{path} is a table without geometry")
    columns = dict(zip(meta["fields"], values, strict=True))
    crs = CRS.from_user_input(meta["crs"]) if meta["crs"] else None
    return Vectors(np.asarray(shapely.from_wkb(wkb), dtype=object), columns, crs)


def layers(path: str | os.PathLike[str]) -> dict[str, str]:
    """The layers of a file and their kinds of geometry; raises ``InputError``."""
    from pyogrio import list_layers
    from pyogrio.errors import DataSourceError

    if not Path(path).exists():
        raise InputError(f"no file {path}")
    try:
        return {str(name): str(kind) for name, kind in list_layers(os.fspath(path))}
    except DataSourceError as error:
        raise InputError(f"{path} is no vector file that GDAL can read") from error


def layer_of(path: str | os.PathLike[str], *, named: str, kind: str) -> str | None:
    """The layer ``named`` so, else the first that holds geometries of ``kind``, else None.

    A layer without geometries may be of any kind: an empty map is a map.
    """
    there = layers(path)
    if named in there:
        return named
    of_kind = (
        name
        for name, holds in there.items()
        if kind in (_kinds(path, name) if holds == "Unknown" else holds)
    )
    return next(of_kind, None)


def _kinds(path: str | os.PathLike[str], layer: str) -> str:
    """What a layer holds that says nothing of it, such as lines with one part and with several."""
    held = shapely.get_type_id(read_vectors(path, layer).geometry)
    present = np.unique(held[held >= 0])
    return " ".join(_KINDS[present]) if len(present) else " ".join(_KINDS)
