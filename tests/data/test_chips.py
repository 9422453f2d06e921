"""Chips from files: pairs, splits, and what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terralink.data import chips
from terralink.errors import InputError


def test_image_and_mask_of_different_size_are_refused() -> None:
    with pytest.raises(InputError, match="must be the same"):
        chips.Chip(np.zeros((3, 4, 4), np.uint8), np.zeros((4, 5), np.uint8), "a.jpg")


def test_an_image_without_mask_is_named() -> None:
    with pytest.raises(InputError, match=r"1 images have no mask, the first is b\.jpg"):
        chips.paired([Path("a.jpg"), Path("b.jpg")], [Path("a.png")])


def test_a_folder_without_images_is_refused() -> None:
    with pytest.raises(InputError, match="no images"):
        chips.paired([], [])


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"x\.jpg is not a picture"):
        chips.read_image(tmp_path / "x.jpg")


def test_a_palette_gives_its_indices(tmp_path: Path) -> None:
    indexed = Image.fromarray(np.array([[0, 2], [4, 255]], np.uint8), "P")
    indexed.putpalette([7] * 768)
    indexed.save(tmp_path / "mask.png")
    assert chips.read_image(tmp_path / "mask.png").tolist() == [[0, 2], [4, 255]]
