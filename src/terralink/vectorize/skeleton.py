"""From a strip of a mask to the pixels of its centre lines, and how wide the mask is there.

It costs a few bytes a pixel of the strip; distances are looked up at centre pixels only.
"""

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


def centre_pixels(strip: Strip, *, pixel_size_m: tuple[float, float]) -> Pixels:
    """The skeleton in the strip's own rows, numbered as in the scene.

    Thinning is that of Zhang and Suen (1984) in scikit-image: a mask that is shifted has a
    skeleton that is shifted.
    """
    rows, cols = np.nonzero(_thinned(strip)[strip.core])
    rows += strip.core.start
    width_m = widths_m(strip.mask, rows, cols, pixel_size_m=pixel_size_m)
    return Pixels(rows + strip.top, cols, width_m, strip.prob[rows, cols])


def _thinned(strip: Strip) -> NDArray[np.bool_]:
    """The skeleton of a strip's rows, as if the scene were mirrored at its edges.

    At a plain edge the centre line of a road would turn to one of the corners that it is cut in.
    """
    above = EDGE_PX if strip.core.start < HALO_ROWS else 0
    below = EDGE_PX if len(strip.mask) - strip.core.stop < HALO_ROWS else 0
    mirrored = np.pad(strip.mask, ((above, below), (EDGE_PX, EDGE_PX)), mode="symmetric")
    skeleton: NDArray[np.bool_] = skeletonize(mirrored)  # type: ignore[no-untyped-call]
    return skeleton[above : len(mirrored) - below, EDGE_PX:-EDGE_PX]


def widths_m(
    mask: NDArray[np.bool_], rows: Ints, cols: Ints, *, pixel_size_m: tuple[float, float]
) -> NDArray[np.float32]:
    """Width of the mask at each given road pixel; ``pixel_size_m`` is (width, height).

    A straight strip of width w, however it is turned, is cut by its column in a chord V and by its
    row in a chord H with 1/w^2 = 1/V^2 + 1/H^2. Where roads meet, chords run along the other road;
    so it is never more than twice the distance to the nearest background, a pixel more because that
    is how far the skeleton runs beside the middle. Beyond the mask is no background.
    """
    across, along = pixel_size_m
    above, below = _run_from_top(mask), _run_from_top(mask[::-1])[::-1]
    up, down = (run[rows, cols].astype(np.int64) for run in (above, below))
    column_m = (up + down - 1) * along
    row_m = _chord_px(mask, rows, cols) * across
    chord_m = column_m * row_m / np.hypot(column_m, row_m)
    near = np.minimum(above, below, out=above)
    most_m = 2 * (_distance_m(near, rows, cols, across, along) + max(pixel_size_m))
    width_m: NDArray[np.float32] = np.minimum(chord_m, most_m).astype(np.float32)
    return width_m


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


def _chord_px(mask: NDArray[np.bool_], rows: Ints, cols: Ints) -> Ints:
    """Road pixels in one run along the row, with each given one."""
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
