"""Class indices of what masks store, and classes that a recipe does not know."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralink.data.chips import IGNORE, Chip
from terralink.data.masks import to_class_indices
from terralink.data.prepare import ValidatedChips
from terralink.errors import InputError


def chip(*classes: int) -> Chip:
    mask = np.array([classes], np.uint8)
    return Chip(np.zeros((3, 1, len(classes)), np.uint8), mask, "tile 7")


def test_values_map_to_classes_of_any_width() -> None:
    levels = np.array([[10, 4000, 0]], np.uint16)
    assert to_class_indices(levels, {10: 0, 4000: 3, 0: 255}).tolist() == [[0, 3, IGNORE]]


def test_without_values_indices_stay() -> None:
    assert to_class_indices(np.array([[0, 1, 255]], np.uint8), None).tolist() == [[0, 1, 255]]


@pytest.mark.parametrize("level", [7, -3, 300, 70_000])
def test_a_value_without_a_class_is_named(level: int) -> None:
    with pytest.raises(InputError, match=f"value {level}, wanted were 0, 255; give it a class"):
        to_class_indices(np.array([[0, level]]), {0: 0, 255: 1})


def test_an_index_over_255_is_no_class() -> None:
    with pytest.raises(InputError, match="value 256, wanted were 0 to 255"):
        to_class_indices(np.array([[0, 256]], np.uint16), None)


def test_masks_of_0_and_255_alone_must_say_what_255_is() -> None:
    levels = np.array([[0, 255]], np.uint8)
    with pytest.raises(InputError, match="say whether 255 is a class"):
        to_class_indices(levels, None)
    assert to_class_indices(levels, {0: 0, 1: 1, 255: 255}).tolist() == [[0, IGNORE]]


@pytest.mark.parametrize(("classes", "fits"), [(1, [0, 1]), (2, [0, 1]), (5, [0, 4])])
def test_as_many_classes_as_the_recipe_has_fit(classes: int, fits: list[int]) -> None:
    assert ValidatedChips([chip(*fits, IGNORE)], classes)[0].mask.tolist() == [[*fits, IGNORE]]


@pytest.mark.parametrize(("classes", "beyond", "last"), [(1, 2, 1), (5, 5, 4)])
def test_a_class_beyond_those_of_the_recipe_names_chip_and_class(
    classes: int, beyond: int, last: int
) -> None:
    with pytest.raises(InputError, match=f"tile 7: .* holds the class {beyond}.* 0 to {last}"):
        ValidatedChips([chip(0, beyond)], classes)[0]


RED_AND_BLACK = np.zeros((3, 2, 2), np.uint8)
RED_AND_BLACK[0, 0] = 255


def test_colours_map_to_classes() -> None:
    values = {"#000000": 0, "#FF0000": 3}
    assert to_class_indices(RED_AND_BLACK, values).tolist() == [[3, 3], [0, 0]]
    grey = np.array([[0, 255]], np.uint8)
    assert to_class_indices(grey, {"#000000": 0, "#ffffff": 1}).tolist() == [[0, 1]]


@given(st.lists(st.integers(0, 0xFFFFFF), min_size=1, max_size=9, unique=True), st.integers(0, 99))
def test_any_colours_map_as_they_are_told(colours: list[int], seed: int) -> None:
    picked = np.random.default_rng(seed).integers(0, len(colours), (4, 5))
    rgb = np.array(colours)[picked]
    image = np.stack([rgb >> 16, rgb >> 8 & 255, rgb & 255]).astype(np.uint8)
    values = {f"#{colour:06x}": number for number, colour in enumerate(colours)}
    assert (to_class_indices(image, values) == picked).all()


def test_a_colour_without_a_class_is_named() -> None:
    with pytest.raises(InputError, match="holds the colour #000000, wanted were #ff0000; give it"):
        to_class_indices(RED_AND_BLACK, {"#ff0000": 1})


def test_a_mask_in_colour_says_what_to_write() -> None:
    with pytest.raises(InputError) as caught:
        to_class_indices(RED_AND_BLACK, {0: 0, 255: 1})
    assert "is in colour, with #000000, #ff0000; give each a class" in str(caught.value)
    assert 'values: {"#000000": 0, "#ff0000": 1}' in str(caught.value)


def test_grey_that_is_stored_as_colour_is_one_band() -> None:
    grey = np.repeat(np.array([[[0, 255]]], np.uint8), 3, axis=0)
    assert to_class_indices(grey, {0: 0, 255: 1}).tolist() == [[0, 1]]


def test_a_threshold_makes_two_classes_of_what_a_jpeg_blurred() -> None:
    assert to_class_indices(
        np.array([[0, 127, 128, 251]], np.uint8), None, threshold=128
    ).tolist() == [[0, 0, 1, 1]]
    nearly = np.array([[[4, 250]], [[2, 252]], [[0, 249]]], np.uint8)
    assert to_class_indices(nearly, None, threshold=128).tolist() == [[0, 1]]
    with pytest.raises(InputError, match="is in colour"):
        to_class_indices(RED_AND_BLACK, None, threshold=128)
    deep = np.array([[0, 4000]], np.uint16)
    assert to_class_indices(deep, None, threshold=1000).tolist() == [[0, 1]]
