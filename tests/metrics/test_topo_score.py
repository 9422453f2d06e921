"""TOPO against networkx and loops over points, and its edge cases."""

import math
import sys
from collections.abc import Sequence
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, Point

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics import DetectionCounts, topo
from terralink.metrics.network_points import NetworkPoints
from terralink.metrics.topo_score import _draw_starts

Line = Sequence[tuple[float, float]]


def graph(*lines: Line) -> RoadGraph:
    return RoadGraph.from_lines([LineString(line) for line in lines], None)


def naive_points(
    roads: RoadGraph, road: int, at_m: float, interval_m: float, radius_m: float
) -> list[Point]:
    """Points around a start, road by road, with the start as a node of a networkx graph."""
    network = nx.MultiGraph()
    for number, line in enumerate(roads.lines):
        u, v = roads.edges[number]
        marks = [(0.0, u), (at_m, "start"), (line.length, v)]
        for (a, begin), (b, end) in pairwise(marks if number == road else marks[::2]):
            network.add_edge(begin, end, weight=b - a, stretch=(line, a, b, begin, end))
    ways = nx.single_source_dijkstra_path_length(network, "start")
    points = []
    for *_, (line, a, b, begin, end) in network.edges(data="stretch"):
        if begin not in ways:
            continue
        for number in range(math.ceil(radius_m / interval_m - 0.5)):
            way = (number + 0.5) * interval_m
            ahead, back = way - ways[begin], way - ways[end]
            if 0 <= ahead <= b - a and way <= ways[end] + (b - a) - ahead:
                points.append(line.interpolate(a + ahead))
            if 0 <= back <= b - a and way < ways[begin] + (b - a) - back:
                points.append(line.interpolate(b - back))
    return points


def naive(
    truth: RoadGraph, pred: RoadGraph, starts: NetworkPoints, hole_m: float
) -> DetectionCounts:
    total = DetectionCounts()
    for road, share in zip(starts.road.tolist(), starts.fraction.tolist(), strict=True):
        at_m = share * truth.length_m[road]
        holes = naive_points(truth, road, at_m, 9, 60)
        start = truth.lines[road].interpolate(at_m)
        distances = [line.distance(start) for line in pred.lines]
        marbles: list[Point] = []
        if min(distances) <= hole_m:
            near = int(np.argmin(distances))
            marbles = naive_points(pred, near, pred.lines[near].project(start), 9, 60)
        pairs = sorted(
            (hole.distance(marble), i, j)
            for i, hole in enumerate(holes)
            for j, marble in enumerate(marbles)
        )
        filled: set[int] = set()
        used: set[int] = set()
        for distance, i, j in pairs:
            if distance <= hole_m and i not in filled and j not in used:
                filled.add(i)
                used.add(j)
        total += DetectionCounts(len(holes), len(filled), len(marbles), len(used))
    return total


corner = st.tuples(st.integers(0, 5), st.integers(0, 5))
networks = st.lists(st.tuples(corner, corner), min_size=1, max_size=7)


def drawn(network: list[tuple[tuple[int, int], tuple[int, int]]], seed: int) -> RoadGraph:
    shift = np.random.default_rng(seed).normal(0, 1, (6, 6, 2))
    different = {tuple(sorted(road)) for road in network if road[0] != road[1]} | {((0, 0), (5, 5))}
    lines = [[np.array(end) * 10 + shift[end] for end in road] for road in sorted(different)]
    return RoadGraph.from_lines([LineString(line) for line in lines], None)


@settings(max_examples=30, deadline=None)
@given(networks, networks, st.integers(0, 3))
def test_counts_are_those_of_networkx_and_loops(
    true_roads: list[tuple[tuple[int, int], tuple[int, int]]],
    pred_roads: list[tuple[tuple[int, int], tuple[int, int]]],
    seed: int,
) -> None:
    truth, pred = drawn(true_roads, seed=0), drawn(pred_roads, seed=1)
    result = topo(truth, pred, starts=4, radius_m=60, interval_m=9, hole_m=4, seed=seed)
    assert result == naive(truth, pred, _draw_starts(truth, 4, seed), 4)


def lattice(side: int, gap: float = 0) -> RoadGraph:
    """Streets; where ``gap`` is more than 0 they stop that far from each crossing."""
    at = [(x, y) for x in range(side) for y in range(side)]
    steps = [((x, y), (x + dx, y + dy)) for x, y in at for dx, dy in ((1, 0), (0, 1))]
    streets = [np.array(s, float) * 73 for s in steps if max(s[1]) < side]
    lines = [[a + gap * (b - a) / 73, b - gap * (b - a) / 73] for a, b in streets]
    return RoadGraph.from_lines(shapely.linestrings(lines), None)


def test_a_graph_against_itself_is_one() -> None:
    result = topo(lattice(4), lattice(4), starts=20)
    assert (result.precision, result.recall) == (1, 1)
    assert result.truth > 1000


def test_roads_that_are_near_but_do_not_connect_are_not_found() -> None:
    torn = topo(lattice(4), lattice(4, gap=3), starts=20)
    assert torn.precision > 0.9
    assert torn.recall < 0.2


def test_a_seed_gives_the_same_again_and_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = topo(lattice(4), lattice(4, gap=3), starts=20, seed=5)
    monkeypatch.setattr(sys.modules["terralink.metrics.topo_score"], "_BLOCK_PATHS", 100)
    assert topo(lattice(4), lattice(4, gap=3), starts=20, seed=5) == first
    assert topo(lattice(4), lattice(4, gap=3), starts=20, seed=6) != first


def test_nothing_predicted_is_zero_and_nothing_against_nothing_has_no_score() -> None:
    street, empty = graph([(0, 0), (100, 0)]), RoadGraph.empty()
    missed, made_up = topo(street, empty), topo(empty, street)
    assert (missed.recall, missed.f1, missed.pred) == (0, 0, 0)
    assert (made_up.precision, made_up.f1, made_up.truth) == (0, 0, 0)
    assert math.isnan(topo(empty, empty).f1)


def test_a_ring_is_walked_both_ways_and_met_on_the_other_side() -> None:
    ring = graph([(0, 0), (50, 0), (50, 50), (0, 50), (0, 0)])
    assert topo(ring, ring, starts=1, interval_m=10).truth == 20


def test_graphs_of_different_places_are_an_error_and_not_a_zero() -> None:
    with pytest.raises(InputError, match="do not overlap"):
        topo(graph([(0, 0), (9, 0)]), graph([(0, 100), (9, 100)]))


@pytest.mark.parametrize("name", ["radius_m", "interval_m", "hole_m"])
def test_lengths_are_more_than_nothing(name: str) -> None:
    street = graph([(0, 0), (9, 0)])
    with pytest.raises(InputError, match=f"{name} must be more than 0"):
        topo(street, street, **{name: 0})  # type: ignore[arg-type]
