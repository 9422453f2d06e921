"""Masks: from stored values or shapes to class indices.

RULE 1: a value that is not in ``values`` is a mistake: neither a class, nor ignored silently.
RULE 2: stored indices stay as they are, and 255 is ``IGNORE``. A mask of 0 and 255 alone may also
        mean that 255 is the class: it is refused until the recipe says which.

The mask of a window is read from a raster of its scene (``RasterMasks``), or drawn from shapes
(``VectorMasksOnScenes``).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, add_file_to_errors, check_shape, list_images, match_pairs
from terralink.data.windows import Labels, Window, read_window
from terralink.errors import InputError
from terralink.raster import Grid
from terralink.raster.source import open_source
from terralink.vector import labels, osm

Values: TypeAlias = Mapping[int, int] | Mapping[str, int] | Mapping[int | str, int]
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MAX_GREY_DIFFERENCE = 12  # levels by which a JPEG moves the bands of a grey pixel apart
_SHOWN = 6  # colours that a message names
_TABLE_SIZE = 1 << 16
_UNKNOWN = 256


def binarize(pixels: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where a grey mask is over half: those that were stored as JPEG once are not quite 0 or 255.

    >>> binarize(np.array([0, 12, 127, 128, 251], np.uint8), np.empty(0, np.uint8))
    array([0, 0, 0, 1, 1], dtype=uint8)
    """
    road: NDArray[np.uint8] = (pixels > 127).astype(np.uint8)
    return road


def to_class_indices(
    pixels: NDArray[Any], values: Values | None, *, threshold: int | None = None
) -> NDArray[np.uint8]:
    """Class indices of stored ``pixels``, (row, col) or (band, row, col) of one band or three.

    They are as ``values`` tell, by numbers or by colours; or 1 from ``threshold`` on; or the levels
    themselves (RULE 2). Three bands that are the same are one. Raises ``InputError`` for a level or
    a colour that is not in ``values``, and for colours where none was told.

    >>> to_class_indices(np.array([[0, 255]]), {0: 0, 255: 1})
    array([[0, 1]], dtype=uint8)
    >>> red = np.zeros((3, 1, 2), np.uint8)
    >>> red[0, 0, 1] = 255
    >>> to_class_indices(red, {"#000000": 0, "#ff0000": 1})
    array([[0, 1]], dtype=uint8)
    """
    if has_colours(values):
        assert values is not None
        return _map_colours(pixels, values)
    band = _to_one_band(pixels, nearly=threshold is not None)
    if threshold is not None:
        return (band >= threshold).astype(np.uint8)
    if values is not None:
        return _map_values(band, {int(level): index for level, index in values.items()})
    found = _map_values(band, {level: level for level in range(IGNORE + 1)})
    if set(np.flatnonzero(count_pixels(found)).tolist()) == {0, IGNORE}:
        raise InputError(
            "the mask holds 0 and 255 alone; say whether 255 is a class, with values: "
            "{0: 0, 255: 1}, or counts nowhere, with values: {0: 0, 1: 1, 255: 255}"
        )
    return found


def has_colours(values: Values | None) -> bool:
    """Whether ``values`` map colours, such as "#ff0000"."""
    return any(isinstance(each, str) and each.startswith("#") for each in values or ())


def check_values(values: Values) -> None:
    """Raise ``InputError`` for values that cannot stand together."""
    for value, index in values.items():
        if isinstance(value, str) and not _COLOUR.fullmatch(value):
            raise InputError(f"{value!r} is no value of a mask: a number, or a colour as #ff0000")
        if has_colours(values) != isinstance(value, str):
            raise InputError("values are numbers or colours, not both")
        if not 0 <= index <= IGNORE:
            raise InputError(f"a class is a number from 0 to {IGNORE}, not {index}")


def _to_one_band(pixels: NDArray[Any], *, nearly: bool) -> NDArray[np.integer]:
    """A mask of one band; of three, where they are the same (or ``nearly``: a JPEG blurs them)."""
    bands = pixels[None] if pixels.ndim == 2 else pixels
    if len(bands) not in (1, 3) or bands.dtype.kind not in "ui":
        raise InputError(
            f"a mask is one band of whole numbers, or red, green and blue; this has {len(bands)} "
            f"of {bands.dtype}"
        )
    if len(bands) == 1:
        return np.asarray(bands[0])
    apart = int(np.ptp(bands.astype(np.int64), axis=0).max(initial=0))
    if apart == 0 or (nearly and apart <= _MAX_GREY_DIFFERENCE):
        return np.asarray(bands[1])
    rgb, counts = np.unique(_pack_rgb(bands), return_counts=True)
    often = rgb[np.argsort(-counts)]
    shown = {_to_hex(colour): number for number, colour in enumerate(often[:_SHOWN].tolist())}
    more = f" and {len(often) - _SHOWN} more" if len(often) > _SHOWN else ""
    raise InputError(
        f"the mask is in colour, with {', '.join(shown)}{more}; give each a class, as with "
        f"values: {json.dumps(shown)}"
    )


