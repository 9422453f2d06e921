"""APLS against the reference's figures, against networkx and loops over pairs, and by hand."""

import json
import math
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely import LineString, Point

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics import Apls, PathSimilarity, apls
from terralink.metrics.apls_score import estimate_speed_kmh

UTM = CRS.from_epsg(32611)

Line = Sequence[tuple[float, float]]


def graph(*lines: Line, crs: CRS | None = None) -> RoadGraph:
    return RoadGraph.from_lines([LineString(line) for line in lines], crs)


def streets(side: int, *, step_m: float = 70, shift_m: float = 0, seed: int = 0) -> RoadGraph:
    """A lattice of streets whose crossings are shifted at random."""
    shift = np.random.default_rng(seed).normal(0, shift_m, (side, side, 2))
    xy = np.moveaxis(np.mgrid[:side, :side], 0, -1) * step_m + shift
    east = np.stack([xy[:-1], xy[1:]], axis=2).reshape(-1, 2, 2)
    north = np.stack([xy[:, :-1], xy[:, 1:]], axis=2).reshape(-1, 2, 2)
    return RoadGraph.from_lines(shapely.linestrings(np.concatenate([east, north])), None)


# --- a second implementation: nodes are put into a networkx graph, pairs are looped over


def naive_points(roads: RoadGraph, spacing_m: float) -> list[Point]:
    points = [Point(xy) for xy in roads.junctions]
    for line in roads.lines:
        parts = math.ceil(line.length / spacing_m)
        if parts == 1 and line.length >= 0.75 * spacing_m:
            parts = 2
        points += [line.interpolate(i / parts, normalized=True) for i in range(1, parts)]
    return points


def with_points(roads: RoadGraph, points: list[Point], within_m: float) -> nx.MultiGraph:
    """The roads cut where point i is nearest: node ("point", i)."""
    stops: dict[int, list[tuple[float, tuple[str, int]]]] = {}
    for i, point in enumerate(points):
        distances = [point.distance(line) for line in roads.lines]
        if distances and min(distances) <= within_m:
            road = int(np.argmin(distances))
            stops.setdefault(road, []).append((roads.lines[road].project(point), ("point", i)))
    cut = nx.MultiGraph()
    for road, line in enumerate(roads.lines):
        u, v = (("junction", int(end)) for end in roads.edges[road])
        on_road = [(0.0, u), *sorted(stops.get(road, [])), (line.length, v)]
        for (x, a), (y, b) in pairwise(on_road):
            cut.add_edge(a, b, weight=y - x)
    return cut


def naive_direction(one: RoadGraph, other: RoadGraph, snap_m: float, spacing_m: float) -> float:
    points = naive_points(one, spacing_m)
    networks = with_points(one, points, 1e-6), with_points(other, points, snap_m)
    ways = [dict(nx.all_pairs_dijkstra_path_length(network)) for network in networks]
    similar = []
    for i in range(len(points)):
        for j in range(len(points)):
            length = ways[0][("point", i)].get(("point", j), 0)
            if length <= 1e-3:
                continue
            there = ways[1].get(("point", i), {}).get(("point", j), math.inf)
            similar.append(1 - min(1, abs(length - there) / length))
    return sum(similar) / len(similar) if similar else math.nan


coordinate = st.integers(0, 9)
corners = st.tuples(coordinate, coordinate)
networks = st.lists(st.tuples(corners, corners), min_size=1, max_size=7)


def drawn(network: list[tuple[tuple[int, int], tuple[int, int]]], seed: int) -> RoadGraph:
    """Straight roads between lattice points that are shifted at random: no two distances tie."""
    shift = np.random.default_rng(seed).normal(0, 1.5, (10, 10, 2))
    different = {tuple(sorted(road)) for road in network if road[0] != road[1]} | {((0, 0), (9, 9))}
    lines = [
        [np.array(corner) * 20 + shift[corner] for corner in road] for road in sorted(different)
    ]
    return RoadGraph.from_lines([LineString(line) for line in lines], None)


