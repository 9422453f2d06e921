"""Ways between places against networkx on a graph that is really cut there."""

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString

from terralink.graph import RoadGraph
from terralink.metrics.network_points import (
    OFF_NETWORK,
    Network,
    NetworkPoints,
    concat_points,
    junction_points,
    points_along,
    snap_points,
)

nodes = st.integers(0, 4)
networks = st.lists(st.tuples(nodes, nodes, st.integers(0, 99)), min_size=1, max_size=8)


def bent(network: list[tuple[int, int, int]]) -> RoadGraph:
    """Roads between five junctions by way of a point each: loops and parallel roads too."""
    corners = [(0, 0), (100, 0), (0, 100), (100, 100), (300, 0)]
    lines = [
        LineString([corners[u], (100.5 + 7 * via % 97, 100.5 - 13 * via % 101), corners[v]])
        for u, v, via in network
    ]
    return RoadGraph.from_lines(lines, None)


def cut_graph(graph: RoadGraph, places: NetworkPoints) -> nx.MultiGraph:
    """Nodes ("junction", i) and ("place", i), and the pieces of road between them."""
    cut = nx.MultiGraph()
    for road, (u, v) in enumerate(graph.edges):
        length = graph.length_m[road]
        here = [i for i in range(len(places)) if places.road[i] == road]
        here.sort(key=lambda i: places.fraction[i])
        stops = [("junction", u), *(("place", i) for i in here), ("junction", v)]
        marks = [0, *(places.fraction[i] * length for i in here), length]
        for a, b, x, y in zip(stops, stops[1:], marks, marks[1:], strict=False):
            cut.add_edge(a, b, weight=y - x)
    return cut


@settings(deadline=None, max_examples=80)
@given(networks, st.lists(st.floats(0, 1), max_size=5))
def test_ways_are_those_of_networkx_on_the_graph_cut_at_the_places(
    network: list[tuple[int, int, int]], shares: list[float]
) -> None:
    graph = bent(network)
    road = np.arange(len(shares)) % len(graph)
    places = concat_points(junction_points(graph), NetworkPoints(road, np.array(shares, float)))
    ways = Network(graph, graph.length_m).shortest_paths(places, places)
    cut = cut_graph(graph, places)
    for i in range(len(places)):
        expected = nx.single_source_dijkstra_path_length(cut, ("place", i))
        for j in range(len(places)):
            assert ways[i, j] == pytest.approx(expected.get(("place", j), np.inf), abs=1e-9)


@settings(deadline=None)
@given(networks, st.tuples(st.floats(-50, 350), st.floats(-50, 150)), st.sampled_from([5, 60]))
def test_the_nearest_place_is_as_near_as_the_nearest_road(
    network: list[tuple[int, int, int]], xy: tuple[float, float], within_m: float
) -> None:
    graph = bent(network)
    place = snap_points(graph, np.array([xy]), within_m=within_m)
    distance = min(line.distance(shapely.Point(xy)) for line in graph.lines)
    if place.road[0] == OFF_NETWORK:
        assert distance >= within_m
    else:
        assert np.hypot(*(place.xy(graph)[0] - xy)) == pytest.approx(distance, abs=1e-6)


def test_no_way_leads_to_nowhere() -> None:
    graph = bent([(0, 1, 0)])
    places = NetworkPoints(np.array([0, OFF_NETWORK]), np.array([0.5, 0.0]))
    assert Network(graph, graph.length_m).shortest_paths(places, places).tolist() == [
        [0, np.inf],
        [np.inf, np.inf],
    ]


def test_places_along_a_road_cut_it_into_equal_parts() -> None:
    graph = RoadGraph.from_lines([LineString([(0, 0), (30, 0), (30, 30)])], None)
    assert points_along(graph, np.array([3])).xy(graph).tolist() == [[15, 0], [30, 0], [30, 15]]


def test_an_empty_graph_has_no_places() -> None:
    empty = RoadGraph.empty()
    assert len(junction_points(empty)) == len(points_along(empty, np.empty(0, int))) == 0
    assert snap_points(empty, np.zeros((1, 2)), within_m=9).road.tolist() == [OFF_NETWORK]
