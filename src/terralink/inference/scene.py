"""From a scene to the probability of each class, in bands of rows that stream.

    reading -> inference and blending -> blocks ----------> who asked for them
                                                  -> bands ->

At the first and the last arrow another thread begins. A tile is read with a margin whose pixels
see the network's padding and count nothing; neighbours blend over what lies between. Only a
few blended rows are as long as a row of tiles, and the levels of bands where bands are asked for.
"""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from terralink.errors import NoDataWarning, SceneError
from terralink.inference.backends.openvino_graph import LEVELS
from terralink.inference.model import Predictor
from terralink.inference.prefetch import ahead
from terralink.inference.tile_plan import Walk
from terralink.raster import Grid, Raster, Scene
from terralink.raster.bands import describe_missing_bands, pick_bands

Levels: TypeAlias = NDArray[np.uint8]
Bools: TypeAlias = NDArray[np.bool_]

_TILES_AHEAD, _BLOCKS_AHEAD, _BANDS_AHEAD = 1, 2, 1
_DIHEDRAL = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def scene(model: Predictor, scene: Scene, *, tta: bool = False) -> Raster:
    """The probability of each class over a whole scene, in memory: uint8, round(255 p).

    A scene on its own pixels is brought to the model's; see ``fitted``.

    The array is (row, col) for one class, (class, row, col) for more. ``tta`` averages the eight
    views of the dihedral group.
    """
    scene = fitted(model, scene)
    walk = Walk.through(scene.grid, model.metadata)
    parts = list(warn_if_empty(bands(model, scene, tta=tta), scene))
    array = np.concatenate([part.array for part in parts], axis=-2)
    valid = np.concatenate([_valid(part) for part in parts])
    return Raster(walk.turn(array), scene.grid, walk.turn(valid), 1 / LEVELS)


def bands(
    model: Predictor, scene: Scene, *, tta: bool = False, first: int = 0, stop: int | None = None
) -> Iterator[Raster]:
    """The same in bands of whole rows from top to bottom; one is made while the last is used.

    Those from ``first`` up to ``stop`` (of ``band_count``) are the same bytes as among all.
    The bands of a very wide scene are its columns from left to right, turned over the diagonal as
    their grid is; see ``walk``.
    """
    scene = fitted(model, scene)
    walk = Walk.through(scene.grid, model.metadata)
    stop = walk.plane.counts[0] if stop is None else stop
    return ahead(_bands(model, scene, walk, range(first, stop), tta=tta), _BANDS_AHEAD)


def band_count(model: Predictor, scene: Scene) -> int:
    """How many bands the scene has."""
    return Walk.through(fitted(model, scene).grid, model.metadata).plane.counts[0]


def blocks(model: Predictor, scene: Scene, *, tta: bool = False) -> Iterator[Raster]:
    """The same in blocks no wider than a tile, from left to right, row by row of tiles.

    Memory does not know how wide the scene is. Some are made while the last is used.
    """
    scene = fitted(model, scene)
    walk = Walk.through(scene.grid, model.metadata)
    return ahead(_blocks(model, walk, walk.tiles(scene), first=0, tta=tta), _BLOCKS_AHEAD)


def warn_if_empty(parts: Iterable[Raster], scene: Scene) -> Iterator[Raster]:
    """All parts of a scene as they come; then a ``NoDataWarning`` where no pixel was valid."""
    any_valid = False
    for part in parts:
        any_valid = any_valid or part.valid is None or bool(part.valid.any())
        yield part
        del part  # a band is large, and would wait here for the next
    if not any_valid:
        where = " inside the area" if scene.area is not None else ""
        warnings.warn(
            f"{scene.path} has no valid pixel{where}: its no-data tag, mask or alpha, or --no-data "
            "leaves none; the result is empty",
            NoDataWarning,
            stacklevel=2,
        )


def fitted(model: Predictor, scene: Scene) -> Scene:
    """The scene as the model wants it: a scene on its own pixels is brought to the model's size.

    One that was opened at a pixel size keeps it. Where no bands were chosen when it was opened, the
    model's are picked by what the scene says of its own (``geo.bands``). Raises ``SceneError`` when
    nothing tells which they are, or others came, and when its pixels are too coarse by far.
    """
    scene = _with_bands(model, scene)
    if scene.grid != scene.native_grid:
        return scene
    return scene.with_pixel_size(model.metadata.pixel_size_m)


