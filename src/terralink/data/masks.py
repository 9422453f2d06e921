"""How the mask of a window comes about: cut from a raster of its scene, or drawn from shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from terralink.data import classes
from terralink.data.chips import IGNORE, check_shape, files, paired, told_of
from terralink.data.windows import Labels, Window, read_window
from terralink.errors import InputError
from terralink.raster import Grid
from terralink.raster.source import open_source
from terralink.vector import labels, osm

Drawn = Literal["road", "building"]
_KEPT_FILES = 8  # a file of a whole town is read once, those of single scenes are small
_SAME_PLACE_WITHIN_PX = 0.5


@dataclass(frozen=True)
class CutMasks:
    """Masks are rasters: ``of`` names that of a scene; ``values`` map its levels to classes.

    What the raster says is not valid counts nowhere. With a ``threshold`` what is from it on is 1,
    without either the levels are class indices (``classes.indices``).
    """

    of: Mapping[Path, Path]
    values: classes.Values | None = None
    threshold: int | None = None

    def __call__(self, window: Window) -> NDArray[np.uint8]:
        path = self.of[window.scene]
        colours = classes.has_colours(self.values)
        with open_source(path, expand_palette=colours) as source, told_of(path):
            check_shape(window.scene, window.whole.shape, path, source.grid.shape)
            _check_place(window.whole, source.grid)
            levels, valid = read_window(source, window.row, window.col, window.grid.shape)
            mask = classes.indices(levels, self.values, threshold=self.threshold)
        mask[~valid] = IGNORE
        return mask


@dataclass(frozen=True)
class DrawnMasks:
    """Roads and buildings of vector files, drawn; ``values`` are the classes of "road", "building".

    All roads are ``width_m`` wide, None takes each by its tags. What lies on both is a building.
    """

    values: Mapping[Drawn, int]
    width_m: float | None = None

    def drawn(self, path: Path, grid: Grid) -> NDArray[np.uint8]:
        """The mask of a grid from the shapes of a file."""
        mask: NDArray[np.uint8] = labels.draw(self.classes(path), grid).array
        return mask

    def classes(self, path: Path) -> Sequence[labels.LabelClass]:
        """What of a file is drawn; it is read once."""
        return shapes_of(path, tuple(self.values.items()), self.width_m)


@dataclass(frozen=True)
class DrawnOnScenes:
    """Masks are drawn: ``of`` names the vector file of each scene, or one for all."""

    of: Mapping[Path, Path] | Path
    masks: DrawnMasks

    def __call__(self, window: Window) -> NDArray[np.uint8]:
        path = self._path(window)
        if window.grid.crs is None:
            raise InputError(
                f"{window.scene} has no CRS, so {path} cannot be drawn where it lies; give it one: "
                "gdal_edit.py -a_srs EPSG:... FILE"
            )
        return self.masks.drawn(path, window.grid)

    def classes(self, window: Window) -> Sequence[labels.LabelClass]:
        """What is drawn of the file of a window's scene."""
        return self.masks.classes(self._path(window))

    def _path(self, window: Window) -> Path:
        return self.of if isinstance(self.of, Path) else self.of[window.scene]


def check_labels(drawn: DrawnOnScenes, scenes: Sequence[Path]) -> list[Path]:
    """The scenes on which nothing lies of what is to be drawn there, in their order.

    Raises ``InputError`` where that is so of all.
    """
    empty = [scene for scene in scenes if not _is_met(drawn, scene)]
    if empty and len(empty) == len(scenes):
        paths = [drawn.of] if isinstance(drawn.of, Path) else [drawn.of[each] for each in scenes]
        _check_kind(list(dict.fromkeys(paths)), drawn.masks)
        for path, scene in zip(paths, scenes, strict=False):
            classes = drawn.masks.classes(path)
            if any(len(each.shapes) for each in classes):
                with open_source(scene) as source:
                    raise labels.told_apart(path, classes, scene, source.grid)
    return empty


def _is_met(drawn: DrawnOnScenes, scene: Path) -> bool:
    with open_source(scene) as source:
        grid = source.grid
    if grid.crs is None:
        return True  # it is refused when it is cut
    path = drawn.of if isinstance(drawn.of, Path) else drawn.of[scene]
    return labels.lies_on(drawn.masks.classes(path), grid)


def _check_kind(paths: Sequence[Path], masks: DrawnMasks) -> None:
    """Raise ``InputError`` where no file holds what is drawn."""
    if not any(len(each.shapes) for path in paths for each in masks.classes(path)):
        labels.check_kind(paths, [osm.read(path) for path in paths], list(masks.values))


def labels_of(
    scenes: Sequence[Path],
    path: Path,
    values: classes.Values | None,
    drawn: DrawnMasks,
    threshold: int | None = None,
) -> Labels:
    """The masks of scenes: rasters or shapes of their stems in a folder, or one file for all.

    Raises ``InputError`` where a scene has none.
    """
    if path.is_dir():
        shapes = [each for each in path.iterdir() if osm.is_vector(each)]
        _, partners = paired(scenes, shapes or files(path), osm.stem_of)
        of = dict(zip(sorted(scenes), partners, strict=True))
        return DrawnOnScenes(of, drawn) if shapes else CutMasks(of, values, threshold)
    if not path.is_file():
        raise InputError(f"no labels {path}: wanted a folder of masks, or a file of shapes")
    if osm.is_vector(path):
        _check_kind([path], drawn)
        return DrawnOnScenes(path, drawn)
    if len(scenes) > 1:
        raise InputError(f"one mask {path} for {len(scenes)} scenes; give a folder with one each")
    return CutMasks({scenes[0]: path}, values, threshold)


@lru_cache(_KEPT_FILES)
def shapes_of(
    path: Path, values: tuple[tuple[Drawn, int], ...], width_m: float | None
) -> tuple[labels.LabelClass, ...]:
    """The roads and buildings of a file, ready to be drawn; roofs come last."""
    read = osm.read(path)
    for table in (read.roads, read.buildings):
        if len(table) and table.crs is None:
            raise InputError(
                f"{path} names no CRS, so its shapes lie nowhere on Earth; name it one"
            )
    found = labels.classes_of(read, dict(values), width_m=width_m)
    return tuple(sorted(found, key=lambda each: each.name == "building"))


def _check_place(scene: Grid, mask: Grid) -> None:
    """Refuse a mask that says that it lies elsewhere; one that says nothing lies on its scene."""
    if scene.crs is None or mask.crs is None:
        return
    if scene.crs != mask.crs:
        raise InputError("the mask is in another CRS than its scene; warp it to the scene's grid")
    corners = ([0, scene.width], [0, scene.height])
    off = np.subtract(scene.colrow(*mask.xy(*corners)), corners)
    if np.abs(off).max() > _SAME_PLACE_WITHIN_PX:
        raise InputError(
            f"the mask lies {np.abs(off).max():.1f} px away from its scene; "
            "warp it to the scene's grid"
        )
