"""What is at the threshold is positive, in shares, in bytes, and wherever they are compared."""

from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray
from pyproj import CRS

from terralink.map_kind import MapKind
from terralink.raster import Grid, Raster
from terralink.raster.pixel_values import (
    MIDDLE,
    Stretch,
    find_positive,
    keep_threshold_side,
    min_positive_value,
)
from terralink.vectorize import MapTracer, options_for
from terralink.vectorize.bands import ProbabilityReader


def levels(low: float, middle: float, high: float, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """A band of pixels with these percentiles 2, 50 and 98."""
    return np.interp(np.linspace(0, 100, 10001), [2, 50, 98], [low, middle, high]).astype(dtype)[
        None
    ]


def test_an_ordinary_scene_stays_as_it_is() -> None:
    massachusetts = levels(10, 78, 195)
    stretch = Stretch.fit(massachusetts)
    assert stretch == Stretch.none()
    np.testing.assert_array_equal(stretch(massachusetts[:, None]), massachusetts[:, None])


def test_a_dark_scene_is_regrid_the_middle() -> None:
    vegas = levels(1, 26, 254)
    stretch = Stretch.fit(vegas)
    bright = stretch(vegas[:, None])
    assert np.percentile(bright, [2, 50, 98]) == pytest.approx([0, 255 * MIDDLE, 255], abs=2)


@pytest.mark.parametrize("percentiles", [(200, 400, 900), (-3, 0.5, 9)])
def test_other_levels_are_regrid_the_middle(percentiles: tuple[float, float, float]) -> None:
    scene = levels(*percentiles, dtype=np.float32)
    bright = Stretch.fit(scene)(scene[:, None])
    assert np.percentile(bright, [2, 50, 98]) == pytest.approx([0, 255 * MIDDLE, 255], abs=2)


def test_one_gamma_serves_all_bands() -> None:
    scene = np.concatenate([levels(1, 40, 250), levels(1, 20, 250)])
    red, blue = Stretch.fit(scene)(scene[:, None])
    assert np.median(red) > 255 * MIDDLE > np.median(blue)


def test_a_nearly_even_scene_is_not_blown_up() -> None:
    water = levels(20, 21, 22)
    assert np.ptp(Stretch.fit(water)(water[:, None]).astype(int)) < 60


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_even_scene_and_an_empty_one_have_a_stretch(dtype: DTypeLike) -> None:
    even: NDArray[Any] = np.full((3, 100), 7, dtype)
    assert Stretch.fit(even)(even[:, None]).dtype == np.uint8
    assert Stretch.fit(even[:, :0]) == Stretch.none()


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


# Shares that are two decimals, and such that are a byte.
thresholds = st.one_of(
    st.integers(1, 100).map(lambda n: n / 100), st.integers(1, 255).map(lambda n: n / 255)
)


@given(thresholds)
def test_a_byte_is_positive_from_the_min_positive_value_on(threshold: float) -> None:
    levels = np.arange(256)
    positive = find_positive(levels / 255, threshold)
    assert np.flatnonzero(positive)[0] == min_positive_value(threshold)
    np.testing.assert_array_equal(positive, levels >= min_positive_value(threshold))


@given(thresholds, st.sampled_from([np.float16, np.float32, np.float64]))
def test_a_share_at_the_threshold_is_positive_in_any_float(
    threshold: float, dtype: DTypeLike
) -> None:
    below, at = np.array([threshold * 0.98, threshold], dtype)
    assert find_positive(np.array([below, at], dtype), threshold).tolist() == [False, True]


@given(thresholds, thresholds, st.lists(st.floats(0, 1, width=32), min_size=1))
def test_bytes_of_shares_are_on_the_side_of_every_threshold(
    one: float, other: float, shares: list[float]
) -> None:
    strong, weak = max(one, other), min(one, other)
    prob = np.array([*shares, strong, weak], np.float32)
    prob = np.concatenate([prob, np.nextafter(prob, np.float32(0)), [np.nan]])
    levels = keep_threshold_side(
        np.rint(np.nan_to_num(prob) * 255).astype(np.uint8), prob, strong, weak
    )
    np.testing.assert_array_equal(levels >= min_positive_value(weak), find_positive(prob, weak))
    if min_positive_value(strong) > min_positive_value(weak):
        np.testing.assert_array_equal(
            levels >= min_positive_value(strong), find_positive(prob, strong)
        )


def raster(array: NDArray[np.generic], scale: float | None = None) -> Raster:
    place = Affine(0.5, 0, 664000, 0, -0.5, 4006000)
    return Raster(array, Grid((80, 200), place, CRS.from_epsg(32611)), scale=scale)


def band_of(share: float, dtype: str) -> Raster:
    """A street or a roof of 8 x 100 m whose probability is ``share``, as it is stored."""
    full = {"uint8": 255, "uint16": 10_000}.get(dtype, 1)
    array = np.zeros((80, 200), dtype)
    array[30:46] = share if full == 1 else round(share * full)
    return raster(array, None if full == 1 else 1 / full)


@pytest.mark.parametrize("threshold", [0.2, 0.3, 0.35, 0.4, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "uint8"])
@pytest.mark.parametrize("kind", [MapKind.ROADS, MapKind.BUILDINGS])
def test_what_is_at_the_threshold_is_traced_and_what_is_below_is_not(
    kind: MapKind, dtype: str, threshold: float
) -> None:
    at = min_positive_value(threshold) / 255 if dtype == "uint8" else threshold
    for share, count in ((at, 1), (at - 1 / 255, 0)):
        tracing = MapTracer(options_for(kind, threshold=threshold), None)
        tracing.add(band_of(share, dtype))
        assert len(tracing.finish()) == count


@settings(max_examples=50)
@given(st.floats(0.01, 1), thresholds)
def test_floats_and_bytes_of_one_probability_are_positive_alike(
    share: float, threshold: float
) -> None:
    prob = np.full((1, 1), share, np.float32)
    byte = ProbabilityReader(threshold).read(Raster(prob, Grid((1, 1), Affine.identity())))
    assert (byte >= min_positive_value(threshold)).all() == find_positive(prob, threshold).all()


@pytest.mark.torch
def test_training_counts_what_is_at_the_threshold() -> None:
    torch = pytest.importorskip("torch")
    from terralink.train.task import ValCounts

    prob = torch.tensor([[[0.29, 0.3, 0.31, 0.7]]])
    truth = torch.tensor([[0, 1, 1, 1]])
    assert ValCounts.of(prob, truth, threshold=0.3).figures()["iou"] == 1
    assert ValCounts.of(prob, truth, threshold=0.7).pixels.counts.tolist() == [[1, 0], [2, 1]]


@pytest.mark.torch
def test_a_chip_without_a_known_pixel_is_in_no_mean_of_images() -> None:
    torch = pytest.importorskip("torch")
    from terralink.data.chips import IGNORE
    from terralink.train.task import ValCounts

    prob, truth = torch.tensor([[[0.9, 0.1]]]), torch.tensor([[1, 1]])
    seen = ValCounts.of(prob, truth, threshold=0.5)
    total = seen + ValCounts.of(prob, torch.full_like(truth, IGNORE), threshold=0.5)
    assert total.figures()["image_iou"] == seen.figures()["image_iou"] == 0.5
    assert total.images.left_out == 1


@pytest.mark.torch
@pytest.mark.parametrize("classes", [1, 3])
def test_a_set_without_a_known_pixel_has_figures_that_can_be_logged(classes: int) -> None:
    torch = pytest.importorskip("torch")
    from terralink.data.chips import IGNORE
    from terralink.train.task import ValCounts

    prob, truth = torch.full((classes, 2, 2), 0.4), torch.full((2, 2), IGNORE)
    assert set(ValCounts.of(prob, truth, threshold=0.5).figures().values()) == {0.0}
