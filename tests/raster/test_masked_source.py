import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from terralink.errors import SceneError, UnreadableWarning
from terralink.raster import Raster, SceneOptions, open_scene

PLACE = Affine(1, 0, 600000, 0, -1, 4000000)
LEVELS = np.random.default_rng(0).integers(40, 200, (3, 300, 300), dtype=np.uint8)


@pytest.fixture
def spoilt(tmp_path: Path) -> Callable[..., Path]:
    """A scene in blocks of 64 px, of which those of the numbers given are garbage."""

    def write(*numbers: int) -> Path:
        path = tmp_path / "scene.tif"
        size = {"count": 3, "height": 300, "width": 300, "dtype": "uint8"}
        tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
        with rasterio.open(
            path, "w", driver="GTiff", crs="EPSG:32611", transform=PLACE, **size, **tiled
        ) as dataset:
            dataset.write(LEVELS)
        with rasterio.open(path) as dataset:
            places = [
                int(dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1))
                for row, col in itertools.product(range(5), repeat=2)
            ]
        content = bytearray(path.read_bytes())
        for number in numbers:
            content[places[number] : places[number] + 3000] = bytes(3000)
        path.write_bytes(content)
        return path

    return write


def masked(path: Path, row: int, col: int, shape: tuple[int, int]) -> Raster:
    with open_scene(path, SceneOptions(mask_corrupt_blocks=True)) as scene:
        return scene.read(row, col, shape)


def test_damage_is_refused_with_its_place(spoilt: Callable[..., Path]) -> None:
    with open_scene(spoilt(6)) as scene, pytest.raises(SceneError, match=r"rows 0-300.*damaged"):
        scene.read(0, 0, (300, 300))


@pytest.mark.parametrize("window", [(0, 0, 300, 300), (50, 60, 90, 200), (100, 100, 20, 20)])
def test_damage_is_masked_block_by_block(
    spoilt: Callable[..., Path], window: tuple[int, int, int, int]
) -> None:
    row, col, height, width = window
    sound = np.ones((300, 300), bool)
    sound[64:128, 64:128] = False
    expected = sound[row : row + height, col : col + width]
    path = spoilt(6)
    with pytest.warns(UnreadableWarning, match=r"1 block .*is masked: rows 64-128, columns 64-128"):
        read = masked(path, row, col, (height, width))
    assert read.valid is not None
    assert (read.valid == expected).all()
    assert (read.array == LEVELS[:, row : row + height, col : col + width] * expected).all()


def test_many_blocks_are_counted_and_the_first_named(spoilt: Callable[..., Path]) -> None:
    path = spoilt(0, 6, 12, 18, 24)
    with pytest.warns(UnreadableWarning, match=r"5 blocks .*are masked: rows 0-64.*; \.\.\.$"):
        masked(path, 0, 0, (300, 300))


def test_a_sound_scene_warns_of_nothing(spoilt: Callable[..., Path]) -> None:
    read = masked(spoilt(), 0, 0, (300, 300))
    assert read.valid is not None
    assert read.valid.all()
