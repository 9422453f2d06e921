"""Chips at the ground size of a model: means of what they cover, and the class that covers most."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, Chip
from terralink.data.prepare import ResampledChips, resample_chip, zoom
from terralink.data.sources import PairFolders
from terralink.data.windows import Scenes
from terralink.errors import InputError
from terralink.raster import Grid, RasterWriter, SceneOptions, Stretch, open_scene

Write = Callable[..., Path]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 256, (3, height, width)).astype(np.uint8)


@given(st.integers(2, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_pixel_is_the_mean_of_what_it_covers_and_the_class_of_most(
    times: int, rows: int, cols: int, seed: int, enlarge: bool
) -> None:
    image = noise(rows * times, cols * times, seed)
    mask = np.random.default_rng(seed).choice([0, 1, 2, IGNORE], image.shape[1:]).astype(np.uint8)
    chip = resample_chip(Chip(image, mask, "a", 0.2), 0.2 * times, enlarge=enlarge)
    squares = image.reshape(3, rows, times, cols, times)
    assert (
        np.abs(chip.image - squares.mean(axis=(2, 4))).max() <= 0.6
    )  # rounded, and so are the weights
    assert chip.pixel_size_m == pytest.approx(0.2 * times)
    for row, col in np.ndindex(rows, cols):
        square = mask[row * times : (row + 1) * times, col * times : (col + 1) * times]
        counts = np.bincount(square.ravel(), minlength=256)
        if 2 * counts[IGNORE] > square.size:
            assert chip.mask[row, col] == IGNORE
        else:
            assert counts[chip.mask[row, col]] == counts[:IGNORE].max()


@given(
    st.floats(0.2, 1.4),
    st.floats(0.5, 2),
    st.floats(0.5, 2),
    st.integers(4, 40),
    st.integers(4, 40),
)
@settings(max_examples=60, deadline=None)
def test_the_ground_stays_whatever_the_sizes(
    size_m: float, aspect: float, wanted_m: float, height: int, width: int
) -> None:
    flat = np.full((1, height, width), 77, np.uint8)
    before = Chip(flat, np.ones((height, width), np.uint8), "flat", size_m, aspect)
    chip = resample_chip(before, wanted_m)
    assert chip.sides_m is not None
    assert before.sides_m is not None
    assert chip.sides_m == pytest.approx((wanted_m, wanted_m), rel=0.011)
    assert (chip.image == 77).all()
    assert (chip.mask == 1).all()
    for now_px, was_px, side_m in zip(
        chip.mask.shape, (height, width), before.sides_m[::-1], strict=True
    ):
        assert -1 < now_px - was_px * side_m / wanted_m < 1 + 0.011 * now_px
    assert zoom(chip, wanted_m) == pytest.approx(np.ones(2), rel=0.011)


def test_what_is_finer_than_wanted_is_left_to_the_warp_of_a_sample() -> None:
    chip = Chip(noise(8, 8), np.zeros((8, 8), np.uint8), "a", 0.6)
    assert resample_chip(chip, 0.3, enlarge=False) is chip
    assert zoom(chip, 0.3) == pytest.approx([2, 2])
    assert resample_chip(chip, 0.3).mask.shape == (16, 16)


def test_a_chip_that_does_not_know_its_ground_size_stays_as_it_is() -> None:
    chip = Chip(noise(8, 8), np.zeros((8, 8), np.uint8), "a")
    assert resample_chip(chip, 1.0) is chip
    assert zoom(chip, 1.0) == pytest.approx([1, 1])
    stated = ResampledChips([chip], 1.0, source_pixel_size_m=0.5)[0]
    assert stated.mask.shape == (4, 4)
    as_they_are = ResampledChips([Chip(chip.image, chip.mask, "b", 0.2)], None)[0]
    assert (as_they_are.mask.shape, as_they_are.pixel_size_m) == ((8, 8), None)


def test_pixels_of_no_picture_do_not_darken_those_beside_them() -> None:
    image, mask = np.full((3, 4, 4), 200, np.uint8), np.zeros((4, 4), np.uint8)
    image[:, :, 3], mask[:, 3] = 0, IGNORE
    chip = resample_chip(Chip(image, mask, "a", 1.0), 2.0)
    assert (chip.image == 200).all()
    assert (chip.mask == 0).all()  # half of it is known


def test_pixels_that_are_too_coarse_by_far_are_refused() -> None:
    chip = Chip(noise(8, 8), np.zeros((8, 8), np.uint8), "sentinel.tif", 10.0)
    with pytest.raises(InputError, match=r"sentinel\.tif has pixels of 10 m, the model 1 m"):
        resample_chip(chip, 1.0)


@pytest.mark.parametrize("size_m", [0.2, 0.76, 0.5])
def test_a_chip_is_what_a_scene_of_that_size_is_when_it_is_predicted(
    tif: Write, size_m: float
) -> None:
    path = tif("a.tif", noise(30, 20))
    grid = Grid((30, 20), Affine(size_m, 0, 600_000, 0, -size_m, 4_000_000), None)
    with open_scene(path) as scene:
        crs = scene.grid.crs
    with RasterWriter(path, Grid(grid.shape, grid.transform, crs), bands=3) as writer:
        writer.write(0, 0, noise(30, 20))
    chip = resample_chip(Scenes([path], None, preset_stretch=Stretch.none())[0], 1.0)
    with open_scene(path, SceneOptions(stretch=Stretch.none()), pixel_size_m=1.0) as scene:
        predicted = scene.read(0, 0, scene.grid.shape).array
    assert chip.image.shape == predicted.shape
    assert np.abs(chip.image.astype(int) - predicted).max() <= 1


def test_pairs_of_geotiffs_know_their_ground_size_unless_it_is_stated(
    tif: Write, picture: Write, tmp_path: Path
) -> None:
    tif("mine/images/a.tif", noise(16, 16))
    picture("mine/images/b.png", noise(16, 16).transpose(1, 2, 0))
    for name in "ab":
        picture(f"mine/masks/{name}.png", np.zeros((16, 16), np.uint8))
    source = PairFolders(kind="pairs", folder="mine")
    pairs = source.read(tmp_path)
    assert pairs[0].pixel_size_m == pytest.approx(1, abs=0.01)
    assert pairs[1].pixel_size_m is None
    stated = source.model_copy(update={"pixel_size_m": 0.25}).read(tmp_path)
    assert [stated[index].pixel_size_m for index in range(2)] == [0.25, 0.25]
