"""Chance by place: the same wherever one looks from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from terralink.synthetic import noise


@given(start=st.integers(-2000, 2000), count=st.integers(1, 60), scale_m=st.floats(0.7, 90))
@settings(deadline=None)
def test_a_window_of_noise_is_that_part_of_the_whole(
    start: int, count: int, scale_m: float
) -> None:
    whole = np.linspace(-1050.0, 1049.5, 4200)
    there = slice(start + 2100, min(start + 2100 + count, 4200))
    wide = noise.octaves(5, whole, whole[:3], scale_m, 3)
    assert np.array_equal(wide[:, there], noise.octaves(5, whole[there], whole[:3], scale_m, 3))


def test_grain_has_mean_zero_and_deviation_one() -> None:
    grain = noise.grain(3, np.arange(-300, 300), np.arange(500))
    assert abs(grain.mean()) < 0.01
    assert abs(grain.std() - 1) < 0.01


def test_neighbouring_grains_have_nothing_in_common() -> None:
    grain = noise.grain(4, np.arange(400), np.arange(400))
    assert abs((grain[1:] * grain[:-1]).mean()) < 0.02
    assert abs((grain[:, 1:] * grain[:, :-1]).mean()) < 0.02


@given(keys=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5))
@settings(deadline=None)
def test_chance_lies_between_zero_and_one_and_stays(keys: list[int]) -> None:
    assert 0 <= noise.chance(1, *keys) < 1
    assert noise.chance(1, *keys) == noise.chance(1, *keys)
