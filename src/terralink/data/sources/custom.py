"""Own data: folders of pictures with masks, and of scenes with masks or shapes.

pairs   images/a.jpg  masks/a.png      pictures, whole
fields  images/a.png  masks/a.png      the same, as the fields of the paddy paper lie: 256 px
scenes  images/a.tif  masks/a.tif      what GDAL reads, of any size, any bands, cut in windows
        images/a.tif  shapes/a.geojson
        images/a.tif  osm.geojson      one file of shapes for all
"""

import re
from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from terralink.data import masks
from terralink.data.chip_folder import MANIFEST, ChipOrigin, read_origins
from terralink.data.chips import IGNORE, JPEG_HINT, Chips, Pairs, is_jpeg, list_images, match_pairs
from terralink.data.masks import Drawn, VectorMasks, find_labels
from terralink.data.sources.source import SceneSource, Source, StretchSetting, find_folder
from terralink.data.splits import Footprint
from terralink.data.windows import Scenes, find_blank
from terralink.errors import InputError
from terralink.raster.source import open_source


def _read_values(written: Any) -> Any:
    """Numbers that a stored recipe has as text are numbers again."""
    if not isinstance(written, dict):
        return written
    return {
        int(value) if str(value).removeprefix("-").isdecimal() else value: index
        for value, index in written.items()
    }


def _check_values(values: dict[int | str, int]) -> dict[int | str, int]:
    try:
        masks.check_values(values)
    except InputError as error:
        raise ValueError(str(error)) from error
    return values


Values = Annotated[
    dict[int | str, int], BeforeValidator(_read_values), AfterValidator(_check_values)
]


class MaskValues(Source):
    """How masks are read: ``values`` map what they store, numbers or colours ("#ff0000"), to
    classes, 255 to what counts nowhere; with a ``threshold`` what is from it on is class 1.

    Without either a mask stores class indices. Masks of 0 and 255 want ``{0: 0, 255: 1}``.
    """

    values: Values | None = None
    threshold: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.values is not None and self.threshold is not None:
            raise ValueError(
                "say either values, or the threshold from which on a pixel is of class 1"
            )
        return self


def _check_pattern(written: str) -> str:
    try:
        re.compile(written)
    except re.error as error:
        raise ValueError(f"{written!r} is no regular expression: {error}") from error
    return written


Pattern = Annotated[str, AfterValidator(_check_pattern)]


class ImageFolder(MaskValues):
    """Pictures and masks of the same stem.

    Areas where all bands
    of the picture have the level ``no_data`` count nowhere. A split keeps together the chips in
    whose names the regular expression ``group_by`` matches the same text.
    """

    folder: str
    images: str = "images"
    masks: str = "masks"
    no_data: Annotated[int, Field(ge=0, le=255)] | None = None
    group_by: Pattern | None = None

    def read(self, root: Path) -> Pairs:
        folder = find_folder(root, self.folder)
        found = match_pairs(list_images(folder / self.images), list_images(folder / self.masks))
        _check_jpeg(found[1], self.values, self.threshold)
        read_mask = partial(_indices, self.values, self.threshold, self.no_data)
        mode = "RGB" if masks.has_colours(self.values) else None
        return Pairs(*found, read_mask, mode, pixel_size_m=self.pixel_size_m)

    def groups(self, chips: Chips) -> Sequence[Hashable]:
        """What ``group_by`` matches in the name of each chip; each alone where it is not given."""
        if self.group_by is None:
            return super().groups(chips)
        assert isinstance(chips, Pairs)
        return [_group(self.group_by, path) for path in chips.images]

    def footprints(self, chips: Chips) -> Sequence[Footprint]:
        """Where each picture was cut from, in a folder that ``terralink chip`` made."""
        assert isinstance(chips, Pairs)
        cuts = _cuts(chips.images)
        return [_place(path, cuts.get(path.stem)) for path in chips.images] if cuts else ()


class PairFolders(ImageFolder):
    """Own pairs."""

    kind: Literal["pairs"]


class Fields(ImageFolder):
    """Fields in patches of 256 px: the paddy paper trains on 80% (``split: {folds: 5}``)."""

    kind: Literal["fields"]
    folder: str = "fields"
    values: Values | None = Field(default=dict[int | str, int]({0: 0, 255: 1}))


