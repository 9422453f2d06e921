"""The strips of background between two carriageways, kept over their length or not at all.

RULE 15: narrow strips of background in one line are one median where the openings between them
         are shorter than the strips on either side. It parts two carriageways where it is twice
         as long as both are wide together; a shorter one is a hole in one road
RULE 16: in a median, an opening of less than a third of a carriageway's width is closed; a longer
         one is narrowed to half of that width, so that the lines beside it run straight on, and
         are linked there
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from terralink.graph.polylines import Bools, Floats, Ints
from terralink.vectorize.roads.background import Background, walk
from terralink.vectorize.strips import Strip

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
        on_m = walk(strip, start, side * across, reach_m, size_m)
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
    on_m = walk(strip, tips[pairs[:, 0]] + way * skip_m[:, None], way, apart_m - 2 * skip_m, size_m)
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
