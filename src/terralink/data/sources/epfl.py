"""EPFL road segmentation: ``training/images``, ``training/groundtruth``, 400 px, about 0.3 m.

The ground truth is grey: values over half are road.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import Pairs, files, paired
from terralink.data.sources.source import Source, folder_of


class Epfl(Source):
    kind: Literal["epfl"]
    folder: str = "epfl"

    def read(self, root: Path) -> Pairs:
        part = folder_of(root, self.folder) / "training"
        return Pairs(*paired(files(part / "images"), files(part / "groundtruth")), _road)


def _road(mask: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (mask > 127).astype(np.uint8)
