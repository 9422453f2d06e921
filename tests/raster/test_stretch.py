from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from terralink.raster.stretch import MIDDLE, Stretch


def levels(low: float, middle: float, high: float, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """A band of pixels with these percentiles 2, 50 and 98."""
    return np.interp(np.linspace(0, 100, 10001), [2, 50, 98], [low, middle, high]).astype(dtype)[
        None
    ]


def test_an_ordinary_scene_stays_as_it_is() -> None:
    massachusetts = levels(10, 78, 195)
    stretch = Stretch.measured(massachusetts)
    assert stretch == Stretch.none()
    np.testing.assert_array_equal(stretch(massachusetts[:, None]), massachusetts[:, None])


def test_a_dark_scene_is_brought_to_the_middle() -> None:
    vegas = levels(1, 26, 254)
    stretch = Stretch.measured(vegas)
    bright = stretch(vegas[:, None])
    assert np.percentile(bright, [2, 50, 98]) == pytest.approx([0, 255 * MIDDLE, 255], abs=2)


@pytest.mark.parametrize("percentiles", [(200, 400, 900), (-3, 0.5, 9)])
def test_other_levels_are_brought_to_the_middle(percentiles: tuple[float, float, float]) -> None:
    scene = levels(*percentiles, dtype=np.float32)
    bright = Stretch.measured(scene)(scene[:, None])
    assert np.percentile(bright, [2, 50, 98]) == pytest.approx([0, 255 * MIDDLE, 255], abs=2)


def test_one_gamma_serves_all_bands() -> None:
    scene = np.concatenate([levels(1, 40, 250), levels(1, 20, 250)])
    red, blue = Stretch.measured(scene)(scene[:, None])
    assert np.median(red) > 255 * MIDDLE > np.median(blue)


def test_a_nearly_even_scene_is_not_blown_up() -> None:
    water = levels(20, 21, 22)
    assert np.ptp(Stretch.measured(water)(water[:, None]).astype(int)) < 60


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_even_scene_and_an_empty_one_have_a_stretch(dtype: DTypeLike) -> None:
    even: NDArray[Any] = np.full((3, 100), 7, dtype)
    assert Stretch.measured(even)(even[:, None]).dtype == np.uint8
    assert Stretch.measured(even[:, :0]) == Stretch.none()


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3, unique=True))
def test_bytes_and_floats_of_one_level_come_out_the_same(percentiles: list[int]) -> None:
    low, middle, high = (float(level) for level in sorted(percentiles))
    stretch = Stretch((low,), (middle,), (high,))
    ramp = np.arange(256, dtype=np.uint8)[None, None]
    np.testing.assert_array_equal(stretch(ramp), stretch(ramp.astype(np.float32)))
    assert (np.diff(stretch(ramp).astype(int)) >= 0).all()


def test_tags_bring_the_stretch_back() -> None:
    stretch = Stretch((0.1, 2.0), (3.3, 4.0), (1 / 3 + 9, 60.0))
    assert Stretch.from_tags(stretch.to_tags()) == stretch
    assert Stretch.from_tags({"AREA_OR_POINT": "Area"}) == Stretch.none()


def test_a_stretch_for_other_bands_is_refused() -> None:
    with pytest.raises(ValueError, match="2 bands for an image of 3"):
        Stretch((0.0, 0.0), (1.0, 1.0), (2.0, 2.0))(np.zeros((3, 1, 1), np.uint8))
