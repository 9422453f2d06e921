"""What is at the threshold is positive, in shares, in bytes, and wherever they are compared."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray
from pyproj import CRS

from terralink.raster import Grid, Raster
from terralink.raster.threshold import find_positive, keep_side, least_level
from terralink.vectorize import BuildingTracer, RoadTracer
from terralink.vectorize.bands import ProbabilityReader

# Shares that are two decimals, and such that are a byte.
thresholds = st.one_of(
    st.integers(1, 100).map(lambda n: n / 100), st.integers(1, 255).map(lambda n: n / 255)
)


@given(thresholds)
def test_a_byte_is_positive_from_the_least_level_on(threshold: float) -> None:
    levels = np.arange(256)
    positive = find_positive(levels / 255, threshold)
    assert np.flatnonzero(positive)[0] == least_level(threshold)
    np.testing.assert_array_equal(positive, levels >= least_level(threshold))


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
    levels = keep_side(np.rint(np.nan_to_num(prob) * 255).astype(np.uint8), prob, strong, weak)
    np.testing.assert_array_equal(levels >= least_level(weak), find_positive(prob, weak))
    if least_level(strong) > least_level(weak):
        np.testing.assert_array_equal(levels >= least_level(strong), find_positive(prob, strong))


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
@pytest.mark.parametrize("tracer", [RoadTracer, BuildingTracer])
def test_what_is_at_the_threshold_is_traced_and_what_is_below_is_not(
    tracer: type[RoadTracer | BuildingTracer], dtype: str, threshold: float
) -> None:
    at = least_level(threshold) / 255 if dtype == "uint8" else threshold
    for share, count in ((at, 1), (at - 1 / 255, 0)):
        tracing = tracer(threshold=threshold)
        tracing.add(band_of(share, dtype))
        assert len(tracing.finish()) == count


@settings(max_examples=50)
@given(st.floats(0.01, 1), thresholds)
def test_floats_and_bytes_of_one_probability_are_positive_alike(
    share: float, threshold: float
) -> None:
    prob = np.full((1, 1), share, np.float32)
    byte = ProbabilityReader(threshold).read(Raster(prob, Grid((1, 1), Affine.identity())))
    assert (byte >= least_level(threshold)).all() == find_positive(prob, threshold).all()


@pytest.mark.torch
def test_training_counts_what_is_at_the_threshold() -> None:
    torch = pytest.importorskip("torch")
    from terralink.train.score import Tally

    prob = torch.tensor([[[0.29, 0.3, 0.31, 0.7]]])
    truth = torch.tensor([[0, 1, 1, 1]])
    assert Tally.of(prob, truth, threshold=0.3).figures()["iou"] == 1
    assert Tally.of(prob, truth, threshold=0.7).pixels.counts.tolist() == [[1, 0], [2, 1]]


@pytest.mark.torch
def test_a_chip_without_a_known_pixel_is_in_no_mean_of_images() -> None:
    torch = pytest.importorskip("torch")
    from terralink.data.chips import IGNORE
    from terralink.train.score import Tally

    prob, truth = torch.tensor([[[0.9, 0.1]]]), torch.tensor([[1, 1]])
    seen = Tally.of(prob, truth, threshold=0.5)
    total = seen + Tally.of(prob, torch.full_like(truth, IGNORE), threshold=0.5)
    assert total.figures()["image_iou"] == seen.figures()["image_iou"] == 0.5
    assert total.images.left_out == 1


@pytest.mark.torch
@pytest.mark.parametrize("classes", [1, 3])
def test_a_set_without_a_known_pixel_has_figures_that_can_be_logged(classes: int) -> None:
    torch = pytest.importorskip("torch")
    from terralink.data.chips import IGNORE
    from terralink.train.score import Tally

    prob, truth = torch.full((classes, 2, 2), 0.4), torch.full((2, 2), IGNORE)
    assert set(Tally.of(prob, truth, threshold=0.5).figures().values()) == {0.0}
