"""Tiles, bands, views and crops give the same probability; prefetching changes no item."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from terralink import inference, raster
from terralink.errors import InputError
from terralink.inference import prefetch

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

UTM = CRS.from_epsg(32611)


def test_tiles_agree_with_the_scene_in_one_piece(grey: Path, picture: Path) -> None:
    model = inference.load_model(grey)
    with raster.open_scene(picture) as scene:
        tiled = inference.predict(model, scene)
        padded = scene.read(0, 0, (1120, 1120))
        whole = next(model.predict_float32([padded.array]))[
            0, : scene.grid.height, : scene.grid.width
        ]
    assert tiled.valid is not None
    expected = np.where(tiled.valid, np.rint(whole * 255), 0)
    assert np.abs(tiled.array - expected).max() <= 1  # rounding
    assert not tiled.valid[300:350, 400:900].any()
    assert tiled.valid.sum() == 700 * 1100 - 50 * 500


def test_views_of_a_network_that_knows_no_direction_change_nothing(
    grey: Path, picture: Path
) -> None:
    model = inference.load_model(grey)
    with raster.open_scene(picture) as scene:
        plain, averaged = (inference.predict(model, scene, tta=tta) for tta in (False, True))
    assert np.abs(plain.array.astype(int) - averaged.array).max() <= 1


def test_what_is_written_is_what_streams(grey: Path, picture: Path, tmp_path: Path) -> None:
    model = inference.load_model(grey)
    with raster.open_scene(picture) as scene:
        streamed = inference.predict(model, scene)
        inference.predict_to_file(tmp_path / "prob.tif", model, scene)
    written = raster.read_raster(tmp_path / "prob.tif")
    assert (written.array == streamed.array).all()
    assert written.valid is not None
    assert (written.valid == streamed.valid).all()


def test_a_scene_smaller_than_a_tile_is_predicted(grey: Path, tmp_path: Path) -> None:
    grid = raster.Grid((3, 5), Affine(1, 0, 500_000, 0, -1, 4_000_000), UTM)
    with raster.RasterWriter(tmp_path / "tiny.tif", grid, bands=3) as writer:
        writer.write(0, 0, np.full((3, 3, 5), 128, np.uint8))
    with raster.open_scene(tmp_path / "tiny.tif") as scene:
        assert inference.predict(inference.load_model(grey), scene).array.shape == (3, 5)


def test_a_scene_on_its_own_pixels_is_brought_to_the_models(grey: Path, tmp_path: Path) -> None:
    model = inference.load_model(grey)  # it wants pixels of 1 m
    grid = raster.Grid((120, 160), Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), UTM)
    with raster.RasterWriter(tmp_path / "fine.tif", grid, bands=3) as writer:
        writer.write(0, 0, np.full((3, 120, 160), 128, np.uint8))
    with raster.open_scene(tmp_path / "fine.tif") as scene:
        assert inference.predict(model, scene).grid.shape == (60, 80)
    with raster.open_scene(tmp_path / "fine.tif", pixel_size_m=2.0) as scene:
        assert inference.predict(model, scene).grid.shape == (30, 40)


def test_a_very_wide_scene_is_planned_in_columns_to_the_same_result(
    grey: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = inference.load_model(grey)
    with raster.open_scene(picture) as scene:
        by_rows = inference.predict(model, scene)
        monkeypatch.setattr("terralink.inference.tile_plan._WIDEST_PX", 1000)
        columns = list(inference.predict_bands(model, scene))
        by_columns = inference.predict(model, scene)
        inference.predict_to_file(tmp_path / "prob.tif", model, scene)
    assert columns[0].grid.width == scene.grid.height
    corner = columns[0].grid.xy([10], [20])  # pixel (row 20, col 10) of the scene's transpose
    assert corner == scene.grid.xy([20], [10])
    for found in (by_columns, raster.read_raster(tmp_path / "prob.tif")):
        assert found.grid == scene.grid
        np.testing.assert_array_equal(found.array, by_rows.array)
        np.testing.assert_array_equal(found.valid, by_rows.valid)


def patches(side_px: int) -> Pixels:
    """Grey and coloured squares of 16 px."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (3, side_px // 16, side_px // 16)).astype(np.uint8)
    image[:, ::2, ::3] = 128
    return image.repeat(16, 1).repeat(16, 2)


