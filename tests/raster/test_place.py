"""Scenes without a CRS: what their transform says is kept, and what users say of it is taken."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import CRS

from terralink.errors import InputError, SceneError
from terralink.raster import SceneOptions, open_scene
from terralink.raster.source import open_source

WORLD = Affine(0.3, 0, 500100, 0, -0.3, 4000900)
TURNED = Affine.translation(700, 900) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5)


def picture(path: Path, world: Affine | None = WORLD) -> Path:
    """A PNG, with a world file where ``world`` says where it lies."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(
        path
    )
    if world is not None:
        a, b, c, d, e, f = (world @ Affine.translation(0.5, 0.5))[:6]
        path.with_suffix(".pgw").write_text(
            "\n".join(repr(number) for number in (a, d, b, e, c, f))
        )
    return path


@pytest.mark.parametrize("world", [WORLD, TURNED])
def test_a_pixel_size_keeps_origin_and_rotation(tmp_path: Path, world: Affine) -> None:
    side = abs(world.determinant) ** 0.5
    with open_source(picture(tmp_path / "a.png", world), assumed_pixel_size_m=side) as source:
        assert source.grid.transform.almost_equals(world, 1e-6)
    with open_source(tmp_path / "a.png", assumed_pixel_size_m=2 * side) as source:
        assert source.grid.pixel_size_m == pytest.approx((2 * side, 2 * side))
        assert source.grid.transform.almost_equals(
            world @ Affine.scale(2), 1e-6
        )  # the origin is the corner of the first pixel


def test_a_pixel_size_is_all_there_is_where_there_is_no_transform(tmp_path: Path) -> None:
    with open_source(picture(tmp_path / "a.png", None), assumed_pixel_size_m=0.5) as source:
        assert source.grid.transform == Affine.scale(0.5)


def test_a_working_grid_begins_where_the_transform_says(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    with open_scene(path, SceneOptions(assumed_pixel_size_m=0.3), pixel_size_m=0.6) as scene:
        assert scene.grid.transform.almost_equals(Affine(0.6, 0, 500100, 0, -0.6, 4000900), 1e-6)
        assert scene.grid.shape == (20, 30)


@pytest.mark.parametrize("crs", ["EPSG:32611", CRS.from_epsg(32611), CRS.from_epsg(32611).to_wkt()])
def test_a_crs_can_be_named(tmp_path: Path, crs: CRS | str) -> None:
    with open_scene(
        picture(tmp_path / "a.png"), SceneOptions(assumed_crs=crs), pixel_size_m=0.6
    ) as scene:
        assert scene.grid.crs == CRS.from_epsg(32611)
        assert scene.native_grid.transform.almost_equals(WORLD, 1e-6)
        assert scene.has_crs
        assert scene.grid.shape == (20, 30)


@pytest.mark.parametrize("crs", ["EPSG:1", "somewhere", "EPSG:5703"])
def test_what_is_no_crs_on_the_earth_is_refused(tmp_path: Path, crs: str) -> None:
    with (
        pytest.raises(InputError, match="such as EPSG:32611"),
        open_scene(picture(tmp_path / "a.png"), SceneOptions(assumed_crs=crs)),
    ):
        pass


def test_a_crs_without_a_transform_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(SceneError, match=r"no transform.*world file"),
        open_scene(picture(tmp_path / "a.png", None), SceneOptions(assumed_crs="EPSG:32611")),
    ):
        pass


def test_another_crs_than_the_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    size = {"count": 1, "height": 8, "width": 8, "dtype": "uint8"}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32611", transform=WORLD, **size
    ) as file:
        file.write(np.ones((1, 8, 8), np.uint8))
    with open_scene(path, SceneOptions(assumed_crs="EPSG:32611")) as scene:
        assert scene.has_crs
    with (
        pytest.raises(SceneError, match=r"is in EPSG:32611, not in EPSG:32612.*leave it out"),
        open_scene(path, SceneOptions(assumed_crs="EPSG:32612")),
    ):
        pass


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_command_line_says_in_what_lengths_are(
    tmp_path: Path, grey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from terralink.cli import main

    def predicted(*options: str, world: Affine | None = WORLD) -> tuple[str, dict[str, object]]:
        path = picture(tmp_path / f"{world is None}.png", world)
        out = tmp_path / "p.tif"
        arguments = ["predict", path, "--model", grey, "--out", out, "--json", *options]
        assert main([str(argument) for argument in arguments]) == 0
        told = capsys.readouterr()
        return told.err, json.loads(told.out)

    assert "lengths are in pixels" in predicted(world=None)[0]
    line, _ = predicted()
    assert "lengths are in pixels" not in line
    assert "unit of its transform, of which a pixel has 0.3; name its CRS with --crs" in line
    assert predicted("--pixel-size", "0.3")[0] == ""
    line, record = predicted("--crs", "EPSG:32611", "--native")
    assert line == ""
    assert record["crs"] == "EPSG:32611"
    with rasterio.open(tmp_path / "p.tif") as file:
        assert file.transform.almost_equals(WORLD, 1e-6)
        assert file.crs.to_epsg() == 32611
