"""Lines as arrays do what shapely's do, one by one."""

from typing import Any

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from terralink.graph.polylines import Lines, Polylines, link_chains, map_chunks

POINT = st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(lambda xy: (xy[0] / 3, xy[1] / 3))
LINES = st.lists(st.lists(POINT, min_size=2, max_size=5), min_size=1, max_size=9)


def drawn(lines: list[list[tuple[float, float]]]) -> Lines:
    return np.array([shapely.LineString(line) for line in lines], dtype=object)


def with_marks(lines: list[list[tuple[float, float]]]) -> st.SearchStrategy[Any]:
    """The lines, and a mark at some of them."""
    marks = st.lists(st.booleans(), min_size=len(lines), max_size=len(lines))
    return st.tuples(st.just(drawn(lines)), marks.map(np.array))


MARKED = LINES.flatmap(with_marks)


def same(found: Polylines, wanted: Lines) -> bool:
    return len(found) == len(wanted) and bool(
        shapely.equals_exact(found.to_shapely(), wanted).all()
    )


@given(MARKED, st.lists(st.integers(0, 99)), st.integers(0, 9), st.integers(0, 9))
def test_some_of_them_are_the_same_lines(
    marked: tuple[Lines, NDArray[np.bool_]], numbers: list[int], first: int, stop: int
) -> None:
    wanted, mask = marked
    given_lines = Polylines.from_shapely(wanted)
    chosen = np.array(numbers, np.int64) % len(wanted)
    assert same(given_lines, wanted)
    for rows in (mask, chosen, slice(first, stop)):
        assert same(given_lines[rows], wanted[rows])
    assert same(Polylines.concat([given_lines[mask], given_lines[~mask]]), np.concatenate(
        [wanted[mask], wanted[~mask]]
    ))  # fmt: skip


@given(LINES, st.integers(1, 4))
def test_lengths_and_places_are_those_of_shapely(
    lines: list[list[tuple[float, float]]], rows: int
) -> None:
    wanted = drawn(lines)
    found = Polylines.from_shapely(wanted)
    assert found.length().tolist() == shapely.length(wanted).tolist()
    along, length = found.measure()
    assert np.allclose(length, shapely.length(wanted))
    assert np.array_equal(along[found.starts[:-1]], np.zeros(len(lines)))
    assert np.allclose(along[found.starts[1:] - 1], length)
    row = np.arange(len(lines))[::-1]
    halfway = shapely.line_interpolate_point(wanted[row], length[row] / 2)
    assert np.array_equal(found.interpolate(row, length[row] / 2), shapely.get_coordinates(halfway))
    assert np.array_equal(map_chunks(Polylines.length, found, rows=rows), found.length())


@given(MARKED)
def test_those_that_are_replaced_or_changed_keep_their_place(
    marked: tuple[Lines, NDArray[np.bool_]],
) -> None:
    wanted, mask = marked
    found = Polylines.from_shapely(wanted)
    others = drawn([[(0, 0), (1, 1), (5, 5)]] * len(wanted))
    replaced = found.replace_rows(mask, Polylines.from_shapely(others[mask]))
    assert same(replaced, np.where(mask, others, wanted))

    def aside(some: Polylines, by: NDArray[np.float64]) -> Polylines:
        return Polylines(some.points + by[some.line_index, None], some.starts)

    by = np.arange(len(wanted), dtype=float)
    assert np.array_equal(found.map(aside, by, rows=2).points, aside(found, by).points)


def test_lines_are_strung_through_points_that_two_share() -> None:
    lines = drawn([[(0, 0), (1, 0)], [(3, 0), (2, 1), (1, 0)], [(3, 0), (4, 0)], [(7, 7), (8, 8)]])
    chains = link_chains(np.array([[0, 1], [2, 1], [2, 3], [4, 5]]))
    strung = Polylines.from_shapely(lines).merge(chains).to_shapely()
    wanted = drawn([[(0, 0), (1, 0), (2, 1), (3, 0), (4, 0)], [(7, 7), (8, 8)]])
    assert all(any(line.equals(other) for other in strung) for line in wanted)
    assert len(strung) == 2
    assert shapely.get_num_coordinates(strung).tolist() == [5, 2]


def test_no_lines_are_no_lines() -> None:
    nothing = Polylines.from_shapely(np.empty(0, object))
    assert (
        len(nothing)
        == len(nothing.to_shapely())
        == len(nothing.length())
        == len(nothing.endpoints())
        == 0
    )
    assert len(nothing.map(lambda lines: lines)) == 0
    assert all(len(part) == 0 for part in nothing.measure())
