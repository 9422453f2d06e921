"""Pieces of a graph against networkx."""

import math

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString

from terralink.graph import RoadGraph
from terralink.metrics import Components, connectivity

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
    assert connectivity(graph).length_m.tolist() == pytest.approx(lengths)


def test_pieces_of_places_add() -> None:
    one = connectivity(RoadGraph.from_lines([LineString([(0, 0), (30, 0)])], None))
    both = sum([one, one], start=Components.zero())
    assert (both.count, both.mean_m, both.typical_m, both.largest_share) == (2, 30, 30, 0.5)


def test_an_empty_graph_has_no_pieces() -> None:
    none = connectivity(RoadGraph.empty())
    assert none.count == 0
    assert all(math.isnan(x) for x in (none.mean_m, none.typical_m, none.largest_share))
