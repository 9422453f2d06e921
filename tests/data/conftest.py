"""Small scenes, pictures and shapes, to be laid out as the published sets are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from pyproj import CRS, Transformer

from terralink.raster import Grid, RasterWriter

UTM = CRS.from_epsg(32611)
LEFT, TOP = 600_000.0, 4_000_000.0

Write = Callable[..., Path]


@pytest.fixture
def picture(tmp_path: Path) -> Write:
    """Write an array (H, W) or (H, W, 3) as a picture; the default is noise."""

    def write(name: str, levels: NDArray[np.uint8] | None = None, side: int = 16) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = np.random.default_rng(0).integers(1, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(drawn if levels is None else levels).save(path)
        return path

    return write


@pytest.fixture
def tif(tmp_path: Path) -> Write:
    """Write an array (band, H, W) as a GeoTIFF with pixels of 1 m, north up, in UTM."""

    def write(name: str, levels: NDArray[Any], crs: CRS | None = UTM, **more: Any) -> Path:
        path = tmp_path / name
        transform = Affine(1, 0, LEFT, 0, -1, TOP) if crs else Affine.identity()
        grid = Grid((levels.shape[1], levels.shape[2]), transform, crs)
        valid = more.pop("valid", None)
        with RasterWriter(path, grid, bands=len(levels), dtype=levels.dtype, **more) as writer:
            writer.write(0, 0, levels, valid)
        return path

    return write


@pytest.fixture
def shapes(tmp_path: Path) -> Write:
    """Write GeoJSON of lines and polygons, given in pixels of a scene of ``tif``."""

    def write(name: str, *kinds_and_points: tuple[str, list[tuple[float, float]]]) -> Path:
        lonlat = Transformer.from_crs(UTM, 4326, always_xy=True)
        features = []
        for kind, points in kinds_and_points:
            footprints = [list(lonlat.transform(LEFT + x, TOP - y)) for x, y in points]
            told: Any = [footprints] if kind == "Polygon" else footprints
            geometry = {"type": kind, "coordinates": told}
            features.append({"type": "Feature", "properties": {}, "geometry": geometry})
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    return write
