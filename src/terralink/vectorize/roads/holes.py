"""Holes in the mask of a road are filled before it is thinned: a thinned hole is a loop.

    RULE 14: a hole is noise, or an island in the road, where every way across the road there is
             longer than the square root of ``HOLE_AREAS`` times the hole's area
    RULE 15: narrow strips of background in one line are one median where the openings between them
             are shorter than the strips on either side. It parts two carriageways where it is twice
             as long as both are wide together; a shorter one is a hole in one road
    RULE 16: in a median, an opening of less than a third of a carriageway's width is closed; a
             longer one is narrowed to half of that width, so that the lines beside it run straight
             on, and are linked there

The background is described by its connected components, as runs of pixels along rows: runs are few
beside the pixels. Background pixels are connected by their sides, road pixels by their corners too.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from terralink.graph.polylines import Bools, Floats, Ints
from terralink.vectorize.roads.strips import HALO_ROWS, Strip

_ROWS = 64  # runs are looked for in so many rows at a time


@dataclass(frozen=True, eq=False)
class Background:
    """The background of a strip as runs along its rows, in row order, and what they make up.

    first, stop (r,)  flat indices of each run's pixels
    width_px          columns of the strip
    label (r,)        the component of each run
    area_px (c,)      pixels of each component
    box (c, 4)        its first row, first column, last row and last column
    """

    first: Ints
    stop: Ints
    width_px: int
    label: Ints
    area_px: Ints
    box: Ints

    @classmethod
    def of(cls, strip: Strip) -> "Background":
        """That of all rows of a strip."""
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

    def component(self, pixels: Ints) -> Ints:
        """(k,) the component of each flat index, -1 where it is road."""
        run = np.searchsorted(self.first, pixels, side="right") - 1
        inside = (run >= 0) & (pixels < self.stop[run])
        return np.where(inside, self.label[run], -1)

    def moments(self) -> tuple[Floats, Floats]:
        """The middles (c, 2) of the components, as (x, y) in pixels, and their spreads (c, 2, 2).

        Spreads are covariances of areas: that of a bar has its length squared, over 12.
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


def expand(first: Ints, stop: Ints) -> Ints:
    """All numbers of some ranges, one range after the other.

    >>> expand(np.array([3, 8]), np.array([5, 9])).tolist()
    [3, 4, 8]
    """
    count = stop - first
    begins = np.cumsum(count) - count
    return np.asarray(np.arange(count.sum()) + np.repeat(first - begins, count))


def _background_runs(strip: Strip) -> tuple[Ints, Ints]:
    """Flat indices of the first pixel of each run of background, and past its last."""
    height, width = strip.prob.shape
    found = []
    for start in range(0, height, _ROWS):
        mask = strip.mask(rows=slice(start, start + _ROWS))
        begins = np.ones((len(mask), width), bool)
        np.not_equal(mask[:, 1:], mask[:, :-1], out=begins[:, 1:])
        first = np.flatnonzero(begins)
        stop = np.append(first[1:], mask.size)
        background = ~mask.ravel()[first]
        found.append(np.stack([first[background], stop[background]]) + start * width)
    first, stop = np.concatenate(found, axis=1)
    return first, stop


def _label_runs(first: Ints, stop: Ints, width: int) -> Ints:
    """(r,) components of runs that have pixels above each other."""
    low = np.searchsorted(stop, first + width, side="right")
    high = np.searchsorted(first, stop + width, side="left")
    count = np.maximum(high - low, 0)
    above = np.repeat(np.arange(len(first)), count)
    links = coo_array(
        (np.ones(len(above), bool), (above, expand(low, low + count))), shape=(len(first),) * 2
    )
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


# A strip is at least so many times as long as it is wide
LEAST_ASPECT = 3.0
# and fills its box so far
LEAST_SOLID = 0.6
# Strips are in line where neither turns by more than this towards the other
MAX_TURN_DEGREES = 20.0
# No opening longer than this is looked at
LONGEST_OPENING_PX = 48
# No carriageway wider than this is looked for
WIDEST_PX = 48
# Openings of less than this share of a carriageway are closed; so much of longer ones stays open
CLOSED_SHARE, OPEN_SHARE = 1 / 3, 1 / 2
# A median is at least so many times as long as the road is wide
LEAST_LENGTH_WIDTHS = 2.0


