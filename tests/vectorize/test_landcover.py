"""Classes to a coverage: shared edges, slivers, and nothing lost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pyproj import CRS
from scipy import ndimage

from terralink import synthetic
from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.vectorize import LandcoverOptions, LandcoverTracer, trace_landcover


def raster(classes: object, pixel_m: float = 1) -> Raster:
    array = np.asarray(classes)
    place = Affine(pixel_m, 0, 664000, 0, -pixel_m, 4006000)
    return Raster(array, Grid((array.shape[-2], array.shape[-1]), place, CRS.from_epsg(32611)))


def blobs(seed: int, size: int = 80) -> NDArray[np.int64]:
    """Three classes in rounded patches."""
    noise = np.random.default_rng(seed).normal(size=(3, size, size))
    return np.asarray(ndimage.gaussian_filter(noise, (0, 4, 4)).argmax(axis=0))


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=st.integers(0, 3)),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_any_classes_become_a_coverage_of_all_the_ground(
    classes: NDArray[np.uint8], simplify_m: float, min_area_m2: int
) -> None:
    table = trace_landcover(
        raster(classes), LandcoverOptions(min_area_m2=min_area_m2, simplify_m=simplify_m)
    )
    assert shapely.is_valid(table.geometry).all()
    assert shapely.coverage_is_valid(np.asarray(table.geometry))
    if simplify_m == 0:
        assert table.area_m2.sum() == pytest.approx(classes.size)
    if len(table) > 1 and simplify_m == 0:
        assert table.area_m2.min() >= min_area_m2


def test_neighbours_share_their_simplified_edges() -> None:
    table = trace_landcover(raster(blobs(1)), LandcoverOptions(min_area_m2=20, simplify_m=2))
    shapes = np.asarray(table.geometry)
    assert shapely.coverage_is_valid(shapes)
    plain = trace_landcover(raster(blobs(1)), LandcoverOptions(min_area_m2=20, simplify_m=0))
    assert shapely.get_num_coordinates(shapes).sum() < (
        shapely.get_num_coordinates(np.asarray(plain.geometry)).sum() / 3
    )
    np.testing.assert_array_equal(table["class"], plain["class"])
    assert shapely.union_all(shapes).area == pytest.approx(table.area_m2.sum())


def test_a_sliver_goes_to_the_neighbour_with_the_longest_shared_edge() -> None:
    classes = np.full((20, 30), 1)
    classes[:, 15:] = 2
    classes[9:11, 13:18] = 3  # two columns of it in 1, three in 2
    table = trace_landcover(raster(classes), LandcoverOptions(min_area_m2=50, simplify_m=0))
    assert table["class"].tolist() == [1, 2]
    assert table.area_m2.tolist() == [20 * 15 - 4, 20 * 15 + 4]


def test_what_a_sliver_parted_is_one_region_when_it_is_gone() -> None:
    classes = np.full((20, 31), 5)
    classes[:, 15] = 8
    table = trace_landcover(raster(classes), LandcoverOptions(min_area_m2=50, simplify_m=0))
    assert table["class"].tolist() == [5]
    assert table.area_m2.tolist() == [620]


def in_bands(
    probs: NDArray[Any],
    height: int,
    scale: float | None = None,
    classes: list[str] | None = None,
    **how: Any,
) -> Any:
    tracer = LandcoverTracer(LandcoverOptions(simplify_m=0, **how), classes=classes)
    whole = raster(probs)
    whole = replace(whole, scale=scale)
    for start in range(0, whole.grid.height, height):
        tracer.add(whole.rows(start, min(start + height, whole.grid.height)))
    return tracer.finish()


@given(
    arrays(np.float32, (3, 9, 8), elements=st.floats(0, 1, width=32)),
    st.integers(1, 9),
    st.sampled_from([None, 0.3, 0.8]),
)
@settings(deadline=None, max_examples=40)
def test_each_pixel_is_of_its_most_probable_class_in_whatever_bands_it_comes(
    probs: NDArray[np.float32], height: int, least: float | None
) -> None:
    expected = probs.argmax(axis=0)
    most = probs.max(axis=0)
    known = most >= (np.float32(least) if least else 0.003)
    known &= ~((most > 0) & (most < 0.004))  # less than a byte tells
    probs = np.where((most > 0) & (most < 0.004), 0, probs)
    table = in_bands(probs, height, min_probability=least, min_area_m2=0)
    counts = table.groupby("class").area_m2.sum().to_dict() if len(table) else {}
    wanted, pixels = np.unique(expected[known], return_counts=True)
    assert counts == dict(zip(wanted.tolist(), pixels.tolist(), strict=True))


def test_probabilities_that_only_floats_tell_apart_are_told_apart() -> None:
    probs = np.full((2, 10, 10), 0.5, np.float32)
    probs[1] += 1e-4
    assert in_bands(probs, 3)["class"].tolist() == [1]


def test_classes_have_names_and_one_band_is_its_class_alone() -> None:
    probs = np.full((2, 30, 30), 40, np.uint8)
    probs[1, :, 20:] = 200
    table = in_bands(probs, 7, 1 / 255, classes=["wood", "water"])
    assert list(table.columns) == ["class", "name", "area_m2", "geometry"]
    assert table.name.tolist() == ["wood", "water"]
    table = in_bands(probs[1:], 7, 1 / 255, classes=["field"])
    assert (table["class"].tolist(), table.name.tolist()) == ([1], ["field"])
    assert table.area_m2.tolist() == [300]


def test_what_is_not_known_or_seen_by_no_class_has_none() -> None:
    probs = np.full((2, 10, 10), 0.4, np.float32)
    probs[:, :2] = np.nan
    probs[:, 2:5] = 0
    assert in_bands(probs, 4).area_m2.tolist() == [50]


def test_bands_of_another_number_than_there_are_classes_are_refused() -> None:
    with pytest.raises(InputError, match="3 classes"):
        in_bands(np.zeros((2, 4, 4), np.float32), 4, classes=["a", "b", "c"])
    with pytest.raises(InputError, match="0 to 1"):
        in_bands(np.zeros((2, 4, 4), np.float32), 4, min_probability=2)


def test_what_is_masked_is_in_no_polygon() -> None:
    classes = np.ones((10, 10))
    classes[4, 4] = np.nan
    valid = np.ones((10, 10), bool)
    valid[:, 0] = False
    scene = raster(classes)
    table = trace_landcover(Raster(scene.array, scene.grid, valid), LandcoverOptions(simplify_m=0))
    assert table.area_m2.tolist() == [89]
    assert len(table.geometry[0].interiors) == 1


def test_nothing_known_is_an_empty_coverage_with_its_crs() -> None:
    table = trace_landcover(raster(np.full((4, 4), np.nan)))
    assert len(table) == 0
    assert table.crs.to_epsg() == 32611


def test_one_pixel_is_a_region() -> None:
    table = trace_landcover(raster([[7]], pixel_m=0.5), LandcoverOptions(simplify_m=0))
    assert table["class"].tolist() == [7]
    assert table.area_m2.tolist() == [0.25]


def test_a_drawn_town_becomes_a_coverage() -> None:
    drawn = synthetic.draw((300, 300), seed=2, pixel_size_m=1)
    cover = drawn.landcover(0, 0, (300, 300))
    table = trace_landcover(Raster(cover, drawn.grid), LandcoverOptions(min_area_m2=30))
    assert shapely.coverage_is_valid(np.asarray(table.geometry))
    assert set(table["class"]) <= set(np.unique(cover).tolist())
    assert table.area_m2.sum() == pytest.approx(90_000, rel=1e-3)


def test_what_are_no_classes_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="whole numbers"):
        trace_landcover(raster(np.full((3, 3), 0.5)))
    with pytest.raises(InputError, match="one band"):
        trace_landcover(raster(np.zeros((2, 3, 3))))
