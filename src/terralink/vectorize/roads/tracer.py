"""Probability of road to a road graph, streaming.

    rows -> mask -> strips with a halo -> skeleton -> chains of pixels -> raw graph -> clean graph

The strips are counted from the scene's first row and do not depend on the rows that arrive at a
time, so neither does the graph. Memory depends on the width of the scene, and on the roads found.

    RULE 1: a dead end shorter than the road it leaves is wide is noise of the mask's edge; one that
            is shorter than ``min_spur_m`` too, unless it is the scene's border that cuts it
    RULE 2: two ways around less ground than the road's width squared are one road with a hole
    RULE 3: where a road ends in a fork, its longest end stays
    RULE 4: a component that is short, or a blob, is no road

Rules 1 to 4 are here, 5, 6 and 13 in ``junctions``, 7 to 12 in ``ends``, 14 to 16 in ``holes``.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.graph.polylines import Floats, Lines, Polylines, map_chunks
from terralink.raster import Raster
from terralink.raster.grid import Grid
from terralink.raster.pixel_values import min_positive_value
from terralink.vectorize.bands import Bands, ProbabilityReader, scaled
from terralink.vectorize.options import RoadOptions
from terralink.vectorize.roads.ends import NOTHING_SEEN, SceneFacts, Seen, bridged, extend_ends
from terralink.vectorize.roads.holes import fill_holes
from terralink.vectorize.roads.junctions import (
    Clearance,
    merge_crossings,
    merge_junctions,
    settled,
    widest_m,
)
from terralink.vectorize.roads.skeleton import (
    Pixels,
    RawGraph,
    Traces,
    build_graph,
    centre_pixels,
    straightened,
    trace,
)
from terralink.vectorize.roads.strips import (
    STRIP_ROWS,
    MaskStore,
    SpillBuffer,
    Strip,
    StripBuffer,
    SubthresholdStore,
)

_CHUNK_ROWS = 64  # probabilities are brought to bytes in so many rows at a time


def trace_roads(
    prob: Raster,
    options: RoadOptions = RoadOptions(),
) -> RoadGraph:
    """The road graph of a raster of probabilities; see ``RoadTracer``."""
    tracer = RoadTracer(options)
    prob = scaled(prob, threshold=options.effective_weak_threshold)
    for start in range(0, max(prob.grid.height, 1), STRIP_ROWS):
        tracer.add(prob.rows(start, min(start + STRIP_ROWS, prob.grid.height)))
    return tracer.finish()


class RoadTracer:
    """Traces roads through a scene that comes in bands of whole rows, from top to bottom.

        tracer = RoadTracer(RoadOptions(threshold=0.4))
        for band in inference.bands(model, scene):
            tracer.add(band)
        graph = tracer.finish()

    Pixels that are not valid are never road. Raises ``InputError`` for thresholds that are not in
    order.
    """

    def __init__(self, options: RoadOptions = RoadOptions()) -> None:
        self._options = options
        self._strong, self._weak = options.effective_threshold, options.effective_weak_threshold
        self._reader = ProbabilityReader(self._strong, self._weak)
        self._tracing: _Tracing | None = None

    def add(self, band: Raster) -> None:
        """Take the next rows. Raises ``InputError`` when they do not follow those before."""
        if band.array.ndim == 3 and len(band.array) == 1:
            band = replace(band, array=band.array[0])
        if band.array.ndim != 2:
            raise InputError(
                f"one band of probabilities is wanted, not an array of {band.array.shape}"
            )
        if self._tracing is None:
            self._tracing = _Tracing(band.grid, weakest=self._weak)
        self._tracing.bands.follow(band.grid)
        for start in range(0, band.grid.height, _CHUNK_ROWS):
            rows = band.rows(start, start + _CHUNK_ROWS)
            self._tracing.add(self._reader.read(rows))

    def finish(self) -> RoadGraph:
        """The graph of all rows that came in."""
        if self._tracing is None:
            return RoadGraph.empty()
        self._reader.check()
        grid = self._tracing.bands.grid
        traced = self._tracing.finish()
        subthreshold, mask = self._tracing.subthreshold, self._tracing.mask
        clearance = Clearance(traced.graph.junctions, traced.radius_m.astype(np.float64))
        facts = SceneFacts(
            clearance,
            partial(_at_border, clearance=clearance, grid=grid),
            partial(mask.measure_road, grid=grid),
        )
        seen = Seen(partial(subthreshold.mean_share, grid=grid), partial(mask.trim_road, grid=grid))
        graph = _strong(traced.graph, traced.peak, least=min_positive_value(self._strong)).joined()
        del traced  # what is left out need not be held while the rest is cleaned
        return clean(graph, self._options, facts, pixel_m=max(grid.pixel_size_m), seen=seen)


class _Tracing:
    """What is known of a scene so far: the rows that wait, and the traces of those that went."""

    def __init__(self, first: Grid, *, weakest: float) -> None:
        self.bands = Bands(first)
        top_row = first.window(0, 0, (1, first.width))  # the same whatever the bands
        self.subthreshold = SubthresholdStore(
            threshold=weakest * 255, pixel_m=max(top_row.pixel_size_m)
        )
        self.mask = MaskStore(width_px=first.width)
        self._first = first  # the grid of the first band
        self._strips = StripBuffer(first.width, threshold=min_positive_value(weakest))
        self._above = Pixels.none()  # the skeleton in the last row of the strip before
        self._traces = SpillBuffer()

    def add(self, levels: NDArray[np.uint8]) -> None:
        for strip in self._strips.add(levels):
            self._trace(strip)

    def finish(self) -> "RawGraph":
        """The raw graph of all rows that came in."""
        for strip in self._strips.flush():
            self._trace(strip)
        return build_graph([Traces.unpacked(data) for data in self._traces], self.bands.grid)

    def _trace(self, strip: Strip) -> None:
        first_row, last_row = strip.top + strip.core.start, strip.top + strip.core.stop - 1
        shape = (last_row + 1 - first_row, self._first.width)
        pixel_size_m = self._first.window(first_row, 0, shape).pixel_size_m
        fill_holes(strip, pixel_size_m=pixel_size_m)
        self.subthreshold.add(strip)
        self.mask.add(strip)
        pixels = centre_pixels(strip, pixel_size_m=pixel_size_m)
        seams = (first_row - 1, last_row)
        traces = trace(self._above + pixels, seams=seams, pixel_size_m=pixel_size_m)
        if len(traces.counts):
            self._traces.append(straightened(traces).packed())
        self._above = pixels.in_row(last_row)


def _at_border(xy: NDArray[np.float64], *, clearance: Clearance, grid: Grid) -> NDArray[np.bool_]:
    """(k,) whether no background is nearer to points (k, 2) than the scene's border."""
    if not len(xy):
        return np.zeros(0, bool)
    cols, rows = grid.metric_colrow(*xy.T)
    border_px = np.minimum.reduce([cols, rows, grid.width - cols, grid.height - rows])
    pixel_m = max(grid.pixel_size_m)
    return np.asarray(border_px * pixel_m <= clearance.at(xy) + pixel_m)


