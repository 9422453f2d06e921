"""SpaceNet 1, 2 (buildings) and 3 (roads): a GeoTIFF and a GeoJSON for each image, 0.3 or 0.5 m.

Images and labels are told by the areas and numbers in their names. The layouts are that of the
challenges, that of the later archive, and all of it in one folder:

    AOI_2_Vegas_Train/RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img1.tif
    AOI_2_Vegas_Train/geojson/buildings/buildings_AOI_2_Vegas_img1.geojson
    AOI_2_Vegas_Roads_Train/geojson/spacenetroads/spacenetroads_AOI_2_Vegas_img1.geojson
    3band/3band_013022223130_Public_img1.tif   (SpaceNet 1, Rio)
    vectordata/geojson/013022223130_Public_img1_Geo.geojson
    SN3_roads_train_AOI_2_Vegas/PS-RGB/SN3_roads_train_AOI_2_Vegas_PS-RGB_img1.tif
    SN3_roads_train_AOI_2_Vegas/geojson_roads/SN3_roads_train_AOI_2_Vegas_geojson_roads_img1.geojson

PP-LinkNet splits SpaceNet 2 in 8,472 and 2,121 (``split: {held_out: 2121}``), SpaceNet 3 in 2,213
and 567 (``split: {held_out: 567}``).
"""

import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from terralink.data.chips import paired
from terralink.data.masks import Drawn, DrawnMasks, DrawnOnScenes
from terralink.data.sources.source import SceneSource, folder_of
from terralink.data.sources.stretching import Stretching
from terralink.data.windows import Scenes
from terralink.errors import InputError

_ID = re.compile(r"(AOI_\d+_[^_]+|\d+_Public).*_(img\d+)")
_LABELS: dict[Drawn, tuple[str, ...]] = {
    "building": ("buildings", "geojson_buildings", "geojson"),
    "road": ("spacenetroads", "geojson_roads"),
}


class SpaceNet(SceneSource):
    """All areas below ``folder``, or those named by ``areas``, such as ``AOI_2_Vegas``.

    ``images`` are the folders of the product that is read: 8 or 11 bits, any bands. ``labels`` are
    those of the GeoJSON files; null takes the challenges' own names. The stretch is one for the
    whole set. Centre lines are drawn ``width_m`` wide; null takes 4 m for each lane that they tell.
    """

    credit: ClassVar[str | None] = "SpaceNet (CC BY-SA 4.0)"
    kind: Literal["spacenet"]
    what: Drawn
    areas: tuple[str, ...] | None = None
    images: tuple[str, ...] = ("RGB-PanSharpen", "PS-RGB", "3band")
    labels: tuple[str, ...] | None = None
    bands: tuple[PositiveInt, ...] = (1, 2, 3)
    stretch: Stretching = "measured"
    width_m: PositiveFloat | None = None
    side_px: PositiveInt | None = None
    overlap_px: NonNegativeInt = 0
    folder: str = "spacenet"

    def read(self, root: Path) -> Scenes:
        folder = folder_of(root, self.folder)
        images = self._found(folder, "*.tif", self.images)
        labels = self._found(folder, "*.geojson", self.labels or _LABELS[self.what])
        if not images:
            raise InputError(
                f"no images in {folder}: wanted AOI folders with {' or '.join(self.images)}, "
                "and names such as RGB-PanSharpen_AOI_2_Vegas_img1.tif"
            )
        scenes, shapes = paired(images, labels, _id)
        masks = DrawnMasks({self.what: 1}, self.width_m)
        drawn = DrawnOnScenes(dict(zip(scenes, shapes, strict=True)), masks)
        stretch = None if self.stretch == "measured" else self.stretch
        return Scenes(scenes, drawn, self.side_px, self.overlap_px, self.bands, stretch, no_data=0)

    def _found(self, folder: Path, pattern: str, parents: tuple[str, ...]) -> list[Path]:
        """Files with an id of the areas, in folders of those names or in ``folder`` itself."""
        return [
            path
            for path in folder.rglob(pattern)
            if (path.parent.name in parents or path.parent == folder)
            and (named := _ID.search(path.stem))
            and (self.areas is None or named[1] in self.areas)
        ]


def _id(path: Path) -> str:
    """
    >>> _id(Path("RGB-PanSharpen_AOI_2_Vegas_img7.tif"))
    'AOI_2_Vegas_img7'
    >>> _id(Path("SN3_roads_train_AOI_2_Vegas_geojson_roads_img7.geojson"))
    'AOI_2_Vegas_img7'
    >>> _id(Path("013022223130_Public_img7_Geo.geojson"))
    '013022223130_Public_img7'
    """
    named = _ID.search(path.stem)
    assert named is not None
    return f"{named[1]}_{named[2]}"
