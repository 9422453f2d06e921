"""The plan: what two neighbours share is the same seen from either."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terralink.synthetic import styles
from terralink.synthetic.lattice import Lattice

indices = st.integers(-50, 50)


@given(seed=st.integers(0, 99), i=indices, j=indices)
@settings(max_examples=25, deadline=None)
def test_neighbours_share_their_side_and_its_gates(seed: int, i: int, j: int) -> None:
    lattice = Lattice(seed, styles.get_style(None, seed))
    here = lattice.cell(i, j)
    assert np.array_equal(here.east.nodes, lattice.cell(i + 1, j).west.nodes)
    assert np.array_equal(here.north.nodes, lattice.cell(i, j + 1).south.nodes)
    assert here.east.kind == lattice.cell(i + 1, j).west.kind


@pytest.mark.parametrize("style", styles.STYLES)
def test_motorways_and_rivers_go_on_in_the_next_cell(style: str) -> None:
    for seed in range(12):
        lattice = Lattice(seed, styles.get_style(style, seed))
        here, east, north = lattice.cell(3, 4), lattice.cell(4, 4), lattice.cell(3, 5)
        for path, onward in (
            (lattice.motorway(here), lattice.motorway(east)),
            (lattice.river(here), lattice.river(north)),
        ):
            assert (path is None) == (onward is None)
            if path is not None and onward is not None:
                assert np.array_equal(path.points[-1], onward.points[0])
                assert np.array_equal(path.directions[-1], onward.directions[0])


@given(seed=st.integers(0, 30), x=st.floats(-5000, 5000), y=st.floats(-5000, 5000))
@settings(max_examples=25, deadline=None)
def test_every_place_lies_in_a_cell_that_is_found(seed: int, x: float, y: float) -> None:
    """The cells around a point reach over it on all sides."""
    lattice = Lattice(seed, styles.get_style(None, seed))
    cells = lattice.cells_within(x, y, x, y)
    assert cells
    rings = np.concatenate([cell.outline for cell in cells])
    assert (rings.min(axis=0) <= (x, y)).all()
    assert (rings.max(axis=0) >= (x, y)).all()
