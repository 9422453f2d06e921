"""Class indices of what masks store, and classes that a recipe does not know."""

import numpy as np
import pytest

from terralink.data.chips import IGNORE, Chip
from terralink.data.classes import Checked, indices
from terralink.errors import InputError


def chip(*classes: int) -> Chip:
    mask = np.array([classes], np.uint8)
    return Chip(np.zeros((3, 1, len(classes)), np.uint8), mask, "tile 7")


def test_values_map_to_classes_of_any_width() -> None:
    levels = np.array([[10, 4000, 0]], np.uint16)
    assert indices(levels, {10: 0, 4000: 3, 0: 255}).tolist() == [[0, 3, IGNORE]]


def test_without_values_indices_stay() -> None:
    assert indices(np.array([[0, 1, 255]], np.uint8), None).tolist() == [[0, 1, 255]]


@pytest.mark.parametrize("level", [7, -3, 300, 70_000])
def test_a_value_without_a_class_is_named(level: int) -> None:
    with pytest.raises(InputError, match=f"value {level}, wanted were 0, 255; give it a class"):
        indices(np.array([[0, level]]), {0: 0, 255: 1})


def test_an_index_over_255_is_no_class() -> None:
    with pytest.raises(InputError, match="value 256, wanted were 0 to 255"):
        indices(np.array([[0, 256]], np.uint16), None)


def test_masks_of_0_and_255_alone_must_say_what_255_is() -> None:
    levels = np.array([[0, 255]], np.uint8)
    with pytest.raises(InputError, match="say whether 255 is a class"):
        indices(levels, None)
    assert indices(levels, {0: 0, 1: 1, 255: 255}).tolist() == [[0, IGNORE]]


@pytest.mark.parametrize(("classes", "fits"), [(1, [0, 1]), (2, [0, 1]), (5, [0, 4])])
def test_as_many_classes_as_the_recipe_has_fit(classes: int, fits: list[int]) -> None:
    assert Checked([chip(*fits, IGNORE)], classes)[0].mask.tolist() == [[*fits, IGNORE]]


@pytest.mark.parametrize(("classes", "beyond", "last"), [(1, 2, 1), (5, 5, 4)])
def test_a_class_beyond_those_of_the_recipe_names_chip_and_class(
    classes: int, beyond: int, last: int
) -> None:
    with pytest.raises(InputError, match=f"tile 7: .* holds the class {beyond}.* 0 to {last}"):
        Checked([chip(0, beyond)], classes)[0]
