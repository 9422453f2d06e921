"""Masks as people have them: in colour, as JPEG, of 16 bits; in pairs and in scenes."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from terralink.data.sources import AnySource, PairFolders, SceneFolder
from terralink.errors import InputError

yaml = pytest.importorskip("yaml", reason="recipes need the extra 'train'")

Write = Callable[..., Path]
source_of = TypeAdapter(AnySource).validate_python
ROADS = np.zeros((32, 32), np.uint8)
ROADS[8:24] = 1
COLOURS: dict[int | str, int] = {"#000000": 0, "#ff0000": 1}


def in_colour(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colours: NDArray[np.uint8] = mask[..., None] * np.array([255, 0, 0], np.uint8)
    return colours


def pairs(tmp_path: Path, name: str, levels: NDArray[Any], **keys: Any) -> NDArray[np.uint8]:
    """The mask of a pair whose mask file is called ``name``."""
    for folder in ("images", "masks"):
        (tmp_path / "mine" / folder).mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "mine" / "images" / "a.png")
    Image.fromarray(levels).save(tmp_path / "mine" / "masks" / name)
    return PairFolders(kind="pairs", folder="mine", **keys).read(tmp_path)[0].mask


def test_colours_are_classes_of_pairs(tmp_path: Path) -> None:
    assert (pairs(tmp_path, "a.png", in_colour(ROADS), values=COLOURS) == ROADS).all()
    alpha = np.dstack([in_colour(ROADS), np.full((32, 32), 255, np.uint8)])
    assert (pairs(tmp_path, "a.png", alpha, values=COLOURS) == ROADS).all()


def test_a_palette_is_indices_or_colours(tmp_path: Path) -> None:
    pairs(tmp_path, "a.png", ROADS)
    image = Image.fromarray(ROADS).convert("P")
    image.putdata(ROADS.ravel().tolist())
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "mine" / "masks" / "a.png")
    by_index = PairFolders(kind="pairs", folder="mine").read(tmp_path)[0].mask
    by_colour = PairFolders(kind="pairs", folder="mine", values=COLOURS).read(tmp_path)[0].mask
    assert (by_index == by_colour).all()
    assert (by_colour == ROADS).all()


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG"])
def test_a_jpeg_wants_a_threshold(tmp_path: Path, suffix: str) -> None:
    name, slanted = f"a.{suffix}", np.tri(32, dtype=np.uint8)
    for keys in ({}, {"values": {0: 0, 255: 1}}):
        with pytest.raises(InputError, match=f"{name}.*threshold: 128 makes class 1 of what is"):
            pairs(tmp_path, name, 255 * slanted, **keys)
    grey = np.repeat(255 * slanted[..., None], 3, axis=2)
    for levels in (255 * slanted, grey):
        found = pairs(tmp_path, name, levels, threshold=128)
        assert (found == slanted).mean() > 0.98


def test_a_mask_of_16_bits_holds_classes(tmp_path: Path) -> None:
    deep = ROADS.astype(np.uint16)
    assert (pairs(tmp_path, "a.tif", deep) == ROADS).all()
    assert (pairs(tmp_path, "a.tif", 4000 * deep, values={0: 0, 4000: 1}) == ROADS).all()
    with pytest.raises(InputError, match="holds the value 4000, wanted were 0 to 255"):
        pairs(tmp_path, "a.tif", 4000 * deep)


def test_images_of_16_bits_are_sent_to_scenes(tif: Write, tmp_path: Path) -> None:
    pairs(tmp_path, "a.png", ROADS)
    (tmp_path / "mine/images/a.png").unlink()
    for bands in (1, 3):
        levels = np.random.default_rng(0).integers(0, 4000, (bands, 32, 32)).astype(np.uint16)
        tif("mine/images/a.tif", levels)
        with pytest.raises(InputError, match="kind: scenes"):
            PairFolders(kind="pairs", folder="mine").read(tmp_path)[0]
    read = SceneFolder(kind="scenes", folder="mine").read(tmp_path)[0]
    assert (read.mask == ROADS).all()


def test_scenes_take_colours_and_thresholds_too(tif: Write, tmp_path: Path) -> None:
    tif("own/images/a.tif", np.random.default_rng(0).integers(1, 256, (3, 32, 32)).astype(np.uint8))
    tif("own/masks/a.tif", in_colour(ROADS).transpose(2, 0, 1))
    by_colour = SceneFolder(kind="scenes", folder="own", values=COLOURS)
    assert (by_colour.read(tmp_path)[0].mask == ROADS).all()
    with pytest.raises(InputError, match=r'values: \{"#000000": 0, "#ff0000": 1\}'):
        SceneFolder(kind="scenes", folder="own").read(tmp_path)[0]
    tif("own/masks/a.tif", 255 * ROADS[None])
    bright = SceneFolder(kind="scenes", folder="own", threshold=128)
    assert (bright.read(tmp_path)[0].mask == ROADS).all()


@pytest.mark.parametrize("kind", ["pairs", "scenes"])
@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"values": {"#ff0000": 1}, "threshold": 3}, "say either values, or the threshold"),
        ({"values": {"#ff0000": 1, 0: 0}}, "numbers or colours, not both"),
        ({"values": {"red": 1}}, "'red' is no value of a mask"),
        ({"values": {"#ff000": 1}}, "'#ff000' is no value"),
        ({"values": {0: 256}}, "a class is a number from 0 to 255, not 256"),
        ({"threshold": 0}, "threshold"),
    ],
)
def test_values_that_are_none_are_refused(kind: str, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        source_of({"kind": kind, "folder": "mine", **keys})


@pytest.mark.parametrize("values", [{0: 0, 255: 1}, COLOURS])
def test_values_come_back_from_a_stored_recipe(values: dict[Any, int]) -> None:
    source: Any = source_of({"kind": "pairs", "folder": "mine", "values": values})
    stored = yaml.safe_load(io.StringIO(yaml.safe_dump(source.model_dump(mode="json"))))
    assert source_of(stored) == source
    assert source.values == values
