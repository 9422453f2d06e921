"""``vectorize``: buildings and land cover from rasters to maps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio

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


def test_buildings_are_regularized_unless_told(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    rows, cols = np.mgrid[:80, :80] - 40
    turned = (np.abs(0.9 * cols + 0.436 * rows) < 24) & (np.abs(0.9 * rows - 0.436 * cols) < 14)
    path, corners = scene(image=turned[None] * np.uint8(255)), []
    for option in ("--regularize", "--no-regularize"):
        out = tmp_path / f"{option}.gpkg"
        terralink("vectorize", path, "--what", "buildings", "--out", out, option)
        walls = np.diff(
            np.array(gpd.read_file(out, layer="buildings").geometry[0].exterior.coords) @ [1, 1j]
        )
        corners.append(np.abs((np.roll(walls, 1) * walls.conj()).real).max() < 1e-3)
    assert corners == [True, False]


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


def one_bit(path: Path, mask: np.ndarray[Any, Any], like: Path, **profile: Any) -> Path:
    """A mask as a plain GeoTIFF, on the ground of another raster."""
    with rasterio.open(like) as source:
        place = {"crs": source.crs, "transform": source.transform}
    shape = {"height": mask.shape[0], "width": mask.shape[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **profile) as file:
        file.write(mask, 1)
        if profile.get("photometric") == "palette":
            file.write_colormap(1, {0: (0, 0, 0), 1: (255, 196, 64)})
    return path


@pytest.mark.parametrize("profile", [{}, {"nbits": 1}, {"photometric": "palette"}])
def test_a_file_of_0_and_1_is_a_mask(
    profile: dict[str, Any], terralink: Run, scene: Write, tmp_path: Path
) -> None:
    mask = np.zeros((1300, 90), np.uint8)
    mask[1200:1210] = 1
    path = one_bit(tmp_path / "mask.tif", mask, scene(), **profile)
    for what, found in (("roads", "length_m"), ("buildings", "area_m2")):
        out = tmp_path / f"{what}.gpkg"
        ended = terralink("vectorize", path, "--what", what, "--out", out, "--json")
        assert json.loads(ended.out)[found] == pytest.approx(
            {"length_m": 90, "area_m2": 900}[found], rel=0.1
        )


def test_what_rasterize_draws_can_be_vectorized(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    image = np.full((3, 300, 200), 90, np.uint8)
    street = gpd.GeoSeries.from_wkt(["LINESTRING (600000 3999900, 600200 3999900)"], crs=32611)
    street.to_file(tmp_path / "street.gpkg", layer="roads")
    label, out = tmp_path / "label.tif", tmp_path / "roads.gpkg"
    terralink("rasterize", tmp_path / "street.gpkg", "--like", scene(image=image), "--out", label)
    ended = terralink("vectorize", label, "--out", out, "--json")
    assert json.loads(ended.out)["length_m"] == pytest.approx(200, rel=0.05)


@pytest.mark.parametrize("what", ["roads", "buildings"])
def test_classes_are_refused_with_the_name_of_their_file(
    what: str, terralink: Run, scene: Write, tmp_path: Path
) -> None:
    image = np.zeros((1, 40, 40), np.uint8)
    image[0, 30:, :20], image[0, 30:, 20:] = 1, 2
    out = tmp_path / "map.gpkg"
    ended = terralink("vectorize", scene("classes.tif", image=image), "--what", what, "--out", out)
    assert ended.code == 2
    assert "classes.tif" in ended.err
    assert "land cover" in ended.err
    assert ended.err.count("\n") == 1
    assert not out.exists()
