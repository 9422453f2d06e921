"""Dubai tiles (Mohammed Bin Rashid Space Centre, Humans in the Loop): masks of five classes.

``images/*t1.jpg`` ... ``*t6.jpg``, ``masks/*.png`` with a palette; 255 counts nowhere. Ground sizes
are mixed and not stated.
"""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from terralink.data import classes
from terralink.data.chips import IGNORE, Pairs, paired
from terralink.data.sources.source import Source, folder_of

CLASSES = ("water", "land", "road", "building", "vegetation")
_ALL = {**{index: index for index in range(len(CLASSES))}, IGNORE: IGNORE}
_ROAD = {**dict.fromkeys(range(len(CLASSES)), 0), CLASSES.index("road"): 1, IGNORE: IGNORE}


class Dubai(Source):
    """Some of the tiles 1 to 6. Split by tile: parts of a tile adjoin.

    The classes are road alone, or all five in the order of ``CLASSES``.
    """

    credit: ClassVar[str | None] = (
        "Dubai tiles by Mohammed Bin Rashid Space Centre and Humans in the Loop (CC0)"
    )
    kind: Literal["dubai"]
    tiles: tuple[int, ...]
    folder: str = "dubai"
    classes: Literal["road", "all"] = "road"

    def read(self, root: Path) -> Pairs:
        folder = folder_of(root, self.folder)
        images = [p for tile in self.tiles for p in (folder / "images").glob(f"*t{tile}.jpg")]
        masks = (folder / "masks").glob("*.png")
        return Pairs(*paired(images, masks), _road if self.classes == "road" else _all)


def _road(mask: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return classes.indices(mask, _ROAD)


def _all(mask: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return classes.indices(mask, _ALL)
