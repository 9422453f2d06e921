"""Holes in the mask of a road are filled before thinning, because a hole becomes a loop.

    RULE 14: a hole is filled if the road around it is, in every direction, at least as wide as the
             square root of ``HOLE_AREAS`` times the area of the hole
    RULE 15: narrow bars of background in one line are one median if the openings between them are
             shorter than the bars on both sides. It divides two carriageways if it is twice as long
             as the road is wide; otherwise it is a hole
    RULE 16: in a median, an opening of less than a third of a carriageway is closed; a longer one
             is narrowed to half a carriageway, and connects the two centre lines

The background is stored as connected components of runs of pixels along rows, which are far fewer
than pixels. Background pixels are connected by their sides, road pixels by their corners too.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from terralink._typing import Bools, Floats, Ints
from terralink.vectorize.roads.strips import HALO_ROWS, Strip

_CHUNK_ROWS = 64  # rows whose runs are searched at a time


@dataclass(frozen=True, eq=False)
class Background:
    """The background of a strip as runs along its rows, in row order, and its components.

    first, stop (r,)  flat indices of the first pixel of each run, and after its last
    width_px          columns of the strip
    label (r,)        the component of each run
    area_px (c,)      pixels of each component
    box (c, 4)        first row, first column, last row and last column of each component
    """

    first: Ints
    stop: Ints
    width_px: int
    label: Ints
    area_px: Ints
    box: Ints

    @classmethod
    def from_strip(cls, strip: Strip) -> "Background":
        """The background of all rows of a strip."""
        width = strip.prob.shape[1]
        first, stop = _background_runs(strip)
        label = _label_runs(first, stop, width)
        row = first // width
        boxes = np.column_stack([row, first % width, -row, -(stop - 1) % -width])
        by_label = np.argsort(label, kind="stable")
        begins = np.flatnonzero(np.diff(label[by_label], prepend=-1))
        low = np.minimum.reduceat(boxes[by_label], begins) if len(first) else boxes
        area = np.bincount(label, stop - first).astype(np.int64)
        return cls(first, stop, width, label, area, np.abs(low))

    def find_component(self, pixels: Ints) -> Ints:
        """(k,) the component of each flat index, -1 for road."""
        run = np.searchsorted(self.first, pixels, side="right") - 1
        inside = (run >= 0) & (pixels < self.stop[run])
        return np.where(inside, self.label[run], -1)

    def compute_moments(self) -> tuple[Floats, Floats]:
        """The centres (c, 2) of the components, (x, y) in pixels, and the covariances (c, 2, 2).

        The covariance of a bar has its length squared, divided by 12.
        """
        count = (self.stop - self.first).astype(float)
        row, col = np.divmod(self.first, self.width_px)
        origin = self.box[self.label]
        x, y = col - origin[:, 1] + (count - 1) / 2, (row - origin[:, 0]).astype(float)
        x_squared = count * (x**2 + (count**2 - 1) / 12)
        sums = (count * x, count * y, x_squared, count * x * y, count * y**2)
        mean_x, mean_y, xx, xy, yy = (np.bincount(self.label, each) / self.area_px for each in sums)
        spread = np.array([[xx - mean_x**2, xy - mean_x * mean_y]] * 2)
        spread[1] = xy - mean_x * mean_y, yy - mean_y**2
        corner = self.box[:, [1, 0]]
        return np.column_stack([mean_x, mean_y]) + corner, spread.T + np.eye(2) / 12


def _expand_ranges(first: Ints, stop: Ints) -> Ints:
    """All numbers of several ranges, one range after the other.

    >>> _expand_ranges(np.array([3, 8]), np.array([5, 9])).tolist()
    [3, 4, 8]
    """
    count = stop - first
    begins = np.cumsum(count) - count
    return np.asarray(np.arange(count.sum()) + np.repeat(first - begins, count))


def _background_runs(strip: Strip) -> tuple[Ints, Ints]:
    """Flat indices of the first pixel of each run of background, and after its last."""
    height, width = strip.prob.shape
    runs = []
    for start in range(0, height, _CHUNK_ROWS):
        mask = strip.mask(rows=slice(start, start + _CHUNK_ROWS))
        begins = np.ones((len(mask), width), bool)
        np.not_equal(mask[:, 1:], mask[:, :-1], out=begins[:, 1:])
        first = np.flatnonzero(begins)
        stop = np.append(first[1:], mask.size)
        background = ~mask.ravel()[first]
        runs.append(np.stack([first[background], stop[background]]) + start * width)
    first, stop = np.concatenate(runs, axis=1)
    return first, stop


def _label_runs(first: Ints, stop: Ints, width: int) -> Ints:
    """(r,) the component of each run; runs are linked where pixels are above each other."""
    low = np.searchsorted(stop, first + width, side="right")
    high = np.searchsorted(first, stop + width, side="left")
    count = np.maximum(high - low, 0)
    above = np.repeat(np.arange(len(first)), count)
    links = coo_array(
        (np.ones(len(above), bool), (above, _expand_ranges(low, low + count))),
        shape=(len(first),) * 2,
    )
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


# A bar is at least so many times as long as wide, and fills this share of length times width
MIN_ASPECT, MIN_SOLIDITY = 3.0, 0.6
# Bars are in line if neither turns by more than this towards the other
MAX_TURN_DEGREES = 20.0
# Longer openings and wider carriageways are not considered
MAX_OPENING_PX, MAX_CARRIAGEWAY_PX = 48, 48
# Openings of less than this share of a carriageway are closed; of longer ones so much stays open
CLOSED_SHARE, OPEN_SHARE = 1 / 3, 1 / 2
# A median is at least so many times as long as the road is wide
MIN_LENGTH_WIDTHS = 2.0


@dataclass(frozen=True, eq=False)
class _Bars:
    """Narrow bars of background with road on both sides.

    component (k,)       its component of the background
    endpoints (k, 2, 2)  the two ends (x, y), in metres from the strip's first pixel
    direction (k, 2)     the unit vector from the first to the second
    length_m, width_m    (k,) of the bar
    carriageway_m (k,)   the width of the narrower carriageway beside it
    """

    component: Ints
    endpoints: Floats
    direction: Floats
    length_m: Floats
    width_m: Floats
    carriageway_m: Floats

    def __len__(self) -> int:
        return len(self.component)


def _mark_medians(
    strip: Strip, background: Background, *, pixel_size_m: tuple[float, float]
) -> Bools:
    """(c,) whether each component is a median. Openings of medians are narrowed, in place."""
    is_median, size_m = np.zeros(len(background.area_px), bool), np.array(pixel_size_m)
    bars = _find_bars(strip, background, size_m)
    if len(bars):
        group, openings = _group_bars(bars, _find_openings(bars, strip, size_m))
        separates = _separate_carriageways(bars, group, openings)
        is_median[bars.component[separates]] = True
        _close_openings(strip, bars, openings[separates[openings[:, 0] // 2]], size_m)
    return is_median


def _separate_carriageways(bars: _Bars, group: Ints, openings: Ints) -> Bools:
    """(k,) whether the median of each bar is long enough (RULE 15)."""
    total_m = np.bincount(group, bars.length_m)
    total_m += np.bincount(
        group[openings[:, 0] // 2], _measure_openings(bars, openings), len(total_m)
    )
    width_m = np.zeros(len(total_m))
    np.maximum.at(width_m, group, 2 * bars.carriageway_m + bars.width_m)
    return np.asarray((total_m >= MIN_LENGTH_WIDTHS * width_m)[group])


def _find_bars(strip: Strip, background: Background, size_m: Floats) -> _Bars:
    centre, spread = background.compute_moments()
    spread = spread * size_m[:, None] * size_m
    variance, axes = np.linalg.eigh(spread)
    width_m, length_m = np.sqrt(12 * np.maximum(variance, 0)).T
    area_m2 = background.area_px * size_m.prod()
    bar = np.flatnonzero(
        (length_m >= MIN_ASPECT * width_m)
        & (area_m2 >= MIN_SOLIDITY * length_m * width_m)
        & (width_m <= MAX_CARRIAGEWAY_PX * size_m.max())
    )
    direction, centre_m = axes[bar, :, 1], (centre[bar] + 0.5) * size_m
    across = np.column_stack([-direction[:, 1], direction[:, 0]])
    max_m = np.full(len(bar), MAX_CARRIAGEWAY_PX * size_m.max())
    carriageway_m = np.full(len(bar), np.inf)
    for side in (-1, 1):
        start = centre_m + side * across * (0.75 * width_m[bar, None] + size_m.max())
        road_m = strip.measure_road(start, side * across, max_m, size_m)
        carriageway_m = np.minimum(carriageway_m, np.where(road_m < max_m, road_m, 0))
    is_between = carriageway_m >= np.maximum(width_m[bar], 2 * size_m.max())
    half = direction * length_m[bar, None] / 2
    endpoints = np.stack([centre_m - half, centre_m + half], axis=1)
    columns = bar, endpoints, direction, length_m[bar], width_m[bar], carriageway_m
    return _Bars(*(column[is_between] for column in columns))


def _find_openings(bars: _Bars, strip: Strip, size_m: Floats) -> Ints:
    """(k, 2) pairs of ends (2 x bar + side) in line, with road between, nearest first."""
    endpoints = bars.endpoints.reshape(-1, 2)
    pairs = cKDTree(endpoints).query_pairs(MAX_OPENING_PX * size_m.max(), output_type="ndarray")
    pairs = pairs.astype(np.int64).reshape(-1, 2)
    pairs = pairs[pairs[:, 0] // 2 != pairs[:, 1] // 2]
    outward = np.stack([-bars.direction, bars.direction], axis=1).reshape(-1, 2)
    between = endpoints[pairs[:, 1]] - endpoints[pairs[:, 0]]
    distance_m = np.hypot(*between.T)
    direction = between / np.maximum(distance_m, 1e-9)[:, None]
    straight = np.cos(np.radians(MAX_TURN_DEGREES))
    near = distance_m <= 3 * size_m.max()  # too near to measure a direction
    fits = near | (
        ((outward[pairs[:, 0]] * direction).sum(axis=1) >= straight)
        & (-(outward[pairs[:, 1]] * direction).sum(axis=1) >= straight)
    )
    fits &= (outward[pairs[:, 0]] * outward[pairs[:, 1]]).sum(axis=1) <= -straight
    skip_m = np.minimum(1.5 * size_m.max(), distance_m / 2)
    start = endpoints[pairs[:, 0]] + direction * skip_m[:, None]
    road_m = strip.measure_road(start, direction, distance_m - 2 * skip_m, size_m)
    fits &= road_m >= distance_m - 2 * skip_m - size_m.max()
    return np.asarray(pairs[fits][np.argsort(distance_m[fits], kind="stable")])


def _measure_openings(bars: _Bars, openings: Ints) -> Floats:
    endpoints = bars.endpoints.reshape(-1, 2)
    return np.asarray(np.hypot(*(endpoints[openings[:, 1]] - endpoints[openings[:, 0]]).T))


def _group_bars(bars: _Bars, openings: Ints) -> tuple[Ints, Ints]:
    """(k,) the median of each bar, and the openings (n, 2) within medians (RULE 15)."""
    group = np.arange(len(bars))
    length_m = bars.length_m.copy()  # of each group, at the number of its first bar
    accepted: list[int] = []
    used: set[int] = set()
    for number, ((one, other), distance_m) in enumerate(
        zip(openings.tolist(), _measure_openings(bars, openings).tolist(), strict=True)
    ):
        first, second = group[one // 2], group[other // 2]
        fits = first != second and used.isdisjoint((one, other))
        if fits and distance_m <= min(length_m[first], length_m[second]):
            used.update((one, other))
            accepted.append(number)
            group[group == second] = first
            length_m[first] += length_m[second] + distance_m
    return np.unique(group, return_inverse=True)[1], openings[np.array(accepted, np.int64)]


def _close_openings(strip: Strip, bars: _Bars, openings: Ints, size_m: Floats) -> None:
    """Draw background over the closed parts of openings (RULE 16)."""
    endpoints = bars.endpoints.reshape(-1, 2)
    for one, other in openings.tolist():
        begin, end = endpoints[one], endpoints[other]
        distance_m = float(np.hypot(*(end - begin)))
        carriageway_m = float(min(bars.carriageway_m[one // 2], bars.carriageway_m[other // 2]))
        open_m = 0.0 if distance_m <= CLOSED_SHARE * carriageway_m else OPEN_SHARE * carriageway_m
        share = max(distance_m - open_m, 0) / max(distance_m, 1e-9) / 2
        inset = (
            (begin - end) / max(distance_m, 1e-9) * size_m.max()
        )  # so that it begins inside the bar
        _draw_background(strip, begin + inset, begin + (end - begin) * share, size_m)
        _draw_background(strip, end - inset, end + (begin - end) * share, size_m)


def _draw_background(strip: Strip, begin: Floats, end: Floats, size_m: Floats) -> None:
    """Draw background along a line in metres, as pixels that touch by their sides."""
    steps = int(np.ceil(4 * np.hypot(*((end - begin) / size_m)))) + 1
    points = begin + (end - begin) * np.linspace(0, 1, steps)[:, None]
    cols, rows = np.floor(points / size_m).astype(np.int64).T
    cols, rows = (np.concatenate([c, d]) for c, d in ((cols, cols[1:]), (rows, rows[:-1])))
    inside = (rows >= 0) & (rows < len(strip.prob)) & (cols >= 0) & (cols < strip.prob.shape[1])
    strip.prob[rows[inside], cols[inside]] = 0


# The square root of 12 times a square of 3 m is 10.4 m
HOLE_AREAS = 12
# Larger holes are not filled: all strips that contain a part of them must get the same mask
MAX_HOLE_PX = HALO_ROWS // 2
# Holes are filled from small to large, so that small holes do not narrow the road for larger ones
_CLASS_AREAS_PX = (4, 16, 64, 256, MAX_HOLE_PX**2)
_DIRECTIONS = np.array([(0, 1), (1, 0), (1, 1), (1, -1)])  # (row, col)


def fill_holes(strip: Strip, *, pixel_size_m: tuple[float, float]) -> None:
    """Fill holes in the mask of the strip, in place (RULES 14 to 16).

    ``pixel_size_m`` is (width, height). A component at the first or last row of the strip may
    continue beyond it, so it is no hole, unless the scene ends there.
    """
    background = Background.from_strip(strip)
    if not len(background.first):
        return
    medians = _mark_medians(strip, background, pixel_size_m=pixel_size_m)
    candidates = _find_candidates(background, strip)
    candidates = candidates[~medians[candidates]]
    filled = np.zeros(len(background.area_px), bool)
    smaller_px = 0
    for area_px in _CLASS_AREAS_PX:
        hole_px = background.area_px[candidates]
        holes = candidates[(hole_px > smaller_px) & (hole_px <= area_px)]
        filled[holes] = _is_noise(holes, filled, background, strip, pixel_size_m)
        smaller_px = area_px
    run = filled[background.label]
    _fill_runs(strip, background.first[run], background.stop[run])


def _fill_runs(strip: Strip, first: Ints, stop: Ints) -> None:
    """Fill runs with the probability of the road beside them, so a mask stays a mask."""
    prob, width = strip.prob.ravel(), strip.prob.shape[1]
    before = np.where(first % width > 0, prob[first - 1], 0)
    after = np.where(stop % width > 0, prob[stop % prob.size], 0)
    value = np.maximum(np.maximum(before, after), strip.threshold)
    prob[_expand_ranges(first, stop)] = np.repeat(value, stop - first)


def _find_candidates(background: Background, strip: Strip) -> Ints:
    """Components that are small, and complete in the strip."""
    first_row, first_col, last_row, last_col = background.box.T
    small = (last_row - first_row < MAX_HOLE_PX) & (last_col - first_col < MAX_HOLE_PX)
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
    """(k,) whether the road around each hole is wide enough; holes in ``filled`` (c,) are road."""
    if not len(holes):
        return np.zeros(0, bool)
    across, along = pixel_size_m
    required_m = np.sqrt(HOLE_AREAS * background.area_px[holes] * across * along)
    seed = _find_middle_pixels(holes, background)
    noise = np.ones(len(holes), bool)
    for direction in _DIRECTIONS:
        step_m = float(np.hypot(direction[0] * along, direction[1] * across))
        max_steps = np.where(noise, np.ceil(required_m / step_m).astype(np.int64), 0)
        (ahead, leaves), (back, leaves_back) = (
            _count_road_steps(max_steps, seed, holes, heading, filled, background, strip)
            for heading in (direction, -direction)
        )
        # the road outside the strip is unknown, and assumed to be as wide as on the other side
        steps = np.where(leaves, 2 * back, np.where(leaves_back, 2 * ahead, ahead + back))
        # RULE 14
        noise &= (leaves & leaves_back) | ((steps + 1) * step_m >= required_m)
    return noise


def _find_middle_pixels(components: Ints, background: Background) -> Ints:
    """(k,) a pixel of each component: the centre of its middle run."""
    by_label = np.argsort(background.label, kind="stable")
    counts = np.bincount(background.label)
    begins = np.cumsum(counts) - counts
    run = by_label[begins[components] + counts[components] // 2]
    return np.asarray((background.first[run] + background.stop[run]) // 2)


def _count_road_steps(
    max_steps: Ints,
    seed: Ints,
    holes: Ints,
    direction: Ints,
    filled: Bools,
    background: Background,
    strip: Strip,
) -> tuple[Ints, Bools]:
    """(k,) steps from a pixel of a hole to background that is not the hole and not filled.

    There are ``max_steps`` (k,) steps at most. And whether the strip ended before.
    """
    height, width = strip.prob.shape
    steps, leaves = np.zeros(len(seed), np.int64), np.zeros(len(seed), bool)
    active = np.flatnonzero(max_steps > 0)
    rows, cols = seed // width, seed % width
    while len(active):
        step = steps[active] + 1
        row, col = rows[active] + direction[0] * step, cols[active] + direction[1] * step
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        leaves[active[~inside]] = True
        active, pixel = active[inside], (row * width + col)[inside]
        component = background.find_component(pixel)
        road = (component < 0) | (component == holes[active]) | filled[component]
        active = active[road]
        steps[active] += 1
        active = active[steps[active] < max_steps[active]]
    return steps, leaves
