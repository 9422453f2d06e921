"""Small skeletons drawn by hand, and the graphs that they are."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from terralink.vectorize.roads.trace import Pixels, Traces, trace

Mask = NDArray[np.bool_]


def drawn(picture: str) -> Mask:
    mask = np.array([[pixel == "#" for pixel in row] for row in picture.split()])
    return np.pad(mask, 1)  # so that no drawn row is the last one, where chains stop


def pixels(mask: Mask, first: int, stop: int) -> Pixels:
    rows, cols = np.nonzero(mask[first:stop])
    count = len(rows)
    metres = np.ones(count, np.float32)
    return Pixels(rows + first, cols, metres, metres, np.full(count, 255, np.uint8))


def traced(mask: Mask, strips: list[int]) -> Traces:
    """Traces of strips that end at the given rows."""
    parts, above, first = [], Pixels.none(), 0
    for stop in [*strips, len(mask)]:
        own = pixels(mask, first, stop)
        parts.append(trace(above + own, seams=(first - 1, stop - 1), pixel_size_m=(1.0, 1.0)))
        above, first = own.in_row(stop - 1), stop
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Traces(*(np.concatenate(column) for column in columns))


def links(traces: Traces) -> list[tuple[tuple[int, int], ...]]:
    """Every link between two pixels that some chain walks."""
    stops = np.cumsum(traces.counts)
    places = list(zip(traces.rows.tolist(), traces.cols.tolist(), strict=True))
    found = []
    for start, stop in zip(stops - traces.counts, stops, strict=True):
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
    ("picture", "chains"),
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
def test_a_skeleton_has_its_chains(picture: str, chains: int) -> None:
    assert len(traced(drawn(picture), []).counts) == chains


def test_two_ways_between_the_same_branchings_are_two_chains() -> None:
    traces = traced(drawn("...##... ..#..#.. ##....## ..#..#.. ...##..."), [])
    assert sorted(traces.counts.tolist()) == [2, 2, 6, 6]


@settings(max_examples=150, deadline=None)
@given(
    arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.lists(st.integers(1, 8), max_size=4, unique=True),
)
def test_each_link_is_walked_once_whatever_the_strips(mask: Mask, cuts: list[int]) -> None:
    strips = sorted(cut for cut in cuts if cut < len(mask))
    assert links(traced(mask, strips)) == naive_links(mask)


def test_traces_that_were_packed_are_the_same_unpacked() -> None:
    traces = traced(drawn("##### #...# ####."), [3])
    again = Traces.unpacked(traces.packed())
    for name, column in vars(traces).items():
        assert np.array_equal(column, getattr(again, name))
        assert column.dtype == getattr(again, name).dtype
