"""Lines become those of a graph: cut where they are joined, and each stretch once."""

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely import LineString

from terralink.graph import RoadGraph
from terralink.graph.noding import Noding, cut_at_points, drop_repeats
from terralink.graph.polylines import Lines, Polylines
from terralink.metrics import apls, match_centrelines, measure_connectivity, topo
from terralink.pipeline import diff

WGS84 = CRS.from_epsg(4326)
UTM = CRS.from_epsg(32611)


def straight(count: int) -> Polylines:
    """Lines of 10 m, one above the other."""
    return Polylines.from_shapely(
        shapely.linestrings([[(0, y), (4, y), (10, y)] for y in range(count)])
    )


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
    pieces, source, beside = cut_at_points(
        lines, line, along, np.column_stack([along, line.astype(float)])
    )
    for number in range(count):
        marks = [0, *sorted(place for of, place in places if of == number), 10]
        found = pieces[source == number]
        assert found.length().tolist() == np.diff(marks).tolist()
        if len(marks) == 2:
            assert np.array_equal(found.points, lines[np.array([number])].points)
    before, after = pieces[beside[:, 0]], pieces[beside[:, 1]]
    assert np.array_equal(before.endpoints()[:, 1], np.column_stack([along, line]))
    assert np.array_equal(after.endpoints()[:, 0], np.column_stack([along, line]))


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
    changes = diff.compare_roads(whole, RoadGraph.from_file(tmp_path / "halves.geojson"))
    assert changes.size == pytest.approx({"new": 0, "matched": 4280, "gone": 0}, rel=0.01)


Line = Sequence[tuple[float, float]]
NODINGS: list[Noding] = ["ends", "vertices", "crossings"]


def drawn(*lines: Line) -> Lines:
    result = np.empty(len(lines), dtype=object)
    result[:] = [LineString(line) for line in lines]
    return result


def graph(*lines: Line, noding: Noding = "vertices", east: float = 5e5) -> RoadGraph:
    placed = [LineString(np.add(line, (east, 4e6))) for line in lines]
    return RoadGraph.from_lines(placed, UTM, noding=noding)


def same(one: RoadGraph, other: RoadGraph) -> bool:
    """Whether both have the same junctions and lines, in whatever order and direction."""
    return bool(
        shapely.equals_exact(
            *(
                shapely.normalize(shapely.MultiLineString(list(each.lines)))
                for each in (one, other)
            ),
            tolerance=1e-6,
        )
        and len(one.junctions) == len(other.junctions)
    )


STREET: Line = [(0, 0), (120, 10), (250, 0)]
SIDE: Line = [(120, 10), (120, 200)]
TOWN: list[Line] = [STREET, SIDE, [(250, 0), (250, 150)], [(120, 200), (250, 150)]]
RING: Line = [(0, 0), (90, 0), (90, 90), (0, 90), (0, 0)]
RING_FROM_ELSEWHERE: Line = [(90, 90), (90, 0), (0, 0), (0, 90), (90, 90)]
PART: Line = [(30, 2.5), (120, 10), (185, 5)]


@pytest.mark.parametrize("noding", NODINGS)
@pytest.mark.parametrize(
    "more",
    [
        [STREET],
        [STREET[::-1]],
        [STREET, STREET[::-1], STREET],
        TOWN,
        [each[::-1] for each in TOWN],
        [PART],
        [PART[::-1]],
        [PART[:2], PART[1:]],
        [[(120, 10), (120, 100)], [(120, 60), (120, 200)]],
        [[(120, 10), (120, 10), (120, 200)]],
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_copies_of_roads_or_of_parts_of_them_change_nothing(
    more: list[Line], first: bool, noding: Noding
) -> None:
    lines = [*more, *TOWN] if first else [*TOWN, *more]
    assert graph(*lines, noding=noding).length_m.sum() == pytest.approx(
        graph(*TOWN, noding=noding).length_m.sum(), abs=1e-3
    )
    if more != [PART[:2], PART[1:]] or noding != "ends":  # these end where another road ends
        assert same(graph(*lines, noding=noding), graph(*TOWN, noding=noding))


@pytest.mark.parametrize("copy", [RING, RING[::-1], RING_FROM_ELSEWHERE])
def test_a_ring_drawn_twice_is_a_ring(copy: Line) -> None:
    once = graph(RING, copy, noding="ends")
    assert (len(once), once.length_m.sum()) == (1, 360)


@pytest.mark.parametrize(
    ("line", "length"),
    [
        ([(0, 0), (80, 0), (0, 0)], 80),
        ([(0, 0), (80, 0), (30, 0)], 80),
        ([(0, 0), (80, 0), (30, 0), (30, 50)], 130),
        ([(0, 0), (80, 0), (80, 0), (30, 0), (60, 0)], 80),
        ([*RING, (90, 0), (200, 0)], 470),
    ],
)
@pytest.mark.parametrize("noding", NODINGS)
def test_a_line_that_runs_back_along_itself_is_there_once(
    line: Line, length: float, noding: Noding
) -> None:
    once = graph(line, noding=noding)
    assert once.length_m.sum() == pytest.approx(length)
    assert measure_connectivity(once).count == 1


def test_two_lines_that_share_a_part_are_joined_at_its_ends() -> None:
    for noding in NODINGS:
        once = graph(
            [(0, 0), (100, 0), (100, 90)], [(-40, 70), (30, 0), (80, 0), (160, -50)], noding=noding
        )
        assert sorted(once.degree.tolist()) == [1, 1, 1, 1, 3, 3]
        assert measure_connectivity(once).count == 1


def test_what_was_joined_to_a_copy_is_joined_to_the_road() -> None:
    for noding in NODINGS:
        lines: list[Line] = [[(0, 0), (100, 0)], [(30, 0), (70, 0)], [(70, 0), (70, 60)]]
        once = graph(*lines, noding=noding)
        assert sorted(once.degree.tolist()) == [1, 1, 1, 3]


def test_true_parallel_carriageways_stay_two() -> None:
    for apart_m in (0.5, 2.0, 12.0):
        two = graph([(0, 0), (200, 0)], [(200, apart_m), (0, apart_m)], noding="ends")
        assert len(two) == 2
        joined = graph([(0, 0), (50, apart_m), (200, 0)], [(0, 0), (50, -apart_m), (200, 0)])
        assert len(joined) == 2


def test_lines_that_cross_touch_or_fork_stay_as_they_are() -> None:
    lines = drawn(
        [(0, 0), (100, 0)], [(50, -50), (50, 50)], [(30, 0), (30, 40)], [(0, 0), (100, 9)],
        [(0, 0), (100, 0.5)],
    )  # fmt: skip
    once, line = drop_repeats(lines, metric=True)
    assert once is lines
    assert line.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.1])
