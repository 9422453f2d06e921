"""Published data sets, read from their layouts."""

from pathlib import Path

import numpy as np
import pytest

from terralink.data import datasets
from terralink.data.chips import IGNORE
from terralink.errors import InputError


def test_white_areas_of_massachusetts_are_ignored_but_white_roofs_are_not() -> None:
    image = np.full((60, 60, 3), 90, np.uint8)
    image[:30, :30] = 255  # no data
    image[50:58, 50:58] = 255  # a roof
    mask = datasets._massachusetts_mask(np.ones((60, 60), np.uint8), image)
    assert (mask[:30, :30] == IGNORE).all()
    assert (mask[40:, 40:] == 1).all()


def test_towns_are_chips_with_roads_and_a_seed() -> None:
    towns = datasets.Towns(2, side_px=128)
    assert len(towns) == 2
    assert towns[1].image.shape == (3, 128, 128)
    assert set(np.unique(towns[0].mask)) <= {0, 1}
    assert (towns[0].image == datasets.Towns(2, side_px=128)[0].image).all()


def test_a_missing_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="point --data"):
        datasets.folder_of(tmp_path, "massachusetts")


@pytest.mark.data
def test_massachusetts_and_dubai_are_read_whole(data_root: Path) -> None:
    assert len(datasets.massachusetts(data_root / "massachusetts", "train")) == 200
    assert len(datasets.massachusetts(data_root / "massachusetts", "val")) == 48
    tile = datasets.dubai_roads(data_root / "dubai", [2])
    assert len(tile) == 9
    assert tile[0].image.shape[1:] == tile[0].mask.shape
    assert set(np.unique(tile[0].mask)) <= {0, 1, IGNORE}
