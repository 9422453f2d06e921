"""Extents in one CRS and in two, at every place on Earth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from shapely import box

from terralink.errors import InputError
from terralink.vector.projection import Extent, check_overlap

WGS84, UTM = CRS.from_epsg(4326), CRS.from_epsg(32611)


def test_the_gap_between_two_boxes_decides() -> None:
    here, there = (Extent((x, 0.0, x + 10, 10.0), None) for x in (0.0, 14.0))
    assert here.is_disjoint(there, 3.9)
    assert not here.is_disjoint(there, 4.1)


def test_nothing_is_nowhere() -> None:
    assert Extent.from_shapes(np.empty(0, object), UTM) is None
    assert Extent.from_shapes(np.array([None, box(0, 0, 0, 0).buffer(-1)], object), UTM) is None
    check_overlap(None, Extent((0.0, 0.0, 1.0, 1.0), None))


@settings(deadline=None)  # the first zone is looked up
@given(st.floats(-179, 178), st.floats(-79, 83))
def test_a_box_in_degrees_and_the_same_in_metres_overlap(lon: float, lat: float) -> None:
    degrees = Extent((lon, lat, lon + 0.01, lat + 0.005), WGS84)
    zone = CRS.from_epsg((32601 if lat >= 0 else 32701) + int((lon + 180) // 6))
    x, y = Transformer.from_crs(WGS84, zone, always_xy=True).transform(lon + 0.005, lat + 0.002)
    for metres in (0.0, 20_000.0):
        there = Extent((x + metres, y, x + metres + 1, y + 1), zone)
        assert degrees.is_disjoint(there, 0.0) == there.is_disjoint(degrees, 0.0) == bool(metres)


def test_the_line_says_where_both_are_in_their_own_units() -> None:
    here = Extent((-115.2, 36.1, -115.1, 36.2), WGS84)
    there = Extent((700000.0, 4000000.0, 700100.0, 4000100.0), UTM)
    with pytest.raises(InputError, match=r"the map is at \(-115.20000, .*EPSG:4326, the ref.* at"):
        check_overlap(here, there, names=("the map", "the ref"))


def test_coordinates_that_are_not_of_their_crs_are_elsewhere() -> None:
    here = Extent((300000.0, 4000000.0, 300100.0, 4000100.0), UTM)
    assert here.is_disjoint(Extent((5000.0, 5000.0, 5001.0, 5001.0), WGS84), 0.0)