@dataclass(frozen=True, eq=False)
class _Bars:
    """Narrow strips of background with road on both sides.

    component (k,)      which component of the background
    tips (k, 2, 2)      the two ends (x, y), in metres from the strip's first pixel
    way (k, 2)          the direction from the first to the second
    length_m, width_m   (k,) of the bar
    beside_m (k,)       the width of the narrower carriageway beside it
    """

    component: Ints
    tips: Floats
    way: Floats
    length_m: Floats
    width_m: Floats
    beside_m: Floats

    def __len__(self) -> int:
        return len(self.component)


def keep_medians(
    strip: Strip, background: Background, *, pixel_size_m: tuple[float, float]
) -> Bools:
    """(c,) which components of the background are medians; their openings are drawn, in place."""
    kept, size_m = np.zeros(len(background.area_px), bool), np.array(pixel_size_m)
    bars = _find_bars(strip, background, size_m)
    if len(bars):
        group, openings = _group(bars, _find_openings(bars, strip, size_m))
        parts = _parts_carriageways(bars, group, openings)
        kept[bars.component[parts]] = True
        _draw(strip, bars, openings[parts[openings[:, 0] // 2]], size_m)
    return kept


def _parts_carriageways(bars: _Bars, group: Ints, openings: Ints) -> Bools:
    """(k,) whether the median that each bar is of is long enough (RULE 15)."""
    total_m = np.bincount(group, bars.length_m)
    total_m += np.bincount(group[openings[:, 0] // 2], _length_m(bars, openings), len(total_m))
    wide_m = np.zeros(len(total_m))
    np.maximum.at(wide_m, group, 2 * bars.beside_m + bars.width_m)
    return np.asarray((total_m >= LEAST_LENGTH_WIDTHS * wide_m)[group])


def _find_bars(strip: Strip, background: Background, size_m: Floats) -> _Bars:
    middle, spread = background.moments()
    spread = spread * size_m[:, None] * size_m
    squared, axes = np.linalg.eigh(spread)
    width_m, length_m = np.sqrt(12 * np.maximum(squared, 0)).T
    area_m2 = background.area_px * size_m.prod()
    bar = np.flatnonzero(
        (length_m >= LEAST_ASPECT * width_m)
        & (area_m2 >= LEAST_SOLID * length_m * width_m)
        & (width_m <= WIDEST_PX * size_m.max())
    )
    way, middle_m = axes[bar, :, 1], (middle[bar] + 0.5) * size_m
    across = np.column_stack([-way[:, 1], way[:, 0]])
    reach_m = np.full(len(bar), WIDEST_PX * size_m.max())
    beside_m = np.full(len(bar), np.inf)
    for side in (-1, 1):
        start = middle_m + side * across * (0.75 * width_m[bar, None] + size_m.max())
        on_m = strip.measure_road(start, side * across, reach_m, size_m)
        beside_m = np.minimum(beside_m, np.where(on_m < reach_m, on_m, 0))
    real = beside_m >= np.maximum(width_m[bar], 2 * size_m.max())
    half = way * length_m[bar, None] / 2
    tips = np.stack([middle_m - half, middle_m + half], axis=1)
    columns = bar, tips, way, length_m[bar], width_m[bar], beside_m
    return _Bars(*(column[real] for column in columns))


def _find_openings(bars: _Bars, strip: Strip, size_m: Floats) -> Ints:
    """(k, 2) pairs of tips (2 x bar + side) in line with only road between, the nearest first."""
    tips = bars.tips.reshape(-1, 2)
    pairs = cKDTree(tips).query_pairs(LONGEST_OPENING_PX * size_m.max(), output_type="ndarray")
    pairs = pairs.astype(np.int64).reshape(-1, 2)
    pairs = pairs[pairs[:, 0] // 2 != pairs[:, 1] // 2]
    outward = np.stack([-bars.way, bars.way], axis=1).reshape(-1, 2)
    between = tips[pairs[:, 1]] - tips[pairs[:, 0]]
    apart_m = np.hypot(*between.T)
    way = between / np.maximum(apart_m, 1e-9)[:, None]
    straight = np.cos(np.radians(MAX_TURN_DEGREES))
    near = apart_m <= 3 * size_m.max()  # too near to have a direction
    fits = near | (
        ((outward[pairs[:, 0]] * way).sum(axis=1) >= straight)
        & (-(outward[pairs[:, 1]] * way).sum(axis=1) >= straight)
    )
    fits &= (outward[pairs[:, 0]] * outward[pairs[:, 1]]).sum(axis=1) <= -straight
    skip_m = np.minimum(1.5 * size_m.max(), apart_m / 2)
    start = tips[pairs[:, 0]] + way * skip_m[:, None]
    on_m = strip.measure_road(start, way, apart_m - 2 * skip_m, size_m)
    fits &= on_m >= apart_m - 2 * skip_m - size_m.max()
    return np.asarray(pairs[fits][np.argsort(apart_m[fits], kind="stable")])


def _length_m(bars: _Bars, openings: Ints) -> Floats:
    tips = bars.tips.reshape(-1, 2)
    return np.asarray(np.hypot(*(tips[openings[:, 1]] - tips[openings[:, 0]]).T))


def _group(bars: _Bars, openings: Ints) -> tuple[Ints, Ints]:
    """(k,) the median of each bar, and the openings (n, 2) in medians (RULE 15)."""
    group = np.arange(len(bars))
    length_m = bars.length_m.copy()  # of each group, under the number of its first bar
    accepted: list[int] = []
    taken: set[int] = set()
    for number, ((one, other), apart_m) in enumerate(
        zip(openings.tolist(), _length_m(bars, openings).tolist(), strict=True)
    ):
        first, second = group[one // 2], group[other // 2]
        fits = first != second and taken.isdisjoint((one, other))
        if fits and apart_m <= min(length_m[first], length_m[second]):
            taken.update((one, other))
            accepted.append(number)
            group[group == second] = first
            length_m[first] += length_m[second] + apart_m
    return np.unique(group, return_inverse=True)[1], openings[np.array(accepted, np.int64)]


def _draw(strip: Strip, bars: _Bars, openings: Ints, size_m: Floats) -> None:
    """Background over the openings (RULE 16)."""
    tips = bars.tips.reshape(-1, 2)
    for one, other in openings.tolist():
        begin, end = tips[one], tips[other]
        apart_m = float(np.hypot(*(end - begin)))
        beside_m = float(min(bars.beside_m[one // 2], bars.beside_m[other // 2]))
        open_m = 0.0 if apart_m <= CLOSED_SHARE * beside_m else OPEN_SHARE * beside_m
        closed = max(apart_m - open_m, 0) / max(apart_m, 1e-9) / 2
        inset = (begin - end) / max(apart_m, 1e-9) * size_m.max()  # begins inside the bar
        _clear(strip, begin + inset, begin + (end - begin) * closed, size_m)
        _clear(strip, end - inset, end + (begin - end) * closed, size_m)


def _clear(strip: Strip, begin: Floats, end: Floats, size_m: Floats) -> None:
    """Background along a line of metres, as pixels that touch by their sides."""
    steps = int(np.ceil(4 * np.hypot(*((end - begin) / size_m)))) + 1
    points = begin + (end - begin) * np.linspace(0, 1, steps)[:, None]
    cols, rows = np.floor(points / size_m).astype(np.int64).T
    cols, rows = (np.concatenate([c, d]) for c, d in ((cols, cols[1:]), (rows, rows[:-1])))
    inside = (rows >= 0) & (rows < len(strip.prob)) & (cols >= 0) & (cols < strip.prob.shape[1])
    strip.prob[rows[inside], cols[inside]] = 0


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
    beside = np.maximum(np.maximum(before, after), strip.threshold)
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
