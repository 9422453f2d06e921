"""Massachusetts Roads (Mnih 2013), 1 m per pixel.

``train/images``, ``train/masks``, ``val/...``. Labels are OpenStreetMap centre lines drawn 7 px
wide. White areas without data are ignored.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from terralink.data.chips import IGNORE, Pairs, paired
from terralink.data.sources.source import Source, folder_of

_NO_DATA_SIDE_PX = 15  # a white square of this size is no roof


class Massachusetts(Source):
    kind: Literal["massachusetts"]
    part: Literal["train", "val"]
    folder: str = "massachusetts"

    def read(self, root: Path) -> Pairs:
        part = folder_of(root, self.folder) / self.part
        images, masks = list((part / "images").glob("*.jpg")), list((part / "masks").glob("*"))
        return Pairs(*paired(images, masks), road_mask)


def road_mask(mask: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0 background, 1 road, ``IGNORE`` where the image (H, W, 3) is white over a wide area."""
    roads: NDArray[np.uint8] = (mask > 0).astype(np.uint8)
    white = (image >= 250).all(axis=-1)
    empty = ndimage.binary_opening(white, np.ones((_NO_DATA_SIDE_PX, _NO_DATA_SIDE_PX), bool))
    roads[empty] = IGNORE
    return roads
