"""Sliding-window prediction: from a scene to the probability of each class, as a stream.

    tiles -> inference -> blending -> blocks -> bands

One thread reads tiles, one infers and blends, and the caller's uses the results. A tile is read
with a margin that is affected by the network's padding and has weight 0; neighbours are blended
over the rest of their overlap. Memory grows with the width of a scene by a few blended rows, and by
a whole row of tiles where bands are asked for; it does not grow with the height.
"""

import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, product
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from terralink._typing import Bools
from terralink.errors import InputError, NoDataWarning, SceneError
from terralink.inference.model import PROB_SCALE, Predictor
from terralink.inference.tile_plan import TilePlan, valid_mask
from terralink.raster import Grid, Raster, Scene
from terralink.raster.bands import describe_missing_bands, pick_bands

Pixels: TypeAlias = NDArray[np.uint8]
Item = TypeVar("Item")

_PREFETCHED_TILES, _PREFETCHED_BLOCKS, _PREFETCHED_BANDS = 1, 2, 1
_DIHEDRAL = [(turns, flipped) for turns in range(4) for flipped in (False, True)]
_END: Final = object()


def predict(model: Predictor, scene: Scene, *, tta: bool = False) -> Raster:
    """The probability of each class over a whole scene, in memory: uint8, round(255 p).

    The scene is first resampled to the model's pixel size; see ``conform_scene``. The array is
    (row, col) for one class, (class, row, col) for more. ``tta`` averages the eight rotated and
    flipped views of each tile.
    """
    scene = conform_scene(model, scene)
    bands = warn_if_empty(predict_bands(model, scene, tta=tta), scene)
    return TilePlan.create(scene.grid, model.metadata).join(bands, scene.grid)


def predict_bands(
    model: Predictor, scene: Scene, *, tta: bool = False, first: int = 0, stop: int | None = None
) -> Iterator[Raster]:
    """As ``predict`` in bands of whole rows from top to bottom; the next is prefetched.

    ``first`` and ``stop`` choose some of the ``count_bands`` bands; they are the same bytes as
    among all. The bands of a very wide scene are its columns, transposed; see ``tile_plan``.
    """
    scene = conform_scene(model, scene)
    plan = TilePlan.create(scene.grid, model.metadata)
    stop = plan.plane.counts[0] if stop is None else stop
    bands = _predict_bands(model, scene, plan, range(first, stop), tta=tta)
    return prefetch(bands, _PREFETCHED_BANDS)


def count_bands(model: Predictor, scene: Scene) -> int:
    """The number of bands of the scene."""
    grid = conform_scene(model, scene).grid
    return TilePlan.create(grid, model.metadata).plane.counts[0]


def predict_blocks(model: Predictor, scene: Scene, *, tta: bool = False) -> Iterator[Raster]:
    """As ``predict`` in blocks no wider than a tile, left to right, row by row of tiles.

    Unlike bands, they need no memory for a whole row of tiles. The next blocks are prefetched.
    """
    scene = conform_scene(model, scene)
    plan = TilePlan.create(scene.grid, model.metadata)
    blocks = _predict_blocks(model, plan, plan.read_tiles(scene), first=0, tta=tta)
    return prefetch(blocks, _PREFETCHED_BLOCKS)


