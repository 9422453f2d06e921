"""The ground two shapes share, against GEOS's overlay."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terralink.vectorize.buildings import select_shape
from terralink.vectorize.buildings.select_shape import measure_shared_area

EAST_NORTH = (664000.0, 4006000.0)


def blobs(rng: np.random.Generator, count: int) -> NDArray[np.object_]:
    """Squares, and round shapes with a hole or a bite, near each other."""
    centres = rng.uniform(0, 10, (count, 2)) + EAST_NORTH
    shapes = shapely.buffer(shapely.points(centres), rng.uniform(2, 6, count), quad_segs=3)
    holes = shapely.buffer(shapely.points(centres + 1), 1, quad_segs=1)
    squares = shapely.box(*(centres - 2).T, *(centres + 2.5).T)
    drilled = shapely.difference(shapes, holes)
    whole = (shapely.get_type_id(drilled) == 3) & (rng.random(count) < 0.5)
    return np.asarray(np.where(whole, drilled, squares), dtype=object)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_the_same_ground_as_an_overlay_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = blobs(rng, 20), blobs(rng, 20)
    wanted = shapely.area(shapely.intersection(one, other))
    np.testing.assert_allclose(measure_shared_area(one, other), wanted, atol=1e-7)


def test_many_edges_and_blocks_change_nothing() -> None:
    rng = np.random.default_rng(1)
    one, other = blobs(rng, 30), blobs(rng, 30)
    whole = measure_shared_area(one, other)
    rounder = shapely.buffer(one[:1], 1, quad_segs=5000)
    assert len(rounder[0].exterior.coords) * len(other[0].exterior.coords) > select_shape._MAX_PAIRS
    mixed = measure_shared_area(np.append(one, rounder), np.append(other, other[0]))
    np.testing.assert_array_equal(mixed[:-1], whole)
    assert mixed[-1] > whole[0]


def test_nothing_shares_nothing() -> None:
    none = np.empty(0, dtype=object)
    assert measure_shared_area(none, none).shape == (0,)
