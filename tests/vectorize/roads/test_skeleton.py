"""Skeletons, widths and chains of pixels, against naive counts."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from terralink import synthetic
from terralink.vectorize.roads.skeleton import (
    CentrePixels,
    PixelChains,
    find_centre_pixels,
    measure_widths,
    trace_chains,
)
from terralink.vectorize.roads.strips import Strip


def strip_of(mask: NDArray[np.bool_], core: slice | None = None) -> Strip:
    return Strip(mask.astype(np.uint8), core or slice(0, len(mask)), top=0, threshold=1)


def run(line: NDArray[np.bool_], at: int) -> int:
    """Road pixels in one run of a row or column; what goes past its edge is long."""
    first, stop = at, at
    while first >= 0 and line[first]:
        first -= 1
    while stop < len(line) and line[stop]:
        stop += 1
    return stop - first - 1


@settings(max_examples=80, deadline=None)
@given(
    arrays(bool, st.tuples(st.integers(3, 12), st.integers(3, 12)), fill=st.just(True)),
    st.sampled_from([(1.0, 1.0), (0.5, 0.8), (2.0, 0.7)]),
)
def test_widths_are_those_of_chords_and_of_the_distance_transform(
    mask: NDArray[np.bool_], pixel_size_m: tuple[float, float]
) -> None:
    mask = np.pad(mask, 1)  # background all around, which both know how to measure to
    rows, cols = np.nonzero(mask)
    width_m, radius_m = measure_widths(strip_of(mask), rows, cols, pixel_size_m=pixel_size_m)
    distance_m = distance_transform_edt(mask, sampling=pixel_size_m[::-1])
    np.testing.assert_allclose(radius_m, distance_m[rows, cols], rtol=1e-5)
    for row, col, found_m in zip(rows.tolist(), cols.tolist(), width_m, strict=True):
        row_m, column_m = np.multiply([run(mask[row], col), run(mask[:, col], row)], pixel_size_m)
        chord_m = 1 / np.sqrt(1 / row_m**2 + 1 / column_m**2)
        most_m = 2 * (distance_m[row, col] + max(pixel_size_m))
        assert found_m == pytest.approx(min(chord_m, most_m), rel=1e-5)


@pytest.mark.parametrize("wide_px", range(1, 12))
@pytest.mark.parametrize("turned", [False, True])
def test_a_straight_street_is_as_wide_as_it_is_drawn(wide_px: int, turned: bool) -> None:
    mask = np.zeros((31, 500), bool)
    mask[10 : 10 + wide_px] = True
    size = (0.5, 2.0)
    if turned:
        mask, size = mask.T.copy(), (2.0, 0.5)
    pixels = find_centre_pixels(strip_of(mask), pixel_size_m=size)
    assert np.median(pixels.width_m) == pytest.approx(wide_px * 2.0, rel=0.02)


@pytest.mark.parametrize("degrees", [10, 30, 45, 63])
def test_an_oblique_street_is_about_as_wide_as_it_is_drawn(degrees: float) -> None:
    rows, cols = np.mgrid[:300, :300] - 150
    across = np.cos(np.radians(degrees)) * rows - np.sin(np.radians(degrees)) * cols
    for wide_px in (6, 9, 14):
        mask = np.abs(across) <= wide_px / 2
        pixels = find_centre_pixels(strip_of(mask), pixel_size_m=(1, 1))
        inside = (np.abs(pixels.rows - 150) < 60) & (np.abs(pixels.cols - 150) < 60)
        assert pixels.width_m[inside].mean() == pytest.approx(wide_px, abs=0.6)


def test_outside_the_scene_is_background() -> None:
    mask = np.ones((5, 40), bool)
    width_m, radius_m = measure_widths(
        strip_of(mask), np.array([2]), np.array([20]), pixel_size_m=(1, 1)
    )
    assert width_m[0] == pytest.approx(5, abs=0.1)
    assert radius_m[0] == pytest.approx(3)


def test_what_lies_above_and_below_a_strip_within_a_scene_is_not_background() -> None:
    mask = np.ones((200, 40), bool)
    within = Strip(mask.astype(np.uint8), slice(64, 136), top=512, threshold=1)
    width_m, _ = measure_widths(within, np.array([100]), np.array([20]), pixel_size_m=(1, 1))
    assert width_m[0] == pytest.approx(40, abs=1)


def of_chunks(strip: Strip, chunk_px: int) -> CentrePixels:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("terralink.vectorize.roads.skeleton.CHUNK_PX", chunk_px)
        return find_centre_pixels(strip, pixel_size_m=(0.5, 0.8))


def assert_same(found: CentrePixels, wanted: CentrePixels) -> None:
    for column, of_whole in zip(vars(found).values(), vars(wanted).values(), strict=True):
        np.testing.assert_array_equal(column, of_whole)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 48),
    st.floats(0.5, 8),
    st.floats(0.1, 0.97),
    st.integers(20, 300),
)
def test_chunks_of_columns_change_nothing_in_a_mask(
    seed: int, height: int, grain_px: float, share: float, chunk_px: int
) -> None:
    noise = gaussian_filter(np.random.default_rng(seed).random((height, 700)), grain_px)
    strip = strip_of(noise < np.quantile(noise, share), slice(height // 4, height))
    assert_same(of_chunks(strip, chunk_px), of_chunks(strip, 700))


@pytest.mark.parametrize("height", [1, 30])
def test_chunks_of_columns_change_nothing_where_all_is_road(height: int) -> None:
    strip = strip_of(np.ones((height, 600), bool))
    assert_same(of_chunks(strip, 100), of_chunks(strip, 600))


@pytest.mark.parametrize("seed", [1, 2])
def test_chunks_of_columns_change_nothing_in_a_town(seed: int) -> None:
    shape = (200, 1600)
    mask = synthetic.draw(shape, seed=seed, pixel_size_m=1).road_mask(0, 0, shape)
    strip = strip_of(mask, slice(64, 136))
    whole = of_chunks(strip, 1600)
    assert len(whole) > 300
    assert_same(of_chunks(strip, 128), whole)
    assert_same(of_chunks(strip, 771), whole)


Mask = NDArray[np.bool_]


def drawn(picture: str) -> Mask:
    mask = np.array([[pixel == "#" for pixel in row] for row in picture.split()])
    return np.pad(mask, 1)  # so that no drawn row is the last one, where chains stop


def pixels(mask: Mask, first: int, stop: int) -> CentrePixels:
    rows, cols = np.nonzero(mask[first:stop])
    count = len(rows)
    metres = np.ones(count, np.float32)
    return CentrePixels(rows + first, cols, metres, metres, np.full(count, 255, np.uint8))


def traced(mask: Mask, strips: list[int]) -> PixelChains:
    """Chains of strips that end at the given rows."""
    parts, above, first = [], CentrePixels.empty(), 0
    for stop in [*strips, len(mask)]:
        own = pixels(mask, first, stop)
        parts.append(
            trace_chains(above + own, seams=(first - 1, stop - 1), pixel_size_m=(1.0, 1.0))
        )
        above, first = own.select_row(stop - 1), stop
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return PixelChains(*(np.concatenate(column) for column in columns))


def links(chains: PixelChains) -> list[tuple[tuple[int, int], ...]]:
    """Every link between two pixels that some chain walks."""
    stops = np.cumsum(chains.counts)
    places = list(zip(chains.rows.tolist(), chains.cols.tolist(), strict=True))
    found = []
    for start, stop in zip(stops - chains.counts, stops, strict=True):
        way = places[start:stop]
        found += [tuple(sorted(pair)) for pair in pairwise(way)]
    return sorted(found)


def naive_links(mask: Mask) -> list[tuple[tuple[int, int], ...]]:
    found = []
    road = {(int(row), int(col)) for row, col in zip(*np.nonzero(mask), strict=True)}
    for row, col in road:
        for other in [(row, col + 1), (row + 1, col)]:
            if other in road:
                found.append(((row, col), other))
        for aside in (1, -1):
            shortcut = road & {(row, col + aside), (row + 1, col)}
            if (row + 1, col + aside) in road and not shortcut:
                found.append(((row, col), (row + 1, col + aside)))
    return sorted(tuple(sorted(pair)) for pair in found)


@pytest.mark.parametrize(
    ("picture", "count"),
    [
        ("#####", 1),
        ("#.. .#. ..#", 1),  # corner to corner
        ("##. .## ..#", 1),  # a staircase is no branching
        ("..#.. ..#.. ##### ..#..", 4),
        ("#.#.# .###. #.#.#", 8),
        (".##. #..# #..# .##.", 1),  # a ring
        (".##. #..# #..# .##. ...# ....", 2),  # a loop on a stem
        (".#... #.#.. .#.#. ..#.# ...#.", 6),  # rings that touch at their corners
        ("#", 0),
        ("...", 0),
    ],
)
def test_a_skeleton_has_its_chains(picture: str, count: int) -> None:
    assert len(traced(drawn(picture), []).counts) == count


def test_two_ways_between_the_same_branchings_are_two_chains() -> None:
    chains = traced(drawn("...##... ..#..#.. ##....## ..#..#.. ...##..."), [])
    assert sorted(chains.counts.tolist()) == [2, 2, 6, 6]


@settings(max_examples=150, deadline=None)
@given(
    arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.lists(st.integers(1, 8), max_size=4, unique=True),
)
def test_each_link_is_walked_once_whatever_the_strips(mask: Mask, cuts: list[int]) -> None:
    strips = sorted(cut for cut in cuts if cut < len(mask))
    assert links(traced(mask, strips)) == naive_links(mask)


def test_chains_survive_bytes() -> None:
    chains = traced(drawn("##### #...# ####."), [3])
    again = PixelChains.from_bytes(chains.to_bytes())
    for name, column in vars(chains).items():
        assert np.array_equal(column, getattr(again, name))
        assert column.dtype == getattr(again, name).dtype
