"""Tiles, bands and views give one and the same probability."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from terralink import inference, raster

UTM = CRS.from_epsg(32611)


def test_tiles_agree_with_the_scene_in_one_piece(grey: Path, picture: Path) -> None:
    model = inference.load(grey)
    with raster.open_scene(picture) as scene:
        tiled = inference.scene(model, scene)
        padded = scene.read(0, 0, (1120, 1120))
        whole = next(model.stream([padded.array]))[0, : scene.grid.height, : scene.grid.width]
    assert tiled.valid is not None
    expected = np.where(tiled.valid, np.rint(whole * 255), 0)
    assert np.abs(tiled.array - expected).max() <= 1  # rounding
    assert not tiled.valid[300:350, 400:900].any()
    assert tiled.valid.sum() == 700 * 1100 - 50 * 500


def test_views_of_a_network_that_knows_no_direction_change_nothing(
    grey: Path, picture: Path
) -> None:
    model = inference.load(grey)
    with raster.open_scene(picture) as scene:
        plain, averaged = (inference.scene(model, scene, tta=tta) for tta in (False, True))
    assert np.abs(plain.array.astype(int) - averaged.array).max() <= 1


def test_what_is_written_is_what_streams(grey: Path, picture: Path, tmp_path: Path) -> None:
    model = inference.load(grey)
    with raster.open_scene(picture) as scene:
        streamed = inference.scene(model, scene)
        inference.write(tmp_path / "prob.tif", model, scene)
    written = raster.read_raster(tmp_path / "prob.tif")
    assert (written.array == streamed.array).all()
    assert written.valid is not None
    assert (written.valid == streamed.valid).all()


def test_a_scene_smaller_than_a_tile_is_predicted(grey: Path, tmp_path: Path) -> None:
    grid = raster.Grid((3, 5), Affine(1, 0, 500_000, 0, -1, 4_000_000), UTM)
    with raster.RasterWriter(tmp_path / "tiny.tif", grid, bands=3) as writer:
        writer.write(0, 0, np.full((3, 3, 5), 128, np.uint8))
    with raster.open_scene(tmp_path / "tiny.tif") as scene:
        assert inference.scene(inference.load(grey), scene).array.shape == (3, 5)


def test_a_scene_on_its_own_pixels_is_brought_to_the_models(grey: Path, tmp_path: Path) -> None:
    model = inference.load(grey)  # it wants pixels of 1 m
    grid = raster.Grid((120, 160), Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), UTM)
    with raster.RasterWriter(tmp_path / "fine.tif", grid, bands=3) as writer:
        writer.write(0, 0, np.full((3, 120, 160), 128, np.uint8))
    with raster.open_scene(tmp_path / "fine.tif") as scene:
        assert inference.scene(model, scene).grid.shape == (60, 80)
    with raster.open_scene(tmp_path / "fine.tif", pixel_size_m=2.0) as scene:
        assert inference.scene(model, scene).grid.shape == (30, 40)


def test_a_very_wide_scene_is_walked_in_columns_to_the_same_end(
    grey: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = inference.load(grey)
    with raster.open_scene(picture) as scene:
        by_rows = inference.scene(model, scene)
        monkeypatch.setattr("terralink.inference.tile_plan._WIDEST_PX", 1000)
        columns = list(inference.bands(model, scene))
        by_columns = inference.scene(model, scene)
        inference.write(tmp_path / "prob.tif", model, scene)
    assert columns[0].grid.width == scene.grid.height
    corner = columns[0].grid.xy([10], [20])  # pixel (row 20, col 10) of the scene's diagonal turn
    assert corner == scene.grid.xy([20], [10])
    for found in (by_columns, raster.read_raster(tmp_path / "prob.tif")):
        assert found.grid == scene.grid
        np.testing.assert_array_equal(found.array, by_rows.array)
        np.testing.assert_array_equal(found.valid, by_rows.valid)
