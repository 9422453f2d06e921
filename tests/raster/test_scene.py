import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from terralink.errors import SceneError
from terralink.raster import Grid, Raster, SceneOptions, Stretch, open_scene, read_raster

GRID = Grid((6, 4), Affine(2, 0, 10, 0, -2, 100))


def test_rows_carry_their_grid_and_mask() -> None:
    array = np.arange(48).reshape(2, 6, 4)
    rows = Raster(array, GRID, array[0] % 2 == 0).rows(2, 5)
    assert rows.grid == Grid((3, 4), Affine(2, 0, 10, 0, -2, 96))
    assert rows.valid is not None
    np.testing.assert_array_equal(rows.array, array[:, 2:5])
    np.testing.assert_array_equal(rows.valid, array[0, 2:5] % 2 == 0)


def test_rows_beyond_the_end_are_cut() -> None:
    assert Raster(np.zeros((6, 4)), GRID).rows(4, 99).array.shape == (2, 4)


def test_an_array_that_does_not_fit_its_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Raster(np.zeros((4, 6)), GRID)


Make = Callable[..., Path]
UTM = Affine(0.5, 0, 600000, 0, -0.5, 4000000)
DEGREES = Affine(2.7e-6, 0, -115.17, 0, -2.7e-6, 36.24)
SIZES_M = [None, 0.5, 1.0, 1.3, 0.2, 7.0]
many_windows = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def noise(shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
    rng = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, min(np.iinfo(dtype).max, 3000), shape, dtype=dtype)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes an array (band, row, col) as a GeoTIFF and returns its path."""

    def write(
        array: NDArray[Any],
        *,
        crs: str | None = "EPSG:32611",
        transform: Affine | None = UTM,
        mask: NDArray[np.bool_] | None = None,
        colorinterp: list[ColorInterp] | None = None,
        colormap: dict[int, tuple[int, ...]] | None = None,
        **profile: Any,
    ) -> Path:
        path = tmp_path / "scene.tif"
        count, height, width = array.shape
        size = {"count": count, "height": height, "width": width, "dtype": array.dtype.name}
        place = {"crs": crs, "transform": transform} if transform is not None else {}
        with (
            warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", driver="GTiff", **size, **place, **profile) as dataset,
        ):
            dataset.write(array)
            if colorinterp is not None:
                dataset.colorinterp = colorinterp
            if colormap is not None:
                dataset.write_colormap(1, colormap)
            if mask is not None:
                dataset.write_mask(mask)
        return path

    return write


def whole(path: Path, pixel_size_m: float | None = None, **options: Any) -> Raster:
    with open_scene(path, SceneOptions(**options), pixel_size_m=pixel_size_m) as scene:
        return scene.read(0, 0, scene.grid.shape)


def assert_any_window_agrees(path: Path, data: st.DataObject, **options: Any) -> None:
    with open_scene(path, **options) as scene:
        height, width = scene.grid.shape
        row = data.draw(st.integers(-2 * height, 2 * height))
        col = data.draw(st.integers(-2 * width, 2 * width))
        shape = data.draw(st.tuples(st.integers(1, 2 * height), st.integers(1, 2 * width)))
        all_of_it, part = scene.read(0, 0, (height, width)), scene.read(row, col, shape)
    pads = ((2 * height, 4 * height), (2 * width, 4 * width))
    rows, cols = row + 2 * height, col + 2 * width
    place = np.s_[..., rows : rows + shape[0], cols : cols + shape[1]]
    assert all_of_it.valid is not None
    assert part.valid is not None
    image = np.pad(all_of_it.array, ((0, 0), *pads), mode="symmetric")
    np.testing.assert_array_equal(part.array, image[place])
    np.testing.assert_array_equal(part.valid, np.pad(all_of_it.valid, pads)[place])


@pytest.mark.parametrize("pixel_size_m", SIZES_M)
@many_windows
@given(data=st.data())
def test_a_pixel_is_the_same_through_any_window(
    make: Make, pixel_size_m: float | None, data: st.DataObject
) -> None:
    mask = np.ones((31, 23), bool)
    mask[5:9, :7] = False
    path = make(noise((3, 31, 23), np.uint16), mask=mask)
    assert_any_window_agrees(path, data, pixel_size_m=pixel_size_m)


@many_windows
@given(data=st.data())
def test_a_float_pixel_in_degrees_is_the_same_through_any_window(
    make: Make, data: st.DataObject
) -> None:
    image = noise((2, 20, 30), np.float32)
    image[0, 3, 4:20] = np.nan
    path = make(image, crs="EPSG:4326", transform=DEGREES)
    assert_any_window_agrees(path, data, pixel_size_m=0.7)


def test_chunks_of_rows_leave_no_seams(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(noise((1, 40, 40)))
    at_once = whole(path, pixel_size_m=1.3)
    monkeypatch.setattr("terralink.raster.scene._CHUNK_PX", 100)
    np.testing.assert_array_equal(whole(path, pixel_size_m=1.3).array, at_once.array)


def test_a_coarser_pixel_is_the_mean_of_the_ground_it_covers(make: Make) -> None:
    image = noise((2, 20, 30))
    coarse = whole(make(image), pixel_size_m=2.0, stretch=Stretch.none())
    inner = image[..., :28].reshape(2, 5, 4, 7, 4).mean(axis=(2, 4))
    rim = image[..., 28:].reshape(2, 5, 4, 2).mean(axis=(2, 3))
    assert np.abs(coarse.array[..., :7] - inner).max() <= 0.5
    assert np.abs(coarse.array[..., 7] - rim).max() <= 0.5
    assert coarse.grid.pixel_size_m == pytest.approx((2, 2), rel=1e-3)


def test_a_finer_pixel_lies_between_its_neighbours(make: Make) -> None:
    ramp = np.broadcast_to(np.arange(0, 200, 10, dtype=np.uint8), (1, 6, 20))
    fine = whole(make(np.ascontiguousarray(ramp)), pixel_size_m=0.25, stretch=Stretch.none())
    exact = np.clip(np.arange(40) * 5 - 2.5, 0, 190)
    assert np.abs(fine.array[0] - exact).max() <= 0.5


def test_pixels_of_two_sides_become_square_on_the_ground(make: Make) -> None:
    path = make(noise((1, 40, 60)), crs="EPSG:4326", transform=DEGREES)
    with open_scene(path, pixel_size_m=1.0) as scene:
        assert scene.native_grid.pixel_size_m == pytest.approx((0.243, 0.300), abs=0.001)
        assert scene.grid.pixel_size_m == pytest.approx((1, 1), rel=1e-6)


def test_a_size_within_a_percent_is_read_as_it_is(make: Make) -> None:
    image = noise((1, 30, 30))
    np.testing.assert_array_equal(whole(make(image), pixel_size_m=0.5).array, image)


def test_an_ordinary_scene_cut_in_two_gives_the_same_pixels(make: Make) -> None:
    image = np.clip(noise((3, 40, 40), np.uint16) // 12, 0, 255).astype(np.uint8)
    together = whole(make(image), pixel_size_m=1.0).array
    below = whole(
        make(image[:, 20:], transform=UTM @ Affine.translation(0, 20)), pixel_size_m=1.0
    ).array
    np.testing.assert_array_equal(together[:, 10:], below)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("layout", [{"tiled": True, "blockxsize": 16, "blockysize": 16}, {}])
def test_any_levels_become_bytes_around_an_ordinary_middle(
    make: Make, dtype: Any, layout: dict[str, Any]
) -> None:
    path = make((noise((3, 50, 40), np.uint16) / 25).astype(dtype), **layout)
    raster = whole(path)
    assert raster.array.dtype == np.uint8
    assert 50 < np.median(raster.array) < 160
    assert raster.valid is not None
    assert raster.valid.all()


@pytest.mark.parametrize(("dtype", "invalid"), [(np.uint8, [[0, 0]]), (np.int16, [[0, 0], [1, 1]])])
def test_one_band_of_nodata_is_a_level_of_a_byte_but_spoils_other_pixels(
    make: Make, dtype: Any, invalid: list[list[int]]
) -> None:
    image = np.full((2, 3, 4), 90, dtype)
    image[:, 0, 0] = 0
    image[0, 1, 1] = 0
    raster = whole(make(image, nodata=0))
    assert raster.valid is not None
    assert np.argwhere(~raster.valid).tolist() == invalid


def test_nodata_does_not_bleed_into_its_neighbours(make: Make) -> None:
    image = np.full((1, 8, 8), 100, np.int16)
    image[0, :3] = -9999
    raster = whole(make(image, nodata=-9999), pixel_size_m=1.0, stretch=Stretch.none())
    assert raster.valid is not None
    assert raster.valid[:, 0].tolist() == [False, True, True, True]
    assert raster.array[0, :, 0].tolist() == [0, 100, 100, 100]


@pytest.mark.parametrize("level", [np.nan, np.inf, np.finfo(np.float32).min])
def test_what_is_no_level_is_invalid_without_a_tag(make: Make, level: float) -> None:
    image = noise((2, 5, 5), np.float32)
    image[1, 2, 3] = level
    raster = whole(make(image))
    assert raster.valid is not None
    assert np.argwhere(~raster.valid).tolist() == [[2, 3]]
    assert raster.array[:, 2, 3].tolist() == [0, 0]


def test_a_scene_of_nothing_but_nodata_is_invalid_everywhere(make: Make) -> None:
    raster = whole(make(np.zeros((3, 9, 9), np.uint16), nodata=0), pixel_size_m=1.0)
    assert raster.valid is not None
    assert not raster.valid.any()
    assert not raster.array.any()


def test_alpha_is_no_image_band_but_says_what_is_valid(make: Make) -> None:
    image = noise((4, 6, 6))
    image[3] = 255
    image[3, 2:4] = 0
    kinds = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = make(image, colorinterp=kinds, nodata=7)
    with open_scene(path) as scene:
        assert scene.bands == (1, 2, 3)
        raster = scene.read(0, 0, (6, 6))
    assert raster.valid is not None
    assert raster.valid.all(axis=1).tolist() == [True, True, False, False, True, True]
    with pytest.raises(SceneError, match=r"band 4 of .* is its alpha; choose from 1, 2, 3"):
        whole(path, bands=[4])


def test_a_mask_band_says_what_is_valid(make: Make) -> None:
    mask = noise((6, 7)) > 20
    raster = whole(make(noise((3, 6, 7)), mask=mask))
    assert raster.valid is not None
    np.testing.assert_array_equal(raster.valid, mask)


def test_a_palette_becomes_red_green_and_blue(make: Make) -> None:
    indices = np.array([[[0, 1], [2, 1]]], np.uint8)
    colours = {0: (10, 20, 30, 255), 1: (200, 100, 50, 255), 2: (1, 2, 3, 255)}
    path = make(indices, photometric="palette", colormap=colours)
    with open_scene(path, SceneOptions(stretch=Stretch.none())) as scene:
        assert scene.bands == (1, 2, 3)
        image = scene.read(0, 0, (2, 2)).array
    assert image[:, 0, 0].tolist() == [10, 20, 30]
    assert image[:, 1, 1].tolist() == [200, 100, 50]
    np.testing.assert_array_equal(read_raster(path).array, indices[0])


def test_bands_are_read_in_the_order_asked_for(make: Make) -> None:
    image = noise((5, 6, 6))
    raster = whole(make(image), bands=[4, 1], stretch=Stretch.none())
    np.testing.assert_array_equal(raster.array, image[[3, 0]])


def test_bands_are_read_by_the_names_of_the_file_or_of_its_colours(make: Make) -> None:
    levels = np.arange(4 * 3, dtype=np.uint8).reshape(4, 1, 3)
    colours = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]
    path = make(levels, colorinterp=colours)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = (None, None, "B04", "NIR")
    with open_scene(
        path, SceneOptions(bands=["nir", "Red", 2, "b04"], stretch=Stretch.none())
    ) as scene:
        assert scene.bands == (4, 3, 2, 3)
        assert (scene.read(0, 0, (1, 3)).array == levels[[3, 2, 1, 2]]).all()


def test_a_band_of_an_unknown_name_is_told_with_the_nearest(make: Make) -> None:
    path = make(np.zeros((3, 2, 2), np.uint8), photometric="rgb")
    with pytest.raises(SceneError, match=r"no band named 'gren'; did you mean 'green'\?"):
        read_window(path, bands=["gren"])


def read_window(path: Path, pixel_size_m: float | None = None, **options: Any) -> Raster:
    with open_scene(path, SceneOptions(**options), pixel_size_m=pixel_size_m) as scene:
        return scene.read(0, 0, scene.grid.shape)


def test_11_bits_and_floats_of_one_scene_come_out_alike(make: Make) -> None:
    bits = np.random.default_rng(5).integers(100, 2047, (3, 90, 90), dtype=np.uint16)
    of_bits = read_window(make(bits)).array
    of_floats = read_window(make((bits / 2047).astype(np.float32))).array
    assert np.abs(of_bits.astype(int) - of_floats).max() <= 1
    assert of_bits.max() == 255


def test_without_a_crs_a_scene_is_read_in_its_own_pixels(make: Make) -> None:
    path = make(noise((1, 20, 20)), crs=None, transform=None)
    with open_scene(path, pixel_size_m=2.0) as scene:
        assert not scene.has_crs
        assert scene.grid.shape == (20, 20)
    with open_scene(path, SceneOptions(assumed_pixel_size_m=0.5), pixel_size_m=2.0) as scene:
        assert scene.grid.shape == (5, 5)
        assert scene.grid.pixel_size_m == (2, 2)


def test_a_turned_scene_is_read_along_its_own_rows(make: Make) -> None:
    turned = UTM @ Affine.rotation(30)
    path = make(noise((1, 20, 20)), transform=turned)
    with open_scene(path, pixel_size_m=1.0) as scene:
        assert scene.grid.shape == (10, 10)
        assert scene.grid.pixel_size_m == pytest.approx((1, 1), rel=1e-3)


def test_a_scene_that_is_not_rectified_is_refused(make: Make) -> None:
    path = make(noise((1, 20, 20)), crs=None, transform=None)
    corners = [(0, 0, 10.0, 50.0), (0, 20, 10.1, 50.0), (20, 0, 10.0, 49.9)]
    points = [rasterio.control.GroundControlPoint(r, c, x, y) for r, c, x, y in corners]
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    with pytest.raises(SceneError, match=r"not rectified.*gdalwarp"):
        whole(path)


def test_scenes_side_by_side_may_end_in_any_order(make: Make) -> None:
    path = make(noise((1, 20, 20)))
    first, second = open_scene(path), open_scene(path)
    one, two = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    assert two.read(0, 0, one.grid.shape).array.any()
    second.__exit__(None, None, None)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(SceneError) as caught:
        whole(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.tif").startswith(f"no such file: {tmp_path}/no.tif")


def test_a_folder_is_named(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_a_text_file_is_no_raster(tmp_path: Path) -> None:
    (tmp_path / "notes.tif").write_text("not pixels")
    assert "is not a raster that GDAL can read" in refusal(tmp_path / "notes.tif")


def test_a_truncated_file_is_told_with_the_window(make: Make) -> None:
    path = make(noise((1, 600, 600)), compress="deflate", blockysize=16)
    os.truncate(path, path.stat().st_size * 2 // 3)
    with open_scene(path, SceneOptions(stretch=Stretch.none(), no_data=())) as scene:
        scene.read(0, 0, (100, 600))
        with pytest.raises(
            SceneError, match=r"cannot read rows 500-600, columns 0-600 of .*cut off"
        ):
            scene.read(500, 0, (100, 600))
    assert "cut off" in refusal(path)


def test_a_missing_band_is_told_with_those_there_are(make: Make) -> None:
    assert "has no band 3; choose from 1, 2" in refusal(make(noise((2, 4, 4))), bands=[1, 2, 3])


def test_complex_levels_are_refused(make: Make) -> None:
    assert "complex" in refusal(make(np.zeros((1, 4, 4), np.complex64)))


def test_pixels_too_coarse_for_the_model_are_refused(make: Make) -> None:
    path = make(noise((1, 9, 9)), transform=Affine(30, 0, 600000, 0, -30, 4000000))
    assert "needs pixels of 1 m" in refusal(path, pixel_size_m=1.0)


@pytest.mark.data
@pytest.mark.skipif("TERRALINK_DATA" not in os.environ, reason="TERRALINK_DATA is not set")
def test_the_vegas_scene_is_dark_and_is_brought_to_an_ordinary_middle() -> None:
    folder = Path(os.environ["TERRALINK_DATA"]) / "spacenet-vegas"
    with open_scene(folder / "RGB-PanSharpen_AOI_2_Vegas_img0.tif", pixel_size_m=1.0) as scene:
        assert scene.bands == (1, 2, 3)
        assert scene.grid.shape == (390, 316)
        raster = scene.read(0, 0, scene.grid.shape)
    assert 80 < np.median(raster.array) < 110
