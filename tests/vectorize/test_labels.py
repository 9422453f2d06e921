"""Labels to polygons: every pixel once, valid, and neighbours that share their points."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize
from skimage.measure import label

from terralink.vectorize.labels import drop_small_holes, polygonize


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))
)
@settings(deadline=None)
def test_outlines_are_a_valid_coverage_that_burns_back_to_its_labels(classes: np.ndarray) -> None:
    labels = label(classes, connectivity=1, background=0)  # type: ignore[no-untyped-call]
    polygons, numbers = polygonize(labels)
    np.testing.assert_array_equal(numbers, np.unique(labels[labels > 0]))
    assert shapely.is_valid(polygons).all()
    assert not len(polygons) or shapely.coverage_is_valid(polygons)
    burnt = np.zeros_like(labels)
    if len(polygons):
        rasterize(zip(polygons, numbers.tolist(), strict=True), out=burnt)
    np.testing.assert_array_equal(burnt, labels)


def test_a_hole_that_touches_its_outline_at_a_corner_is_a_hole() -> None:
    ring = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]])
    polygons, _ = polygonize(ring)
    assert shapely.is_valid(polygons).all()
    assert shapely.get_num_interior_rings(polygons).tolist() == [2]
    assert polygons[0].area == 12


def test_nothing_has_no_outline() -> None:
    for empty in (np.zeros((3, 3), int), np.zeros((0, 4), int), np.zeros((0, 0), int)):
        polygons, numbers = polygonize(empty)
        assert len(polygons) == len(numbers) == 0
        assert len(drop_small_holes(polygons, 1)) == 0
