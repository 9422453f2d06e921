"""Masks as users have them: roads at the border, with holes, islands, gaps and flat crossings.

Unless said otherwise a mask is 300 m square, of pixels of 0.5 m.
"""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS

from terralink.graph import RoadGraph
from terralink.metrics import apls, match_centrelines
from terralink.raster import Grid, Raster
from terralink.vectorize import RoadOptions, trace_roads

UTM = CRS.from_epsg(32611)
SIDE_PX, PIXEL_M = 600, 0.5
Mask = NDArray[np.uint8]
VIEWS = [(turns, flipped) for turns in range(4) for flipped in (False, True)]


def empty() -> Mask:
    return np.zeros((SIDE_PX, SIDE_PX), np.uint8)


def graph_of(mask: Mask, max_gap_m: float = 30) -> RoadGraph:
    """The map, with x and y in metres from the mask's upper left corner."""
    place = Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, 0)
    return trace_roads(Raster(mask, Grid(mask.shape, place, UTM)), RoadOptions(max_gap_m=max_gap_m))


def street(mask: Mask, begin: tuple[float, float], end: tuple[float, float], wide_m: float) -> None:
    """A straight street with flat ends from one point (x, y) in metres to another."""
    rows, cols = (np.indices(mask.shape) + 0.5) * PIXEL_M
    way = np.subtract(end, begin)
    length_m = np.hypot(*way)
    along = ((cols - begin[0]) * way[0] + (rows - begin[1]) * way[1]) / length_m
    aside = ((cols - begin[0]) * way[1] - (rows - begin[1]) * way[0]) / length_m
    mask[(along >= 0) & (along <= length_m) & (np.abs(aside) <= wide_m / 2)] = 255


def view(mask: Mask, turns: int, flipped: bool) -> Mask:
    turned = np.rot90(mask, turns)
    return np.ascontiguousarray(turned[:, ::-1] if flipped else turned)


def viewed_back(graph: RoadGraph, turns: int, flipped: bool) -> RoadGraph:
    """The map of a view where it lies in the mask."""
    side_m = SIDE_PX * PIXEL_M

    def back(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (side_m - xy[:, 0] if flipped else xy[:, 0]), -xy[:, 1]
        for _ in range(turns):
            x, y = side_m - y, x
        return np.column_stack([x, -y])

    return RoadGraph.from_lines(shapely.transform(graph.lines, back), graph.crs)


def agreement(one: RoadGraph, other: RoadGraph, within_m: float = 1.0) -> float:
    match = match_centrelines(one, other, within_m=within_m)
    return min(match.precision, match.recall)


@pytest.mark.parametrize("wide_px", [6, 16, 31])
@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_road_along_the_border_has_its_own_middle_line(side: str, wide_px: int) -> None:
    mask = empty()
    mask[:wide_px] = 255
    turns = {"top": 0, "left": 1, "bottom": 2, "right": 3}[side]
    graph = viewed_back(graph_of(view(mask, turns, False)), turns, False)
    assert len(graph) == 1
    assert graph.length_m[0] == pytest.approx(300, abs=0.5)
    assert -graph.polylines.points[:, 1] == pytest.approx(wide_px * PIXEL_M / 2, abs=PIXEL_M)


def test_a_chip_of_streets_is_whole_in_all_eight_views() -> None:
    mask, lines = empty(), []
    for place in (0, 292, 584):
        mask[place : place + 16] = mask[:, place : place + 16] = 255
        middle = (place + 8) * PIXEL_M
        ends = (4, 296)
        lines += [shapely.LineString([(x, -middle) for x in ends])]
        lines += [shapely.LineString([(middle, -y) for y in ends])]
    drawn = RoadGraph.from_lines(lines, UTM, noding="crossings")
    for turns, flipped in VIEWS:
        found = viewed_back(graph_of(view(mask, turns, flipped)), turns, flipped)
        assert found.length_m.sum() == pytest.approx(6 * 292, abs=12)
        assert apls(drawn, found).score > 0.98


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_any_mask_of_streets_has_the_same_map_in_all_eight_views(seed: int, noisy: bool) -> None:
    rng = np.random.default_rng(seed)
    mask = empty()
    for _ in range(rng.integers(2, 6)):
        begin, end = rng.uniform(-50, 350, (2, 2))
        street(mask, tuple(begin), tuple(end), rng.uniform(4, 15))
    if noisy:
        mask[rng.random(mask.shape) < 0.01] ^= 255
    seen = graph_of(mask)
    for turns, flipped in VIEWS[1:]:
        found = viewed_back(graph_of(view(mask, turns, flipped)), turns, flipped)
        assert len(found) == len(seen) == 0 or agreement(seen, found) > 0.93


@pytest.mark.parametrize("degrees", [30, 45, 60, 80, 90])
@pytest.mark.parametrize("wide_m", [5, 10])
def test_a_road_leaves_the_scene_on_its_middle_line(degrees: float, wide_m: float) -> None:
    x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    mask = empty()
    street(mask, (150 - 200 * x, 300 - 200 * y), (150 + 60 * x, 300 + 60 * y), wide_m)
    graph = graph_of(mask)
    assert len(graph) == 1
    left = graph.junctions[np.argmin(graph.junctions[:, 1])]
    assert left == pytest.approx([150, -300], abs=2.5)


def test_a_side_street_that_the_border_cuts_short_stays() -> None:
    mask = empty()
    street(mask, (0, 12), (300, 12), 8)
    street(mask, (150, 12), (150, -20), 5)
    assert sorted(graph_of(mask).degree.tolist()) == [1, 1, 1, 3]


def test_a_corner_of_the_scene_between_two_streets_is_no_hole() -> None:
    mask = empty()
    street(mask, (0, 20), (300, 20), 8)
    street(mask, (20, 0), (20, 300), 8)
    assert sorted(graph_of(mask).degree.tolist()) == [1, 1, 1, 1, 4]


def is_the_road(graph: RoadGraph, middle_m: float) -> None:
    """One road along the rows from border to border."""
    assert len(graph) == 1
    assert graph.length_m[0] == pytest.approx(300, abs=2)
    assert -graph.polylines.points[:, 1] == pytest.approx(middle_m, abs=1)


@pytest.mark.parametrize("count", [1, 5, 25])
def test_small_holes_do_not_change_a_road(count: int) -> None:
    mask = empty()
    mask[100:124] = 255
    for number in range(count):
        first = 40 + number * 22
        mask[111:113, first : first + 2] = 0
    is_the_road(graph_of(mask), 56)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(12, 40))
