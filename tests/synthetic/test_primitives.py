"""Chance by place: the same wherever one looks from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from terralink.synthetic import primitives


@given(start=st.integers(-2000, 2000), count=st.integers(1, 60), scale_m=st.floats(0.7, 90))
@settings(deadline=None)
def test_a_window_of_noise_is_that_part_of_the_whole(
    start: int, count: int, scale_m: float
) -> None:
    whole = np.linspace(-1050.0, 1049.5, 4200)
    window = slice(start + 2100, min(start + 2100 + count, 4200))
    wide = primitives.fractal_noise(5, whole, whole[:3], scale_m, 3)
    assert np.array_equal(
        wide[:, window], primitives.fractal_noise(5, whole[window], whole[:3], scale_m, 3)
    )


def test_white_noise_has_mean_zero_and_deviation_one() -> None:
    noise = primitives.white_noise(3, np.arange(-300, 300), np.arange(500))
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01


def test_neighbouring_pixels_of_noise_have_nothing_in_common() -> None:
    noise = primitives.white_noise(4, np.arange(400), np.arange(400))
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.02
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.02


@given(keys=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5))
@settings(deadline=None)
def test_a_hash_lies_between_zero_and_one_and_stays(keys: list[int]) -> None:
    assert 0 <= primitives.hash_uniform(1, *keys) < 1
    assert primitives.hash_uniform(1, *keys) == primitives.hash_uniform(1, *keys)