def test_copies_that_are_a_centimetre_off_are_copies(turn: float) -> None:
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    off = np.array(PART) @ turned + np.array([0.01, -0.005])
    once = RoadGraph.from_lines(
        [LineString(np.array(STREET) @ turned), LineString(off)], UTM, noding="vertices"
    )
    assert once.length_m.sum() == pytest.approx(LineString(STREET).length, abs=0.05)


def test_lines_in_degrees_without_a_crs_are_not_taken_for_copies() -> None:
    lattice = [[(x, y), (x + 0.001, y)] for x in np.arange(0, 0.02, 0.001) for y in (0, 0.001)]
    lines = drawn(*lattice)
    assert drop_repeats(lines, metric=False)[0] is lines
    assert len(drop_repeats(np.concatenate([lines, lines[:7]]), metric=False)[0]) == len(lines)


def test_points_closer_than_the_tolerance_are_no_copies_of_each_other() -> None:
    dense = drawn(np.column_stack([np.arange(0, 9, 0.01), np.zeros(900)]).tolist())
    once, _ = drop_repeats(np.concatenate([dense, dense]), metric=True)
    assert shapely.length(once).sum() == pytest.approx(dense[0].length)
    assert drop_repeats(dense, metric=True)[0] is dense


def test_widths_go_with_their_lines() -> None:
    lines = [LineString(line) for line in (SIDE, STREET, SIDE)]
    once = RoadGraph.from_lines(lines, None, width_m=[4, 9, 4], noding="ends")
    assert once.width_m.tolist() == [4, 9]


step = st.integers(0, 6).map(lambda n: n * 20)
polyline = st.lists(st.tuples(step, step), min_size=2, max_size=5).filter(lambda p: len(set(p)) > 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(polyline, min_size=1, max_size=7), st.booleans())
def test_random_lines_are_as_long_as_their_union_and_hang_together_as_it(
    lines: list[Line], metric: bool
) -> None:
    once, line = drop_repeats(drawn(*lines), metric=metric)
    union = shapely.union_all(drawn(*lines))
    assert shapely.length(once).sum() == pytest.approx(union.length)
    assert shapely.hausdorff_distance(shapely.union_all(once), union) < 1e-6
    assert line.max() < len(lines)
    again, _ = drop_repeats(once, metric=metric)
    assert shapely.length(again).sum() == pytest.approx(union.length)


@settings(max_examples=150, deadline=None)
@given(st.lists(polyline, min_size=1, max_size=5), st.data(), st.sampled_from(NODINGS))
def test_random_copies_change_no_score_of_lines(
    lines: list[Line], data: st.DataObject, noding: Noding
) -> None:
    base = graph(*lines, noding=noding)
    copies = data.draw(st.lists(st.sampled_from([*lines, *(each[::-1] for each in lines)])))
    twice = graph(*lines, *copies, noding=noding)
    assert twice.length_m.sum() == pytest.approx(base.length_m.sum())
    assert measure_connectivity(twice).length_m == pytest.approx(
        measure_connectivity(base).length_m
    )
    match = match_centrelines(base, twice)
    assert (match.precision, match.recall) == pytest.approx((1, 1))
    assert apls(base, twice).score == pytest.approx(apls(base, base).score, nan_ok=True)


def test_scores_with_copies_in_truth_or_result_are_those_without() -> None:
    pred = graph(STREET, [(120, 10), (120, 90)], [(250, 0), (250, 150)])
    twice = (
        graph(*TOWN, STREET[::-1], PART, SIDE),
        graph(STREET, STREET[::-1], [*SIDE[:1], (120, 90)], [(250, 150), (250, 0)]),
    )
    plain = graph(*TOWN), pred
    one, other = match_centrelines(*plain), match_centrelines(*twice)
    assert vars(other) == pytest.approx(vars(one), abs=1e-6)
    assert apls(*twice).score == pytest.approx(apls(*plain).score)
    assert topo(*twice) == topo(*plain)
