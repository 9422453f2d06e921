"""Windows that overlap, split one by one: no pixel that is scored was trained on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terralink.data.chip_folder import MANIFEST, export_chips, read_origins
from terralink.data.chips import Subset
from terralink.data.sources import PairFolders, SceneFolder, Split
from terralink.data.splits import Footprint, find_overlaps, order_along, separate
from terralink.data.windows import Scenes
from terralink.errors import InputError
from terralink.raster import Stretch

Write = Callable[..., Path]
NONE = Stretch.none()


def windows(frame: str, side: int, stride: int, rows: int, cols: int) -> list[Footprint]:
    corners = [(col * stride, -row * stride) for row in range(rows) for col in range(cols)]
    return [Footprint(frame, (left, top - side, left + side, top)) for left, top in corners]


def pixels(footprints: Sequence[Footprint], chosen: Sequence[int]) -> set[tuple[Any, int, int]]:
    return {
        (place.frame, x, y)
        for place in (footprints[each] for each in chosen)
        for x in range(int(place.box[0]), int(place.box[2]))
        for y in range(int(place.box[1]), int(place.box[3]))
    }


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3),
    st.integers(2, 6),
    st.integers(1, 5),
    st.integers(0, 9),
    st.one_of(st.tuples(st.none(), st.integers(1, 9)), st.tuples(st.integers(2, 5), st.none())),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_no_pixel_is_on_both_sides(
    grids: list[tuple[int, int]],
    side: int,
    overlap: int,
    seed: int,
    ways: tuple[int | None, int | None],
    data: st.DataObject,
) -> None:
    stride = max(1, side - overlap)
    footprints = [
        place
        for scene, (rows, cols) in enumerate(grids)
        for place in windows(f"s{scene}", side, stride, rows, cols)
    ]
    folds, held_out = ways
    fold = data.draw(st.integers(0, (folds or 1) - 1))
    split = Split(folds=folds, held_out=held_out, fold=fold, seed=seed)
    near = find_overlaps(footprints, range(len(footprints)))
    assert sorted(order_along(footprints, seed)) == list(range(len(footprints)))
    train, val = separate(split.choose_from(order_along(footprints, seed)), len(footprints), near)
    assert not pixels(footprints, train) & pixels(footprints, val)
    assert len(val) <= max(held_out or 0, -(-len(footprints) // (folds or 1)))


def parts(source: Any, root: Path, split: Split) -> tuple[Subset, Subset]:
    train, val = (
        source.model_copy(update={"take": take}).chips(root, split) for take in ("train", "val")
    )
    return train, val


def of_chips(folder: Path, part: Subset) -> set[tuple[int, int]]:
    """The pixels of the scene that chips were cut from, by the manifest."""
    cuts = read_origins(folder / MANIFEST)
    found = [cuts[Path(part[index].name).stem] for index in range(len(part))]
    return {
        (row, col)
        for each in found
        for row in range(each.row, each.row + each.height)
        for col in range(each.col, each.col + each.width)
    }


@pytest.fixture
def chips(tif: Write, tmp_path: Path) -> Path:
    """A scene of 40 x 60 px cut to 2 x 3 chips of 24 px that share 6."""
    levels = np.random.default_rng(0).integers(1, 256, (3, 40, 60)).astype(np.uint8)
    mask = tif("mask.tif", np.random.default_rng(1).integers(0, 2, (1, 40, 60)).astype(np.uint8))
    from terralink.data.masks import RasterMasks

    scene = tif("scene.tif", levels)
    export_chips(
        Scenes([scene], RasterMasks({scene: mask}), 24, 6, preset_stretch=NONE),
        tmp_path / "chips",
    )
    return tmp_path / "chips"


@pytest.mark.parametrize("split", [{"held_out": 1}, {"held_out": 2}, {"held_out": 3}, {"folds": 3}])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("manifest", [True, False])
def test_chips_that_overlap_do_not_leak(
    chips: Path, split: dict[str, int], seed: int, manifest: bool
) -> None:
    source = SceneFolder(kind="scenes", folder="chips", stretch=NONE, split_by="window")
    train, val = parts(source, chips.parent, Split(**split, seed=seed))
    assert not of_chips(chips, train) & of_chips(chips, val)
    if not manifest:  # then their CRS tells where they lie
        before = (list(train.indices), list(val.indices))
        (chips / MANIFEST).unlink()
        again = parts(source, chips.parent, Split(**split, seed=seed))
        assert tuple(list(each.indices) for each in again) == before


def test_pairs_of_such_chips_do_not_leak_either(chips: Path) -> None:
    source = PairFolders(kind="pairs", folder="chips")
    train, val = parts(source, chips.parent, Split(held_out=2))
    assert len(val) == 2
    assert not of_chips(chips, train) & of_chips(chips, val)


def test_windows_that_a_recipe_cuts_do_not_leak(
    tif: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    levels = np.arange(1, 40 * 60 + 1, dtype=np.uint16).reshape(1, 40, 60)  # each pixel its own
    for name in "ab":
        tif(f"own/images/{name}.tif", levels)
        tif(f"own/masks/{name}.tif", np.ones((1, 40, 60), np.uint8))
    source = SceneFolder(
        kind="scenes", folder="own", side_px=24, overlap_px=6, stretch=NONE, split_by="window"
    )
    train, val = parts(source, tmp_path, Split(held_out=4, seed=1))
    assert (len(val), len(train) + len(val)) == (4, 10)
    assert "2 chips share pixels with held-out ones" in caplog.text


def test_windows_that_do_not_overlap_are_drawn_one_by_one_as_before(
    tif: Write, tmp_path: Path
) -> None:
    tif("own/images/a.tif", np.full((1, 32, 48), 9, np.uint8))
    tif("own/masks/a.tif", np.ones((1, 32, 48), np.uint8))
    source = SceneFolder(kind="scenes", folder="own", side_px=16, stretch=NONE, split_by="window")
    train, val = parts(source, tmp_path, Split(held_out=2, seed=3))
    assert val.indices == sorted(np.random.default_rng(3).permutation(6)[:2].tolist())
    assert sorted([*train.indices, *val.indices]) == list(range(6))


def test_where_all_windows_touch_the_reason_is_said(tif: Write, tmp_path: Path) -> None:
    tif("own/images/a.tif", np.full((1, 24, 24), 9, np.uint8))
    tif("own/masks/a.tif", np.ones((1, 24, 24), np.uint8))
    source = SceneFolder(
        kind="scenes", folder="own", side_px=16, overlap_px=8, stretch=NONE, split_by="window"
    )
    with pytest.raises(InputError, match="shares no pixel with validation chips"):
        parts(source, tmp_path, Split(held_out=1))
