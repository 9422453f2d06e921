"""What a raster's values mean is decided for the whole of it: masks, probabilities, classes."""

from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import DTypeLike, NDArray
from pyproj import CRS

from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.vectorize import (
    BuildingOptions,
    BuildingTracer,
    RoadTracer,
    trace_buildings,
    trace_roads,
)
from terralink.vectorize.bands import PixelValues, ProbabilityReader, assign_scale

# Each type with what marks a pixel in its masks.
MASKS = [
    ("bool", 1), ("uint8", 1), ("uint8", 255), ("int8", 1), ("int8", 127), ("uint16", 1),
    ("uint16", 255), ("uint16", 65535), ("int16", 1), ("int16", 255), ("int16", 32767),
    ("int32", 1), ("int32", 65535), ("uint32", 2**32 - 1), ("int64", 1), ("float32", 1),
    ("float32", 255), ("float64", 65535),
]  # fmt: skip


def raster(array: NDArray[Any], scale: float | None = None) -> Raster:
    place = Affine(0.5, 0, 664000, 0, -0.5, 4006000)
    shape = (array.shape[-2], array.shape[-1])
    return Raster(array, Grid(shape, place, CRS.from_epsg(32611)), scale=scale)


def late(dtype: DTypeLike, mark: float) -> NDArray[Any]:
    """A street and a roof; nothing is marked in the first strips, nor in the last."""
    mask = np.zeros((1400, 240), np.float64)
    mask[700:716], mask[900:940, 100:160] = mark, mark
    return mask.astype(dtype)


def as_bytes(array: NDArray[Any], scale: float | None = None) -> NDArray[np.uint8]:
    return ProbabilityReader(0.5).read(assign_scale(raster(array, scale)))


@pytest.mark.parametrize(("dtype", "mark"), MASKS)
def test_a_mask_is_a_mask_whatever_its_type_and_wherever_it_begins(dtype: str, mark: float) -> None:
    mask = raster(late(dtype, mark))
    found = trace_roads(mask)
    assert found.length_m.sum() == pytest.approx(120, abs=10)
    assert len(trace_buildings(mask, BuildingOptions(min_area_m2=10))) == 2
    assert trace_buildings(mask).prob.tolist() == [1, 1]


@given(
    st.sampled_from(MASKS),
    arrays(bool, st.tuples(st.integers(1, 200), st.integers(1, 9))),
    st.integers(0, 199),
)
def test_any_pixels_of_a_mask_are_0_or_255(
    kind: tuple[str, float], marked: NDArray[np.bool_], row: int
) -> None:
    dtype, mark = kind
    marked[row % len(marked)] = True
    expected = np.where(marked, 255, 0)
    np.testing.assert_array_equal(as_bytes((marked * mark).astype(dtype)), expected)


def test_what_is_masked_has_no_say() -> None:
    mask = raster(late("uint8", 1))
    valid = np.ones(mask.grid.shape, bool)
    valid[:, :20] = False
    mask.array[:, :20] = 77
    found = trace_roads(Raster(mask.array, mask.grid, valid))
    assert found.length_m.sum() == pytest.approx(110, abs=10)
    numbers = mask.array.astype(np.float32)
    numbers[~valid] = -9999
    assert trace_roads(Raster(numbers, mask.grid, valid)).length_m.sum() == found.length_m.sum()


def test_a_raster_that_says_what_a_value_counts_is_read_by_that() -> None:
    faint = np.zeros((50, 200), np.uint8)
    faint[20:30] = 1
    assert len(trace_roads(raster(faint, scale=1 / 255))) == 0
    assert len(trace_roads(raster(faint, scale=1))) == 1
    per_cent = np.where(faint, 60, 20).astype(np.uint8)
    assert set(np.unique(as_bytes(per_cent, 0.01))) == {51, 153}
    assert set(np.unique(as_bytes(per_cent.astype(np.uint16) * 100, 0.0001))) == {51, 153}


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0, 204, 153]], np.uint8),
        np.array([[0, 102]], np.uint8),
        np.array([[0, 60, 255]], np.uint8),
        np.array([[1, 3, 9, 200]], np.uint8),
        np.arange(100, dtype=np.uint8)[None],
        np.array([[255]], np.uint8),
        np.array([[0]], np.uint8),
    ],
)
def test_bytes_of_many_values_or_with_one_over_the_threshold_are_255ths(
    array: NDArray[np.uint8],
) -> None:
    np.testing.assert_array_equal(as_bytes(array), array)


def test_probabilities_that_were_resampled_may_be_a_little_beyond() -> None:
    found = as_bytes(np.array([[-0.0004, 0.5, 1.0004, np.nan]], np.float32))
    np.testing.assert_array_equal(found, [[0, 128, 255, 0]])


@pytest.mark.parametrize(
    ("values", "dtype", "told"),
    [
        ([0, 1, 2], "uint8", "classes"),
        ([1, 2], "uint8", "classes"),
        ([0, 7], "uint8", "classes"),
        ([0, 1, 2, 255], "uint8", "classes"),
        ([0, 1, 255], "uint8", "classes"),
        ([10, 20, 30, 50, 80], "uint8", "classes"),
        ([0, 1, 2, 3], "int16", "classes"),
        ([0, 1, 2], "float32", "classes"),
        ([0, 311, 512], "uint16", "classes"),
        ([0, 0.5, 200], "float32", "scale"),
        (list(range(0, 6000, 7)), "uint16", "scale"),
        ([-8.5, 0.25, 0.5], "float32", "no data"),
        ([-1, 0, 1], "int8", "no data"),
        ([-9999, 0, 1], "int16", "no data"),
        ([0, 0.5, np.inf], "float64", "scale"),
    ],
)
@pytest.mark.parametrize("make", [trace_roads, trace_buildings])
def test_what_is_neither_a_probability_nor_a_mask_is_refused_in_one_line(
    make: Any, values: list[float], dtype: str, told: str
) -> None:
    array = np.zeros((300, 40), dtype)
    array[200, : len(values[:40])] = np.array(values[:40], dtype)
    array.ravel()[-len(values) :] = np.array(values, dtype)
    with pytest.raises(InputError, match=told) as refused:
        make(raster(array))
    assert "0 to 1" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("tracer", [RoadTracer, BuildingTracer])
def test_bands_of_a_mask_that_do_not_say_so_are_refused_in_the_end(tracer: Any) -> None:
    mask = raster(late("uint8", 1))
    for scale in (None, 1.0):
        streaming = tracer()
        for start in range(0, 1400, 200):
            streaming.add(raster(mask.array, scale).rows(start, start + 200))
        if scale is None:
            with pytest.raises(InputError, match="scale"):
                streaming.finish()
        else:
            assert len(streaming.finish()) > 0


def test_many_values_are_not_counted_and_few_are() -> None:
    values = PixelValues()
    values.add(np.arange(256, dtype=np.uint8).reshape(16, 16))
    assert values.distinct is None
    values = PixelValues()
    values.add(np.array([[0.5, np.nan, -3]]))
    assert (values.distinct, values.lowest, values.highest) == ({0.5, -3}, -3, 0.5)
    assert str(values) == "the values -3, 0.5"
