"""Lines cut at places on them; the others stay."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from terralink.graph import RoadGraph
from terralink.graph.lines import cut
from terralink.graph.polylines import Polylines
from terralink.pipeline import diff

WGS84 = CRS.from_epsg(4326)


def straight(count: int) -> Polylines:
    """Lines of 10 m, one above the other."""
    return Polylines.of(shapely.linestrings([[(0, y), (4, y), (10, y)] for y in range(count)]))


@given(
    st.integers(1, 6).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(
                st.tuples(st.integers(0, count - 1), st.integers(1, 9)), unique=True, max_size=12
            ),
        )
    )
)
def test_lines_are_cut_at_the_places_and_the_others_stay(
    given_cuts: tuple[int, list[tuple[int, int]]],
) -> None:
    count, places = given_cuts
    lines = straight(count)
    line = np.array([number for number, _ in places], np.int64)
    along = np.array([place for _, place in places], float)
    pieces, source, beside = cut(lines, line, along, np.column_stack([along, line.astype(float)]))
    for number in range(count):
        marks = [0, *sorted(place for of, place in places if of == number), 10]
        found = pieces[source == number]
        assert found.length().tolist() == np.diff(marks).tolist()
        if len(marks) == 2:
            assert np.array_equal(found.points, lines[np.array([number])].points)
    before, after = pieces[beside[:, 0]], pieces[beside[:, 1]]
    assert np.array_equal(before.tips()[:, 1], np.column_stack([along, line]))
    assert np.array_equal(after.tips()[:, 0], np.column_stack([along, line]))


FIJI = [[(179.98, -16.8), (180, -16.8)], [(-180, -16.8), (-179.98, -16.81)]]


@pytest.mark.parametrize("crs", [4326, 4269, 3857])
@pytest.mark.parametrize("shift", [0.0, -0.015, 0.015])
def test_roads_on_both_sides_of_180_degrees_are_one_place(crs: int, shift: float) -> None:
    lines = gpd.GeoSeries([shapely.LineString(np.add(line, (0, shift))) for line in FIJI], crs=4326)
    placed = lines.to_crs(crs)
    graph = RoadGraph.from_lines(placed.to_numpy(), CRS.from_epsg(crs))
    assert graph.crs is not None
    assert graph.crs.to_epsg() in (32701, 32760)
    assert sorted(graph.degree.tolist()) == [1, 1, 2]
    assert graph.length_m.tolist() == pytest.approx([2140, 2400], rel=0.02)


@settings(deadline=None)
@given(
    start=st.floats(178, 182), length=st.floats(0.001, 2), lat=st.floats(-60, 60),
    wrapped=st.booleans(),
)  # fmt: skip
def test_a_road_is_as_long_wherever_degrees_begin(
    start: float, length: float, lat: float, wrapped: bool
) -> None:
    lons = np.array([start, start + length])
    if wrapped:
        lons = np.where(lons > 180, lons - 360, lons)
    graph = RoadGraph.from_lines([shapely.LineString([(lon, lat) for lon in lons])], WGS84)
    there = RoadGraph.from_lines(
        [shapely.LineString([(lon - 120, lat) for lon in (start, start + length)])], WGS84
    )
    assert graph.length_m.sum() == pytest.approx(there.length_m.sum(), rel=1e-3)


def test_both_sides_of_180_degrees_are_compared_with_one(tmp_path: Path) -> None:
    whole = RoadGraph.from_lines(
        [shapely.LineString(np.array(line) % 360) for line in ([(179.98, 16), (180.02, 16)],)],
        WGS84,
    )
    halves = gpd.GeoSeries(
        [
            shapely.LineString([(179.98, 16), (180, 16)]),
            shapely.LineString([(-180, 16), (-179.98, 16)]),
        ],
        crs=4326,
    )
    halves.to_file(tmp_path / "halves.geojson")
    changes = diff.roads(whole, RoadGraph.from_file(tmp_path / "halves.geojson"))
    assert changes.size == pytest.approx({"new": 0, "matched": 4280, "gone": 0}, rel=0.01)
