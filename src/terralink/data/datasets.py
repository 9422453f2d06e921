"""Published data sets, each read from its official layout, and towns that are drawn.

Every function takes the folder and gives the chips of one part of the set. Road masks have the
classes 0 background, 1 road.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from terralink import town
from terralink.data.chips import IGNORE, Chip, Pairs, paired
from terralink.errors import InputError

# Classes of the Dubai tiles (Mohammed Bin Rashid Space Centre, Humans in the Loop).
DUBAI_CLASSES = ("water", "land", "road", "building", "vegetation")
_NO_DATA_SIDE_PX = 15  # a white square of this size is no roof


def massachusetts(folder: Path, part: str) -> Pairs:
    """Massachusetts Roads (Mnih 2013), 1 m per pixel; ``part`` is train or val.

    Labels are OpenStreetMap centre lines drawn 7 px wide. White areas without data are ignored.
    """
    images = list((folder / part / "images").glob("*.jpg"))
    return Pairs(*paired(images, list((folder / part / "masks").glob("*"))), _massachusetts_mask)


def _massachusetts_mask(mask: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    roads: NDArray[np.uint8] = (mask > 0).astype(np.uint8)
    white = (image >= 250).all(axis=-1)
    empty = ndimage.binary_opening(white, np.ones((_NO_DATA_SIDE_PX, _NO_DATA_SIDE_PX), bool))
    roads[empty] = IGNORE
    return roads


def dubai_roads(folder: Path, tiles: Sequence[int]) -> Pairs:
    """The road class of the Dubai tiles; split by tile, since parts of a tile adjoin."""
    images = [p for tile in tiles for p in (folder / "images").glob(f"*t{tile}.jpg")]
    return Pairs(*paired(images, list((folder / "masks").glob("*.png"))), _dubai_road)


def _dubai_road(mask: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    road: NDArray[np.uint8] = (mask == DUBAI_CLASSES.index("road")).astype(np.uint8)
    road[mask >= len(DUBAI_CLASSES)] = IGNORE
    return road


@dataclass(frozen=True)
class Towns:
    """Drawn towns as chips of ``side_px``: chip ``i`` is the town of seed ``seed + i``.

    Ground sizes are spread evenly over ``pixel_sizes_m`` (from, to).
    """

    count: int
    side_px: int = 512
    pixel_sizes_m: tuple[float, float] = (0.5, 1.0)
    seed: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Chip:
        if not 0 <= index < self.count:
            raise IndexError(index)
        low, high = self.pixel_sizes_m
        pixel_size_m = low + (high - low) * (index + 0.5) / self.count
        shape = (self.side_px, self.side_px)
        drawn = town.draw(shape, seed=self.seed + index, pixel_size_m=pixel_size_m)
        road = drawn.road_mask(0, 0, shape).astype(np.uint8)
        return Chip(drawn.image(0, 0, shape), road, f"town of seed {self.seed + index}")


def folder_of(root: Path, name: str) -> Path:
    """The folder ``name`` below the data root; one clear line when it is not there."""
    folder = root / name
    if not folder.is_dir():
        raise InputError(f"no folder {name!r} in {root}; point --data to where the sets lie")
    return folder