@settings(max_examples=25, deadline=None)
@given(networks, networks, st.sampled_from([3, 12]), st.sampled_from([25, 50]))
def test_scores_are_those_of_networkx_and_a_loop_over_pairs(
    true_roads: list[tuple[tuple[int, int], tuple[int, int]]],
    pred_roads: list[tuple[tuple[int, int], tuple[int, int]]],
    snap_m: float,
    spacing_m: float,
) -> None:
    truth, pred = drawn(true_roads, seed=0), drawn(pred_roads, seed=1)
    result = apls(truth, pred, max_snap_m=snap_m, spacing_m=spacing_m, one_per_junction=False)
    there, back = (
        naive_direction(a, b, snap_m, spacing_m) for a, b in ((truth, pred), (pred, truth))
    )
    assert result.truth_to_pred == pytest.approx(there, abs=1e-9)
    assert result.pred_to_truth == pytest.approx(back, abs=1e-9)
    assert result.error == 0


# --- the reference implementation's figures


@pytest.fixture
def oracles(data_root: Path) -> Path:
    folder = data_root.parent / "oracles" / "apls"
    if not folder.is_dir():
        pytest.skip("no reference scores beside the real data")
    return folder


@pytest.mark.data
def test_scores_are_the_references(oracles: Path) -> None:
    for case in json.loads((oracles / "reference.json").read_text()):
        truth, pred = (
            RoadGraph.from_file(oracles / case["case"] / f"{name}.geojson")
            for name in ("truth", "pred")
        )
        result = apls(truth, pred, max_snap_m=case["max_snap_m"])
        assert result.score == pytest.approx(case["apls"], abs=1e-4)
        assert result.truth_to_pred == pytest.approx(case["truth_onto_pred"], abs=1e-4)
        assert result.pred_to_truth == pytest.approx(case["pred_onto_truth"], abs=1e-4)
        ours = apls(truth, pred, max_snap_m=case["max_snap_m"], one_per_junction=False)
        if case["case"] == "vegas_img990":  # the reference loses snapped points: docs/metrics.md
            assert 0 < ours.score - case["apls"] < 0.015
        else:
            assert ours == result


# --- by hand


def test_half_a_street_by_hand() -> None:
    result = apls(graph([(0, 0), (100, 0)]), graph([(0, 1), (60, 1)]))
    # of 0-50, 0-100 and 50-100 only the first is there; the way 0-30-60 is all there
    assert result.truth_to_pred == pytest.approx(1 / 3)
    assert result.pred_to_truth == pytest.approx(1)
    assert result.score == pytest.approx(1 / 2)


def test_a_detour_costs_its_share_and_no_way_costs_all() -> None:
    square = graph([(0, 0), (0, 30)], [(0, 30), (30, 30)], [(30, 30), (30, 0)], [(30, 0), (0, 0)])
    missing_side = square.select(np.array([True, True, True, False]))
    result = apls(square, missing_side)
    # two of twelve ways are 90 m rather than 30: off by more than all, or by two thirds
    assert result.truth_to_pred == pytest.approx(10 / 12)
    assert result.pred_to_truth == pytest.approx((10 + 2 / 3) / 12)


@pytest.mark.parametrize(
    ("length_m", "points"), [(10, 2), (37, 2), (38, 3), (50, 3), (51, 3), (100, 3), (101, 4)]
)
def test_control_points_are_at_most_their_spacing_apart(length_m: float, points: int) -> None:
    street = graph([(0, 0), (length_m, 0)])
    assert apls(street, street).onto_pred.paths == points * (points - 1)


def test_a_graph_against_itself_is_one() -> None:
    town = streets(5, shift_m=4)
    result = apls(town, town)
    assert (result.score, result.truth_to_pred, result.pred_to_truth) == pytest.approx((1, 1, 1))


def test_rings_and_parallel_roads_are_ways_too() -> None:
    ring = [(0, 0), (60, 0), (60, 60), (0, 60), (0, 0)]
    twins = graph(ring, [(0, 0), (-40, -40)], [(0, 0), (-40, 0), (-40, -40)])
    assert apls(twins, twins).score == pytest.approx(1)
    assert apls(twins, twins.select(np.array([False, True, True]))).truth_to_pred < 0.7


def test_two_points_on_one_junction_are_one_as_in_the_reference_unless_all_are_asked_for() -> None:
    truth, pred = graph([(0, 0), (20, 0)], [(20, 0), (21, 0)]), graph([(0, 0), (19, 0)])
    assert apls(truth, pred).truth_to_pred == pytest.approx(2 * 19 / 21 / 6)
    every = apls(truth, pred, one_per_junction=False)
    assert every.truth_to_pred == pytest.approx((2 * 19 / 20 + 2 * 19 / 21 + 0) / 6)


