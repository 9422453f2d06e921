"""Every verb reads roads and buildings in every form of file, and by one rule."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import CRS

from terralink.graph import RoadGraph
from terralink.raster import read_raster
from terralink.vectorize import write_buildings

Run: TypeAlias = Callable[..., Any]
Tags: TypeAlias = dict[str, Any]

UTM = CRS.from_epsg(32611)
HOUSES = [shapely.box(600040 + i * 60, 3999800, 600060 + i * 60, 3999830) for i in range(3)]
STREETS = [
    shapely.LineString([(600010, 3999990 - 60 * i), (600390, 3999990 - 60 * i)]) for i in range(4)
]
RING = shapely.box(600080, 3999620, 600160, 3999700)
FORMS = [".gpkg", ".geojson", ".fgb", ".shp", ".parquet", ".geoparquet"]


def write(path: Path, rows: Sequence[tuple[shapely.Geometry, Tags]]) -> Path:
    frame = gpd.GeoDataFrame([tags for _, tags in rows], geometry=[s for s, _ in rows], crs=UTM)
    if "parquet" in path.suffix:
        pytest.importorskip("pyarrow")
        frame.rename_geometry("outline").to_parquet(path)
    else:
        (frame.to_crs(4326) if path.suffix == ".geojson" else frame).to_file(path)
    return path


@pytest.fixture
def figures(terralink: Run) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        ended = terralink(*arguments, "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    return run


@pytest.mark.parametrize("form", FORMS)
def test_buildings_are_read_by_every_verb(
    form: str, figures: Run, scene: Callable[..., Path], tmp_path: Path
) -> None:
    path = write(tmp_path / f"houses{form}", [(house, {"height": 3.0}) for house in HOUSES])
    assert figures("evaluate", "buildings", path, path)["figures"]["found"] == 3
    changes = figures("diff", path, path, "--out", tmp_path / "diff.gpkg")
    assert changes["buildings"]["matched"]["count"] == 3
    out = tmp_path / "label.tif"
    figures("rasterize", path, "--like", scene(), "--what", "buildings", "--out", out)
    assert int(read_raster(out).array.sum()) == pytest.approx(3 * 20 * 30, abs=60)
    chips = tmp_path / "chips"
    told = figures(
        *("chip", scene(), "--labels", path, "--what", "buildings", "--side", 400),
        *("--out", chips),
    )
    assert told["chips"] == 1
    assert told["classes"]["1"] == pytest.approx(3 * 20 * 30 / 400**2, rel=0.05)


@pytest.mark.parametrize("form", [".gpkg", ".geojson", ".parquet", ".geoparquet"])
def test_what_is_written_is_read_by_every_verb(
    form: str, figures: Run, scene: Callable[..., Path], tmp_path: Path
) -> None:
    if "parquet" in form:
        pytest.importorskip("pyarrow")
    houses, roads = tmp_path / f"houses{form}", tmp_path / f"roads{form}"
    write_buildings(houses, gpd.GeoDataFrame({"prob": [0.5] * 3}, geometry=HOUSES, crs=UTM))
    RoadGraph.from_lines(STREETS, UTM, width_m=6).to_file(roads)
    assert figures("evaluate", "buildings", houses, houses)["figures"]["f1"] == 1
    assert figures("evaluate", "roads", roads, roads)["figures"]["f1"] == 1
    out = tmp_path / "label.tif"
    for path, what, wanted in ((houses, "buildings", 3 * 20 * 30), (roads, "roads", 4 * 380 * 6)):
        changes = figures("diff", path, path, "--out", tmp_path / "diff.gpkg")
        assert changes[what]["new"]["count"] == changes[what]["gone"]["count"] == 0
        figures("rasterize", path, "--like", scene(), "--what", what, "--out", out)
        assert int(read_raster(out).array.sum()) == pytest.approx(wanted, rel=0.03)


OTHERS: list[Tags] = [
    {"highway": "footway"}, {"railway": "rail"}, {"power": "line"}, {"waterway": "river"},
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("nested", [False, True])
def test_only_roads_for_cars_are_roads_for_every_verb(
    form: str, nested: bool, figures: Run, scene: Callable[..., Path], tmp_path: Path
) -> None:
    rows: list[tuple[shapely.Geometry, Tags]] = [
        (street, {"highway": "residential"} if i % 2 else tags)
        for i, (street, tags) in enumerate(zip(STREETS, OTHERS, strict=True))
    ]
    square = shapely.LineString(RING.exterior)
    rows.append((square, {"highway": "service", "area": "yes"}))
    if nested:
        rows = [(shape, {"other_tags": json.dumps(tags)}) for shape, tags in rows]
    path = write(tmp_path / f"lines{form}", rows)
    truth = tmp_path / "truth.gpkg"
    RoadGraph.from_lines([STREETS[1], STREETS[3]], UTM).to_file(truth)
    found = figures("evaluate", "roads", truth, path)["figures"]
    assert found["pred_m"] == pytest.approx(2 * 380, rel=1e-3)
    changes = figures("diff", path, truth, "--out", tmp_path / "diff.gpkg")
    assert changes["roads"]["matched"]["length_m"] == pytest.approx(2 * 380, rel=1e-3)
    assert changes["roads"]["new"]["count"] == changes["roads"]["gone"]["count"] == 0
    out = tmp_path / "label.tif"
    figures("rasterize", path, "--like", scene(), "--out", out)
    label = read_raster(out).array
    assert int(label.sum()) == pytest.approx(2 * 380 * 4 + RING.area, rel=0.02)
    assert np.flatnonzero(label[:, 300]).size == pytest.approx(8, abs=2)