def _strong(graph: RoadGraph, peak: NDArray[np.uint8], *, least: int) -> RoadGraph:
    """Only what hangs together with a road whose highest probability is strong."""
    strong = peak >= least
    if strong.all():
        return graph
    piece = graph.pieces()[graph.ends[:, 0]]
    return graph.select(np.isin(piece, piece[strong]))


# Steps of a pixel's size go away under a mean over this many pixels to either side
SMOOTH_PX = 5
# A piece of less than so many times its width is a blob
BLOB_WIDTHS = 2.0
_CHUNK_ROADS = 2048  # smoothed at a time: in between a line has a point a pixel


def clean(
    graph: RoadGraph,
    options: RoadOptions,
    scene: SceneFacts,
    *,
    pixel_m: float,
    seen: Seen = NOTHING_SEEN,
) -> RoadGraph:
    """The graph of a skeleton of pixels of ``pixel_m`` made into a map."""
    min_spur_m, min_piece_m = options.min_spur_m, options.min_piece_m
    for step in (
        partial(pruned, min_spur_m=min_spur_m, scene=scene),
        partial(merge_junctions, clearance=scene.clearance),
        partial(pruned, min_spur_m=min_spur_m, scene=scene),
        settled,
        merge_crossings,
        partial(extend_ends, scene=scene, pixel_m=pixel_m),
        partial(smoothed, pixel_m=pixel_m, simplify_m=options.simplify_m),
        partial(without_pieces, min_piece_m=min(min_spur_m, min_piece_m)),
        partial(bridged, max_gap_m=options.max_gap_m, seen=seen),
        partial(merge_junctions, clearance=scene.clearance),
        partial(pruned, min_spur_m=min_spur_m, scene=scene, extended=True),
        partial(without_pieces, min_piece_m=min_piece_m),
    ):
        graph = step(graph)
    simplified = graph.polylines.changed(partial(_simplified, simplify_m=options.simplify_m))
    return replace(graph, polylines=simplified)


def pruned(
    graph: RoadGraph, *, min_spur_m: float, scene: SceneFacts, extended: bool = False
) -> RoadGraph:
    """Without dead ends shorter than ``min_spur_m`` or than the road there is wide (RULES 1, 3).

    Their lengths are those of the mask, which goes on beyond the ends of a skeleton that were not
    ``extended`` yet. Ways around a hole are one before anything is taken for a dead end.
    """
    while True:
        holes = _around_holes(graph)
        noise = holes if holes.any() else _spurs(graph, min_spur_m, scene, extended=extended)
        if not noise.any():
            return graph
        graph = graph.joined(~noise)


