"""Scenes in windows: each pixel once, nothing invented at the edges, no file trusted blindly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS
from scipy import ndimage

from terralink.data.chips import IGNORE
from terralink.data.masks import RasterMasks, SceneVectorMasks, VectorMasks, find_labels
from terralink.data.windows import Scenes
from terralink.errors import InputError
from terralink.raster import RasterWriter, Stretch
from terralink.raster.no_data import apply_opening

Write = Callable[..., Path]
NONE = Stretch.none()


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 256, shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "side", "count"),
    [(40, 30, 16, 6), (16, 16, 16, 1), (5, 7, 16, 1)],
)
def test_windows_hold_every_pixel_once(
    tif: Write, height: int, width: int, side: int, count: int
) -> None:
    levels = noise(2, height, width)
    chips = Scenes([tif("a.tif", levels)], None, side, preset_stretch=NONE)
    assert len(chips) == count
    back = np.zeros_like(levels)
    known = np.zeros(levels.shape[1:], int)
    for index in range(count):
        window, image, mask = chips.read(index)
        there = np.argwhere(mask != IGNORE)
        rows, cols = (there + np.array([window.row, window.col])).T
        back[:, rows, cols] = image.array[:, mask != IGNORE]
        np.add.at(known, (rows, cols), 1)
        assert window.grid.bounds[0] == 600_000 + window.col
        assert window.grid.bounds[3] == 4_000_000 - window.row
    assert (known == 1).all()
    assert (back == levels).all()


def test_overlapping_windows_and_several_scenes_are_counted_through(tif: Write) -> None:
    paths = [tif(f"{side}.tif", noise(1, side, side)) for side in (10, 22, 16)]
    chips = Scenes(paths, None, 10, 4, preset_stretch=NONE)
    assert [path.stem for path in chips.list_scenes()] == ["10"] + ["22"] * 9 + ["16"] * 4
    assert chips.locate(9) == (paths[1], 12, 12)
    assert chips.locate(10) == (paths[2], 0, 0)
    for index in (-1, 14):
        with pytest.raises(IndexError):
            chips[index]


def test_an_overlap_as_wide_as_the_window_is_refused() -> None:
    with pytest.raises(InputError, match="an overlap of 16 px for windows of 16 px"):
        Scenes([], None, 16, 16)


def test_what_the_file_does_not_know_counts_nowhere_and_is_black(tif: Write) -> None:
    valid = np.ones((20, 20), bool)
    valid[:, :4] = False
    chip = Scenes([tif("a.tif", noise(3, 20, 20), valid=valid)], None, preset_stretch=NONE)[0]
    assert ((chip.mask == IGNORE) == ~valid).all()
    assert (chip.image[:, ~valid] == 0).all()


def test_black_borders_count_nowhere_but_a_black_roof_does(tif: Write) -> None:
    levels = noise(3, 60, 60)
    levels[:, :, :8] = 0
    levels[:, 30:38, 30:38] = 0
    chip = Scenes([tif("a.tif", levels)], None, preset_stretch=NONE, no_data=0)[0]
    assert (np.flatnonzero((chip.mask == IGNORE).any(axis=0)) == range(8)).all()


def test_bands_are_chosen_and_ordered(tif: Write) -> None:
    levels = noise(5, 8, 8)
    chip = Scenes([tif("a.tif", levels)], None, bands=(5, 1), preset_stretch=NONE)[0]
    assert (chip.image == levels[[4, 0]]).all()


def test_a_scene_without_crs_has_no_ground_size_and_takes_no_shapes(
    tif: Write, shapes: Write
) -> None:
    scene = tif("a.tif", noise(3, 8, 8), crs=None)
    assert Scenes([scene], None, preset_stretch=NONE)[0].pixel_size_m is None
    drawn = SceneVectorMasks(shapes("roads.geojson"), VectorMasks({"road": 1}))
    with pytest.raises(InputError, match=r"has no CRS, so .*roads\.geojson cannot be drawn"):
        Scenes([scene], drawn, preset_stretch=NONE)[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"levels": np.zeros((1, 8, 9), np.uint8)},
            r"m\.tif is 9 x 8 px, its image .*a\.tif 8 x",
        ),
        ({"levels": np.zeros((2, 8, 8), np.uint8)}, r"m\.tif: a mask is one band"),
        ({"levels": np.zeros((1, 8, 8), np.float32)}, r"one band of whole numbers.*float32"),
        ({"levels": np.full((1, 8, 8), 9, np.uint8)}, r"m\.tif: the mask holds the value 9"),
        ({"crs": CRS.from_epsg(32612)}, r"m\.tif: the mask is in another CRS"),
    ],
)
def test_a_mask_that_does_not_fit_its_scene_is_told(
    tif: Write, change: dict[str, Any], told: str
) -> None:
    scene = tif("a.tif", noise(3, 8, 8))
    mask = tif("m.tif", **{"levels": np.zeros((1, 8, 8), np.uint8), **change})
    chips = Scenes([scene], RasterMasks({scene: mask}, {0: 0, 255: 1}), preset_stretch=NONE)
    with pytest.raises(InputError, match=told):
        chips[0]


def test_a_mask_that_lies_elsewhere_is_told(tif: Write) -> None:
    scene = tif("a.tif", noise(3, 16, 16))
    whole = Scenes([scene], None, 8, preset_stretch=NONE)
    window, _, _ = whole.read(3)
    moved = scene.with_name("m.tif")
    with RasterWriter(moved, window.scene_grid.window(0, 3, (16, 16))) as writer:
        writer.write(0, 0, np.zeros((16, 16), np.uint8))
    with pytest.raises(InputError, match=r"m\.tif: the mask lies 3\.0 px away"):
        RasterMasks({scene: moved})(window)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_a_scene_that_is_cut_off_is_told(picture: Write, suffix: str) -> None:
    path = picture(f"a.{suffix}", side=64)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match=rf"a\.{suffix}.* cut off"):
        Scenes([path], None, preset_stretch=NONE)[0]


def test_one_mask_for_two_scenes_is_refused(tif: Write) -> None:
    paths = [tif(f"{name}.tif", noise(1, 8, 8)) for name in "abm"]
    with pytest.raises(InputError, match=r"one mask .*m\.tif for 2 scenes"):
        find_labels(paths[:2], paths[2], None, VectorMasks({"road": 1}))


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 5, 15]))
def test_wide_is_the_opening_by_a_square(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    mask = ndimage.zoom(rng.random((5, 6)), 8, order=0) < 0.6
    expected = ndimage.binary_opening(mask, np.ones((side, side), bool))
    assert (apply_opening(mask, side) == expected).all()