def predict_four_crops(
    model: Predictor,
    image: Pixels,
    *,
    trained_px: int = 400,
    patch_px: int = 384,
    tta: bool = False,
) -> NDArray[np.float32]:
    """The four-crop prediction of the EPFL road papers, for small images uint8 (bands, row, col).

    Their networks are trained on images of 400 px that are shrunk to 384, a multiple of 32. A test
    image of 608 px is shrunk by the same factor to 583 px. Crops of 384 px in its four corners
    cover it; where they overlap their probabilities are averaged. The result is resized to 608 px:
    float32 (classes, row, col). ``trained_px`` and ``patch_px`` are that 400 and 384.

    Raises ``InputError`` when four crops do not cover the shrunk image, or one is larger than it.
    """
    height, width = (side * patch_px // trained_px for side in image.shape[1:])
    if not all(patch_px <= side <= 2 * patch_px for side in (height, width)):
        raise InputError(
            f"four crops of {patch_px} px cover images of {trained_px} to {2 * trained_px} px; "
            f"this one has {image.shape[1]} x {image.shape[2]} px: predict it as a scene"
        )
    small = np.rint(_resize(image, (height, width))).astype(np.uint8)
    windows = [
        np.s_[:, row : row + patch_px, col : col + patch_px]
        for row, col in product((0, height - patch_px), (0, width - patch_px))
    ]
    total = np.zeros((len(model.metadata.classes), height, width), np.float32)
    count = np.zeros((1, height, width), np.float32)
    crops = (np.ascontiguousarray(small[window]) for window in windows)
    for window, prob in zip(windows, infer(model, crops, tta=tta), strict=True):
        total[window] += prob
        count[window] += 1
    return _resize(total / (PROB_SCALE * count), image.shape[1:])


def infer(model: Predictor, images: Iterator[Pixels], *, tta: bool) -> Iterator[Pixels]:
    """round(255 p) as uint8 (classes, side, side) of each image; ``tta``: the mean of 8 views."""
    if not tta:
        return model.predict_uint8(images)
    return _average_views(model.predict_uint8(view for image in images for view in _views(image)))


def conform_scene(model: Predictor, scene: Scene) -> Scene:
    """The scene with the model's bands, resampled to the model's pixel size.

    A scene that was opened with a pixel size keeps it. Where no bands were chosen, they are picked
    by what the file says of its bands (``raster.bands``). Raises ``SceneError`` when the file does
    not say which bands they are, when the number of chosen bands is wrong, and when the pixels are
    far too coarse.
    """
    scene = _select_bands(model, scene)
    if scene.grid != scene.native_grid:
        return scene
    return scene.with_pixel_size(model.metadata.pixel_size_m)


def warn_if_empty(parts: Iterable[Raster], scene: Scene) -> Iterator[Raster]:
    """The same parts; at the end a ``NoDataWarning`` if no pixel of the scene was valid."""
    any_valid = False
    for part in parts:
        any_valid = any_valid or part.valid is None or bool(part.valid.any())
        yield part
        del part  # free a band, which is large, before the next is computed
    if not any_valid:
        inside = " inside the area" if scene.area is not None else ""
        warnings.warn(
            f"{scene.path} has no valid pixel{inside}: its no-data tag, mask or alpha, or "
            "--no-data leaves none; the result is empty",
            NoDataWarning,
            stacklevel=2,
        )


def prefetch(items: Iterable[Item], count: int) -> Generator[Item]:
    """The same items; a thread computes up to ``count`` of them before they are asked for.

    The libraries that do the work (GDAL, OpenVINO, NumPy) release Python's lock. An exception in
    the thread is raised where its item is asked for. When the generator is closed, the thread ends
    after its current item.

    >>> list(prefetch("road", 2))
    ['r', 'o', 'a', 'd']
    """
    source = iter(items)
    thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        pending = deque(thread.submit(next, source, _END) for _ in range(count))
        while True:
            item = pending.popleft().result()
            if item is _END:
                return
            pending.append(thread.submit(next, source, _END))
            yield item  # type: ignore[misc]  # mypy does not see that it is no longer _END
            del item  # free it, it may be large, before the next is waited for
    finally:
        thread.shutdown(cancel_futures=True)


def _select_bands(model: Predictor, scene: Scene) -> Scene:
    needed, name = model.metadata.bands, model.metadata.name
    if not scene.has_explicit_bands:
        picked = pick_bands(scene.image_bands, needed)
        if picked is None:
            raise SceneError(describe_missing_bands(scene.path, scene.image_bands, needed, name))
        return scene.with_bands(picked)
    if len(scene.bands) != len(needed):
        count = len(scene.bands)
        raise SceneError(
            f"--bands gives {count} band{'s' if count != 1 else ''} of {scene.path}, but model "
            f"{name!r} takes {len(needed)}: {', '.join(needed)}, in that order"
        )
    return scene


def _predict_bands(
    model: Predictor, scene: Scene, plan: TilePlan, numbers: range, *, tta: bool
) -> Iterator[Raster]:
    first = max(numbers.start - 1, 0)  # a band is blended with the row of tiles above it
    across = plan.plane.counts[1]
    tiles = islice(plan.read_tiles(scene, first=first), across * (numbers.stop - first))
    blocks = _predict_blocks(model, plan, tiles, first=first, tta=tta)
    deque(islice(blocks, across * (numbers.start - first)), maxlen=0)
    for _ in numbers:
        # Without a name: it would keep the band in memory through the next row of tiles.
        yield _join_blocks(islice(blocks, across), plan.grid)


def _predict_blocks(
    model: Predictor, plan: TilePlan, tiles: Iterable[Raster], *, first: int, tta: bool
) -> Iterator[Raster]:
    """Finished parts of the scene, left to right, row by row; always (class, row, col)."""
    masks: deque[Bools] = deque()
    probs = _infer_tiles(model, plan, prefetch(tiles, _PREFETCHED_TILES), masks, tta=tta)
    border = plan.plane.border_px
    for row, col, prob in plan.plane.blend(probs, first=first):
        valid = masks.popleft()[border:, border:][: prob.shape[1], : prob.shape[2]]
        yield plan.crop(row, col, prob * valid, valid)


def _infer_tiles(
    model: Predictor, plan: TilePlan, tiles: Iterable[Raster], masks: deque[Bools], *, tta: bool
) -> Iterator[Pixels]:
    """Probabilities of each tile in the plane; its valid pixels are appended to ``masks``.

    A tile without valid pixels is 0 and not computed. That does not change its neighbours at pixels
    that count: a valid pixel that two tiles share is valid in both.
    """
    empty = np.zeros((len(model.metadata.classes), *[plan.plane.tile] * 2), np.uint8)
    computed: deque[bool] = deque()

    def images() -> Iterator[Pixels]:
        for tile in tiles:
            valid = _compact(valid_mask(tile))
            computed.append(bool(valid.any()))
            masks.append(plan.to_plane(valid))
            if computed[-1]:
                yield tile.array

    for prob in infer(model, images(), tta=tta):
        while not computed.popleft():
            yield empty
        yield plan.to_plane(prob)
    yield from (empty for _ in computed)


def _compact(valid: Bools) -> Bools:
    """The same mask, in one byte where all values are equal: many masks wait."""
    first = valid.flat[0]
    return np.broadcast_to(first, valid.shape) if (valid == first).all() else valid


def _join_blocks(blocks: Iterable[Raster], grid: Grid) -> Raster:
    """Blocks from left to right as one band, each copied as it arrives: a band is large."""
    first, col = next(iter(blocks)), 0
    prob = np.empty((*first.array.shape[:2], grid.width), np.uint8)
    valid: Bools | None = None
    for block in chain([first], blocks):
        cols = slice(col, col := col + block.grid.width)
        prob[:, :, cols] = block.array
        if block.valid is not None:
            valid = np.ones(prob.shape[1:], bool) if valid is None else valid
            valid[:, cols] = block.valid
    band = Grid((prob.shape[1], grid.width), first.grid.transform, grid.crs)
    return Raster(prob[0] if len(prob) == 1 else prob, band, valid, first.scale)


def _views(image: Pixels) -> Iterator[Pixels]:
    for turns, flipped in _DIHEDRAL:
        rotated = np.rot90(image, turns, axes=(1, 2))
        yield np.ascontiguousarray(rotated[:, :, ::-1] if flipped else rotated)


def _average_views(probs: Iterator[Pixels]) -> Iterator[Pixels]:
    """The mean of each eight views, rotated and flipped back."""
    for first in probs:
        total = first.astype(np.uint16)  # the view that is the image itself
        for turns, flipped in _DIHEDRAL[1:]:
            view = next(probs)
            rotated = view[:, :, ::-1] if flipped else view
            total += np.rot90(rotated, -turns, axes=(1, 2))
        yield np.rint(total / np.float32(len(_DIHEDRAL))).astype(np.uint8)


def _resize(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Bilinear, with aligned pixel centres."""
    floats = image.astype(np.float32)
    if shape == image.shape[1:]:
        return floats
    return np.asarray(resize(floats, (len(image), *shape), order=1, mode="edge"))  # type: ignore[no-untyped-call]
