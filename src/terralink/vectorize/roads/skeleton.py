"""From a strip of a mask to the pixels of its centre lines, and how wide the mask is there.

It costs a few bytes a pixel of the strip, a chunk of its columns at a time; distances are looked up
at centre pixels only. What is found does not depend on the chunks.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from terralink.vectorize.roads.trace import Pixels
from terralink.vectorize.strips import Strip

Ints = NDArray[np.int64]
Floats32 = NDArray[np.float32]

# Distances up and down are counted in a signed byte: no road is wider than twice this
FARTHEST_PX = 127
# So wide are chunks at most: most scenes are one, and the halo of others is little of them
CHUNK_PX = 1 << 14
_ROWS = 64  # runs along rows are looked for in so many at a time


def centre_pixels(strip: Strip, *, pixel_size_m: tuple[float, float]) -> Pixels:
    """The skeleton in the strip's own rows, numbered as in the scene.

    Thinning is that of Zhang and Suen (1984) in scikit-image: a mask that is shifted has a
    skeleton that is shifted. Outside the scene is background: a road along the scene's border has
    its own middle line, and a road that leaves the scene ends there.
    """
    rows, cols = _thinned(strip)
    width_m, radius_m = measure_widths(strip, rows, cols, pixel_size_m=pixel_size_m)
    return Pixels(rows + strip.top, cols, width_m, radius_m, strip.prob[rows, cols])


def _thinned(strip: Strip) -> tuple[Ints, Ints]:
    """Rows and columns of the skeleton in the strip's own rows, in row order.

    A round of thinning sees two pixels far, and there are no more rounds than what is thinned is
    high by half. So a halo of columns as wide as the strip is high is all that a chunk can see.
    """
    found = [_thinned_chunk(strip, chunk) for chunk in _chunks(strip.prob.shape[1])]
    rows, cols = (np.concatenate(places) for places in zip(*found, strict=True))
    if len(found) > 1:
        order = np.argsort(rows * strip.prob.shape[1] + cols)
        rows, cols = rows[order], cols[order]
    return rows, cols


def _thinned_chunk(strip: Strip, chunk: slice) -> tuple[Ints, Ints]:
    """The skeleton in a chunk of columns."""
    height = len(strip.prob)
    first = max(chunk.start - height, 0)
    mask = strip.mask(cols=slice(first, chunk.stop + height))
    skeleton: NDArray[np.bool_] = skeletonize(mask)  # type: ignore[no-untyped-call]
    own = skeleton[strip.core, chunk.start - first : chunk.stop - first]
    rows, cols = np.nonzero(own)
    return rows + strip.core.start, cols + chunk.start


def measure_widths(
    strip: Strip, rows: Ints, cols: Ints, *, pixel_size_m: tuple[float, float]
) -> tuple[Floats32, Floats32]:
    """Width of the mask at given road pixels in row order, and their distance to the background.

    A straight strip of width w, however it is turned, is cut by its column in a chord V and by its
    row in a chord H with 1/w^2 = 1/V^2 + 1/H^2. Where roads meet, chords run along the other road;
    so it is never more than twice the distance to the nearest background, a pixel more because that
    is how far the skeleton runs beside the middle. Outside the scene is background; what lies above
    and below the strip is not known and counts as road. ``pixel_size_m`` is (width, height).
    """
    across, along = pixel_size_m
    row_m = _chord_px(strip, rows, cols) * across
    column_m, radius_m = np.empty(len(rows)), np.empty(len(rows))
    for chunk in _chunks(strip.prob.shape[1]):
        here = np.flatnonzero((cols >= chunk.start) & (cols < chunk.stop))
        first = max(chunk.start - FARTHEST_PX, 0)
        mask = strip.mask(cols=slice(first, chunk.stop + FARTHEST_PX))
        place = rows[here], cols[here] - first
        above = _run_from_top(mask, known=strip.begins_scene)
        below = _run_from_top(mask[::-1], known=strip.ends_scene)[::-1]
        up, down = (run[place].astype(np.int64) for run in (above, below))
        column_m[here] = (up + down - 1) * along
        near = np.minimum(above, below, out=above)
        radius_m[here] = _distance_m(near, *place, across, along)
    chord_m = column_m * row_m / np.hypot(column_m, row_m)
    width_m = np.minimum(chord_m, 2 * (radius_m + max(pixel_size_m)))
    return width_m.astype(np.float32), radius_m.astype(np.float32)


def _chunks(width: int) -> Iterator[slice]:
    """Columns in chunks of one size, or nearly."""
    count = max(-(-width // CHUNK_PX), 1)
    bounds = [width * nth // count for nth in range(count + 1)]
    return (slice(*bound) for bound in pairwise(bounds))


def _distance_m(
    near: NDArray[np.int8], rows: Ints, cols: Ints, across: float, along: float
) -> NDArray[np.float64]:
    """Exact Euclidean distance to the nearest background (in the manner of Saito, Toriwaki 1994).

    ``near`` is the distance up or down, in pixels, for all pixels; from there it is searched
    sideways, but only from the pixels asked for and only as far as a nearer one can be. Columns
    outside are background.
    """
    best_m = near[rows, cols] * float(along)
    active = np.arange(len(rows))
    for step in range(1, FARTHEST_PX + 1):
        active = active[step * across < best_m[active]]
        if not len(active):
            break
        for aside in (-step, step):
            beside = cols[active] + aside
            inside = (beside >= 0) & (beside < near.shape[1])
            near_px = np.zeros(len(active))
            near_px[inside] = near[rows[active[inside]], beside[inside]]
            distance_m = np.hypot(step * across, near_px * float(along))
            best_m[active] = np.minimum(best_m[active], distance_m)
    return np.asarray(best_m, dtype=np.float64)


def _chord_px(strip: Strip, rows: Ints, cols: Ints) -> Ints:
    """Road pixels in one run along the row, with each given one."""
    runs = np.empty(len(rows), np.int64)
    for start in range(0, len(strip.prob), _ROWS):
        here = slice(*np.searchsorted(rows, [start, start + _ROWS]))
        mask = strip.mask(rows=slice(start, start + _ROWS))
        runs[here] = _runs_px(mask, rows[here] - start, cols[here])
    return runs


def _runs_px(mask: NDArray[np.bool_], rows: Ints, cols: Ints) -> Ints:
    width = mask.shape[1]
    changes = np.flatnonzero(mask.ravel()[1:] != mask.ravel()[:-1]) + 1  # a run's first pixel
    place = rows * width + cols
    after = np.searchsorted(changes, place, side="right")
    edges = np.concatenate([[0], changes, [mask.size]])
    first, stop = edges[after], edges[after + 1]
    return np.asarray(np.minimum(stop, (rows + 1) * width) - np.maximum(first, rows * width))


def _run_from_top(mask: NDArray[np.bool_], *, known: bool) -> NDArray[np.int8]:
    """How many road pixels end in each pixel from above.

    Before the first row is background where that is ``known``, else road without an end.
    """
    runs = np.empty(mask.shape, np.int8)
    before = np.full(mask.shape[1], 0 if known else FARTHEST_PX, np.int8)
    for row, run in zip(mask, runs, strict=True):
        np.minimum(before, FARTHEST_PX - 1, out=run)
        run += 1
        run *= row
        before = run
    return runs
