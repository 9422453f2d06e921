"""Road scores within a distance, and the connected pieces of a graph."""

import math
from collections.abc import Sequence

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely import LineString

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.graph.polylines import Lines
from terralink.metrics import CentrelineMatch, Components, match_centrelines, measure_connectivity

UTM = CRS.from_epsg(32611)


Line = Sequence[tuple[float, float]]


def graph(*lines: Line, crs: CRS | None = None) -> RoadGraph:
    return RoadGraph.from_lines([LineString(line) for line in lines], crs)


def near_by_sampling(lines: Lines, to: Lines, within_m: float, step_m: float = 0.05) -> float:
    near = 0.0
    for line in lines:
        along = np.arange(step_m / 2, line.length, step_m)
        points = shapely.line_interpolate_point(line, along)
        nearest = np.min([shapely.distance(points, other) for other in to], axis=0)
        near += (nearest <= within_m).mean() * line.length
    return near


coordinate = st.integers(0, 40)
points = st.tuples(coordinate, coordinate)
networks = st.lists(st.lists(points, min_size=2, max_size=4, unique=True), min_size=1, max_size=4)


# No two parallel lattice lines are this far apart: on a tie the buffer and the samples may differ.
@settings(max_examples=40, deadline=None)
@given(networks, networks, st.sampled_from([3.973, 14.931]))
def test_lengths_near_are_those_of_points_sampled_along_the_lines(
    true_lines: list[Line], pred_lines: list[Line], within_m: float
) -> None:
    frame = [(0, 0), (1, 0), (40, 40)]  # in both, so that their extents overlap
    truth, pred = graph(*true_lines, frame), graph(*pred_lines, frame)
    match = match_centrelines(truth, pred, within_m=within_m)
    expected = near_by_sampling(truth.lines, pred.lines, within_m)
    assert match.truth_m == pytest.approx(truth.length_m.sum())
    assert match.truth_near_m == pytest.approx(expected, abs=0.5, rel=0.02)


def test_the_same_graph_matches_wholly() -> None:
    streets = graph([(0, 0), (100, 0)], [(50, -50), (50, 50)])
    match = match_centrelines(streets, streets)
    assert [match.precision, match.recall, match.f1] == pytest.approx([1, 1, 1])


def test_half_a_street_has_half_the_recall() -> None:
    match = match_centrelines(graph([(0, 0), (100, 0)]), graph([(0, 1), (46, 1)]))
    assert match.precision == pytest.approx(1)
    assert match.recall == pytest.approx((46 + math.sqrt(15)) / 100, abs=1e-3)


def test_a_street_further_off_than_the_distance_does_not_match() -> None:
    kerb = [(0, 4.5), (50, 4.5), (50, 5), (100, 5)]
    match = match_centrelines(graph([(0, 0), (100, 0)], [(500, 0), (500, 9)]), graph(kerb))
    assert (match.precision, match.recall, match.f1) == (0, 0, 0)


def test_parts_add_before_they_are_divided() -> None:
    total = CentrelineMatch(100, 100, 50, 25) + CentrelineMatch(0, 0, 50, 0)
    assert (total.recall, total.precision) == (1, 0.25)


def test_graphs_of_two_crs_are_brought_together() -> None:
    truth = graph([(500000, 4e6), (500100, 4e6)], crs=UTM)
    pred = truth.to_crs(CRS.from_epsg(32612))
    assert match_centrelines(truth, pred).f1 == pytest.approx(1, abs=1e-6)


def test_graphs_of_different_places_are_an_error_and_not_a_zero() -> None:
    with pytest.raises(InputError, match="do not overlap"):
        match_centrelines(graph([(0, 0), (9, 0)]), graph([(0, 100), (9, 100)]))


def test_one_graph_without_a_crs_is_an_error() -> None:
    with pytest.raises(InputError, match="CRS"):
        match_centrelines(graph([(0, 0), (9, 0)]), graph([(5e5, 4e6), (5e5, 4.1e6)], crs=UTM))


def test_an_empty_prediction_has_recall_zero_and_no_precision() -> None:
    match = match_centrelines(graph([(0, 0), (9, 0)]), RoadGraph.empty())
    assert (match.recall, match.f1) == (0, 0)
    assert math.isnan(match.precision)


def test_nothing_predicted_where_nothing_is_has_no_score() -> None:
    assert math.isnan(match_centrelines(RoadGraph.empty(UTM), RoadGraph.empty()).f1)


corner = st.tuples(st.integers(0, 5), st.integers(0, 5))


@settings(deadline=None)
@given(st.lists(st.tuples(corner, corner).filter(lambda road: road[0] != road[1]), max_size=9))
def test_pieces_are_those_of_networkx(
    roads: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    graph = RoadGraph.from_lines([LineString(road) for road in roads], None)
    network = graph.to_networkx()
    lengths = sorted(
        (network.subgraph(nodes).size("length_m") for nodes in nx.connected_components(network)),
        reverse=True,
    )
    assert measure_connectivity(graph).length_m.tolist() == pytest.approx(lengths)


def test_pieces_of_places_add() -> None:
    one = measure_connectivity(RoadGraph.from_lines([LineString([(0, 0), (30, 0)])], None))
    both = sum([one, one], start=Components.zero())
    assert (both.count, both.mean_m, both.typical_m, both.largest_share) == (2, 30, 30, 0.5)


def test_an_empty_graph_has_no_pieces() -> None:
    none = measure_connectivity(RoadGraph.empty())
    assert none.count == 0
    assert all(math.isnan(x) for x in (none.mean_m, none.typical_m, none.largest_share))