def _map_colours(pixels: NDArray[Any], values: Values) -> NDArray[np.uint8]:
    bands = pixels[None] if pixels.ndim == 2 else pixels
    if len(bands) not in (1, 3) or bands.dtype != np.uint8:
        raise InputError(
            f"values map colours, of three bands of 8 bits; the mask has {len(bands)} of "
            f"{bands.dtype}"
        )
    rgb = _pack_rgb(np.broadcast_to(bands, (3, *bands.shape[1:])))
    known = {int(str(colour)[1:], 16): index for colour, index in values.items()}
    colours = np.array(sorted(known))
    place = np.searchsorted(colours, rgb).clip(0, len(colours) - 1)
    if (unknown := colours[place] != rgb).any():
        raise InputError(
            f"the mask holds the colour {_to_hex(int(rgb[unknown][0]))}, wanted were "
            f"{', '.join(map(str, values))}; give it a class, or 255 for what counts nowhere"
        )
    found: NDArray[np.uint8] = np.array([known[each] for each in sorted(known)], np.uint8)[place]
    return found


def _pack_rgb(bands: NDArray[Any]) -> NDArray[np.int64]:
    red, green, blue = bands.astype(np.int64)
    rgb: NDArray[np.int64] = (red << 16) + (green << 8) + blue
    return rgb


def _to_hex(colour: int) -> str:
    return f"#{colour:06x}"


def _map_values(pixels: NDArray[np.integer], values: Mapping[int, int]) -> NDArray[np.uint8]:
    stored = pixels
    table = np.full(_TABLE_SIZE, _UNKNOWN, np.uint16)
    table[list(values)] = list(values.values())
    if pixels.dtype not in (np.uint8, np.uint16):  # what is beyond the table is not known either
        pixels = np.where((pixels >= 0) & (pixels < _TABLE_SIZE - 1), pixels, _TABLE_SIZE - 1)
    found = table[pixels]
    if (unknown := found == _UNKNOWN).any():
        known = ", ".join(map(str, sorted(values))) if len(values) < 20 else "0 to 255"
        raise InputError(
            f"the mask holds the value {stored[unknown][0]}, wanted were {known}; "
            "give it a class, or 255 for what counts nowhere"
        )
    mask: NDArray[np.uint8] = found.astype(np.uint8)
    return mask


