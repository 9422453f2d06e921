"""From a strip of a mask to the pixels of its centre lines, and how wide the mask is there.

It costs a few bytes a pixel of the strip; distances are looked up at centre pixels only.
"""

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from terralink.vectorize.strips import Strip
from terralink.vectorize.trace import Pixels

Ints = NDArray[np.int64]

# Distances up and down are counted in a signed byte: no road is wider than twice this
FARTHEST_PX = 127


def centre_pixels(strip: Strip, *, pixel_size_m: tuple[float, float]) -> Pixels:
    """The skeleton in the strip's own rows, numbered as in the scene.

    Thinning is that of Zhang and Suen (1984) in scikit-image: a mask that is shifted has a
    skeleton that is shifted.
    """
    rows, cols = np.nonzero(skeletonize(strip.mask)[strip.core])  # type: ignore[no-untyped-call]
    rows += strip.core.start
    width_m = widths_m(strip.mask, rows, cols, pixel_size_m=pixel_size_m)
    return Pixels(rows + strip.top, cols, width_m, strip.prob[rows, cols])


def widths_m(
    mask: NDArray[np.bool_], rows: Ints, cols: Ints, *, pixel_size_m: tuple[float, float]
) -> NDArray[np.float32]:
    """Width of the mask at each given road pixel; ``pixel_size_m`` is (width, height).

    That is twice the Euclidean distance to the nearest background pixel, less one pixel where the
    opposite pixel is background too: a road three pixels wide has background two pixels from its
    middle on both sides, one of four pixels on one side only. Beyond the mask is no background.

    The distance is exact (in the manner of Saito and Toriwaki 1994): up and down for all pixels,
    then sideways, but only from the pixels asked for, and only as far as a nearer one can be.
    """
    across, along = pixel_size_m
    vertical = _nearest_above_or_below(mask)
    dx, dy = np.zeros(len(rows), np.int64), vertical[rows, cols].astype(np.int64)
    best_m = np.abs(dy) * along
    active = np.arange(len(rows))
    for step in range(1, FARTHEST_PX + 1):
        active = active[step * across < best_m[active]]
        if not len(active):
            break
        for aside in (-step, step):
            beside = cols[active] + aside
            inside = (beside >= 0) & (beside < mask.shape[1])
            at = active[inside]
            down = vertical[rows[at], beside[inside]].astype(np.int64)
            distance_m = np.hypot(step * across, down * along)
            nearer = distance_m < best_m[at]
            at = at[nearer]
            best_m[at], dx[at], dy[at] = distance_m[nearer], aside, down[nearer]
    one_pixel_m = best_m / np.maximum(np.abs(dx) + np.abs(dy), 1)
    even = _is_road(mask, rows - dy, cols - dx)
    return (2 * best_m - np.where(even, 0, one_pixel_m)).astype(np.float32)


def _nearest_above_or_below(mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Rows to the nearest background pixel of the same column: negative above, positive below."""
    up, down = _run_from_top(mask), _run_from_top(mask[::-1])[::-1]
    return np.where(up < down, -up, down)


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


def _is_road(mask: NDArray[np.bool_], rows: Ints, cols: Ints) -> NDArray[np.bool_]:
    height, width = mask.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    road = np.zeros(len(rows), bool)
    road[inside] = mask[rows[inside], cols[inside]]
    return road
