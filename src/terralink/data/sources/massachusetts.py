"""Massachusetts Roads (Mnih 2013), 1 m per pixel.

Labels are OpenStreetMap centre lines drawn 7 px wide. White areas without data are ignored. The
layouts are ours, that of the set's own page, and that of its copy on Kaggle:

    train/images     train/masks          val/...
    train/sat        train/map            valid/...  test/...
    tiff/train       tiff/train_labels    tiff/val   tiff/test
"""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, Pairs, files, paired
from terralink.data.sources.source import Source, folder_of
from terralink.errors import InputError
from terralink.raster.no_data import apply_opening

_NO_DATA_SIDE_PX = 15  # a white square of this size is no roof
_LAYOUTS = (
    ("{}/images", "{}/masks"),
    ("{}/sat", "{}/map"),
    ("tiff/{}", "tiff/{}_labels"),
    ("{}", "{}_labels"),
)


class Massachusetts(Source):
    credit: ClassVar[str | None] = "Imagery MassGIS; labels (c) OpenStreetMap contributors (ODbL)"
    kind: Literal["massachusetts"]
    part: Literal["train", "val", "test"]
    folder: str = "massachusetts"

    def read(self, root: Path) -> Pairs:
        images, masks = self._folders(folder_of(root, self.folder))
        return Pairs(*paired(files(images), files(masks)), road_mask, "L", pixel_size_m=1.0)

    def _folders(self, folder: Path) -> tuple[Path, Path]:
        names = ("val", "valid") if self.part == "val" else (self.part,)
        for images, masks in _LAYOUTS:
            for name in names:
                if (folder / masks.format(name)).is_dir():
                    return folder / images.format(name), folder / masks.format(name)
        wanted = " or ".join(masks.format(self.part) for _, masks in _LAYOUTS)
        raise InputError(f"no masks in {folder}: wanted a folder {wanted}")


def road_mask(mask: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0 background, 1 road, ``IGNORE`` where the image (H, W, 3) is white over a wide area."""
    roads: NDArray[np.uint8] = (mask > 0).astype(np.uint8)
    white = np.asarray((image >= 250).all(axis=-1))
    roads[apply_opening(white, _NO_DATA_SIDE_PX)] = IGNORE
    return roads
