import numpy as np
import pytest
from affine import Affine

from terralink.raster import Grid, Raster

GRID = Grid((6, 4), Affine(2, 0, 10, 0, -2, 100))


def test_rows_carry_their_grid_and_mask() -> None:
    array = np.arange(48).reshape(2, 6, 4)
    rows = Raster(array, GRID, array[0] % 2 == 0).rows(2, 5)
    assert rows.grid == Grid((3, 4), Affine(2, 0, 10, 0, -2, 96))
    assert rows.valid is not None
    np.testing.assert_array_equal(rows.array, array[:, 2:5])
    np.testing.assert_array_equal(rows.valid, array[0, 2:5] % 2 == 0)


def test_rows_beyond_the_end_are_cut() -> None:
    assert Raster(np.zeros((6, 4)), GRID).rows(4, 99).array.shape == (2, 4)


def test_an_array_that_does_not_fit_its_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Raster(np.zeros((4, 6)), GRID)
