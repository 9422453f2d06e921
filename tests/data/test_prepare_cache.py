"""Chips in memory as far as there is free_bytes, and those without signal left out by name."""

import logging
from collections.abc import Sequence

import numpy as np
import pytest

from terralink.data.chips import IGNORE, Chip
from terralink.data.prepare import CachedChips, is_informative, select_informative
from terralink.errors import InputError

SIDE = 20
CHIP_MB = 4 * SIDE**2 / 1e6


def chip(name: str, *, flat: bool = False) -> Chip:
    levels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)
    image = np.full_like(levels, 40) if flat else levels
    return Chip(image, np.zeros((SIDE, SIDE), np.uint8), name)


class Counted:
    """Chips of which those whose name ends in 0 are flat; counts how often one is read."""

    def __init__(self, names: Sequence[str]):
        self.names, self.reads = names, 0

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Chip:
        self.reads += 1
        return chip(self.names[index], flat=self.names[index].endswith("0"))


def names(chips: CachedChips) -> list[str]:
    return [chips[index].name for index in range(len(chips))]


def test_what_fits_is_read_once_and_the_rest_each_time() -> None:
    chips = Counted(["a1", "b1", "c1"])
    cached = CachedChips.read_up_to(2.5 * CHIP_MB, chips)
    assert chips.reads == 3  # the third did not fit any more
    assert names(cached) == ["a1", "b1", "c1"] == names(cached)
    assert chips.reads == 5


def test_chips_without_signal_are_left_out_by_name() -> None:
    cached = CachedChips.read_up_to(100, Counted(["a1", "b0", "c1", "d0"]))
    assert cached.left_out == ["b0", "d0"]
    assert names(cached) == ["a1", "c1"]


def test_a_flat_chip_takes_no_room() -> None:
    chips = Counted(["a0", "b1", "c1"])
    assert [each.name for each in CachedChips.read_up_to(2.5 * CHIP_MB, chips).in_memory] == [
        "b1",
        "c1",
    ]


def test_beyond_memory_the_next_chip_stands_in_and_the_log_names_the_flat_one_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cached = CachedChips.read_up_to(1.5 * CHIP_MB, Counted(["a1", "b0", "c1", "d0"]))
    with caplog.at_level(logging.WARNING):
        assert names(cached) == ["a1", "c1", "c1", "a1"]
        assert names(cached) == ["a1", "c1", "c1", "a1"]
    assert [record.args for record in caplog.records] == [("b0",), ("d0",)]


def test_where_no_chip_has_signal_one_line_says_so() -> None:
    with pytest.raises(InputError, match="none of 2 chips has signal, such as a0"):
        CachedChips.read_up_to(100, Counted(["a0", "b0"]))
    later = CachedChips.read_up_to(0, Counted(["a0", "b0"]))
    with pytest.raises(InputError, match="none of 2 chips has signal, such as a0"):
        later[1]


def test_past_the_end_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        CachedChips.read_up_to(100, Counted(["a1"]))[1]


def test_every_chip_is_looked_at_when_all_names_are_wanted() -> None:
    part, left_out = select_informative(Counted(["a0", "b1", "c0", "d1"]))
    assert list(part.indices) == [1, 3]
    assert left_out == ["a0", "c0"]


def test_noise_of_a_level_is_no_signal_and_a_gradient_is() -> None:
    noisy, sloped = chip("noise", flat=True), chip("slope", flat=True)
    noisy.image[:] += np.random.default_rng(1).integers(0, 2, noisy.image.shape).astype(np.uint8)
    sloped.image[1] += np.arange(SIDE, dtype=np.uint8)
    assert not is_informative(noisy)
    assert is_informative(sloped)


def test_only_known_pixels_are_looked_at() -> None:
    half = chip("half", flat=True)
    half.image[:, :, 10:] = 200  # a flat picture beside a flat border
    assert is_informative(half)
    half.mask[:, 10:] = IGNORE
    assert not is_informative(half)
    unlabelled = chip("unlabelled")
    unlabelled.mask[:] = IGNORE
    assert not is_informative(unlabelled)
