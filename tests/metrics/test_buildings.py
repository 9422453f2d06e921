"""Buildings against a loop over all pairs, and outlines by hand."""

import math

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely import LineString, MultiPolygon, Point, Polygon, box

from terralink.errors import InputError
from terralink.metrics import DetectionCounts, match_buildings, polygon_boundary_iou

UTM = CRS.from_epsg(32611)


def town(*shapes: object, crs: CRS | None = None) -> gpd.GeoSeries:
    return gpd.GeoSeries(list(shapes), crs=crs)


corner, side = st.integers(0, 12), st.integers(1, 8)
houses = st.lists(
    st.builds(lambda x, y, w, h: box(x, y, x + w, y + h), corner, corner, side, side), max_size=8
)


@settings(deadline=None)
@given(houses, houses, st.sampled_from([0.3, 0.5]))
def test_matches_are_those_of_a_loop_that_takes_the_best_pair_that_is_free(
    truth: list[Polygon], pred: list[Polygon], least: float
) -> None:
    truth, pred = ([h for h in side if h.area >= 4] for side in (truth, pred))
    pairs = []
    for t, true_house in enumerate(truth):
        for p, pred_house in enumerate(pred):
            shared = true_house.intersection(pred_house).area
            iou = shared / (true_house.area + pred_house.area - shared)
            if iou >= least:
                pairs.append((-iou, t, p))
    taken: list[tuple[int, int]] = []
    for _, t, p in sorted(pairs):
        if all(t != i and p != j for i, j in taken):
            taken.append((t, p))
    result = match_buildings(
        town(*truth, box(0, 0, 1, 1)),
        town(*pred, box(30, 30, 31, 31)),
        iou=least,
        min_area_m2=4,
        allow_disjoint=True,
    )
    assert result == DetectionCounts(len(truth), len(taken), len(pred), len(taken))


def test_a_building_found_twice_counts_once() -> None:
    half, whole = box(0, 0, 6, 10), box(0, 0, 10, 10)
    result = match_buildings(town(whole), town(half, whole))
    assert (result.matched_truth, result.matched_pred, result.precision) == (1, 1, 0.5)


def test_areas_are_metres_in_whatever_crs() -> None:
    houses = town(box(5e5, 4e6, 5e5 + 10, 4e6 + 10), box(5e5 + 20, 4e6, 5e5 + 21, 4e6 + 1), crs=UTM)
    degrees = houses.to_crs(4326)
    assert match_buildings(houses, degrees, min_area_m2=2) == DetectionCounts(1, 1, 1, 1)
    assert match_buildings(degrees, houses, min_area_m2=2) == DetectionCounts(1, 1, 1, 1)
    assert polygon_boundary_iou(degrees, houses).iou == pytest.approx(1, abs=1e-3)


def test_a_table_of_buildings_is_as_good_as_their_column() -> None:
    houses = town(box(0, 0, 9, 9))
    assert match_buildings(gpd.GeoDataFrame(geometry=houses), houses).f1 == 1


def test_crossed_three_dimensional_and_empty_rows_are_mended_or_left_out() -> None:
    bow = Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    high = Polygon([(0, 0, 5), (9, 0, 5), (9, 9, 5)])
    mended = town(bow, high, None, Polygon(), Polygon([(1, 1), (2, 2), (1, 1)]))
    assert match_buildings(mended, mended) == DetectionCounts(2, 2, 2, 2)


def test_a_building_of_two_parts_is_one() -> None:
    parts = MultiPolygon([box(0, 0, 4, 4), box(6, 0, 10, 4)])
    assert match_buildings(town(parts), town(box(0, 0, 4, 4))) == DetectionCounts(1, 1, 1, 1)


@pytest.mark.parametrize("shape", [Point(0, 0), LineString([(0, 0), (1, 1)])])
def test_rows_that_are_not_polygons_are_refused(shape: object) -> None:
    with pytest.raises(InputError, match="buildings are polygons, not"):
        match_buildings(town(shape), town(box(0, 0, 1, 1)))


def test_buildings_of_different_places_are_an_error_and_not_a_zero() -> None:
    here, there = town(box(0, 0, 9, 9)), town(box(20, 20, 29, 29))
    for score in (match_buildings, polygon_boundary_iou):
        with pytest.raises(InputError, match="do not overlap"):
            score(here, there)
    assert match_buildings(here, there, allow_disjoint=True).f1 == 0


def test_one_side_without_a_crs_is_an_error() -> None:
    with pytest.raises(InputError, match="CRS"):
        match_buildings(town(box(5e5, 4e6, 5e5 + 9, 4e6 + 9), crs=UTM), town(box(0, 0, 9, 9)))


def test_no_buildings_have_defined_scores() -> None:
    none, one = town(), town(box(0, 0, 9, 9))
    assert math.isnan(match_buildings(none, none).f1)
    assert (match_buildings(one, none).f1, match_buildings(none, one).f1) == (0, 0)
    assert math.isnan(polygon_boundary_iou(none, none).iou)
    assert (polygon_boundary_iou(one, none).iou, polygon_boundary_iou(none, one).iou) == (0, 0)


def test_outlines_by_hand() -> None:
    # two frames of 10 m and 1 m width, one shifted by 1 m: of the long sides 9 m are shared
    shifted = polygon_boundary_iou(town(box(0, 0, 10, 10)), town(box(1, 0, 11, 10)))
    assert shifted.union == pytest.approx(2 * 36 - shifted.intersection)
    assert shifted.intersection == pytest.approx(2 * 9 * 1)


def test_a_court_has_an_outline_too() -> None:
    court = Polygon(box(0, 0, 20, 20).exterior, [box(8, 8, 12, 12).exterior])
    assert polygon_boundary_iou(town(court), town(court)).union > 76 + 16


def test_ten_thousand_buildings_count_as_many() -> None:
    x, y = (axis.ravel() * 20.0 for axis in np.mgrid[:100, :100])
    houses = gpd.GeoSeries([box(a, b, a + 12, b + 9) for a, b in zip(x, y, strict=True)])
    assert match_buildings(houses, houses.translate(1, 0)) == DetectionCounts(
        10_000, 10_000, 10_000, 10_000
    )
