"""GeoParquet, for the extra 'parquet': pyarrow alone is half as large as the core install."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from terralink.errors import GraphError
from terralink.files import written_whole
from terralink.graph.store import Layer, LineTable, numbers


def write_parquet(path: str | os.PathLike[str], roads: Layer, crs: CRS | None) -> None:
    """Write one layer; raises ``GraphError`` without pyarrow."""
    geopandas = _geopandas(path)
    table = geopandas.GeoDataFrame(roads.columns, geometry=roads.geometry, crs=crs)
    with written_whole(path) as part:
        table.to_parquet(part)


def read_parquet(path: str | os.PathLike[str]) -> LineTable:
    """Read lines and their widths; raises ``GraphError`` for what is no GeoParquet."""
    geopandas = _geopandas(path)
    try:
        table = geopandas.read_parquet(path)
    except (ValueError, OSError) as error:  # Arrow's errors are both
        raise GraphError(f"{path} is no GeoParquet file: {error}") from error
    columns = (table[name].to_numpy() if name in table else None for name in ("width_m", "prob"))
    width_m, prob = (numbers(column, len(table)) for column in columns)
    return LineTable(np.asarray(table.geometry, dtype=object), width_m, prob, table.crs)


def _geopandas(path: str | os.PathLike[str]) -> Any:
    try:
        import_module("pyarrow")  # geopandas asks for it late, and at length
    except ModuleNotFoundError as error:
        raise GraphError(
            f"{Path(path).name} is GeoParquet, which needs pyarrow, and the core install leaves it "
            "out; get it with: pip install 'terralink[parquet]'"
        ) from error
    import geopandas

    return geopandas
