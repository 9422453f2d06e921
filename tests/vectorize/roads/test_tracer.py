"""Masks of streets to maps: what stays, what goes, and the same map however it is cut."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS
from scipy.spatial import cKDTree
from shapely import LineString

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics import match_centrelines
from terralink.raster import Grid, Raster
from terralink.vectorize import RoadOptions, RoadTracer, trace_roads
from terralink.vectorize.roads.strips import StripBuffer

PIXELS = Affine.identity()
UTM = CRS.from_epsg(32611)
DEGREES = Affine(2.7e-6, 0, -115.17, 0, -2.7e-6, 36.24)


def raster(
    array: NDArray[np.generic], transform: Affine = PIXELS, crs: CRS | None = None
) -> Raster:
    return Raster(array, Grid((array.shape[-2], array.shape[-1]), transform, crs))


def streets(
    shape: tuple[int, int], *lines: list[tuple[float, float]], wide_px: float = 8
) -> NDArray[np.float32]:
    """A mask of streets whose centre lines are given in pixels (x, y)."""
    rows, cols = np.indices(shape) + 0.5
    centres = shapely.points(np.column_stack([cols.ravel(), rows.ravel()]))
    lines_ = shapely.union_all([LineString(line) for line in lines])
    mask = (shapely.distance(centres, lines_) <= wide_px / 2).reshape(shape)
    return np.asarray(mask, dtype=np.float32)


@functools.cache
def crooked_town(seed: int = 1, size: int = 300) -> NDArray[np.float32]:
    """A grid of crooked streets whose edges are rough, and with gaps."""
    rng = np.random.default_rng(seed)
    xy = np.stack(np.meshgrid(np.arange(6), np.arange(6)), axis=-1) * 62.0 - 8
    xy += rng.normal(0, 5, xy.shape)
    lines = [*xy.tolist(), *xy.swapaxes(0, 1).tolist()]
    mask = streets((size, size), *lines, wide_px=9)
    for row, col in rng.integers(0, size, (60, 2)):
        mask[row : row + 6, col : col + 6] = 0
    return np.asarray(np.clip(mask + rng.normal(0, 0.15, mask.shape), 0, 1), dtype=np.float32)


def in_bands(prob: Raster, heights: list[int]) -> RoadGraph:
    tracer, start = RoadTracer(), 0
    while start < prob.grid.height:
        height = heights[start % len(heights)]
        tracer.add(prob.rows(start, min(start + height, prob.grid.height)))
        start += height
    return tracer.finish()


def same(a: RoadGraph, b: RoadGraph) -> None:
    np.testing.assert_array_equal(a.junctions, b.junctions)
    np.testing.assert_array_equal(a.edges, b.edges)
    assert (a.lines == b.lines).all()
    np.testing.assert_array_equal(a.width_m, b.width_m)


def test_a_crossing_is_one_junction_of_four_roads() -> None:
    mask = streets((120, 120), [(10, 60), (110, 60)], [(60, 10), (60, 110)])
    graph = trace_roads(raster(mask))
    assert sorted(graph.degree.tolist()) == [1, 1, 1, 1, 4]
    crossing = graph.junctions[graph.degree == 4][0]
    np.testing.assert_allclose(crossing, (60, 60), atol=1)
    assert graph.length_m.sum() == pytest.approx(200, abs=12)
    np.testing.assert_allclose(graph.width_m, 8, atol=0.7)
    np.testing.assert_allclose(graph.prob, 1)


def test_a_skewed_crossing_is_one_junction_too() -> None:
    mask = streets((160, 160), [(10, 80), (150, 80)], [(30, 20), (130, 140)], wide_px=10)
    assert sorted(trace_roads(raster(mask)).degree.tolist()) == [1, 1, 1, 1, 4]


def test_a_ring_is_one_road_with_one_junction() -> None:
    rows, cols = np.mgrid[:90, :90] - 45
    ring = np.abs(np.hypot(rows, cols) - 30) < 4
    graph = trace_roads(raster(ring.astype(np.float32)))
    assert len(graph) == len(graph.junctions) == 1
    assert graph.length_m[0] == pytest.approx(2 * np.pi * 30, rel=0.03)


def test_two_ways_around_a_block_are_two_roads() -> None:
    block = [(60.0, 40.0), (140, 40), (140, 90), (60, 90), (60, 40)]
    mask = streets((130, 200), block, [(10, 65), (60, 65)], [(140, 65), (190, 65)])
    graph = trace_roads(raster(mask))
    assert sorted(graph.degree.tolist()) == [1, 1, 3, 3]
    assert len(graph) == 4


def test_two_ways_around_a_tree_are_one_road() -> None:
    mask = streets((60, 200), [(10, 30), (190, 30)], wide_px=12)
    mask[28:32, 98:104] = 0
    assert len(trace_roads(raster(mask))) == 1


def test_a_spur_shorter_than_the_road_is_wide_is_pruned() -> None:
    road = [(10.0, 60.0), (190, 60)]
    mask = streets((120, 200), road, [(100, 60), (100, 82)], wide_px=24)
    assert len(trace_roads(raster(mask), RoadOptions(min_spur_m=0))) == 1


def test_a_side_street_is_kept_when_it_is_long_enough() -> None:
    mask = streets((120, 200), [(10, 60), (190, 60)], [(100, 60), (100, 84)])
    assert len(trace_roads(raster(mask), RoadOptions(min_spur_m=15))) == 3
    assert len(trace_roads(raster(mask), RoadOptions(min_spur_m=40))) == 1


def test_the_end_of_a_road_that_forks_stays_one_end() -> None:
    mask = streets((80, 200), [(10, 40), (150, 40), (158, 32)], [(150, 40), (158, 48)], wide_px=5)
    graph = trace_roads(raster(mask))
    assert len(graph) == 1
    assert graph.length_m[0] > 140


def test_a_gap_between_two_ends_is_bridged() -> None:
    mask = streets((60, 200), [(10, 30), (80, 30)], [(104, 33), (190, 33)])
    assert len(trace_roads(raster(mask), RoadOptions(max_gap_m=30))) == 1
    assert len(trace_roads(raster(mask), RoadOptions(max_gap_m=10))) == 2


def test_ends_that_do_not_point_at_each_other_are_not_bridged() -> None:
    mask = streets((120, 200), [(10, 40), (90, 40)], [(80, 62), (190, 62)])
    assert len(trace_roads(raster(mask))) == 2


def broken(between: float, gap_px: int, *, shape: tuple[int, int] = (60, 200)) -> Raster:
    """A road along the rows with a gap in its middle, of which the mask knows ``between``."""
    prob = streets(shape, [(10, shape[0] / 2), (shape[1] - 10, shape[0] / 2)])
    first = (shape[1] - gap_px) // 2
    gap = prob[:, first : first + gap_px]
    gap[gap > 0] = between
    prob[0, 0] = 0.01  # no mask of 0 and 1 alone
    return raster(prob)


@pytest.mark.parametrize(
    ("between", "gap_px", "roads_left"),
    [(0.0, 12, 1), (0.0, 24, 2), (0.2, 24, 1), (0.2, 48, 2), (0.45, 48, 1), (0.45, 70, 2)],
)
def test_a_gap_is_bridged_as_far_as_the_probability_between_goes(
    between: float, gap_px: int, roads_left: int
) -> None:
    assert len(trace_roads(broken(between, gap_px), RoadOptions(max_gap_m=30))) == roads_left


def test_what_lies_between_counts_against_the_weak_threshold() -> None:
    graph = trace_roads(
        broken(0.25, 48), RoadOptions(threshold=0.7, weak_threshold=0.3, max_gap_m=30)
    )
    assert len(graph) == 1
    assert len(trace_roads(broken(0.25, 48), RoadOptions(threshold=0.7, max_gap_m=30))) == 2


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_a_mask_bridges_by_direction_and_distance_alone(kind: Callable[[int], Any]) -> None:
    mask = broken(0.0, 20).array > 0.5
    full = kind(255 if kind is np.uint8 else 1)
    assert len(trace_roads(raster(np.where(mask, full, kind(0))), RoadOptions(max_gap_m=30))) == 1


@pytest.mark.parametrize(("between", "met"), [(0.0, False), (0.45, True)])
def test_an_end_meets_the_side_of_a_road_as_far_as_the_probability_goes(
    between: float, met: bool
) -> None:
    mask = streets((140, 120), [(10, 20), (110, 20)], [(60, 20), (60, 130)])
    mask[24:64, 50:70] *= np.float32(between)
    graph = trace_roads(raster(np.maximum(mask, np.float32(0.01))), RoadOptions(max_gap_m=30))
    assert (3 in graph.degree) == met


@pytest.mark.parametrize("heights", [[1], [37, 200], [900]])
def test_a_faint_gap_across_seams_is_bridged_whatever_the_bands(heights: list[int]) -> None:
    across = broken(0.45, 44, shape=(60, 1024))  # its gap holds the seam at 512
    prob = raster(np.ascontiguousarray(across.array.T))
    graph = in_bands(prob, heights)
    assert len(graph) == 1
    same(graph, trace_roads(prob))


def test_what_is_masked_speaks_for_no_road() -> None:
    prob = broken(0.45, 48)
    hidden = np.ones(prob.array.shape, bool)
    hidden[:, 76:124] = False
    assert len(trace_roads(Raster(prob.array, prob.grid, hidden), RoadOptions(max_gap_m=30))) == 2


def test_an_end_that_points_at_the_side_of_a_road_meets_it() -> None:
    mask = streets((120, 120), [(10, 20), (110, 20)], [(60, 45), (60, 110)])
    graph = trace_roads(raster(mask))
    assert sorted(graph.degree.tolist()) == [1, 1, 1, 3]
    np.testing.assert_allclose(graph.junctions[graph.degree == 3][0], (60, 20), atol=2)


def test_two_gaps_that_cross_become_a_crossing() -> None:
    mask = streets((160, 160), [(10, 80), (150, 80)], [(80, 10), (80, 150)])
    mask[70:90, 70:90] = 0
    graph = trace_roads(raster(mask))
    assert sorted(graph.degree.tolist()) == [1, 1, 1, 1, 4]


def test_a_short_piece_that_hangs_together_with_nothing_is_no_road() -> None:
    mask = streets((100, 200), [(10, 20), (190, 20)], [(90, 80), (112, 80)])
    assert len(trace_roads(raster(mask), RoadOptions(max_gap_m=0))) == 1
    assert len(trace_roads(raster(mask), RoadOptions(max_gap_m=0, min_component_m=10))) == 2


def test_steps_of_pixels_are_gone() -> None:
    line = LineString([(12.0, 20.0), (240, 71)])
    graph = trace_roads(raster(streets((90, 250), list(line.coords), wide_px=7)))
    assert shapely.hausdorff_distance(graph.lines[0], line) < 4.5
    assert graph.length_m[0] == pytest.approx(line.length, rel=0.03)
    assert shapely.get_num_coordinates(graph.lines[0]) <= 5


def test_a_bridge_has_the_width_and_probability_of_its_road() -> None:
    prob = streets((60, 200), [(10, 30), (80, 30)], [(104, 30), (190, 30)]) * np.float32(0.8)
    graph = trace_roads(raster(prob))
    assert graph.width_m[0] == pytest.approx(8, abs=0.7)
    assert graph.prob[0] == pytest.approx(0.8, abs=1e-3)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(3, 150), min_size=1, max_size=5), st.sampled_from([None, "degrees"]))
def test_the_map_is_the_same_whatever_the_bands(heights: list[int], where: str | None) -> None:
    transform, crs = (DEGREES, CRS.from_epsg(4326)) if where else (PIXELS, None)
    prob = raster(crooked_town(size=200), transform, crs)
    same(in_bands(prob, heights), trace_roads(prob))


@pytest.mark.parametrize("rows", [40, 64, 97])
def test_the_map_is_the_same_whatever_the_strips(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prob = raster(crooked_town())
    whole = trace_roads(prob)
    monkeypatch.setattr(
        StripBuffer.__init__, "__kwdefaults__", {"strip_rows": rows, "halo_rows": 64}
    )
    cut = trace_roads(prob)
    assert cut.length_m.sum() == pytest.approx(whole.length_m.sum(), rel=1e-3)
    # where a strip ends a line may keep another pixel: less than one is all that moves
    assert len(cut.junctions) == len(whole.junctions)
    assert len(cut) == len(whole)
    assert cKDTree(whole.junctions).query(cut.junctions)[0].max() < 1


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_a_shifted_scene_has_a_shifted_map(down: int, right: int) -> None:
    prob = np.pad(crooked_town(size=200), 5)
    shifted = np.zeros((260, 260), np.float32)
    shifted[down : down + 210, right : right + 210] = prob
    a, b = (
        trace_roads(raster(prob)),
        trace_roads(raster(shifted, Affine.translation(-right, -down))),
    )
    assert match_centrelines(a, b, within_m=0.5).f1 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("crs", [None, UTM])
@pytest.mark.parametrize(
    "array",
    [np.zeros((50, 70)), np.ones((50, 70)), np.ones((1, 1)), np.ones((1, 300)), np.ones((300, 1)),
     np.ones((700, 40)), np.full((20, 20), np.nan), np.zeros((0, 10)), np.eye(64)],
)  # fmt: skip
def test_odd_masks_make_a_map(array: NDArray[np.float64], crs: CRS | None) -> None:
    graph = trace_roads(raster(array.astype(np.float32), crs=crs))
    assert len(graph) <= 4
    assert graph.crs == crs


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.integers(1, 4))
def test_noise_makes_a_map(seed: int, share: float, grain: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.random((rng.integers(1, 40), rng.integers(1, 40))) < share
    mask = np.kron(noise, np.ones((grain, grain), bool))
    graph = trace_roads(
        raster(mask), RoadOptions(min_spur_m=1, max_gap_m=9, min_component_m=0, simplify_m=2)
    )
    assert np.isfinite(graph.length_m).all()


def test_bytes_booleans_and_floats_are_the_same_mask() -> None:
    mask = streets((100, 100), [(10, 20), (90, 80)])
    for array in (mask > 0, (mask * 255).astype(np.uint8), mask[None]):
        same(trace_roads(raster(array)), trace_roads(raster(mask)))


def test_masked_pixels_are_never_road() -> None:
    mask = streets((60, 200), [(10, 30), (190, 30)])
    valid = np.ones(mask.shape, bool)
    valid[:, 100:] = False
    graph = trace_roads(Raster(mask, Grid(mask.shape, PIXELS), valid))
    assert shapely.total_bounds(graph.lines)[2] < 100


def test_weak_road_counts_where_it_hangs_together_with_strong_road() -> None:
    prob = streets((100, 200), [(10, 20), (190, 20)], [(10, 80), (190, 80)]) * np.float32(0.4)
    prob[:50, 90:110] *= 2
    assert len(trace_roads(raster(prob), RoadOptions(threshold=0.6, weak_threshold=0.3))) == 1
    assert len(trace_roads(raster(prob), RoadOptions(threshold=0.3))) == 2


def test_lengths_and_widths_are_metres_where_pixels_are_not_square() -> None:
    mask = streets((80, 300), [(20, 40), (280, 40)], wide_px=6)
    graph = trace_roads(raster(mask, Affine(0.5, 0, 5e5, 0, -2, 4e6), UTM))
    assert graph.length_m[0] == pytest.approx(130, abs=4)
    assert graph.width_m[0] == pytest.approx(12, abs=1)


def test_a_scene_in_degrees_is_measured_in_metres() -> None:
    mask = streets((100, 400), [(20, 50), (380, 50)])
    graph = trace_roads(raster(mask, DEGREES, CRS.from_epsg(4326)))
    assert graph.crs == UTM
    assert graph.length_m[0] == pytest.approx(355 * 0.2427, abs=2)


def test_bands_that_do_not_follow_are_refused() -> None:
    prob = raster(np.zeros((40, 20), np.float32))
    tracer = RoadTracer()
    tracer.add(prob.rows(0, 10))
    with pytest.raises(InputError, match="does not follow row 10"):
        tracer.add(prob.rows(20, 30))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((9, 9), 200.0), "0 to 1"),
        (np.zeros((3, 9, 9), np.uint8), "one band"),
    ],
)
def test_what_is_no_probability_is_refused(array: NDArray[np.generic], said: str) -> None:
    with pytest.raises(InputError, match=said):
        trace_roads(raster(array))


@pytest.mark.parametrize("thresholds", [(0.0, None), (1.5, None), (0.3, 0.5)])
def test_thresholds_that_make_no_sense_are_refused(thresholds: tuple[float, float | None]) -> None:
    with pytest.raises(InputError, match="weak_threshold <= threshold"):
        RoadTracer(RoadOptions(threshold=thresholds[0], weak_threshold=thresholds[1]))
