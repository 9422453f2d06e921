"""Lines cut at places on them; the others stay."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from terralink.graph.lines import cut
from terralink.graph.polylines import Polylines


def straight(count: int) -> Polylines:
    """Lines of 10 m, one above the other."""
    return Polylines.of(shapely.linestrings([[(0, y), (4, y), (10, y)] for y in range(count)]))


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
        assert found.length().tolist() == np.diff(marks).tolist()
        if len(marks) == 2:
            assert np.array_equal(found.points, lines[np.array([number])].points)
    before, after = pieces[beside[:, 0]], pieces[beside[:, 1]]
    assert np.array_equal(before.tips()[:, 1], np.column_stack([along, line]))
    assert np.array_equal(after.tips()[:, 0], np.column_stack([along, line]))
