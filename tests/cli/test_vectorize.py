"""``vectorize``: buildings and land cover from rasters to maps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest

Run = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def levels() -> np.ndarray[Any, Any]:
    """A raster (1, 60, 80) of two blocks of 20 x 30 px, with 0.8 and 0.6 as bytes."""
    array = np.zeros((1, 60, 80), np.uint8)
    array[0, 10:30, 10:40], array[0, 35:55, 45:75] = 204, 153
    return array


def test_buildings_are_polygons_in_a_styled_geopackage(
    terralink: Run, scene: Write, levels: Any, tmp_path: Path
) -> None:
    out = tmp_path / "map.gpkg"
    ended = terralink(
        "vectorize", scene(image=levels), "--what", "buildings", "--out", out, "--json"
    )
    record = json.loads(ended.out)
    assert (record["buildings"], record["area_m2"]) == (2, 1200)
    assert gpd.read_file(out, layer="buildings").prob.tolist() == pytest.approx([0.8, 0.6])


def test_land_cover_is_a_coverage_of_all_classes(
    terralink: Run, scene: Write, levels: Any, tmp_path: Path
) -> None:
    out, classes = tmp_path / "map.gpkg", scene(image=levels // 50)
    ended = terralink("vectorize", classes, "--what", "landcover", "--out", out, "--json")
    record = json.loads(ended.out)
    assert record["class_area_m2"] == {"0": 3600, "3": 600, "4": 600}
    assert gpd.read_file(out, layer="landcover").area.sum() == pytest.approx(60 * 80)


@pytest.mark.parametrize("what", ["roads", "buildings", "landcover"])
@pytest.mark.parametrize("shape", [(1, 1), (40, 30)])
def test_an_empty_raster_is_an_empty_map_and_a_full_one_no_error(
    what: str, shape: tuple[int, int], terralink: Run, scene: Write, tmp_path: Path
) -> None:
    for level in (0, 1):
        out = tmp_path / f"{level}.gpkg"
        image = np.full((1, *shape), level * 255, np.uint8)
        ended = terralink("vectorize", scene(image=image), "--what", what, "--out", out)
        assert ended.code == 0, ended.err
        assert out.exists()
        if what != "landcover" and not level:
            assert len(gpd.read_file(out, layer=what)) == 0


def test_pixels_that_are_not_a_number_are_nothing(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    image = np.full((1, 40, 40), np.nan, np.float32)
    image[0, 10:30, 10:30] = 0.9
    for what in ("buildings", "landcover"):
        arguments = ("--what", what, "--out", tmp_path / "map.gpkg", "--json")
        ended = terralink("vectorize", scene(image=np.rint(image)), *arguments)
        assert ended.code == 0, ended.err
        record = json.loads(ended.out)
        assert sum([record.get("area_m2", 0), *record.get("class_area_m2", {}).values()]) == 400


@pytest.mark.parametrize(
    ("what", "level", "told"),
    [("buildings", 7.0, "0 to 1"), ("landcover", 0.5, "whole numbers")],
)
def test_levels_that_cannot_be_meant_are_refused_in_one_line(
    what: str, level: float, told: str, terralink: Run, scene: Write, tmp_path: Path
) -> None:
    image = scene(image=np.full((1, 20, 20), level, np.float32))
    ended = terralink("vectorize", image, "--what", what, "--out", tmp_path / "map.gpkg")
    assert ended.code == 2
    assert told in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "map.gpkg").exists()