def test_time_at_one_speed_scores_as_length_does() -> None:
    truth, pred = streets(4), streets(4, shift_m=3)
    by_length, by_time = apls(truth, pred), apls(truth, pred, weight="time")
    assert by_time.score == pytest.approx(by_length.score)


def test_time_tells_a_fast_road_from_a_slow_one() -> None:
    def speed(roads: RoadGraph) -> np.ndarray:
        return np.where(roads.width_m > 5, 60.0, 30.0)

    line = [LineString([(0, 0), (30, 0)])]
    wide, narrow = (RoadGraph.from_lines(line, None, width_m=width) for width in (9, 3))
    result = apls(wide, narrow, weight="time", speed_kmh=speed)
    assert (result.truth_to_pred, result.pred_to_truth) == pytest.approx((0, 0.5))


def test_speeds_grow_with_the_width_and_are_middling_where_it_is_unknown() -> None:
    lines = [LineString([(0, i), (9, i)]) for i in range(5)]
    roads = RoadGraph.from_lines(lines, None, width_m=[3, 4, 7, 12, math.nan])
    assert estimate_speed_kmh(roads).tolist() == [20, 30, 50, 70, 40]


# --- samples


def test_a_sample_is_off_by_about_its_error() -> None:
    truth, pred = streets(7, shift_m=2), streets(7, shift_m=2, seed=1)
    pred = pred.select(np.random.default_rng(2).random(len(pred)) > 0.15)
    exact = apls(truth, pred).score
    tries = [apls(truth, pred, sample=40, seed=seed) for seed in range(40)]
    off = np.array([part.score - exact for part in tries])
    errors = np.array([part.error for part in tries])
    assert 0 < errors.mean() < 0.05
    assert np.sqrt((off**2).mean()) == pytest.approx(errors.mean(), rel=0.35)


def test_a_sample_of_all_is_exact_and_a_seed_gives_the_same_again() -> None:
    truth, pred = streets(3), streets(3, shift_m=3)
    assert apls(truth, pred, sample=10_000) == apls(truth, pred)
    assert apls(truth, pred, sample=5, seed=3) == apls(truth, pred, sample=5, seed=3)


def test_blocks_of_sources_do_not_change_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, pred = streets(4), streets(4, shift_m=3)
    whole = apls(truth, pred)
    monkeypatch.setattr(import_module("terralink.metrics.apls_score"), "_PAIRS", 100)
    assert apls(truth, pred).score == pytest.approx(whole.score, rel=1e-12)


# --- parts


def test_parts_add_before_they_are_divided() -> None:
    part = Apls(PathSimilarity(1, 2, (1, 0, 0)), PathSimilarity(4, 4))
    total = part + Apls(PathSimilarity(2, 2, (3, 0, 0)), PathSimilarity(0, 4))
    assert (total.truth_to_pred, total.pred_to_truth) == (0.75, 0.5)
    assert total.onto_pred.error == pytest.approx(2 / 4)


# --- nothing, and what does not fit


def test_nothing_predicted_is_zero_and_nothing_against_nothing_has_no_score() -> None:
    street, empty = graph([(0, 0), (100, 0)]), RoadGraph.empty()
    assert apls(street, empty).score == apls(empty, street).score == 0
    assert apls(street, empty).truth_to_pred == 0
    assert math.isnan(apls(street, empty).pred_to_truth)
    assert math.isnan(apls(empty, empty).score)


def test_lines_without_length_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    street = [(0, 0), (100, 0)]
    with_dot = graph(street, [(100, 0), (100, 0)])
    assert "no length" in caplog.text
    assert apls(with_dot, graph(street)) == apls(graph(street), graph(street))


def test_graphs_of_different_places_are_an_error_and_not_a_zero() -> None:
    with pytest.raises(InputError, match="do not overlap"):
        apls(graph([(0, 0), (9, 0)]), graph([(0, 100), (9, 100)]))


def test_graphs_of_two_crs_are_brought_together() -> None:
    truth = graph([(500000, 4e6), (500100, 4e6)], crs=UTM)
    assert apls(truth, truth.to_crs(CRS.from_epsg(32612))).score == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "said"), [({"sample": 1}, "two control points"), ({"weight": "hops"}, "'time'")]
)
def test_a_wrong_option_is_told(options: dict[str, object], said: str) -> None:
    street = graph([(0, 0), (100, 0)])
    with pytest.raises(InputError, match=said):
        apls(street, street, **options)  # type: ignore[arg-type]
