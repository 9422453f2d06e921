"""What is stored of a scene: bytes in memory or in a file, and probability below the threshold."""

import errno
import itertools
import math
import os
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS

from terralink.errors import OutputError
from terralink.raster import Grid
from terralink.vectorize.roads.strips import SpillBuffer, StripBuffer, SubthresholdStore


@given(st.lists(st.binary(max_size=9)), st.sampled_from([0, 1, 20, 10_000]))
def test_items_come_back_in_order(items: list[bytes], in_memory: int) -> None:
    buffer = SpillBuffer(in_memory)
    for item in items:
        buffer.append(item)
    assert list(buffer) == items
    assert len(buffer) == len(items)
    assert [buffer[i] for i in reversed(range(len(buffer)))] == items[::-1]


def test_items_can_be_added_after_one_was_read() -> None:
    buffer = SpillBuffer(0)
    buffer.append(b"first")
    assert buffer[0] == b"first"
    buffer.append(b"second")
    assert list(buffer) == [b"first", b"second"]


def test_a_full_disk_says_where_more_room_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, **_: Any) -> None: ...

        def seek(self, _: int) -> None: ...

        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    monkeypatch.setattr("terralink.vectorize.roads.strips.SpooledTemporaryFile", Full)
    with pytest.raises(OutputError, match="No space left on device; set TMPDIR"):
        SpillBuffer().append(b"much")


FULL = 128


def store_of(
    levels: NDArray[np.uint8], *, pixel_m: float = 1.0, strip_rows: int = 512
) -> SubthresholdStore:
    store = SubthresholdStore(threshold=FULL, pixel_m=pixel_m)
    strips = StripBuffer(levels.shape[1], threshold=FULL, strip_rows=strip_rows, halo_rows=8)
    for strip in itertools.chain(strips.add(levels), strips.flush()):
        store.add(strip)
    return store


def between(begin: tuple[float, float], end: tuple[float, float]) -> NDArray[np.object_]:
    return np.array([shapely.LineString([begin, end])], dtype=object)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.floats(0, 39.9)] * 4).filter(lambda xy: math.dist(xy[:2], xy[2:]) > 0.01),
    st.sampled_from([5, 16, 512]),
)
def test_the_share_along_a_line_is_the_mean_of_the_pixels_under_it(
    seed: int, ends: tuple[float, float, float, float], strip_rows: int
) -> None:
    levels = np.random.default_rng(seed).integers(1, 255, (40, 40)).astype(np.uint8)
    line = between(ends[:2], ends[2:])
    found = store_of(levels, strip_rows=strip_rows).mean_share(
        line, Grid((40, 40), Affine.identity())
    )
    steps = max(int(np.ceil(line[0].length)), 1)
    places = [line[0].interpolate((i + 0.5) / steps, normalized=True) for i in range(steps)]
    under = [min(float(levels[int(at.y), int(at.x)]) / FULL, 1) for at in places]
    assert found[0] == pytest.approx(np.mean(under), abs=0.5 / 15 + 1e-9)


def test_blocks_of_fine_pixels_are_means() -> None:
    levels = np.full((64, 63), 32, np.uint8)
    levels[:, ::2] = 96
    grid = Grid(levels.shape, Affine(0.25, 0, 5e5, 0, -0.25, 4e6), CRS.from_epsg(32611))
    line = between((500002, 3999990), (500012, 3999990))
    assert store_of(levels, pixel_m=0.25).mean_share(line, grid)[0] == pytest.approx(0.5, abs=0.04)


def test_a_mask_says_nothing_of_its_gaps() -> None:
    levels = np.zeros((40, 40), np.uint8)
    levels[20, :10] = levels[20, 30:] = 255
    store, grid = store_of(levels), Grid((40, 40), Affine.identity())
    assert np.isnan(store.mean_share(between((10, 20.5), (30, 20.5)), grid)).all()
    levels[0, 0] = 1
    assert store_of(levels).mean_share(between((10, 20.5), (30, 20.5)), grid)[0] == 0


def test_a_scene_without_rows_says_nothing() -> None:
    none = np.empty(0, dtype=object)
    assert (
        len(store_of(np.zeros((0, 9), np.uint8)).mean_share(none, Grid((0, 9), Affine.identity())))
        == 0
    )