def test_without_shrinking_corners_are_the_image_seen_whole(grey: Path) -> None:
    model, image = inference.load_model(grey), patches(160)
    found = inference.predict_four_crops(model, image, trained_px=96, patch_px=96)
    np.testing.assert_allclose(found, next(model.predict_float32([image])), atol=0.5 / 255 + 1e-6)


def test_what_corners_share_is_their_mean(grey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = inference.load_model(grey)
    seen = (np.full((1, 64, 64), level, np.uint8) for level in (0, 51, 102, 255))
    monkeypatch.setattr(model, "predict_uint8", lambda _images: seen)
    found = inference.predict_four_crops(model, patches(96), trained_px=64, patch_px=64)[0]
    alone = (found[0, 0], found[0, -1], found[-1, 0], found[-1, -1])
    assert alone == pytest.approx((0, 0.2, 0.4, 1))
    assert (found[0, 48], found[48, 0], found[48, 48]) == pytest.approx((0.1, 0.2, 0.4))


def test_an_image_of_608_px_is_seen_as_583_px(grey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = inference.load_model(grey), []

    def predict_uint8(images: Iterable[Pixels]) -> Iterator[Pixels]:
        for image in images:
            seen.append(image)
            yield image[:1]

    monkeypatch.setattr(model, "predict_uint8", predict_uint8)
    ramp = np.linspace(0, 255, 608).astype(np.uint8)[None, None].repeat(3, 0).repeat(608, 1)
    inference.predict_four_crops(model, ramp)
    left, right = seen[0], seen[1]
    assert left.shape == right.shape == (3, 384, 384)
    # 2 x 384 - 583 = 185 columns are in both
    np.testing.assert_array_equal(left[:, :, -185:], right[:, :, :185])


def test_views_of_a_model_that_sees_pixels_change_nothing(grey: Path) -> None:
    model, image = inference.load_model(grey), patches(160)
    once, often = (
        inference.predict_four_crops(model, image, trained_px=96, patch_px=96, tta=tta)
        for tta in (False, True)
    )
    np.testing.assert_array_equal(once, often)


def test_an_image_that_is_not_square_keeps_its_sides(grey: Path) -> None:
    image = patches(608)[:, :, :432]
    assert inference.predict_four_crops(inference.load_model(grey), image).shape == (1, 608, 432)


def test_an_image_of_the_test_set_comes_back_in_its_size_and_place(grey: Path) -> None:
    model, image = inference.load_model(grey), patches(608)
    found = inference.predict_four_crops(model, image)
    assert found.shape == (1, 608, 608)
    whole = next(model.predict_float32([image]))
    inner = np.s_[:, 8::16, 8::16]  # the squares' middles, away from the edges that resizing blurs
    np.testing.assert_allclose(found[inner], whole[inner], atol=0.02)


@pytest.mark.parametrize("side_px", [320, 816])
def test_an_image_that_four_corners_do_not_cover_is_refused(grey: Path, side_px: int) -> None:
    with pytest.raises(InputError, match="400 to 800 px"):
        inference.predict_four_crops(inference.load_model(grey), patches(side_px))


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_items_come_in_their_order_and_each_once() -> None:
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([], 3)) == []


def test_no_more_items_are_computed_than_allowed() -> None:
    started = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(10):
            started.release()
            yield number

    prefetched = prefetch(items(), 2)
    next(prefetched)
    assert all(started.acquire(timeout=10) for _ in range(3))  # one was taken, two wait
    assert not started.acquire(timeout=0.05)
    prefetched.close()


def test_an_error_comes_where_its_item_is_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    prefetched = prefetch(items(), 4)
    assert next(prefetched) == 1
    with pytest.raises(KeyError, match="gone"):
        next(prefetched)


def test_closing_ends_the_thread() -> None:
    for _ in prefetch(iter(int, 1), 2):  # without end
        break
    assert not prefetch_threads()