def test_holes_and_speckle_wherever_they_lie_do_not_change_a_road(seed: int, wide_px: int) -> None:
    rng = np.random.default_rng(seed)
    mask = empty()
    mask[200 : 200 + wide_px] = 255
    largest = max(wide_px // 5, 1)
    for row, col in rng.integers(0, [wide_px, SIDE_PX], (rng.integers(0, 40), 2)):
        height, width = rng.integers(1, largest + 1, 2)
        mask[200 + row : min(200 + row + height, 200 + wide_px - 1), col : col + width] = 0
    mask[rng.random(mask.shape) < 0.01] ^= 255
    graph = graph_of(mask)
    assert len(graph) == 1
    assert graph.length_m[0] == pytest.approx(300, abs=3)
    middle_m = (200 + wide_px / 2) * PIXEL_M
    assert -graph.polylines.points[:, 1] == pytest.approx(middle_m, abs=wide_px * PIXEL_M / 5 + 0.5)


def test_a_mask_with_holes_bridges_its_gaps_as_one_without() -> None:
    mask = empty()
    mask[100:124] = 255
    mask[111:113, 100:102] = 0
    mask[:, 280:330] = 0
    assert len(graph_of(mask, max_gap_m=30)) == 1


def test_a_row_of_crowns_leaves_a_boulevard_one_road() -> None:
    mask = empty()
    mask[100:128] = 255
    for first in range(15, 600, 30):
        mask[111:117, first : first + 6] = 0
    graph = graph_of(mask)
    is_the_road(graph, 57)
    assert graph.width_m[0] == pytest.approx(14, abs=0.5)


def dual_carriageway(*pieces: tuple[int, int]) -> Mask:
    """A road of 24 m with a median of 3 m in pieces of columns."""
    mask = empty()
    mask[276:324] = 255
    for first, stop in pieces:
        mask[297:303, first:stop] = 0
    return mask


def test_a_median_parts_two_carriageways() -> None:
    graph = graph_of(dual_carriageway((0, 600)))
    assert len(graph) == 2
    assert graph.length_m == pytest.approx([300, 300], abs=1)


@pytest.mark.parametrize(("turns", "flipped"), VIEWS)
def test_two_carriageways_stay_two_past_the_openings_of_their_median(
    turns: int, flipped: bool
) -> None:
    mask = dual_carriageway((0, 140), (164, 284), (308, 430), (454, 600))
    graph = viewed_back(graph_of(view(mask, turns, flipped)), turns, flipped)
    links = np.ptp(shapely.bounds(graph.lines)[:, [0, 2]], axis=1) < 3
    assert links.sum() == 3  # one an opening
    assert graph.length_m[~links].sum() == pytest.approx(600, abs=3)
    aside_m = np.abs(-graph.polylines[~links].points[:, 1] - 150)
    assert aside_m == pytest.approx(6.75, abs=1)


def test_a_crack_in_a_median_is_no_link() -> None:
    graph = graph_of(dual_carriageway((0, 298), (302, 600)))
    assert graph.length_m == pytest.approx([300, 300], abs=1)


def test_short_islands_far_apart_do_not_part_a_road() -> None:
    islands = ((60, 80), (140, 160), (220, 240), (300, 320))
    is_the_road(graph_of(dual_carriageway(*islands)), 150)


@pytest.mark.parametrize("wide_m", [3, 4, 10, 20])
def test_ends_reach_the_end_of_the_mask_and_gaps_are_measured_in_it(wide_m: float) -> None:
    mask = empty()
    street(mask, (10, 150), (290, 150), wide_m)
    assert graph_of(mask).length_m.sum() == pytest.approx(280, abs=1)
    for gap_px, left in [(58, 1), (62, 2)]:
        broken = mask.copy()
        broken[:, 300 - gap_px // 2 : 300 + gap_px // 2] = 0
        graph = graph_of(broken, max_gap_m=30)
        assert len(graph) == left
        assert graph.length_m.sum() == pytest.approx(280 - gap_px / 2 * (left - 1), abs=2)


@pytest.mark.parametrize("wide_m", [6, 12])
def test_a_gap_before_the_side_of_a_road_is_measured_in_the_mask(wide_m: float) -> None:
    for gap_m, met in [(29, True), (31, False)]:
        mask = empty()
        street(mask, (0, 50), (300, 50), wide_m)
        street(mask, (150, 50 + wide_m / 2 + gap_m), (150, 250), wide_m)
        assert (3 in graph_of(mask, max_gap_m=30).degree) == met


@pytest.mark.parametrize("circle_m", [5, 9])
def test_a_round_end_is_that_of_the_line_it_was_drawn_from(circle_m: float) -> None:
    mask = empty()
    street(mask, (0, 150), (200, 150), 10)
    rows, cols = (np.indices(mask.shape) + 0.5) * PIXEL_M
    mask[np.hypot(rows - 150, cols - 200) <= circle_m] = 255
    graph = graph_of(mask)
    assert graph.junctions[:, 0].max() == pytest.approx(200, abs=1.5)


@pytest.mark.parametrize("degrees", [15, 20, 25, 30, 35, 45, 90])
@pytest.mark.parametrize("wide_m", [5, 8, 12])
@pytest.mark.parametrize("turned", [0, 17])
def test_two_roads_that_cross_at_a_small_angle_cross_once(
    degrees: float, wide_m: float, turned: float
) -> None:
    mask = empty()
    for angle in np.radians([turned, turned + degrees]):
        x, y = 140 * np.cos(angle), 140 * np.sin(angle)
        street(mask, (150 - x, 150 - y), (150 + x, 150 + y), wide_m)
    graph = graph_of(mask)
    assert sorted(graph.degree.tolist()) == [1, 1, 1, 1, 4]
    # at 15 degrees a road that lies a metre beside its middle crosses eight metres away
    along_m = 2 if degrees >= 20 else 10
    assert graph.junctions[graph.degree == 4][0] == pytest.approx([150, -150], abs=along_m)


def test_side_streets_on_both_sides_that_do_not_face_each_other_are_two_junctions() -> None:
    mask = empty()
    street(mask, (0, 150), (300, 150), 8)
    street(mask, (130, 150), (130, 10), 6)
    street(mask, (170, 150), (170, 290), 6)
    assert sorted(graph_of(mask).degree.tolist()) == [1, 1, 1, 1, 3, 3]


def test_no_spoke_of_a_junction_leaves_a_car_park() -> None:
    mask = empty()
    mask[200:400, 200:400] = 255
    for row in (230, 270, 310, 350):
        mask[row : row + 14, 215:385] = 0
    street(mask, (0, 150), (110, 150), 6)
    graph = graph_of(mask)
    points = shapely.get_coordinates(shapely.segmentize(graph.lines, 0.5))
    cols, rows = np.clip((points * [1, -1] / PIXEL_M).astype(int), 0, SIDE_PX - 1).T
    assert graph.degree.max() <= 5
    assert (mask[rows, cols] > 0).mean() > 0.97
