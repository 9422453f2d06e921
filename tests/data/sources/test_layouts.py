"""Each published set in its official layout, made small: what is read, in which parts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from terralink.data.chips import IGNORE
from terralink.data.sources import (
    AnySource,
    DeepGlobe,
    Dubai,
    Epfl,
    Fields,
    Inria,
    Massachusetts,
    PairFolders,
    Split,
)
from terralink.errors import InputError

Write = Callable[..., Path]

HALF = np.where(np.arange(16) < 8, 0, 255).astype(np.uint8) * np.ones((16, 1), np.uint8)
LEVEL_ROAD = ("LineString", [(0.0, 10.0), (20.0, 10.0)])
HOUSE = ("Polygon", [(2.0, 2.0), (6.0, 2.0), (6.0, 8.0), (2.0, 8.0), (2.0, 2.0)])


def noise(*shape: int, most: int = 256, dtype: str = "uint8") -> NDArray[Any]:
    """Levels that differ everywhere, always the same."""
    return np.random.default_rng(0).integers(1, most, shape).astype(dtype)


def source_of(**written: Any) -> Any:
    """As a recipe reads it."""
    return TypeAdapter(AnySource).validate_python(written)


def test_epfl_takes_pictures_of_any_kind_and_grey_over_half(picture: Write, tmp_path: Path) -> None:
    picture("epfl/training/images/satImage_001.webp")
    picture("epfl/training/images/satImage_002.png")
    grey = np.full((16, 16), 120, np.uint8)
    grey[:, 3:5] = 200
    for number in (1, 2):
        picture(f"epfl/training/groundtruth/satImage_00{number}.png", grey)
    chips = Epfl(kind="epfl").read(tmp_path)
    assert [chip.mask.sum() for chip in (chips[0], chips[1])] == [32, 32]
    assert chips[0].pixel_size_m is None


def test_epfl_names_its_test_images_by_number(picture: Write, tmp_path: Path) -> None:
    for number in (10, 2, 1):
        picture(f"epfl/test_set_images/test_{number}/test_{number}.png")
    found = Epfl(kind="epfl").test_images(tmp_path)
    assert list(found) == [1, 2, 10]
    assert found[10].name == "test_10.png"


def test_epfl_without_its_test_images_says_where_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "epfl").mkdir()
    with pytest.raises(InputError, match=r"test_set_images\.zip"):
        Epfl(kind="epfl").test_images(tmp_path)


def test_deepglobe_pairs_by_number_and_reads_masks_in_colour(
    picture: Write, tmp_path: Path
) -> None:
    for number in ("104", "7"):
        picture(f"deepglobe/{number}_sat.jpg")
        picture(f"deepglobe/{number}_mask.png", np.dstack([HALF] * 3))
    chips = DeepGlobe(kind="deepglobe").read(tmp_path)
    assert len(chips) == 2
    assert (chips[0].mask == (HALF > 0)).all()
    assert chips[0].pixel_size_m == 0.5


def test_the_papers_part_of_deepglobe_is_a_split() -> None:
    held = Split(held_out=1530).choose_val(6226)
    assert 6226 - len(held) == 4696
    assert held == Split(held_out=1530).choose_val(6226)


def test_a_deepglobe_image_without_mask_is_named(picture: Write, tmp_path: Path) -> None:
    picture("deepglobe/104_sat.jpg")
    picture("deepglobe/7_mask.png", HALF)
    with pytest.raises(InputError, match=r"no mask, the first is 104_sat\.jpg; add"):
        DeepGlobe(kind="deepglobe").read(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("val/images/a.jpg", "val/masks/a.png"),
        ("valid/sat/a.tiff", "valid/map/a.tif"),
        ("tiff/val/a.tiff", "tiff/val_labels/a.tif"),
    ],
)
def test_massachusetts_is_read_in_each_layout(
    picture: Write, tmp_path: Path, image: str, mask: str
) -> None:
    picture(f"massachusetts/{image}")
    picture(f"massachusetts/{mask}", HALF)
    (chip,) = iter_all(Massachusetts(kind="massachusetts", part="val").read(tmp_path))
    assert (chip.mask == (HALF > 0)).all()
    assert chip.pixel_size_m == 1.0


def test_massachusetts_in_no_layout_says_what_was_wanted(tmp_path: Path) -> None:
    (tmp_path / "massachusetts").mkdir()
    with pytest.raises(InputError, match="test/masks or test/map or tiff/test_labels"):
        Massachusetts(kind="massachusetts", part="test").read(tmp_path)


def test_dubai_has_road_alone_or_all_five_classes(picture: Write, tmp_path: Path) -> None:
    levels = np.tile(np.array([0, 1, 2, 3, 4, 255, 2, 2], np.uint8), (16, 2))
    picture("dubai/images/image_part_001t2.jpg")
    picture("dubai/masks/image_part_001t2.png", levels)
    road, available = (
        Dubai(kind="dubai", tiles=(2,), classes=wanted).read(tmp_path)[0].mask[0, :8].tolist()
        for wanted in ("road", "all")
    )
    assert road == [0, 0, 1, 0, 0, IGNORE, 1, 1]
    assert available == [0, 1, 2, 3, 4, IGNORE, 2, 2]


def test_a_dubai_mask_with_a_sixth_class_is_named_with_the_value(
    picture: Write, tmp_path: Path
) -> None:
    picture("dubai/images/a_t2.jpg")
    picture("dubai/masks/a_t2.png", np.full((16, 16), 5, np.uint8))
    for wanted in ("road", "all"):
        chips = Dubai(kind="dubai", tiles=(2,), classes=wanted).read(tmp_path)
        with pytest.raises(InputError, match=r"a_t2\.png: the mask holds the value 5, wanted"):
            chips[0]


def test_fields_are_pairs_of_which_a_fifth_is_held_out(picture: Write, tmp_path: Path) -> None:
    for number in range(10):
        picture(f"fields/images/{number}.png")
        picture(f"fields/masks/{number}.png", HALF)
    parts = [
        Fields(kind="fields", take=take).chips(tmp_path, Split(folds=5))
        for take in ("train", "val")
    ]
    assert [len(part) for part in parts] == [8, 2]
    assert set(np.unique(parts[0][0].mask)) == {0, 1}


def test_pairs_that_belong_together_are_on_one_side_of_a_split(
    picture: Write, tmp_path: Path
) -> None:
    for name in ("8_a", "8_b", "8_c", "9_a", "10_a", "10_b"):
        picture(f"own/images/{name}.png")
        picture(f"own/masks/{name}.png", np.zeros((16, 16), np.uint8))
    for seed in range(4):
        own = PairFolders(
            kind="pairs", folder="own", group_by=r"^\d+", split=Split(held_out=1, seed=seed)
        )
        train, held = (
            {Path(part[index].name).stem.split("_")[0] for index in range(len(part))}
            for part in (
                own.model_copy(update={"take": take}).chips(tmp_path, None)
                for take in ("train", "val")
            )
        )
        assert len(held) == 1
        assert train | held == {"8", "9", "10"}
        assert not train & held


def test_a_group_that_a_name_does_not_have_is_refused(picture: Write, tmp_path: Path) -> None:
    picture("own/images/town.png")
    picture("own/masks/town.png", np.zeros((16, 16), np.uint8))
    own = PairFolders(kind="pairs", folder="own", group_by=r"^\d+", take="train")
    with pytest.raises(InputError, match=r"group_by .* matches nothing in 'town'"):
        own.chips(tmp_path, Split(held_out=1))


def test_a_group_is_a_regular_expression_and_a_level_is_of_eight_bits() -> None:
    for wrong in ({"group_by": "("}, {"no_data": 256}):
        with pytest.raises(ValidationError):
            PairFolders(kind="pairs", folder="own", **wrong)


@pytest.mark.parametrize("level", [0, 255])
def test_areas_without_data_of_pairs_count_nowhere_but_dark_pixels_do(
    level: int, picture: Write, tmp_path: Path
) -> None:
    image = np.full((60, 60, 3), 90, np.uint8)
    image[:, :20] = level
    image[40:45, 40:45] = level  # a roof, or its shadow
    picture("own/images/a.png", image)
    picture("own/masks/a.png", np.full((60, 60), 255, np.uint8))
    own = PairFolders(kind="pairs", folder="own", values={255: 1}, no_data=level)
    mask = own.read(tmp_path)[0].mask
    assert (mask[:, :20] == IGNORE).all()
    assert (mask[:, 20:] == 1).all()


def test_inria_is_cut_in_windows_that_count_each_pixel_once(tif: Write, tmp_path: Path) -> None:
    gt = np.zeros((1, 40, 40), np.uint8)
    gt[:, 30:] = 255
    for city in ("austin", "tyrol-w"):
        for number in (5, 6):
            tif(f"inria/train/images/{city}{number}.tif", noise(3, 40, 40))
            tif(f"inria/train/gt/{city}{number}.tif", gt)
    train = Inria(kind="inria", part="train", side_px=16)
    chips = train.read(tmp_path)
    assert len(chips) == 2 * 9
    assert {path.stem for path in chips.list_scenes()} == {"austin6", "tyrol-w6"}
    assert {
        Path(str(path)).stem for path in Inria(kind="inria", part="val").read(tmp_path).paths
    } == {
        "austin5",
        "tyrol-w5",
    }
    masks = np.concatenate([chips[i].mask.ravel() for i in range(9)])
    assert np.bincount(masks)[:2].tolist() == [30 * 40, 10 * 40]
    assert len(set(train.groups(chips))) == 2
    assert chips[0].image.shape == (3, 16, 16)


def iter_all(chips: Any) -> list[Any]:
    return [chips[index] for index in range(len(chips))]


def test_nothing_is_opened_before_a_chip_is_asked_for(picture: Write, tmp_path: Path) -> None:
    for name in ("deepglobe/1_sat.jpg", "deepglobe/1_mask.png"):
        picture(name).write_bytes(b"no picture")
    chips = DeepGlobe(kind="deepglobe").read(tmp_path)
    assert len(chips) == 1
    with pytest.raises(InputError, match=r"1_sat\.jpg is not a picture"):
        chips[0]


@pytest.mark.data
def test_deepglobe_and_all_classes_of_dubai_are_read(data_root: Path) -> None:
    pair = DeepGlobe(kind="deepglobe").read(data_root)[0]
    assert pair.image.shape == (3, 1024, 1024)
    assert 0 < pair.mask.mean() < 0.1
    dubai = Dubai(kind="dubai", tiles=(1,), classes="all").read(data_root)
    assert set(np.unique(dubai[0].mask)) <= {0, 1, 2, 3, 4, IGNORE}