def smoothed(graph: RoadGraph, *, pixel_m: float, simplify_m: float) -> RoadGraph:
    """Lines without the steps of pixels, and with points only where they bend; their ends stay."""

    def smooth(lines: Polylines) -> Polylines:
        return _simplified(_smoothed(lines, pixel_m), simplify_m)

    if not len(graph):
        return graph
    return replace(graph, polylines=graph.polylines.changed(smooth, rows=_CHUNK_ROADS))


def without_pieces(graph: RoadGraph, *, min_piece_m: float) -> RoadGraph:
    """Without what hangs together with less than ``min_piece_m`` of road, or is a blob (RULE 4)."""
    if min_piece_m <= 0 or not len(graph):
        return graph
    piece = graph.pieces()[graph.ends[:, 0]]
    width_m = np.zeros(piece.max() + 1)
    np.fmax.at(width_m, piece, graph.width_m)
    least_m = np.maximum(min_piece_m, BLOB_WIDTHS * width_m)
    return graph.select((np.bincount(piece, graph.length_m) >= least_m)[piece])


def _smoothed(lines: Polylines, pixel_m: float) -> Polylines:
    """A moving mean along each line, over less and less towards its ends."""
    dense = Polylines.of(shapely.segmentize(lines.drawn(), pixel_m))
    points, owner = dense.points, dense.owner
    at = np.arange(len(points))
    nearer_end = np.minimum(at - dense.starts[owner], dense.starts[owner + 1] - 1 - at)
    reach = np.minimum(SMOOTH_PX, nearer_end)
    origin = points.mean(axis=0)  # sums of large coordinates lose digits
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(points - origin, axis=0)])
    mean = (sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1)[:, None] + origin
    return replace(dense, points=np.where(reach[:, None] > 0, mean, points))


def _simplified(polylines: Polylines, simplify_m: float) -> Polylines:
    """Lines at most ``simplify_m`` aside with as few points (Douglas and Peucker 1973)."""
    lines: Lines = polylines.drawn()
    fewer = shapely.simplify(lines, simplify_m, preserve_topology=False)
    loop = shapely.is_closed(lines)
    fewer[loop] = shapely.simplify(lines[loop], simplify_m, preserve_topology=True)
    return Polylines.of(np.where(shapely.length(fewer) > 0, fewer, lines))


def _spurs(
    graph: RoadGraph, min_spur_m: float, scene: SceneFacts, *, extended: bool
) -> NDArray[np.bool_]:
    """(m,) short dead ends; of those at one junction the longest stay until two roads are left."""
    degree = graph.degree[graph.ends]
    dead_end = np.flatnonzero((degree.min(axis=1) == 1) & (degree.max(axis=1) > 2))
    root = np.where(degree[:, 0] == 1, graph.ends[:, 1], graph.ends[:, 0])
    tip = graph.junctions[graph.ends[dead_end].sum(axis=1) - root[dead_end]]
    beyond_m = 0 if extended or not len(tip) else scene.clearance.at(tip)
    length_m, width_m = graph.length_m[dead_end] + beyond_m, widest_m(graph)[root[dead_end]]
    least_m = np.where(scene.at_border(tip), width_m, np.maximum(min_spur_m, width_m))
    spurs = dead_end[length_m < least_m]
    spurs = spurs[np.lexsort((-graph.length_m[spurs], root[spurs]))]
    _, start, count = np.unique(root[spurs], return_index=True, return_counts=True)
    rank = np.arange(len(spurs)) - np.repeat(start, count)
    others = (graph.degree - np.bincount(root[spurs], minlength=len(graph.degree)))[root[spurs]]
    noise = np.zeros(len(graph), bool)
    noise[spurs[rank >= 2 - others]] = True
    return noise


def _around_holes(graph: RoadGraph) -> NDArray[np.bool_]:
    """(m,) loops, and the longer ones of parallel roads, around next to nothing (RULE 2)."""
    low, high = np.sort(graph.ends, axis=1).T
    order = np.lexsort((graph.length_m, high, low))
    swept_m2 = map_chunks(_swept_m2, graph.polylines)
    swept = np.where(graph.ends[:, 0] == low, 1, -1) * swept_m2
    pairs = np.column_stack([low, high])[order]
    is_first = np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)])[: len(order)]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    loop = low[order] == high[order]
    around_m2 = np.abs(swept[order] - np.where(loop, 0, swept[order[first]]))
    width_m = widest_m(graph)[pairs].max(axis=1, initial=0)
    noise = np.zeros(len(graph), bool)
    noise[order] = (around_m2 < width_m**2) & (loop | ~is_first)
    return noise


def _swept_m2(lines: Polylines) -> Floats:
    """(m,) signed area between each line and the straight way back to its start."""
    owner = lines.owner
    points = lines.points - lines.points[lines.starts[owner]]
    cross = points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]
    cross[owner[1:] != owner[:-1]] = 0
    return np.bincount(owner[1:], cross, minlength=len(lines)) / 2
