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
        chips.match_pairs([Path("a.jpg"), Path("b.jpg")], [Path("a.png")])


def test_a_folder_without_images_is_refused() -> None:
    with pytest.raises(InputError, match="no images"):
        chips.match_pairs([], [])


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"x\.jpg is not a picture"):
        chips.read_image(tmp_path / "x.jpg")


def test_a_palette_gives_its_indices(tmp_path: Path) -> None:
    indexed = Image.fromarray(np.array([[0, 2], [4, 255]], np.uint8), "P")
    indexed.putpalette([7] * 768)
    indexed.save(tmp_path / "mask.png")
    assert chips.read_image(tmp_path / "mask.png").tolist() == [[0, 2], [4, 255]]


def test_a_mask_of_another_size_names_both_files_and_sizes(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "mask.png")
    pairs = chips.Pairs([tmp_path / "a.png"], [tmp_path / "mask.png"], lambda mask, _image: mask)
    with pytest.raises(InputError, match=r"mask\.png is 4 x 4 px, its image .*a\.png 5 x 4 px"):
        pairs[0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "bmp"])
@pytest.mark.parametrize("part", [0.2, 0.6, 0.97])
def test_a_picture_that_is_cut_off_is_named(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match=rf"x\.{suffix} is not a picture that can be read.*fetch"):
        chips.read_image(path, "RGB")


def test_levels_of_16_bits_are_refused_and_never_wrapped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 300, np.uint16)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"more than 8 bits.*kind: scenes"):
        chips.read_image(tmp_path / "x.png")


def test_a_mask_of_one_bit_is_black_and_white_as_grey(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "x.png")
    assert chips.read_image(tmp_path / "x.png", "L").tolist() == [[255, 0]]


def test_two_masks_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match=r"masks m/a\.png and m/a\.tif have one name"):
        chips.match_pairs([Path("a.jpg")], [Path("m/a.png"), Path("m/a.tif")])
