"""A warp against SciPy's, and the cases that must be exact."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

torch = pytest.importorskip("torch")
from terralink.data.augment.warp import Affine, rotation_matrix, warp_chip  # noqa: E402

pytestmark = pytest.mark.torch

SIDE = 12
NOISE = np.random.default_rng(0).integers(0, 256, (4, 23, 17), dtype=np.uint8)


def second_opinion(affine: Affine, band: np.ndarray, *, order: int) -> np.ndarray:
    """SciPy interpolates at (row, col) of pixel centres, and calls this mirroring "reflect"."""
    rows, cols = np.mgrid[:SIDE, :SIDE] + 0.5
    x, y = affine @ np.stack([cols.ravel(), rows.ravel(), np.ones(SIDE * SIDE)])
    at = [y - 0.5, x - 0.5]
    found = ndimage.map_coordinates(band.astype(float), at, order=order, mode="reflect")
    return np.asarray(found).reshape(SIDE, SIDE)


@st.composite
def affines(draw: st.DrawFn) -> Affine:
    """Any turn, any place in and around the chip, from half the size to under the averaging."""
    angle = draw(st.floats(0, 2 * math.pi))
    steps = [draw(st.floats(0.5, 1.4)) * draw(st.sampled_from([-1, 1])) for _ in range(2)]
    first = [draw(st.floats(-60, 60)) for _ in range(2)]
    return np.column_stack([rotation_matrix(angle) * steps, first])


@settings(deadline=None, max_examples=50)
@given(affines())
def test_the_image_is_what_scipy_interpolates(affine: Affine) -> None:
    image, _mask = warp_chip(NOISE, NOISE[0], affine, side_px=SIDE)
    for band, pixels in zip(image.numpy(), NOISE, strict=True):
        wanted = second_opinion(affine, pixels, order=1)
        # A map of whole pixels within a thousandth is taken for one.
        assert np.abs(band - wanted).max() < 1


@settings(deadline=None, max_examples=50)
@given(affines())
def test_the_mask_is_what_scipy_finds_nearest(affine: Affine) -> None:
    _image, mask = warp_chip(NOISE, NOISE[0], affine, side_px=SIDE)
    agree = mask.numpy() == second_opinion(affine, NOISE[0], order=0)
    assert agree.mean() > 0.9  # halfway between two pixels either may be the nearest


@settings(deadline=None)
@given(
    turns=st.integers(0, 3),
    mirrored=st.booleans(),
    first=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
)
def test_turns_flips_and_shifts_copy_pixels(
    turns: int, mirrored: bool, first: tuple[int, int]
) -> None:
    axes = rotation_matrix(turns * math.pi / 2) * [-1 if mirrored else 1, 1]
    affine = np.column_stack([axes, first])
    image, mask = warp_chip(NOISE, NOISE[1], affine, side_px=SIDE)
    for band, pixels in zip(image.numpy(), NOISE, strict=True):
        np.testing.assert_array_equal(band, second_opinion(affine, pixels, order=0))
    np.testing.assert_array_equal(mask.numpy(), image[1].numpy())


def test_shrinking_averages_rather_than_skips() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 200).astype(np.uint8)
    affine = np.array([[4.0, 0, 8.2], [0, 4.0, 8.2]])
    image, _mask = warp_chip(board[None], board, affine, side_px=SIDE)
    np.testing.assert_allclose(image.numpy(), 100, atol=1e-3)


@pytest.mark.parametrize("shape", [(64, 64), (61, 50), (5, 3), (1, 1)])
def test_shrinking_keeps_a_ramp_where_it_is(shape: tuple[int, int]) -> None:
    ramp = np.broadcast_to(np.arange(shape[1]) * 4, shape).astype(np.uint8)
    step = max(3.0, min(shape) / SIDE)
    affine = np.array([[step, 0, 0], [0, step, 0]])
    image, mask = warp_chip(ramp[None], ramp, affine, side_px=SIDE)
    off = np.abs(image[0].numpy() - mask.numpy().astype(float)).max()
    assert off <= 4 * step  # both within a pixel of the sample
