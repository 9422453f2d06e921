"""Published data sets, each read from its official layout, and drawn towns.

A class a set. The layouts are in the docstrings of the classes.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from terralink import synthetic
from terralink.data.chips import IGNORE, Chip, Pairs, list_images, match_pairs
from terralink.data.masks import (
    Drawn,
    RasterMasks,
    SceneVectorMasks,
    VectorMasks,
    binarize,
    to_class_indices,
)
from terralink.data.sources.source import SceneSource, Source, StretchSetting, find_folder
from terralink.data.windows import Scenes
from terralink.errors import InputError
from terralink.raster import Stretch
from terralink.raster.no_data import apply_opening


class DeepGlobe(Source):
    """DeepGlobe 2018 roads: ``<id>_sat.jpg`` and ``<id>_mask.png`` in one folder, 1024 px, 0.5 m.

    Masks are white where there is road; by the challenge's rule a level from 128 is. Of the 6,226
    pairs with masks PP-LinkNet trains on 4,696 and tests on 1,530: ``split: {held_out: 1530}``.
    """

    credit: ClassVar[str | None] = "DeepGlobe 2018 road extraction (research only)"
    kind: Literal["deepglobe"]
    folder: str = "deepglobe"

    def read(self, root: Path) -> Pairs:
        folder = find_folder(root, self.folder)
        images, masks = folder.glob("*_sat.jpg"), folder.glob("*_mask.png")
        return Pairs(*match_pairs(images, masks, _pair_id), binarize, "L", pixel_size_m=0.5)


def _pair_id(path: Path) -> str:
    return path.stem.rpartition("_")[0]


DUBAI_CLASSES = ("water", "land", "road", "building", "vegetation")
_ALL_CLASSES = {**{index: index for index in range(len(DUBAI_CLASSES))}, IGNORE: IGNORE}
_ROAD_CLASSES = {
    **dict.fromkeys(range(len(DUBAI_CLASSES)), 0),
    DUBAI_CLASSES.index("road"): 1,
    IGNORE: IGNORE,
}


class Dubai(Source):
    """Dubai tiles (Mohammed Bin Rashid Space Centre, Humans in the Loop): masks of five classes.

    ``images/*t1.jpg`` ... ``*t6.jpg``, ``masks/*.png`` with a palette, where 255 is masked. Ground
    sizes are mixed and not stated. The entry takes some of the tiles 1 to 6. Split by tile: parts
    of a tile adjoin. The classes are road alone, or all five in the order of ``DUBAI_CLASSES``.
    """

    credit: ClassVar[str | None] = (
        "Dubai tiles by Mohammed Bin Rashid Space Centre and Humans in the Loop (CC0)"
    )
    kind: Literal["dubai"]
    tiles: tuple[int, ...]
    folder: str = "dubai"
    classes: Literal["road", "all"] = "road"

    def read(self, root: Path) -> Pairs:
        folder = find_folder(root, self.folder)
        images = [p for tile in self.tiles for p in (folder / "images").glob(f"*t{tile}.jpg")]
        masks = (folder / "masks").glob("*.png")
        return Pairs(
            *match_pairs(images, masks), _dubai_road if self.classes == "road" else _dubai_all
        )


def _dubai_road(mask: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return to_class_indices(mask, _ROAD_CLASSES)


def _dubai_all(mask: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return to_class_indices(mask, _ALL_CLASSES)


_TEST_IMAGE = re.compile(r"test_(\d+)")


class Epfl(Source):
    """EPFL road segmentation: ``training/images``, ``training/groundtruth``, 400 px, about 0.3 m.

    Images may be of any format. The ground truth is grey: values over half are road. The
    challenge's own test images, ``test_set_images/test_1/test_1.png`` to 50, 608 px, have none.
    """

    credit: ClassVar[str | None] = (
        "Imagery of a web map, from the EPFL road segmentation challenge (research only)"
    )
    kind: Literal["epfl"]
    folder: str = "epfl"

    def read(self, root: Path) -> Pairs:
        part = find_folder(root, self.folder) / "training"
        return Pairs(
            *match_pairs(list_images(part / "images"), list_images(part / "groundtruth")),
            binarize,
            "L",
        )

    def test_images(self, root: Path) -> dict[int, Path]:
        """The images to predict, by their numbers; in a folder each, or together in one."""
        folder = find_folder(root, self.folder) / "test_set_images"
        if not folder.is_dir():
            raise InputError(f"no folder {folder}; the challenge gives it as test_set_images.zip")
        inner = [each for each in sorted(folder.iterdir()) if each.is_dir()]
        numbered = {
            int(named[1]): path
            for each in (folder, *inner)
            for path in list_images(each)
            if (named := _TEST_IMAGE.fullmatch(path.stem))
        }
        if not numbered:
            raise InputError(f"no test images in {folder}; wanted test_1/test_1.png and so on")
        return dict(sorted(numbered.items()))


_INRIA_VAL_TILES = range(1, 6)  # by the set's authors, the first five tiles of each city
_INRIA_TILE = re.compile(r"(.+?)(\d+)")


class Inria(SceneSource):
    """Inria Aerial Image Labeling (Maggiori 2017): buildings of five cities, 0.3 m.

    ``train/images/austin1.tif`` to ``vienna36.tif``, 5000 px, and ``train/gt`` of the same names,
    255 where there is a building. Each tile is cut into windows when they are read. ``part`` is by
    the set's own split: of each city tiles 1 to 5 are for validation, the others for training.
    """

    credit: ClassVar[str | None] = "Inria Aerial Image Labeling (Maggiori et al. 2017)"
    kind: Literal["inria"]
    part: Literal["train", "val", "all"]
    side_px: PositiveInt = 512
    folder: str = "inria"

    def read(self, root: Path) -> Scenes:
        folder = find_folder(root, self.folder) / "train"
        images, masks = match_pairs(list_images(folder / "images"), list_images(folder / "gt"))
        taken = [path for path in images if self.part in ("all", _inria_part(path))]
        if not taken:
            raise InputError(f"no tiles of the part {self.part!r} in {folder / 'images'}")
        labels = RasterMasks(dict(zip(images, masks, strict=True)), {0: 0, 255: 1})
        return Scenes(taken, labels, self.side_px, preset_stretch=Stretch.none())


def _inria_part(path: Path) -> str:
    named = _INRIA_TILE.fullmatch(path.stem)
    if named is None:
        raise InputError(f"{path} is not named as Inria's tiles are: a city and a number")
    return "val" if int(named[2]) in _INRIA_VAL_TILES else "train"


_NO_DATA_SIDE_PX = 15  # a white square of this size is no roof
_MASSACHUSETTS_LAYOUTS = (
    ("{}/images", "{}/masks"),
    ("{}/sat", "{}/map"),
    ("tiff/{}", "tiff/{}_labels"),
    ("{}", "{}_labels"),
)


class Massachusetts(Source):
    """Massachusetts Roads (Mnih 2013), 1 m per pixel.

    Labels are OpenStreetMap centre lines drawn 7 px wide. White areas without data are ignored. The
    layouts are ours, that of the set's own page, and that of its copy on Kaggle:

        train/images     train/masks          val/...
        train/sat        train/map            valid/...  test/...
        tiff/train       tiff/train_labels    tiff/val   tiff/test
    """

    credit: ClassVar[str | None] = "Imagery MassGIS; labels (c) OpenStreetMap contributors (ODbL)"
    kind: Literal["massachusetts"]
    part: Literal["train", "val", "test"]
    folder: str = "massachusetts"

    def read(self, root: Path) -> Pairs:
        images, masks = self._folders(find_folder(root, self.folder))
        return Pairs(
            *match_pairs(list_images(images), list_images(masks)),
            read_road_mask,
            "L",
            pixel_size_m=1.0,
        )

    def _folders(self, folder: Path) -> tuple[Path, Path]:
        names = ("val", "valid") if self.part == "val" else (self.part,)
        for images, masks in _MASSACHUSETTS_LAYOUTS:
            for name in names:
                if (folder / masks.format(name)).is_dir():
                    return folder / images.format(name), folder / masks.format(name)
        wanted = " or ".join(masks.format(self.part) for _, masks in _MASSACHUSETTS_LAYOUTS)
        raise InputError(f"no masks in {folder}: wanted a folder {wanted}")


def read_road_mask(mask: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0 background, 1 road, ``IGNORE`` where the image (H, W, 3) is white over a wide area."""
    roads: NDArray[np.uint8] = (mask > 0).astype(np.uint8)
    white = np.asarray((image >= 250).all(axis=-1))
    roads[apply_opening(white, _NO_DATA_SIDE_PX)] = IGNORE
    return roads


_SPACENET_IMAGE = re.compile(r"(AOI_\d+_[^_]+|\d+_Public).*_(img\d+)")
_SPACENET_LABELS: dict[Drawn, tuple[str, ...]] = {
    "building": ("buildings", "geojson_buildings", "geojson"),
    "road": ("spacenetroads", "geojson_roads"),
}


class SpaceNet(SceneSource):
    """SpaceNet 1, 2 (buildings) and 3 (roads): a GeoTIFF and a GeoJSON an image, 0.3 or 0.5 m.

    Images and labels are matched by the areas and numbers in their names. The layouts are that of
    the challenges, that of the later archive, and all of it in one folder:

        AOI_2_Vegas_Train/RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img1.tif
        AOI_2_Vegas_Train/geojson/buildings/buildings_AOI_2_Vegas_img1.geojson
        AOI_2_Vegas_Roads_Train/geojson/spacenetroads/spacenetroads_AOI_2_Vegas_img1.geojson
        3band/3band_013022223130_Public_img1.tif   (SpaceNet 1, Rio)
        vectordata/geojson/013022223130_Public_img1_Geo.geojson
        SN3_roads_train_AOI_2_Vegas/PS-RGB/SN3_roads_train_AOI_2_Vegas_PS-RGB_img1.tif
        SN3_roads_train_AOI_2_Vegas/geojson_roads/SN3_roads_train_AOI_2_Vegas_geojson_roads_img1.geojson

    PP-LinkNet splits SpaceNet 2 in 8,472 and 2,121 (``split: {held_out: 2121}``), SpaceNet 3 in
    2,213 and 567 (``split: {held_out: 567}``). The entry takes all areas below ``folder``, or those
    named by ``areas``, such as ``AOI_2_Vegas``.

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
    stretch: StretchSetting = "measured"
    width_m: PositiveFloat | None = None
    side_px: PositiveInt | None = None
    overlap_px: NonNegativeInt = 0
    folder: str = "spacenet"

    def read(self, root: Path) -> Scenes:
        folder = find_folder(root, self.folder)
        images = self._found(folder, "*.tif", self.images)
        labels = self._found(folder, "*.geojson", self.labels or _SPACENET_LABELS[self.what])
        if not images:
            raise InputError(
                f"no images in {folder}: wanted AOI folders with {' or '.join(self.images)}, "
                "and names such as RGB-PanSharpen_AOI_2_Vegas_img1.tif"
            )
        scenes, shapes = match_pairs(images, labels, _spacenet_image)
        masks = VectorMasks({self.what: 1}, self.width_m)
        drawn = SceneVectorMasks(dict(zip(scenes, shapes, strict=True)), masks)
        stretch = None if self.stretch == "measured" else self.stretch
        return Scenes(scenes, drawn, self.side_px, self.overlap_px, self.bands, stretch, no_data=0)

    def _found(self, folder: Path, pattern: str, parents: tuple[str, ...]) -> list[Path]:
        """Files with an id of the areas, in folders of those names or in ``folder`` itself."""
        return [
            path
            for path in folder.rglob(pattern)
            if (path.parent.name in parents or path.parent == folder)
            and (named := _SPACENET_IMAGE.search(path.stem))
            and (self.areas is None or named[1] in self.areas)
        ]


def _spacenet_image(path: Path) -> str:
    """
    >>> _spacenet_image(Path("RGB-PanSharpen_AOI_2_Vegas_img7.tif"))
    'AOI_2_Vegas_img7'
    >>> _spacenet_image(Path("SN3_roads_train_AOI_2_Vegas_geojson_roads_img7.geojson"))
    'AOI_2_Vegas_img7'
    >>> _spacenet_image(Path("013022223130_Public_img7_Geo.geojson"))
    '013022223130_Public_img7'
    """
    named = _SPACENET_IMAGE.search(path.stem)
    assert named is not None
    return f"{named[1]}_{named[2]}"


class Towns(Source):
    """Drawn towns as chips; they need no data folder.

    ``count`` towns whose ground sizes are spread evenly over ``pixel_sizes_m`` (from, to). Chip
    ``i`` is the town of seed ``seed + i``.
    """

    credit: ClassVar[str | None] = ""
    kind: Literal["towns"]
    count: PositiveInt
    side_px: PositiveInt = 512
    pixel_sizes_m: tuple[float, float] = (0.5, 1.0)
    seed: int = 0

    def read(self, _root: Path) -> "TownChips":
        return TownChips(self)


@dataclass(frozen=True)
class TownChips:
    """The chips of an entry, each drawn when it is asked for."""

    wanted: Towns

    def __len__(self) -> int:
        return self.wanted.count

    def __getitem__(self, index: int) -> Chip:
        if not 0 <= index < len(self):
            raise IndexError(index)
        seed = self.wanted.seed + index
        low, high = self.wanted.pixel_sizes_m
        pixel_size_m = low + (high - low) * (index + 0.5) / len(self)
        shape = (self.wanted.side_px, self.wanted.side_px)
        drawn = synthetic.draw(shape, seed=seed, pixel_size_m=pixel_size_m)
        road = drawn.road_mask(0, 0, shape).astype(np.uint8)
        return Chip(drawn.image(0, 0, shape), road, f"town of seed {seed}", pixel_size_m)
