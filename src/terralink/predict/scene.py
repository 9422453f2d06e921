"""From a scene to the probability of each class, in whole-width row bands that stream.

A tile is read with a margin whose pixels see the network's padding and count nothing; neighbours
blend over one stride of the network. Only one row of tiles is held, so the memory that is needed
grows with the scene's width alone, and slowly.
"""

import math
import os
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from terralink.errors import SceneError
from terralink.geo import Grid, Raster, RasterWriter, Scene, TileGrid
from terralink.predict.model import Model

_STRIDE = 32  # the coarsest of a network: tiles start and end at its multiples
_LEVELS = 255  # a probability p is stored as round(255 p)
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
    """The same in row bands from top to bottom, each as soon as it is known."""
    scene = fitted(model, scene)
    top, left = _phase(scene.grid)
    plane = _tiles(model, (scene.grid.height + top, scene.grid.width + left))
    side = (plane.tile, plane.tile)
    tiles = (scene.read(tile.row - top, tile.col - left, side) for tile in plane)
    for row, blended in plane.blend(_predicted(model, tiles, tta=tta)):
        raster = _raster(blended[:, max(0, top - row) :, left:], scene.grid, max(0, row - top))
        del blended  # or its floats would wait through the whole next row of tiles
        if raster.grid.height:
            yield raster


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
        scale=1 / _LEVELS,
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
    """Tiles of the model's size, or smaller ones for a scene that is smaller."""
    margin = _to_strides(model.metadata.margin_px)
    overlap = 2 * margin + _STRIDE
    needed = max(_to_strides(max(shape) + 2 * margin), 2 * overlap)
    return TileGrid(shape, min(model.metadata.tile_px, needed), overlap, margin)


def _to_strides(pixels: int) -> int:
    return -(-pixels // _STRIDE) * _STRIDE


def _raster(band: NDArray[np.float32], grid: Grid, row: int) -> Raster:
    """A blended band (classes + 1, rows, width), its last the valid pixels, as uint8.

    ``band`` is rounded in place: whole rows of floats are what memory would grow with.
    """
    *levels, seen = np.rint(band, out=band).astype(np.uint8)
    valid = seen > 0
    array = np.where(valid, np.stack(levels), np.uint8(0))
    return Raster(
        array[0] if len(array) == 1 else array,
        grid.window(row, 0, valid.shape),
        None if valid.all() else valid,
    )


def _predicted(
    model: Model, tiles: Iterator[Raster], *, tta: bool
) -> Iterator[NDArray[np.float32]]:
    """For each tile (classes + 1, side, side): levels 0..255, and last whether a pixel is valid."""
    waiting: list[NDArray[np.bool_]] = []

    def images() -> Iterator[NDArray[np.uint8]]:
        for tile in tiles:
            waiting.append(_valid(tile))
            yield from _views(tile.array) if tta else (tile.array,)

    probs = model.stream(images())
    merged = _merged(probs) if tta else probs
    for prob in merged:
        valid = waiting.pop(0).astype(np.float32)
        yield np.concatenate([prob * _LEVELS, valid[None]])


def _views(image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for turns, mirrored in _DIHEDRAL:
        turned = np.rot90(image, turns, axes=(1, 2))
        yield np.ascontiguousarray(turned[:, :, ::-1] if mirrored else turned)


def _merged(probs: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The mean of each eight views, turned back."""
    for first in probs:
        total = first  # the view that was not turned
        for turns, mirrored in _DIHEDRAL[1:]:
            view = next(probs)
            upright = view[:, :, ::-1] if mirrored else view
            total = total + np.rot90(upright, -turns, axes=(1, 2))
        yield total / np.float32(len(_DIHEDRAL))


def _valid(raster: Raster) -> NDArray[np.bool_]:
    return np.ones(raster.grid.shape, bool) if raster.valid is None else raster.valid
