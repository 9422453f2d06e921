"""From a strip of a mask to the pixels of its centre lines, and how wide the mask is there.

It costs a few bytes a pixel of the strip, a chunk of its columns at a time; distances are looked up
at centre pixels only. What is found does not depend on the chunks.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from terralink.vectorize.strips import HALO_ROWS, Strip
from terralink.vectorize.trace import Pixels

Ints = NDArray[np.int64]

# Distances up and down are counted in a signed byte: no road is wider than twice this
FARTHEST_PX = 127
# So much of the scene is mirrored at its edges: more than half a road
EDGE_PX = 48
# So wide are chunks at most: most scenes are one, and the halo of others is little of them
CHUNK_PX = 1 << 14
_ROWS = 64  # runs along rows are looked for in so many at a time


def centre_pixels(strip: Strip, *, pixel_size_m: tuple[float, float]) -> Pixels:
    """The skeleton in the strip's own rows, numbered as in the scene.

    Thinning is that of Zhang and Suen (1984) in scikit-image: a mask that is shifted has a
    skeleton that is shifted.
    """
    rows, cols = _thinned(strip)
    width_m = widths_m(strip, rows, cols, pixel_size_m=pixel_size_m)
    return Pixels(rows + strip.top, cols, width_m, strip.prob[rows, cols])


def _thinned(strip: Strip) -> tuple[Ints, Ints]:
    """Rows and columns of the skeleton in the strip's own rows, in row order.

    A round of thinning sees two pixels far, and there are no more rounds than what is thinned is
    high by half. So a halo of columns as wide as the strip is high is all that a chunk can see.
    """
    height, width = strip.prob.shape
    halo_px = height + 2 * EDGE_PX
    found = [_thinned_chunk(strip, chunk, halo_px) for chunk in _chunks(width)]
    rows, cols = (np.concatenate(places) for places in zip(*found, strict=True))
    if len(found) > 1:
        order = np.argsort(rows * width + cols)
        rows, cols = rows[order], cols[order]
    return rows, cols


def _thinned_chunk(strip: Strip, chunk: slice, halo_px: int) -> tuple[Ints, Ints]:
    """The skeleton in a chunk of columns, as if the scene were mirrored at its edges.

    At a plain edge the centre line of a road would turn to one of the corners that it is cut in.
    """
    height, width = strip.prob.shape
    seen = slice(max(chunk.start - halo_px, 0), min(chunk.stop + halo_px, width))
    above = EDGE_PX if strip.core.start < HALO_ROWS else 0
    below = EDGE_PX if height - strip.core.stop < HALO_ROWS else 0
    before = EDGE_PX if seen.start == 0 else 0
    after = EDGE_PX if seen.stop == width else 0
    mask = strip.mask(cols=seen)
    mirrored = np.pad(mask, ((above, below), (before, after)), mode="symmetric")
    skeleton: NDArray[np.bool_] = skeletonize(mirrored)  # type: ignore[no-untyped-call]
    first_row, first_col = above + strip.core.start, before + chunk.start - seen.start
    rows, cols = np.nonzero(
        skeleton[
            first_row : above + strip.core.stop, first_col : first_col + chunk.stop - chunk.start
        ]
    )
    return rows + strip.core.start, cols + chunk.start


def widths_m(
    strip: Strip, rows: Ints, cols: Ints, *, pixel_size_m: tuple[float, float]
) -> NDArray[np.float32]:
    """Width of the mask at given road pixels in row order; ``pixel_size_m`` is (width, height).

    A straight strip of width w, however it is turned, is cut by its column in a chord V and by its
    row in a chord H with 1/w^2 = 1/V^2 + 1/H^2. Where roads meet, chords run along the other road;
    so it is never more than twice the distance to the nearest background, a pixel more because that
    is how far the skeleton runs beside the middle. Beyond the strip is no background.
    """
    across, along = pixel_size_m
    row_m = _chord_px(strip, rows, cols) * across
    column_m, most_m = np.empty(len(rows)), np.empty(len(rows))
    for chunk in _chunks(strip.prob.shape[1]):
        here = np.flatnonzero((cols >= chunk.start) & (cols < chunk.stop))
        first = max(chunk.start - FARTHEST_PX, 0)
        mask = strip.mask(cols=slice(first, chunk.stop + FARTHEST_PX))
        place = rows[here], cols[here] - first
        above, below = _run_from_top(mask), _run_from_top(mask[::-1])[::-1]
        up, down = (run[place].astype(np.int64) for run in (above, below))
        column_m[here] = (up + down - 1) * along
        near = np.minimum(above, below, out=above)
        most_m[here] = 2 * (_distance_m(near, *place, across, along) + max(pixel_size_m))
    chord_m = column_m * row_m / np.hypot(column_m, row_m)
    width_m: NDArray[np.float32] = np.minimum(chord_m, most_m).astype(np.float32)
    return width_m


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
    sideways, but only from the pixels asked for and only as far as a nearer one can be.
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
            at = active[inside]
            distance_m = np.hypot(step * across, near[rows[at], beside[inside]] * float(along))
            best_m[at] = np.minimum(best_m[at], distance_m)
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


def _run_from_top(mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """How many road pixels end in each pixel from above; before the first row there is no end."""
    runs = np.empty(mask.shape, np.int8)
    before = np.full(mask.shape[1], FARTHEST_PX, np.int8)
    for row, run in zip(mask, runs, strict=True):
        np.minimum(before, FARTHEST_PX - 1, out=run)
        run += 1
        run *= row
        before = run
    return runs
