"""Published data sets, read from their layouts, and the parts that a recipe takes of them."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from terralink.data.chips import IGNORE
from terralink.data.sources import Dubai, Epfl, Massachusetts, Split, Towns
from terralink.data.sources.published import read_road_mask
from terralink.errors import InputError


def test_white_areas_of_massachusetts_are_ignored_but_white_roofs_are_not() -> None:
    image = np.full((60, 60, 3), 90, np.uint8)
    image[:30, :30] = 255  # no data
    image[50:58, 50:58] = 255  # a roof
    mask = read_road_mask(np.ones((60, 60), np.uint8), image)
    assert (mask[:30, :30] == IGNORE).all()
    assert (mask[40:, 40:] == 1).all()


def test_towns_are_chips_with_roads_and_a_seed() -> None:
    towns = Towns(kind="towns", count=2, side_px=128)
    chips = towns.read(Path())
    assert len(chips) == 2
    assert chips[1].image.shape == (3, 128, 128)
    assert set(np.unique(chips[0].mask)) <= {0, 1}
    assert (chips[0].image == towns.read(Path())[0].image).all()


def test_a_missing_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="point --data"):
        Massachusetts(kind="massachusetts", part="train").read(tmp_path)


def test_folds_hold_out_every_group_once_and_nothing_twice() -> None:
    held = [Split(folds=5, fold=fold).choose_val(83) for fold in range(5)]
    assert sorted(chain.from_iterable(held)) == list(range(83))
    assert {len(fold) for fold in held} == {16, 17}


def test_what_is_kept_and_what_is_held_out_are_all_of_a_source() -> None:
    split = Split(held_out=3, seed=4)
    parts = [
        Towns(kind="towns", count=10, side_px=64, take=take).chips(Path(), split)
        for take in ("train", "val")
    ]
    assert [len(part) for part in parts] == [7, 3]
    assert sorted([*parts[0].indices, *parts[1].indices]) == list(range(10))


def test_a_source_has_its_own_split_or_else_that_of_the_recipe() -> None:
    def held(own: Split | None, of_recipe: Split | None) -> int:
        towns = Towns(kind="towns", count=10, side_px=64, take="val", split=own)
        return len(towns.chips(Path(), of_recipe))

    assert held(Split(held_out=3), None) == 3
    assert held(Split(held_out=3), Split(held_out=2)) == 3
    assert held(None, Split(held_out=2)) == 2


def test_a_smaller_fraction_is_part_of_a_larger_one_and_never_empty() -> None:
    def taken(fraction: float) -> set[int]:
        source = Towns(kind="towns", count=64, fraction=fraction)
        return set(source.chips(Path(), None).indices)

    sizes = {share: len(taken(share)) for share in (0.01, 0.05, 0.25, 1.0)}
    assert sizes == {0.01: 1, 0.05: 4, 0.25: 16, 1.0: 64}
    assert taken(0.01) < taken(0.05) < taken(0.25) < taken(1.0)


def test_a_part_without_a_split_is_refused() -> None:
    with pytest.raises(InputError, match="wants a split"):
        Towns(kind="towns", count=2, take="train").chips(Path(), None)


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(InputError, match="an empty split: of 2 chips in 2 groups"):
        Towns(kind="towns", count=2, take="train").chips(Path(), Split(held_out=2))


@pytest.mark.parametrize("wrong", [{}, {"folds": 2, "held_out": 1}, {"folds": 2, "fold": 2}])
def test_a_split_that_says_two_things_or_none_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Split(**wrong)


@pytest.mark.data
def test_the_sets_are_read_whole(data_root: Path) -> None:
    assert len(Massachusetts(kind="massachusetts", part="train").read(data_root)) == 200
    assert len(Massachusetts(kind="massachusetts", part="val").read(data_root)) == 48
    assert len(Epfl(kind="epfl").read(data_root)) == 80
    tile = Dubai(kind="dubai", tiles=(2,)).read(data_root)
    assert len(tile) == 9
    assert tile[0].image.shape[1:] == tile[0].mask.shape
    assert set(np.unique(tile[0].mask)) <= {0, 1, IGNORE}
