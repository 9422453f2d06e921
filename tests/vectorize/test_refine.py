"""Mean field against sums over all pairs of pixels, and what it does to noise and to edges."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.vectorize import Kernels, refine_with_crf
from terralink.vectorize.refine import build_lattice_filter

Floats = NDArray[np.float64]
KERNELS = Kernels(
    smooth_px=1.5, smooth_weight=2, bilateral_px=8, bilateral_colour=25, bilateral_weight=4
)


def raster(array: NDArray[np.generic]) -> Raster:
    return Raster(array, Grid((array.shape[-2], array.shape[-1]), Affine.identity()))


def exact(features: Floats) -> Floats:
    """The kernel of all pairs."""
    return np.asarray(np.exp(-0.5 * ((features[:, None] - features[None]) ** 2).sum(axis=-1)))


def naive(prob: Floats, image: NDArray[np.uint8], kernels: Kernels, rounds: int) -> Floats:
    """The paper's equations as they stand, all pairs of pixels, symmetrically normalised."""
    place = np.indices(prob.shape[1:]).reshape(2, -1).T
    colour = image.reshape(len(image), -1).T / kernels.bilateral_colour
    both = (
        (kernels.smooth_weight, exact(place / kernels.smooth_px)),
        (
            kernels.bilateral_weight,
            exact(np.concatenate([place / kernels.bilateral_px, colour], axis=1)),
        ),
    )
    unary = np.log(prob.reshape(len(prob), -1))
    belief = np.exp(unary) / np.exp(unary).sum(axis=0)
    for _ in range(rounds):
        logits = unary.copy()
        for weight, kernel in both:
            root = np.sqrt(kernel.sum(axis=1))
            others = kernel - np.eye(len(kernel))
            logits += weight * (belief / root) @ others / root
        belief = np.exp(logits - logits.max(axis=0))
        belief /= belief.sum(axis=0)
    return np.asarray(belief.reshape(prob.shape))


def noisy_field(seed: int, size: int = 24) -> tuple[Floats, NDArray[np.uint8], NDArray[np.bool_]]:
    """A bright disc on dark ground, a probability that is often wrong, and the truth."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:size, :size] - size / 2
    truth = np.hypot(rows, cols) < size / 3
    image = np.clip(np.where(truth, 170, 70) + rng.normal(0, 12, (3, size, size)), 0, 255)
    prob = np.clip(np.where(truth, 0.65, 0.35) + rng.normal(0, 0.2, truth.shape), 0.02, 0.98)
    return prob, image.astype(np.uint8), truth


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_the_lattice_filters_as_the_sum_over_all_pairs(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    points = rng.uniform(0, 3, (500, dimensions)) * np.sqrt(2 / dimensions)
    values = rng.random((2, 500))
    kernel = exact(points)
    filtered, summed = build_lattice_filter(points)(values), values @ kernel
    ones = build_lattice_filter(points)(np.ones((1, 1)))
    np.testing.assert_allclose(filtered, summed, rtol=0.35)
    np.testing.assert_allclose(filtered / ones, summed / kernel.sum(axis=0), atol=0.06)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=8)
def test_beliefs_are_those_of_the_exact_mean_field(seed: int) -> None:
    prob, image, _ = noisy_field(seed)
    ours = refine_with_crf(raster(prob), raster(image), kernels=KERNELS).array
    theirs = naive(np.stack([1 - prob, prob]), image, KERNELS, 5)[1]
    assert np.abs(ours - theirs).mean() < 0.02
    assert ((ours > 0.5) == (theirs > 0.5)).mean() > 0.98


def test_several_classes_add_to_one_and_agree_too() -> None:
    rng = np.random.default_rng(0)
    prob = rng.dirichlet(np.ones(3), (20, 20)).transpose(2, 0, 1)
    image = np.kron(rng.integers(0, 255, (3, 4, 4)), np.ones((1, 5, 5))).astype(np.uint8)
    ours = refine_with_crf(raster(prob), raster(image), kernels=KERNELS).array
    np.testing.assert_allclose(ours.sum(axis=0), 1, atol=1e-5)
    theirs = naive(prob, image, KERNELS, 5)
    assert (ours.argmax(axis=0) == theirs.argmax(axis=0)).mean() > 0.95


def test_noise_goes_and_edges_of_the_image_are_kept() -> None:
    prob, image, truth = noisy_field(1, size=60)
    refined = refine_with_crf(raster(prob), raster(image)).array
    assert ((prob > 0.5) != truth).mean() > 0.15
    assert ((refined > 0.5) != truth).mean() < 0.01


def test_pixels_without_data_neither_speak_nor_change() -> None:
    prob, image, _ = noisy_field(2)
    prob[3, 4] = np.nan
    valid = np.ones(prob.shape, bool)
    valid[10:14] = False
    grid = raster(prob).grid
    refined = refine_with_crf(Raster(prob, grid, valid), raster(image)).array
    np.testing.assert_array_equal(refined[10:14], prob[10:14].astype(np.float32))
    assert np.isnan(refined[3, 4])
    loud = prob.copy()
    loud[10:14] = 0.9
    again = refine_with_crf(Raster(loud, grid, valid), raster(image)).array
    np.testing.assert_array_equal(np.delete(again, range(10, 14), 0),
                                  np.delete(refined, range(10, 14), 0))  # fmt: skip


def test_one_pixel_keeps_its_class_and_nothing_known_stays_so() -> None:
    one = refine_with_crf(raster(np.array([[0.7]])), raster(np.zeros((3, 1, 1), np.uint8)))
    assert one.array[0, 0] > 0.5
    none = refine_with_crf(raster(np.full((4, 4), np.nan)), raster(np.zeros((3, 4, 4), np.uint8)))
    assert np.isnan(none.array).all()
    bytes_ = refine_with_crf(
        raster(np.full((4, 4), 204, np.uint8)), raster(np.zeros((3, 4, 4), np.uint8))
    )
    assert (bytes_.array > 0.8).all()


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    prob, image = raster(np.full((4, 4), 0.5)), raster(np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(InputError, match="one grid"):
        refine_with_crf(prob, image)
    with pytest.raises(InputError, match="0 to 1"):
        refine_with_crf(raster(np.full((4, 5), 7.0)), image)
    with pytest.raises(InputError, match="round"):
        refine_with_crf(raster(np.full((4, 5), 0.5)), image, rounds=0)
