"""From a strip of a mask to the pixels of its centre lines, and to chains of these pixels.

The skeleton costs a few bytes a pixel of the strip, a chunk of its columns at a time; distances are
looked up at centre pixels only. The result does not depend on the chunks.

Two skeleton pixels are linked when they touch, unless they touch at a corner only and a third one
touches both by its sides. Each link belongs to the strip of its lower pixel, so that every link of
a scene is in exactly one strip, whatever the strips are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from terralink.graph import RoadGraph
from terralink.graph.polylines import Polylines, link_chains, map_chunks
from terralink.raster.grid import Grid
from terralink.vectorize.roads.strips import Strip

Ints = NDArray[np.int64]
Floats32 = NDArray[np.float32]

# Distances up and down are counted in a signed byte: no road is wider than twice this
FARTHEST_PX = 127
# So wide are chunks at most: most scenes are one, and the halo of others is little of them
CHUNK_PX = 1 << 14
_CHUNK_POINTS = 1 << 18  # are brought to metres at a time
_ROWS = 64  # runs along rows are looked for in so many at a time


@dataclass(frozen=True, eq=False)
class Pixels:
    """Skeleton pixels in row order, and what is known of the mask there.

    width_m   width of the mask
    radius_m  distance to the nearest background
    prob      probability, 0..255
    """

    rows: Ints
    cols: Ints
    width_m: NDArray[np.float32]
    radius_m: NDArray[np.float32]
    prob: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, below: "Pixels") -> "Pixels":
        columns = zip(vars(self).values(), vars(below).values(), strict=True)
        return Pixels(*(np.concatenate(pair) for pair in columns))

    @classmethod
    def none(cls) -> "Pixels":
        no_place, no_length = np.empty(0, np.int64), np.empty(0, np.float32)
        return cls(no_place, no_place, no_length, no_length, np.empty(0, np.uint8))

    def in_row(self, row: int) -> "Pixels":
        here = slice(*np.searchsorted(self.rows, [row, row + 1]))
        return Pixels(*(column[here] for column in vars(self).values()))


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


@dataclass(frozen=True, eq=False)
class Traces:
    """Chains of pixels, one after the other, with what is known of each.

    rows, cols (p,)  pixels in walking order
    counts (k,)      pixels of each chain
    width_m, prob    (k,) means along the chain; probabilities are 0..255
    peak (k,)        the chain's highest probability
    radius_m (k, 2)  distance to the nearest background at its first and last pixel
    """

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    counts: Ints
    width_m: NDArray[np.float64]
    prob: NDArray[np.float64]
    peak: NDArray[np.uint8]
    radius_m: NDArray[np.float32]

    @classmethod
    def together(cls, strips: Sequence["Traces"]) -> "Traces":
        """All chains of one strip or more."""
        columns = zip(*(vars(strip).values() for strip in strips), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def packed(self) -> bytes:
        """The same as bytes, to be put away."""
        file = BytesIO()
        np.savez(file, **vars(self))
        return file.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> "Traces":
        """What was ``packed``."""
        with np.load(BytesIO(data)) as columns:
            return cls(**columns)


def trace(pixels: Pixels, *, seams: tuple[int, int], pixel_size_m: tuple[float, float]) -> Traces:
    """Chains from one branching or ending pixel to the next, or to a seam.

    ``pixels`` are those of the strip and of the last row above it; ``seams`` are that row and the
    strip's own last one, where chains end for now: their other halves are in the next strips.
    """
    links = _links(pixels, above=seams[0])
    on_seam = (pixels.rows == seams[0]) | (pixels.rows == seams[1])
    chains = link_chains(links, stop=on_seam)
    nodes, starts = chains.nodes(links)
    first, second = links.T
    across, along = pixel_size_m
    length_m = np.hypot(
        (pixels.cols[first] - pixels.cols[second]) * across,
        (pixels.rows[first] - pixels.rows[second]) * along,
    )
    width_m, prob = (
        chains.mean((column[first].astype(float) + column[second]) / 2, length_m)
        for column in (pixels.width_m, pixels.prob)
    )
    peak = np.maximum.reduceat(pixels.prob[nodes], starts[:-1]) if len(chains) else pixels.prob[:0]
    rows, cols = (column[nodes].astype(np.int32) for column in (pixels.rows, pixels.cols))
    radius_m = pixels.radius_m[nodes[np.column_stack([starts[:-1], starts[1:] - 1])]]
    return Traces(rows, cols, np.diff(starts), width_m, prob, peak, radius_m)


def straightened(traces: Traces) -> Traces:
    """The same traces with only the pixels where they bend; the others are within half a pixel.

    That is what keeps the map of a huge scene small until it is whole.
    """
    of_chain = np.repeat(np.arange(len(traces.counts)), traces.counts)
    dense = shapely.linestrings(traces.cols, traces.rows, indices=of_chain)
    lines = shapely.simplify(dense, 0.5, preserve_topology=False)
    cols, rows = shapely.get_coordinates(lines).astype(np.int32).T
    return replace(traces, rows=rows, cols=cols, counts=shapely.get_num_coordinates(lines))


def _links(pixels: Pixels, *, above: int) -> Ints:
    """(m, 2) numbers of linked pixels; links inside the row ``above`` belong to the strip above."""
    stride = int(pixels.cols.max(initial=0)) + 2  # a column to spare: rows do not touch around it
    keys = pixels.rows * stride + pixels.cols
    east = _at(keys, keys + 1)
    south, southeast, southwest = (_at(keys, keys + stride + aside) for aside in (0, 1, -1))
    west = np.zeros(len(keys), bool)
    west[east[east >= 0]] = True
    alone = south < 0
    kept = (
        np.where(pixels.rows > above, east, -1),
        south,
        np.where(alone & (east < 0), southeast, -1),
        np.where(alone & ~west, southwest, -1),
    )
    there = [np.flatnonzero(other >= 0) for other in kept]
    pairs = [np.column_stack([i, other[i]]) for i, other in zip(there, kept, strict=True)]
    return np.concatenate(pairs).astype(np.int64)


def _at(keys: Ints, wanted: Ints) -> Ints:
    """The position of each wanted key among the sorted keys, or -1."""
    where = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[where] == wanted, where, -1) if len(keys) else where


class RawGraph(NamedTuple):
    """The raw graph of a scene.

    peak (m,)      the highest probability of each road, 0..255
    radius_m (n,)  how far the background is from each junction
    """

    graph: RoadGraph
    peak: NDArray[np.uint8]
    radius_m: NDArray[np.float32]


def build_graph(strips: Sequence[Traces], grid: Grid) -> RawGraph:
    """A road a trace; traces that were cut at a seam meet in one junction there."""
    if not strips:
        none = RoadGraph.empty(grid.metric_crs)
        return RawGraph(none, np.empty(0, np.uint8), np.empty(0, np.float32))
    traces = Traces.together(strips)
    polylines = _polylines(traces, grid)
    pixels = _tip_pixels(traces, grid)
    _, tip_of_junction, ends = np.unique(pixels, return_index=True, return_inverse=True)
    junctions = polylines.tips().reshape(-1, 2)[tip_of_junction]
    columns = ends.reshape(-1, 2), polylines, traces.width_m, traces.prob / 255
    graph = RoadGraph(junctions, *columns, grid.metric_crs)
    return RawGraph(graph, traces.peak, traces.radius_m.ravel()[tip_of_junction])


def _tip_pixels(traces: Traces, grid: Grid) -> NDArray[np.int64]:
    """(k, 2) the numbers of the pixels that each trace begins and ends at."""
    stops = np.cumsum(traces.counts)
    tip = np.column_stack([stops - traces.counts, stops - 1])
    return traces.rows[tip].astype(np.int64) * grid.width + traces.cols[tip]


def _polylines(traces: Traces, grid: Grid) -> Polylines:
    """Lines through the middles of the pixels, in metres."""

    def middles(cols: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.float64]:
        return np.column_stack(grid.metric_xy(cols + 0.5, rows + 0.5))

    xy = map_chunks(middles, traces.cols, traces.rows, rows=_CHUNK_POINTS)
    return Polylines.counted(xy, traces.counts)