def _with_bands(model: Predictor, scene: Scene) -> Scene:
    wanted, name = model.metadata.bands, model.metadata.name
    if not scene.has_explicit_bands:
        picked = pick_bands(scene.image_bands, wanted)
        if picked is None:
            raise SceneError(describe_missing_bands(scene.path, scene.image_bands, wanted, name))
        return scene.with_bands(picked)
    if len(scene.bands) != len(wanted):
        count = len(scene.bands)
        raise SceneError(
            f"--bands gives {count} band{'s' if count != 1 else ''} of {scene.path}, but model "
            f"{name!r} takes {len(wanted)}: {', '.join(wanted)}, in that order"
        )
    return scene


def _bands(
    model: Predictor, scene: Scene, walk: Walk, wanted: range, *, tta: bool
) -> Iterator[Raster]:
    first = max(wanted.start - 1, 0)  # a band blends with the row of tiles above
    across = walk.plane.counts[1]
    tiles = islice(walk.tiles(scene, first=first), across * (wanted.stop - first))
    blocks = _blocks(model, walk, tiles, first=first, tta=tta)
    deque(islice(blocks, across * (wanted.start - first)), maxlen=0)
    for _ in wanted:
        # Not named: the band would wait here through the whole next row of tiles.
        yield _band(islice(blocks, across), walk)


def _blocks(
    model: Predictor, walk: Walk, tiles: Iterable[Raster], *, first: int, tta: bool
) -> Iterator[Raster]:
    """Finished parts of the scene, from left to right, row by row; (class, row, col) always."""
    waiting: deque[Bools] = deque()
    upright = _upright(model, walk, ahead(tiles, _TILES_AHEAD), waiting, tta=tta)
    border = walk.plane.border_px
    for row, col, levels in walk.plane.blend(upright, first=first):
        valid = waiting.popleft()[border:, border:][: levels.shape[1], : levels.shape[2]]
        yield walk.inside(row, col, levels * valid, valid)


def _upright(
    model: Predictor, walk: Walk, tiles: Iterable[Raster], waiting: deque[Bools], *, tta: bool
) -> Iterator[Levels]:
    """Levels of each tile as it is walked; its valid pixels go to ``waiting``.

    A tile without data is 0 and costs nothing. Its neighbours are the same at all pixels that
    count: a valid pixel that two tiles share is valid in both.
    """
    nothing = np.zeros((len(model.metadata.classes), *[walk.plane.tile] * 2), np.uint8)
    seen: deque[bool] = deque()

    def images() -> Iterator[Levels]:
        for tile in tiles:
            valid = _alike(_valid(tile))
            seen.append(bool(valid.any()))
            waiting.append(walk.turn(valid))
            if seen[-1]:
                yield tile.array

    for levels in predicted(model, images(), tta=tta):
        while not seen.popleft():
            yield nothing
        yield walk.turn(levels)
    yield from (nothing for _ in seen)


def _alike(valid: Bools) -> Bools:
    """The same, held in a byte where all are valid or none is, for many wait."""
    first = valid.flat[0]
    return np.broadcast_to(first, valid.shape) if (valid == first).all() else valid


def _band(blocks: Iterable[Raster], walk: Walk) -> Raster:
    """Blocks from left to right as one, laid as they come: few things are as large as a band."""
    first, col = next(iter(blocks)), 0
    levels = np.empty((*first.array.shape[:2], walk.grid.width), np.uint8)
    valid: Bools | None = None
    for block in chain([first], blocks):
        cols = slice(col, col := col + block.grid.width)
        levels[:, :, cols] = block.array
        if block.valid is not None:
            valid = np.ones(levels.shape[1:], bool) if valid is None else valid
            valid[:, cols] = block.valid
    grid = Grid((levels.shape[1], walk.grid.width), first.grid.transform, walk.grid.crs)
    return Raster(levels[0] if len(levels) == 1 else levels, grid, valid, first.scale)


def predicted(model: Predictor, images: Iterator[Levels], *, tta: bool) -> Iterator[Levels]:
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
