"""The background of a strip in connected parts, as runs of pixels along rows.

Background hangs together by the sides of its pixels, for road does by their corners. Runs are few
beside the pixels.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from terralink.graph.polylines import Floats, Ints
from terralink.vectorize.strips import Strip

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


def walk(strip: Strip, start: Floats, way: Floats, reach_m: Floats, size_m: Floats) -> Floats:
    """(k,) how far road goes on from points along unit vectors (k, 2), at most ``reach_m`` (k,).

    Points are (x, y) in metres from the strip's first pixel of ``size_m`` (2,); it is right to a
    pixel. Outside the strip nothing is known, and it counts as road.
    """
    height, width = strip.prob.shape
    on_m = reach_m.astype(float).copy()
    active, along_m = np.arange(len(start)), 0.0
    while len(active):
        col, row = np.floor((start[active] + way[active] * along_m) / size_m).astype(np.int64).T
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        off = inside.copy()
        off[inside] = strip.prob[row[inside], col[inside]] < strip.road
        on_m[active[off]] = along_m
        along_m += float(size_m.min())
        active = active[~off & (reach_m[active] > along_m)]
    return on_m


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