def count_pixels(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(mask.ravel(), minlength=IGNORE + 1)


Drawn = Literal["road", "building"]
_CACHED_FILES = 8  # a file of a whole town is read once, those of single scenes are small
_MAX_OFFSET_PX = 0.5


@dataclass(frozen=True)
class RasterMasks:
    """Masks are rasters: ``of`` names that of a scene; ``values`` map its levels to classes.

    What the raster says is not valid counts nowhere. With a ``threshold`` what is from it on is 1,
    without either the levels are class indices (``indices``).
    """

    of: Mapping[Path, Path]
    values: Values | None = None
    threshold: int | None = None

    def __call__(self, window: Window) -> NDArray[np.uint8]:
        path = self.of[window.scene]
        colours = has_colours(self.values)
        with open_source(path, expand_palette=colours) as source, add_file_to_errors(path):
            check_shape(window.scene, window.scene_grid.shape, path, source.grid.shape)
            _check_alignment(window.scene_grid, source.grid)
            pixels, valid = read_window(source, window.row, window.col, window.grid.shape)
            mask = to_class_indices(pixels, self.values, threshold=self.threshold)
        mask[~valid] = IGNORE
        return mask


@dataclass(frozen=True)
class VectorMasks:
    """Roads and buildings of vector files, drawn; ``values`` are the classes of "road", "building".

    All roads are ``width_m`` wide, None takes each by its tags. What lies on both is a building.
    """

    values: Mapping[Drawn, int]
    width_m: float | None = None

    def draw(self, path: Path, grid: Grid) -> NDArray[np.uint8]:
        """The mask of a grid from the shapes of a file."""
        mask: NDArray[np.uint8] = labels.draw_label(self.read_classes(path), grid).array
        return mask

    def read_classes(self, path: Path) -> Sequence[labels.LabelClass]:
        """What of a file is drawn; it is read once."""
        return read_shapes(path, tuple(self.values.items()), self.width_m)


@dataclass(frozen=True)
class SceneVectorMasks:
    """Masks are drawn: ``of`` names the vector file of each scene, or one for all."""

    of: Mapping[Path, Path] | Path
    masks: VectorMasks

    def __call__(self, window: Window) -> NDArray[np.uint8]:
        path = self._path(window)
        if window.grid.crs is None:
            raise InputError(
                f"{window.scene} has no CRS, so {path} cannot be drawn where it lies; give it one: "
                "gdal_edit.py -a_srs EPSG:... FILE"
            )
        return self.masks.draw(path, window.grid)

    def read_classes(self, window: Window) -> Sequence[labels.LabelClass]:
        """What is drawn of the file of a window's scene."""
        return self.masks.read_classes(self._path(window))

    def _path(self, window: Window) -> Path:
        return self.of if isinstance(self.of, Path) else self.of[window.scene]


def find_unlabelled_scenes(drawn: SceneVectorMasks, scenes: Sequence[Path]) -> list[Path]:
    """The scenes on which nothing lies of what is to be drawn there, in their order.

    Raises ``InputError`` where that is so of all.
    """
    empty = [scene for scene in scenes if not _covers_scene(drawn, scene)]
    if empty and len(empty) == len(scenes):
        paths = [drawn.of] if isinstance(drawn.of, Path) else [drawn.of[each] for each in scenes]
        _check_kind(list(dict.fromkeys(paths)), drawn.masks)
        for path, scene in zip(paths, scenes, strict=False):
            classes = drawn.masks.read_classes(path)
            if any(len(each.shapes) for each in classes):
                with open_source(scene) as source:
                    raise labels.disjoint_error(path, classes, scene, source.grid)
    return empty


def _covers_scene(drawn: SceneVectorMasks, scene: Path) -> bool:
    with open_source(scene) as source:
        grid = source.grid
    if grid.crs is None:
        return True  # it is refused when it is cut
    path = drawn.of if isinstance(drawn.of, Path) else drawn.of[scene]
    return labels.overlaps_grid(drawn.masks.read_classes(path), grid)


def _check_kind(paths: Sequence[Path], masks: VectorMasks) -> None:
    """Raise ``InputError`` where no file holds what is drawn."""
    if not any(len(each.shapes) for path in paths for each in masks.read_classes(path)):
        labels.check_content(paths, [osm.read_tables(path) for path in paths], list(masks.values))


def find_labels(
    scenes: Sequence[Path],
    path: Path,
    values: Values | None,
    drawn: VectorMasks,
    threshold: int | None = None,
) -> Labels:
    """The masks of scenes: rasters or shapes of their stems in a folder, or one file for all.

    Raises ``InputError`` where a scene has none.
    """
    if path.is_dir():
        shapes = [each for each in path.iterdir() if osm.is_vector(each)]
        _, partners = match_pairs(scenes, shapes or list_images(path), osm.file_stem)
        of = dict(zip(sorted(scenes), partners, strict=True))
        return SceneVectorMasks(of, drawn) if shapes else RasterMasks(of, values, threshold)
    if not path.is_file():
        raise InputError(f"no labels {path}: wanted a folder of masks, or a file of shapes")
    if osm.is_vector(path):
        _check_kind([path], drawn)
        return SceneVectorMasks(path, drawn)
    if len(scenes) > 1:
        raise InputError(f"one mask {path} for {len(scenes)} scenes; give a folder with one each")
    return RasterMasks({scenes[0]: path}, values, threshold)


@lru_cache(_CACHED_FILES)
def read_shapes(
    path: Path, values: tuple[tuple[Drawn, int], ...], width_m: float | None
) -> tuple[labels.LabelClass, ...]:
    """The roads and buildings of a file, ready to be drawn; roofs come last."""
    read = osm.read_tables(path)
    for table in (read.roads, read.buildings):
        if len(table) and table.crs is None:
            raise InputError(
                f"{path} names no CRS, so its shapes lie nowhere on Earth; name it one"
            )
    found = labels.make_classes(read, dict(values), width_m=width_m)
    return tuple(sorted(found, key=lambda each: each.name == "building"))


def _check_alignment(scene: Grid, mask: Grid) -> None:
    """Refuse a mask that says that it lies elsewhere; one that says nothing lies on its scene."""
    if scene.crs is None or mask.crs is None:
        return
    if scene.crs != mask.crs:
        raise InputError("the mask is in another CRS than its scene; warp it to the scene's grid")
    corners = ([0, scene.width], [0, scene.height])
    off = np.subtract(scene.colrow(*mask.xy(*corners)), corners)
    if np.abs(off).max() > _MAX_OFFSET_PX:
        raise InputError(
            f"the mask lies {np.abs(off).max():.1f} px away from its scene; "
            "warp it to the scene's grid"
        )
