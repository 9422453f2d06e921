"""From a strip of a mask to the pixels of its centre lines, and to chains of these pixels.

The skeleton needs a few bytes for each pixel of the strip, and is computed in chunks of columns.
Distances are measured at skeleton pixels only. The result does not depend on the chunks.

Two skeleton pixels are linked if they touch, unless they touch at a corner only and a third one
touches both by its sides. Each link belongs to the strip of its lower pixel, so every link of a
scene is in exactly one strip.
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

from terralink._typing import Floats32, Ints
from terralink.graph import RoadGraph
from terralink.graph.polylines import Polylines, link_chains, map_chunks
from terralink.raster.grid import Grid
from terralink.vectorize.roads.strips import Strip

# Distances up and down are counted in a signed byte: widths are measured up to twice this
MAX_DISTANCE_PX = 127
# The largest width of a chunk: most scenes are one chunk, and the halo of others is small beside it
CHUNK_PX = 1 << 14
_CHUNK_POINTS = 1 << 18  # points converted to metres at a time
_CHUNK_ROWS = 64  # rows whose runs are searched at a time


@dataclass(frozen=True, eq=False)
class CentrePixels:
    """Skeleton pixels in row order, and the mask at each.

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

    def __add__(self, below: "CentrePixels") -> "CentrePixels":
        columns = zip(vars(self).values(), vars(below).values(), strict=True)
        return CentrePixels(*(np.concatenate(pair) for pair in columns))

    @classmethod
    def empty(cls) -> "CentrePixels":
        places, lengths = np.empty(0, np.int64), np.empty(0, np.float32)
        return cls(places, places, lengths, lengths, np.empty(0, np.uint8))

    def select_row(self, row: int) -> "CentrePixels":
        part = slice(*np.searchsorted(self.rows, [row, row + 1]))
        return CentrePixels(*(column[part] for column in vars(self).values()))


def find_centre_pixels(strip: Strip, *, pixel_size_m: tuple[float, float]) -> CentrePixels:
    """The skeleton in the strip's own rows, numbered as in the scene.

    Thinning is that of Zhang and Suen (1984) in scikit-image: a shifted mask has a shifted
    skeleton. Outside the scene is background: a road along the border of the scene has its own
    centre line, and a road that leaves the scene ends there.
    """
    rows, cols = _thin(strip)
    width_m, radius_m = measure_widths(strip, rows, cols, pixel_size_m=pixel_size_m)
    return CentrePixels(rows + strip.top, cols, width_m, radius_m, strip.prob[rows, cols])


def _thin(strip: Strip) -> tuple[Ints, Ints]:
    """Rows and columns of the skeleton in the strip's own rows, in row order.

    A round of thinning depends on pixels up to two away, and there are no more rounds than half the
    height of the strip. So a halo as wide as the strip is high is enough for a chunk of columns.
    """
    parts = [_thin_chunk(strip, chunk) for chunk in _split_columns(strip.prob.shape[1])]
    rows, cols = (np.concatenate(places) for places in zip(*parts, strict=True))
    if len(parts) > 1:
        order = np.argsort(rows * strip.prob.shape[1] + cols)
        rows, cols = rows[order], cols[order]
    return rows, cols


