"""Colours against the standard library, SciPy and the plain formula."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402

from terralink.data.augment.colour import add_noise, blur, mix_bands, shift_hsv  # noqa: E402

pytestmark = pytest.mark.torch

level = st.integers(0, 255)


def noise(bands: int) -> Tensor:
    pixels: Tensor = torch.rand(bands, 20, 30, generator=torch.Generator().manual_seed(bands))
    return pixels


@settings(deadline=None, max_examples=50)
@given(
    rgb=st.tuples(level, level, level),
    hue_deg=st.floats(-400, 400),
    saturation=st.floats(-1, 1),
    value=st.floats(-1, 1),
)
def test_hsv_is_that_of_the_standard_library(
    rgb: tuple[int, int, int], hue_deg: float, saturation: float, value: float
) -> None:
    image = (torch.tensor(rgb).float() / 255)[:, None, None]
    warp_chip = shift_hsv(image, hue_deg=hue_deg, saturation=saturation, value=value)
    old_hue, old_saturation, old_value = colorsys.rgb_to_hsv(*(band / 255 for band in rgb))
    wanted = colorsys.hsv_to_rgb(
        (old_hue + hue_deg / 360) % 1,
        float(np.clip(old_saturation + saturation, 0, 1)),
        float(np.clip(old_value + value, 0, 1)),
    )
    np.testing.assert_allclose(warp_chip.flatten(), wanted, atol=2e-5)


def test_hsv_leaves_its_input_and_further_bands_alone() -> None:
    image = noise(5)
    before = image.clone()
    warp_chip = shift_hsv(image, hue_deg=90, saturation=0.2, value=0.2)
    assert torch.equal(image, before)
    assert torch.equal(warp_chip[3:], image[3:])
    assert not torch.equal(warp_chip[:3], image[:3])


def test_mixing_is_saturation_then_contrast_then_gain() -> None:
    image, gains = noise(3), torch.tensor([0.5, 1.0, 2.0])
    grey = image.mean(0)
    wanted = grey + (image - grey) * 0.4
    wanted = wanted.mean() + (wanted - wanted.mean()) * 1.7
    wanted = wanted * gains[:, None, None]
    found = mix_bands(image, saturation=0.4, contrast=1.7, gains=gains)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_contrast_and_gain_are_for_any_number_of_bands(bands: int) -> None:
    image = noise(bands)
    wanted = (image.mean() + (image - image.mean()) * 1.5) * 0.5
    gains = torch.full((bands,), 0.5)
    found = mix_bands(image, saturation=1, contrast=1.5, gains=gains)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_blur_is_a_gaussian_mirrored_at_the_border() -> None:
    image = noise(2)
    wanted = ndimage.gaussian_filter(image.numpy(), (0, 0.8, 0.8), mode="mirror", radius=(0, 2, 2))
    np.testing.assert_allclose(blur(image, 0.8), wanted, atol=1e-6)


def test_grain_has_the_deviation_that_is_asked_and_none_in_the_mean() -> None:
    flat = torch.full((4, 64, 64), 0.5)
    grain = add_noise(flat, 0.1, seed=3) - flat
    assert grain.std().item() == pytest.approx(0.1, rel=0.05)
    assert abs(grain.mean().item()) < 0.01
    assert torch.equal(add_noise(flat, 0.1, seed=3), add_noise(flat, 0.1, seed=3))