class SceneFolder(MaskValues, SceneSource):
    """Scenes, whole or in windows of ``side_px``, with masks or shapes.

    ``labels`` names a folder of rasters or shapes of the scenes' stems, or one file of shapes. Of
    rasters ``values`` map what is stored, as in pairs; of shapes they are the ``classes`` of "road"
    and "building". ``no_data`` is the level of black or white borders that no tag tells. A split
    keeps what is cut from one scene together, unless it is ``split_by`` windows: those adjoin, and
    where they overlap, those between the two sides are left out (``data.splits``).
    """

    kind: Literal["scenes"]
    folder: str
    images: str = "images"
    labels: str = "masks"
    side_px: PositiveInt | None = None
    overlap_px: NonNegativeInt = 0
    bands: tuple[PositiveInt, ...] | None = None
    stretch: StretchSetting = "measured"
    no_data: int | None = None
    classes: dict[Drawn, int] = Field(default={"road": 1}, min_length=1)
    width_m: PositiveFloat | None = None
    split_by: Literal["scene", "window"] = "scene"

    def read(self, root: Path) -> Scenes:
        folder = find_folder(root, self.folder)
        scenes = list_images(folder / self.images)
        if not scenes:
            raise InputError(f"no scenes in {folder / self.images}")
        drawn = VectorMasks(self.classes, self.width_m)
        labels = find_labels(scenes, folder / self.labels, self.values, drawn, self.threshold)
        stretch = None if self.stretch == "measured" else self.stretch
        return Scenes(
            scenes, labels, self.side_px, self.overlap_px, self.bands, stretch, self.no_data
        )

    def groups(self, chips: Chips) -> Sequence[Hashable]:
        """The scene of each chip, in a folder that ``terralink chip`` made by its manifest."""
        if self.split_by == "window":
            return range(len(chips))
        assert isinstance(chips, Scenes)
        cuts = _cuts(chips.paths)
        return [
            cuts[path.stem].scene if path.stem in cuts else path for path in chips.list_scenes()
        ]

    def footprints(self, chips: Chips) -> Sequence[Footprint]:
        """The windows, in the scenes that they were cut from, where they are split one by one."""
        assert isinstance(chips, Scenes)
        if self.split_by != "window":
            return ()
        cuts = _cuts(chips.paths)
        if self.side_px is None:
            return [_place(path, cuts.get(path.stem)) for path in chips.paths]
        found = []
        for index in range(len(chips)):
            path, row, col = chips.locate(index)
            cut = cuts.get(path.stem, ChipOrigin(str(path), 0, 0, 0, 0))
            found.append(cut.window(row, col, (self.side_px, self.side_px)).footprint)
        return found


def _cuts(images: Sequence[Path]) -> dict[str, ChipOrigin]:
    return read_origins(images[0].parent.parent / MANIFEST)


def _place(image: Path, cut: ChipOrigin | None) -> Footprint:
    """Where a chip lies: in the scene that it was cut from, else on the ground, if that is told."""
    if cut is not None:
        return cut.footprint
    with open_source(image) as source:
        grid = source.grid
    if grid.crs is None:
        return Footprint(image, (0, 0, grid.width, grid.height))
    slack = 0.01 * abs(grid.transform.a + grid.transform.b)
    return Footprint(grid.crs.to_string(), grid.bounds, slack)


def _check_jpeg(masks: Sequence[Path], values: Values | None, threshold: int | None) -> None:
    """Raise ``InputError`` where masks would be class indices, which no JPEG keeps."""
    lossy = [path for path in masks if is_jpeg(path)]
    if lossy and values is None and threshold is None:
        raise InputError(f"{lossy[0]}: {JPEG_HINT}")


def _indices(
    values: Values | None,
    threshold: int | None,
    no_data: int | None,
    mask: NDArray[Any],
    image: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    found = masks.to_class_indices(mask, values, threshold=threshold)
    found[find_blank(image.transpose(2, 0, 1), no_data)] = IGNORE
    return found


def _group(pattern: str, path: Path) -> str:
    if (match := re.search(pattern, path.stem)) is None:
        raise InputError(
            f"group_by {pattern!r} matches nothing in {path.stem!r}; it has to match in "
            f"the name of every picture of {path.parent}"
        )
    return match[0]
