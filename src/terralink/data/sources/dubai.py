"""Dubai tiles (Mohammed Bin Rashid Space Centre, Humans in the Loop): masks of five classes.

``images/*t1.jpg`` ... ``*t6.jpg``, ``masks/*.png``. Ground sizes are mixed and not stated.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, Pairs, paired
from terralink.data.sources.source import Source, folder_of

CLASSES = ("water", "land", "road", "building", "vegetation")


class Dubai(Source):
    """Some of the tiles 1 to 6. Split by tile: parts of a tile adjoin."""

    kind: Literal["dubai"]
    tiles: tuple[int, ...]
    folder: str = "dubai"

    def read(self, root: Path) -> Pairs:
        folder = folder_of(root, self.folder)
        images = [p for tile in self.tiles for p in (folder / "images").glob(f"*t{tile}.jpg")]
        return Pairs(*paired(images, list((folder / "masks").glob("*.png"))), _road)


def _road(mask: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    road: NDArray[np.uint8] = (mask == CLASSES.index("road")).astype(np.uint8)
    road[mask >= len(CLASSES)] = IGNORE
    return road
