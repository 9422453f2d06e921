"""From a scene to the probability of each class, in whole-width row bands that stream.

    reading -> inference and blending -> bands -> who asked for them: writing, tracing

At the first and the last arrow another thread begins. A tile is read with a margin whose pixels
see the network's padding and count nothing; neighbours blend over one stride of the network. Only
the levels of two bands, a byte a pixel, and a few blended rows are as long as the scene is wide.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from terralink.errors import SceneError
from terralink.geo import Grid, Raster, RasterWriter, Scene, TileGrid
from terralink.predict.ahead import ahead
from terralink.predict.model import Model
from terralink.predict.network import LEVELS

Levels: TypeAlias = NDArray[np.uint8]
Bools: TypeAlias = NDArray[np.bool_]

_STRIDE = 32  # the coarsest of a network: tiles start and end at its multiples
_TILE_PX = 1024  # or the card's, if larger: of smaller tiles too much is overlap
_TILES_AHEAD, _BANDS_AHEAD = 4, 1
_DIHEDRAL = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def scene(model: Model, scene: Scene, *, tta: bool = False) -> Raster:
    """The probability of each class over a whole scene, in memory: uint8, round(255 p).

    A scene on its own pixels is brought to the model's; see ``fitted``.

    The array is (row, col) for one class, (class, row, col) for more. ``tta`` averages the eight
    views of the dihedral group.
    """
    scene = fitted(model, scene)
    parts = list(bands(model, scene, tta=tta))
    array = np.concatenate([part.array for part in parts], axis=-2)
    valid = np.concatenate([_valid(part) for part in parts])
    return Raster(array, scene.grid, valid)


def bands(model: Model, scene: Scene, *, tta: bool = False) -> Iterator[Raster]:
    """The same in row bands from top to bottom; one is made while the last is used."""
    scene = fitted(model, scene)
    return ahead(_bands(model, scene, tta=tta), _BANDS_AHEAD)


def write(
    path: str | os.PathLike[str],
    model: Model,
    scene: Scene,
    *,
    tta: bool = False,
    each: Callable[[Raster], None] = lambda _band: None,
) -> None:
    """Stream the probability into a GeoTIFF; ``each`` is called with every band that is written.

    The file is uint8 with a scale of 1/255, masked where the scene has no data; its tags say which
    model and which stretch made it.
    """
    scene = fitted(model, scene)
    card = model.metadata
    tags = {"TERRALINK_MODEL": card.name, "TERRALINK_CLASSES": ",".join(card.classes)}
    with RasterWriter(
        path,
        scene.grid,
        bands=len(card.classes),
        scale=1 / LEVELS,
        tags={**tags, **scene.stretch.to_tags()},
        description=f"probability of {card.classes[0]}",
    ) as writer:
        row = 0
        for band in bands(model, scene, tta=tta):
            writer.write(row, 0, band.array, band.valid)
            each(band)
            row += band.grid.height


def fitted(model: Model, scene: Scene) -> Scene:
    """The scene as the model wants it: a scene on its own pixels is brought to the model's size.

    One that was opened at a pixel size keeps it. Raises ``SceneError`` unless the scene gives as
    many bands as the model takes, and when its pixels are too coarse by far.
    """
    _check_bands(model, scene)
    if scene.grid != scene.native_grid:
        return scene
    return scene.resampled(model.metadata.pixel_size_m)


def _check_bands(model: Model, scene: Scene) -> None:
    wanted, came = model.metadata.bands, scene.bands
    if len(came) != len(wanted):
        example = ",".join(str(1 + i) for i in range(len(wanted)))
        raise SceneError(
            f"{scene.path} gives {len(came)} band{'s' if len(came) != 1 else ''}, but model "
            f"{model.metadata.name!r} takes {len(wanted)} ({', '.join(wanted)}); "
            f"choose them with --bands {example}"
        )


def _bands(model: Model, scene: Scene, *, tta: bool) -> Iterator[Raster]:
    top, left = _phase(scene.grid)
    plane = _tiles(model, (scene.grid.height + top, scene.grid.width + left))
    side = (plane.tile, plane.tile)
    reading = (scene.read(tile.row - top, tile.col - left, side) for tile in plane)
    blocks = _blocks(model, plane, ahead(reading, _TILES_AHEAD), tta=tta)
    row = 0
    for _ in range(plane.counts[0]):
        levels, valid = _side_by_side(islice(blocks, plane.counts[1]), plane.shape[1])
        inside = np.s_[0 if row else top :, left:]
        grid = scene.grid.window(row, 0, valid[inside].shape)
        yield _raster(levels[:, *inside], grid, valid[inside])
        row += grid.height


def _blocks(
    model: Model, plane: TileGrid, tiles: Iterable[Raster], *, tta: bool
) -> Iterator[tuple[Levels, Bools]]:
    """Finished parts of the plane and their valid pixels, from left to right, row by row."""
    waiting: deque[Bools] = deque()

    def images() -> Iterator[Levels]:
        for tile in tiles:
            waiting.append(_valid(tile))
            yield tile.array

    for block in plane.blend(_predicted(model, images(), tta=tta)):
        _, height, width = block.array.shape
        valid = waiting.popleft()[plane.border_px :, plane.border_px :][:height, :width]
        yield block.array * valid, valid


def _side_by_side(parts: Iterable[tuple[Levels, Bools]], width_px: int) -> tuple[Levels, Bools]:
    """Parts from left to right as one, laid as they come: few things are as large as a band."""
    col, levels, valid = 0, np.empty((0, 0, 0), np.uint8), np.empty((0, 0), bool)
    for part, known in parts:
        if not col:
            levels = np.empty((*part.shape[:2], width_px), np.uint8)
            valid = np.empty((part.shape[1], width_px), bool)
        cols = slice(col, col := col + part.shape[2])
        levels[:, :, cols], valid[:, cols] = part, known
    return levels, valid


def _raster(levels: Levels, grid: Grid, valid: Bools) -> Raster:
    array = levels[0] if len(levels) == 1 else levels
    return Raster(array, grid, None if valid.all() else valid)


def _phase(grid: Grid) -> tuple[int, int]:
    """How far the first pixel lies past a multiple of the coarsest stride, counted on the ground.

    What a network sees shifts with its strides. Tiles that start at multiples of them on the
    ground, not in the file, give one answer to a place in any scene that is cut around it.
    """
    across, down = grid.transform.a, grid.transform.e
    if not (across and down):  # turned by a right angle
        return 0, 0
    row, col = grid.transform.f / down, grid.transform.c / across
    return math.floor(round(row, 3)) % _STRIDE, math.floor(round(col, 3)) % _STRIDE


def _tiles(model: Model, shape: tuple[int, int]) -> TileGrid:
    """Tiles as large as is worth it, or smaller ones for a scene that is smaller."""
    margin = _to_strides(model.metadata.margin_px)
    overlap = 2 * margin + _STRIDE
    needed = max(_to_strides(max(shape) + 2 * margin), 2 * overlap)
    return TileGrid(shape, min(max(model.metadata.tile_px, _TILE_PX), needed), overlap, margin)


def _to_strides(pixels: int) -> int:
    return -(-pixels // _STRIDE) * _STRIDE


def _predicted(model: Model, images: Iterator[Levels], *, tta: bool) -> Iterator[Levels]:
    """Levels (classes, side, side) of each image."""
    if not tta:
        return model.levels(images)
    return _merged(model.levels(view for image in images for view in _views(image)))


def _views(image: Levels) -> Iterator[Levels]:
    for turns, mirrored in _DIHEDRAL:
        turned = np.rot90(image, turns, axes=(1, 2))
        yield np.ascontiguousarray(turned[:, :, ::-1] if mirrored else turned)


def _merged(levels: Iterator[Levels]) -> Iterator[Levels]:
    """The mean of each eight views, turned back."""
    for first in levels:
        total = first.astype(np.uint16)  # the view that was not turned
        for turns, mirrored in _DIHEDRAL[1:]:
            view = next(levels)
            upright = view[:, :, ::-1] if mirrored else view
            total += np.rot90(upright, -turns, axes=(1, 2))
        yield np.rint(total / np.float32(len(_DIHEDRAL))).astype(np.uint8)


def _valid(raster: Raster) -> Bools:
    return np.ones(raster.grid.shape, bool) if raster.valid is None else raster.valid
