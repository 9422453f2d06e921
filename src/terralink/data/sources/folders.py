"""Own data: folders of pictures with masks, and of scenes with masks or shapes.

pairs   images/a.jpg  masks/a.png      pictures, whole
fields  images/a.png  masks/a.png      the same, as the fields of the paddy paper lie: 256 px
scenes  images/a.tif  masks/a.tif      what GDAL reads, of any size, any bands, cut in windows
        images/a.tif  shapes/a.geojson
        images/a.tif  osm.geojson      one file of shapes for all
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from terralink.data import classes
from terralink.data.chips import Pairs, files, paired
from terralink.data.masks import CutMasks, Drawn, DrawnMasks, DrawnOnScenes
from terralink.data.sources.source import SceneSource, Source, folder_of
from terralink.data.sources.stretching import Stretching
from terralink.data.windows import Labels, Scenes
from terralink.errors import InputError

SHAPES = (".geojson", ".json", ".gpkg", ".shp", ".fgb", ".parquet", ".osm", ".pbf")
Values = dict[int, int]


class Pictures(Source):
    """Pictures and masks of the same stem.

    ``values`` map what a mask stores to classes, 255 to what counts nowhere; without them it
    stores class indices. Masks of 0 and 255 want ``values: {0: 0, 255: 1}``.
    """

    folder: str
    images: str = "images"
    masks: str = "masks"
    values: Values | None = None
    pixel_size_m: PositiveFloat | None = None

    def read(self, root: Path) -> Pairs:
        folder = folder_of(root, self.folder)
        found = paired(files(folder / self.images), files(folder / self.masks))
        return Pairs(*found, partial(_indices, self.values), pixel_size_m=self.pixel_size_m)


class PairFolders(Pictures):
    """Own pairs."""

    kind: Literal["pairs"]


class Fields(Pictures):
    """Fields in patches of 256 px: the paddy paper trains on 80% (``split: {folds: 5}``)."""

    kind: Literal["fields"]
    folder: str = "fields"
    values: Values | None = Field(default={0: 0, 255: 1})


class SceneFolder(SceneSource):
    """Scenes, whole or in windows of ``side_px``, with masks or shapes.

    ``labels`` names a folder of rasters or shapes of the scenes' stems, or one file of shapes. Of
    rasters ``values`` map what is stored, as in pairs; of shapes they are the ``classes`` of "road"
    and "building". ``no_data`` is the level of black or white borders that no tag tells.
    """

    kind: Literal["scenes"]
    folder: str
    images: str = "images"
    labels: str = "masks"
    side_px: PositiveInt | None = None
    overlap_px: NonNegativeInt = 0
    bands: tuple[PositiveInt, ...] | None = None
    stretch: Stretching = "measured"
    no_data: int | None = None
    values: Values | None = None
    classes: dict[Drawn, int] = Field(default={"road": 1}, min_length=1)
    width_m: PositiveFloat | None = None

    def read(self, root: Path) -> Scenes:
        folder = folder_of(root, self.folder)
        scenes = files(folder / self.images)
        if not scenes:
            raise InputError(f"no scenes in {folder / self.images}")
        drawn = DrawnMasks(self.classes, self.width_m)
        labels = labels_of(scenes, folder / self.labels, self.values, drawn)
        stretch = None if self.stretch == "measured" else self.stretch
        return Scenes(
            scenes, labels, self.side_px, self.overlap_px, self.bands, stretch, self.no_data
        )


def labels_of(
    scenes: Sequence[Path], path: Path, values: Values | None, drawn: DrawnMasks
) -> Labels:
    """The masks of scenes: rasters or shapes of their stems in a folder, or one file for all.

    Raises ``InputError`` where a scene has none.
    """
    if path.is_dir():
        shapes = [each for each in path.iterdir() if each.suffix.lower() in SHAPES]
        _, partners = paired(scenes, shapes or files(path))
        of = dict(zip(sorted(scenes), partners, strict=True))
        return DrawnOnScenes(of, drawn) if shapes else CutMasks(of, values)
    if not path.is_file():
        raise InputError(f"no labels {path}: wanted a folder of masks, or a file of shapes")
    if path.suffix.lower() in SHAPES:
        return DrawnOnScenes(path, drawn)
    if len(scenes) > 1:
        raise InputError(f"one mask {path} for {len(scenes)} scenes; give a folder with one each")
    return CutMasks({scenes[0]: path}, values)


def _indices(
    values: Values | None, mask: NDArray[np.uint8], _image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    return classes.indices(mask, values)
