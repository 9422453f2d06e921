"""Arrays of lines: worked on in chunks, cut, and left as they are where nothing happens."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from terralink.graph.lines import by_chunks, cut, tips


def straight(count: int) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """Lines of 10 m, one above the other."""
    xy = [[(0, y), (4, y), (10, y)] for y in range(count)]
    return np.asarray(shapely.linestrings(xy) if count else [], dtype=object)


@given(st.integers(0, 20), st.integers(1, 25))
def test_work_by_chunks_is_the_same_as_at_once(count: int, rows: int) -> None:
    lines = straight(count)
    assert np.array_equal(by_chunks(tips, lines, rows=rows), tips(lines))
    both = by_chunks(np.add, np.arange(count), np.arange(count) * 10, rows=rows)
    assert both.tolist() == [11 * number for number in range(count)]


@given(
    st.integers(1, 6).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(
                st.tuples(st.integers(0, count - 1), st.integers(1, 9)), unique=True, max_size=12
            ),
        )
    )
)
def test_lines_are_cut_at_the_places_and_the_others_stay(
    given_cuts: tuple[int, list[tuple[int, int]]],
) -> None:
    count, places = given_cuts
    lines = straight(count)
    line = np.array([number for number, _ in places], np.int64)
    along = np.array([place for _, place in places], float)
    pieces, source, beside = cut(lines, line, along, np.column_stack([along, line.astype(float)]))
    for number in range(count):
        marks = [0, *sorted(place for of, place in places if of == number), 10]
        found = pieces[source == number]
        assert shapely.length(found).tolist() == np.diff(marks).tolist()
        if len(marks) == 2:
            assert found[0] is lines[number]
    before, after = pieces[beside[:, 0]], pieces[beside[:, 1]]
    assert np.array_equal(tips(before)[:, 1], np.column_stack([along, line]))
    assert np.array_equal(tips(after)[:, 0], np.column_stack([along, line]))