def _thin_chunk(strip: Strip, chunk: slice) -> tuple[Ints, Ints]:
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

    A straight road of width w, at any angle, has a vertical chord V and a horizontal chord H with
    1/w^2 = 1/V^2 + 1/H^2. At junctions chords run along the other road, so the width is limited to
    twice the distance to the nearest background, plus a pixel, because the skeleton may be a pixel
    beside the middle. Outside the scene is background; rows above and below the strip are unknown
    and count as road. ``pixel_size_m`` is (width, height).
    """
    across, along = pixel_size_m
    row_m = _measure_chords(strip, rows, cols) * across
    column_m, radius_m = np.empty(len(rows)), np.empty(len(rows))
    for chunk in _split_columns(strip.prob.shape[1]):
        in_chunk = np.flatnonzero((cols >= chunk.start) & (cols < chunk.stop))
        first = max(chunk.start - MAX_DISTANCE_PX, 0)
        mask = strip.mask(cols=slice(first, chunk.stop + MAX_DISTANCE_PX))
        position = rows[in_chunk], cols[in_chunk] - first
        above = _count_from_top(mask, known=strip.begins_scene)
        below = _count_from_top(mask[::-1], known=strip.ends_scene)[::-1]
        up, down = (run[position].astype(np.int64) for run in (above, below))
        column_m[in_chunk] = (up + down - 1) * along
        near = np.minimum(above, below, out=above)
        radius_m[in_chunk] = _measure_distance(near, *position, across, along)
    chord_m = column_m * row_m / np.hypot(column_m, row_m)
    width_m = np.minimum(chord_m, 2 * (radius_m + max(pixel_size_m)))
    return width_m.astype(np.float32), radius_m.astype(np.float32)


def _split_columns(width: int) -> Iterator[slice]:
    """Chunks of columns of nearly the same size."""
    count = max(-(-width // CHUNK_PX), 1)
    bounds = [width * nth // count for nth in range(count + 1)]
    return (slice(*bound) for bound in pairwise(bounds))


def _measure_distance(
    near: NDArray[np.int8], rows: Ints, cols: Ints, across: float, along: float
) -> NDArray[np.float64]:
    """Exact Euclidean distance to the nearest background (after Saito and Toriwaki 1994).

    ``near`` is the distance up or down of every pixel, in pixels. From there the search goes
    sideways, only from the given pixels and only as far as a nearer one can be. Columns outside are
    background.
    """
    best_m = near[rows, cols] * float(along)
    active = np.arange(len(rows))
    for step in range(1, MAX_DISTANCE_PX + 1):
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


def _measure_chords(strip: Strip, rows: Ints, cols: Ints) -> Ints:
    """Road pixels in the run along the row that each given pixel is in."""
    runs = np.empty(len(rows), np.int64)
    for start in range(0, len(strip.prob), _CHUNK_ROWS):
        chunk = slice(*np.searchsorted(rows, [start, start + _CHUNK_ROWS]))
        mask = strip.mask(rows=slice(start, start + _CHUNK_ROWS))
        runs[chunk] = _measure_runs(mask, rows[chunk] - start, cols[chunk])
    return runs


def _measure_runs(mask: NDArray[np.bool_], rows: Ints, cols: Ints) -> Ints:
    width = mask.shape[1]
    changes = np.flatnonzero(mask.ravel()[1:] != mask.ravel()[:-1]) + 1  # the first pixel of a run
    position = rows * width + cols
    after = np.searchsorted(changes, position, side="right")
    edges = np.concatenate([[0], changes, [mask.size]])
    first, stop = edges[after], edges[after + 1]
    return np.asarray(np.minimum(stop, (rows + 1) * width) - np.maximum(first, rows * width))


def _count_from_top(mask: NDArray[np.bool_], *, known: bool) -> NDArray[np.int8]:
    """The length of the vertical run of road that ends at each pixel, from above.

    Above the first row is background if that is ``known``, else road.
    """
    runs = np.empty(mask.shape, np.int8)
    before = np.full(mask.shape[1], 0 if known else MAX_DISTANCE_PX, np.int8)
    for row, run in zip(mask, runs, strict=True):
        np.minimum(before, MAX_DISTANCE_PX - 1, out=run)
        run += 1
        run *= row
        before = run
    return runs


@dataclass(frozen=True, eq=False)
class PixelChains:
    """Chains of pixels, one after the other, and the mask along each.

    rows, cols (p,)  pixels in order along the chain
    counts (k,)      pixels of each chain
    width_m, prob    (k,) means along the chain; probabilities are 0..255
    peak (k,)        the highest probability of the chain
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
    def concat(cls, strips: Sequence["PixelChains"]) -> "PixelChains":
        """The chains of several strips."""
        columns = zip(*(vars(strip).values() for strip in strips), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def to_bytes(self) -> bytes:
        file = BytesIO()
        np.savez(file, **vars(self))
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "PixelChains":
        with np.load(BytesIO(data)) as columns:
            return cls(**columns)


def trace_chains(
    pixels: CentrePixels, *, seams: tuple[int, int], pixel_size_m: tuple[float, float]
) -> PixelChains:
    """Chains from one branching or end to the next, or to a seam.

    ``pixels`` are those of the strip and of the last row above it. ``seams`` are that row and the
    last row of the strip: chains end there and continue in the neighbouring strip.
    """
    links = _link_pixels(pixels, above=seams[0])
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
    return PixelChains(rows, cols, np.diff(starts), width_m, prob, peak, radius_m)


def simplify_chains(chains: PixelChains) -> PixelChains:
    """The same chains with the pixels where they bend only; the others are within half a pixel.

    This keeps memory small in a huge scene.
    """
    owner = np.repeat(np.arange(len(chains.counts)), chains.counts)
    dense = shapely.linestrings(chains.cols, chains.rows, indices=owner)
    lines = shapely.simplify(dense, 0.5, preserve_topology=False)
    cols, rows = shapely.get_coordinates(lines).astype(np.int32).T
    return replace(chains, rows=rows, cols=cols, counts=shapely.get_num_coordinates(lines))


def _link_pixels(pixels: CentrePixels, *, above: int) -> Ints:
    """(m, 2) numbers of linked pixels; links inside the row ``above`` belong to the strip above."""
    stride = (
        int(pixels.cols.max(initial=0)) + 2
    )  # one more column, so that the end of a row does not touch the next row
    keys = pixels.rows * stride + pixels.cols
    east = _find_keys(keys, keys + 1)
    south, southeast, southwest = (_find_keys(keys, keys + stride + aside) for aside in (0, 1, -1))
    west = np.zeros(len(keys), bool)
    west[east[east >= 0]] = True
    no_south = south < 0
    neighbours = (
        np.where(pixels.rows > above, east, -1),
        south,
        np.where(no_south & (east < 0), southeast, -1),
        np.where(no_south & ~west, southwest, -1),
    )
    linked = [np.flatnonzero(other >= 0) for other in neighbours]
    pairs = [np.column_stack([i, other[i]]) for i, other in zip(linked, neighbours, strict=True)]
    return np.concatenate(pairs).astype(np.int64)


def _find_keys(keys: Ints, searched: Ints) -> Ints:
    """The position of each searched key among the sorted keys, or -1."""
    position = np.minimum(np.searchsorted(keys, searched), len(keys) - 1)
    return np.where(keys[position] == searched, position, -1) if len(keys) else position


class RawGraph(NamedTuple):
    """The graph of a scene before it is cleaned.

    peak (m,)      the highest probability of each road, 0..255
    radius_m (n,)  distance to the nearest background at each junction
    """

    graph: RoadGraph
    peak: NDArray[np.uint8]
    radius_m: NDArray[np.float32]


def build_raw_graph(strips: Sequence[PixelChains], grid: Grid) -> RawGraph:
    """A road for each chain; chains that end at a seam meet in one junction there."""
    if not strips:
        empty = RoadGraph.empty(grid.metric_crs)
        return RawGraph(empty, np.empty(0, np.uint8), np.empty(0, np.float32))
    chains = PixelChains.concat(strips)
    polylines = _to_polylines(chains, grid)
    pixels = _find_end_pixels(chains, grid)
    _, end_of_junction, ends = np.unique(pixels, return_index=True, return_inverse=True)
    junctions = polylines.endpoints().reshape(-1, 2)[end_of_junction]
    columns = ends.reshape(-1, 2), polylines, chains.width_m, chains.prob / 255
    graph = RoadGraph(junctions, *columns, grid.metric_crs)
    return RawGraph(graph, chains.peak, chains.radius_m.ravel()[end_of_junction])


def _find_end_pixels(chains: PixelChains, grid: Grid) -> NDArray[np.int64]:
    """(k, 2) the numbers of the pixels that each chain begins and ends at."""
    stops = np.cumsum(chains.counts)
    end = np.column_stack([stops - chains.counts, stops - 1])
    return chains.rows[end].astype(np.int64) * grid.width + chains.cols[end]


def _to_polylines(chains: PixelChains, grid: Grid) -> Polylines:
    """Lines through the centres of the pixels, in metres."""

    def to_metres(cols: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.float64]:
        return np.column_stack(grid.metric_xy(cols + 0.5, rows + 0.5))

    xy = map_chunks(to_metres, chains.cols, chains.rows, rows=_CHUNK_POINTS)
    return Polylines.from_counts(xy, chains.counts)
