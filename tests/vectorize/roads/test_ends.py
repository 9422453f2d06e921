"""Bridges over gaps: what they may join, and what they may not cross."""

from functools import partial

import numpy as np
import pytest
import shapely
from shapely import LineString

from terralink.graph import RoadGraph
from terralink.graph.polylines import Polylines, chunk_slices
from terralink.vectorize.roads import ends
from terralink.vectorize.roads.ends import bridge_gaps

HOOK = [(0, 20), (-20, 20), (-20, -60), (12, -60), (12, 60)]
WALL, STUB = [(30, -80), (30, 80)], [(55, 20), (30, 20)]


@pytest.mark.parametrize("more", [[], [WALL], [STUB]])
def test_an_end_that_points_at_its_own_road_meets_it_and_nothing_behind(
    more: list[list[tuple[float, float]]],
) -> None:
    lines = [LineString(line) for line in [HOOK, *more]]
    graph = bridge_gaps(RoadGraph.from_lines(lines, None, width_m=4.0), max_gap_m=40)
    assert shapely.is_simple(graph.lines).all()
    met = graph.junctions[graph.degree >= 3]
    np.testing.assert_allclose(met, [(12, 20)] * len(met), atol=0.1)
    one, other = shapely.STRtree(graph.lines).query(graph.lines, predicate="crosses")
    assert not len(one), (one, other)


def test_two_ends_with_a_road_of_theirs_between_are_not_joined() -> None:
    slanted = LineString([(0, 20), (-20, 14), (-14, -60), (12, -60), (12, 60)])
    stub = LineString([(45, 34), (20, 26)])
    graph = bridge_gaps(RoadGraph.from_lines([slanted, stub], None, width_m=4.0), max_gap_m=30)
    assert shapely.is_simple(graph.lines).all()
    assert sorted(graph.degree.tolist()) == [1, 1, 3, 3]


def test_a_bridge_that_another_would_cross_is_met_by_it() -> None:
    lines = [[(0, -20), (0, 60)], [(40, -20), (40, 60)], [(60, 22), (17, 22)], [(10, 60), (10, 40)]]
    crossed = [LineString(line) for line in [*lines, [(-20, 12), (60, 12)]]]
    graph = bridge_gaps(RoadGraph.from_lines(crossed, None, noding="crossings"), max_gap_m=30)
    one, _ = shapely.STRtree(graph.lines).query(graph.lines, predicate="crosses")
    assert not len(one)
    assert sorted(graph.degree.tolist()).count(3) == 2


@pytest.mark.parametrize("size", [(900, 90), (90, 900)], ids=["wide", "high"])
def test_who_meets_whom_is_the_same_however_few_are_looked_at_together(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "chunk_slices", partial(chunk_slices, rows=7))
    rng = np.random.default_rng(0)
    start = rng.uniform(0, size, (2, 60, 2))
    stop = start + rng.uniform(-40, 40, (2, 60, 2))
    lines, roads = (
        np.asarray(shapely.linestrings(np.stack(both, axis=1)))
        for both in zip(start, stop, strict=True)
    )
    line, road = ends._find_intersecting(lines, Polylines.from_shapely(roads))
    meets = shapely.intersects(lines[:, None], roads)
    assert len(line) > 10
    assert np.array_equal(np.argwhere(meets), np.column_stack([line, road]))
