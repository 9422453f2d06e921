"""Holes in the mask of a road filled before it is thinned: a thinned hole is a loop.

    RULE 14: a hole is noise, or an island in the road, where every way across the road there is
             longer than the square root of ``HOLE_AREAS`` times the hole's area

What is the median of two carriageways is no hole, see ``medians``.
"""

import numpy as np

from terralink.graph.polylines import Bools, Ints
from terralink.vectorize.roads.background import Background, expand
from terralink.vectorize.roads.medians import keep_medians
from terralink.vectorize.strips import HALO_ROWS, Strip

# A road is at least so many holes in area across: 12 of a square of 3 m are 10.4 m
HOLE_AREAS = 12
# Larger holes are not filled: strips that see them in part must come to the same mask
LARGEST_PX = HALO_ROWS // 2
# Holes are filled from small to large, so that small ones beside do not narrow the road
_CLASS_AREAS_PX = (4, 16, 64, 256, LARGEST_PX**2)
_DIRECTIONS = np.array([(0, 1), (1, 0), (1, 1), (1, -1)])  # (row, col)


def fill_holes(strip: Strip, *, pixel_size_m: tuple[float, float]) -> None:
    """Make road of the holes in the strip that RULE 14 names, in place.

    ``pixel_size_m`` is (width, height). What reaches the first or last row of a strip within a
    scene may go on there, and is left alone.
    """
    background = Background.of(strip)
    if not len(background.first):
        return
    medians = keep_medians(strip, background, pixel_size_m=pixel_size_m)
    candidates = _candidates(background, strip)
    candidates = candidates[~medians[candidates]]
    filled = np.zeros(len(background.area_px), bool)
    smaller_px = 0
    for area_px in _CLASS_AREAS_PX:
        in_class = background.area_px[candidates]
        holes = candidates[(in_class > smaller_px) & (in_class <= area_px)]
        filled[holes] = _is_noise(holes, filled, background, strip, pixel_size_m)
        smaller_px = area_px
    run = filled[background.label]
    _fill(strip, background.first[run], background.stop[run])


def _fill(strip: Strip, first: Ints, stop: Ints) -> None:
    """Make road of runs, as likely as the road beside them: so a mask stays one."""
    prob, width = strip.prob.ravel(), strip.prob.shape[1]
    before = np.where(first % width > 0, prob[first - 1], 0)
    after = np.where(stop % width > 0, prob[stop % prob.size], 0)
    beside = np.maximum(np.maximum(before, after), strip.road)
    prob[expand(first, stop)] = np.repeat(beside, stop - first)


def _candidates(background: Background, strip: Strip) -> Ints:
    """Components that are small, and whole in the strip."""
    first_row, first_col, last_row, last_col = background.box.T
    small = (last_row - first_row < LARGEST_PX) & (last_col - first_col < LARGEST_PX)
    small &= strip.begins_scene | (first_row > 0)
    small &= strip.ends_scene | (last_row < len(strip.prob) - 1)
    return np.flatnonzero(small)


def _is_noise(
    holes: Ints,
    filled: Bools,
    background: Background,
    strip: Strip,
    pixel_size_m: tuple[float, float],
) -> Bools:
    """(k,) whether the road is wide enough there, all holes of ``filled`` (c,) being road."""
    if not len(holes):
        return np.zeros(0, bool)
    across, along = pixel_size_m
    needed_m = np.sqrt(HOLE_AREAS * background.area_px[holes] * across * along)
    seed = _middle_pixels(holes, background)
    noise = np.ones(len(holes), bool)
    for direction in _DIRECTIONS:
        step_m = float(np.hypot(direction[0] * along, direction[1] * across))
        most = np.where(noise, np.ceil(needed_m / step_m).astype(np.int64), 0)
        (ahead, leaves), (back, leaves_back) = (
            _steps_on_road(most, seed, holes, way, filled, background, strip)
            for way in (direction, -direction)
        )
        # what lies outside is not known: taken to be as on the other side
        steps = np.where(leaves, 2 * back, np.where(leaves_back, 2 * ahead, ahead + back))
        noise &= (leaves & leaves_back) | ((steps + 1) * step_m >= needed_m)
    return noise


def _middle_pixels(components: Ints, background: Background) -> Ints:
    """(k,) a pixel of each component: the middle of its middle run."""
    by_label = np.argsort(background.label, kind="stable")
    counts = np.bincount(background.label)
    begins = np.cumsum(counts) - counts
    run = by_label[begins[components] + counts[components] // 2]
    return np.asarray((background.first[run] + background.stop[run]) // 2)


def _steps_on_road(
    most: Ints,
    seed: Ints,
    holes: Ints,
    way: Ints,
    filled: Bools,
    background: Background,
    strip: Strip,
) -> tuple[Ints, Bools]:
    """(k,) steps from a hole's pixel until background that is neither the hole nor filled.

    It is ``most`` (k,) at most. And whether the strip ended before.
    """
    height, width = strip.prob.shape
    steps, leaves = np.zeros(len(seed), np.int64), np.zeros(len(seed), bool)
    active = np.flatnonzero(most > 0)
    rows, cols = seed // width, seed % width
    while len(active):
        row, col = (at[active] + way[i] * (steps[active] + 1) for i, at in enumerate((rows, cols)))
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        leaves[active[~inside]] = True
        active, pixel = active[inside], (row * width + col)[inside]
        component = background.component(pixel)
        road = (component < 0) | (component == holes[active]) | filled[component]
        active = active[road]
        steps[active] += 1
        active = active[steps[active] < most[active]]
    return steps, leaves
