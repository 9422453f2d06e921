"""Probability of road to a road graph, streaming.

    bands of rows -> mask -> strips with a halo -> skeleton -> chains of pixels -> graph -> cleaned

The strips are counted from the scene's first row and do not depend on the bands that come in, so
neither does the graph. Memory depends on the width of the scene, and on the roads found: what is
traced lies on a shelf until the scene is whole.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.graph.polylines import Polylines, by_chunks
from terralink.raster import Raster
from terralink.raster.grid import Grid
from terralink.raster.pixel_values import least_level
from terralink.vectorize.bands import Bands, ProbabilityReader, scaled
from terralink.vectorize.roads.clean import Rules, clean
from terralink.vectorize.roads.ends import SceneFacts
from terralink.vectorize.roads.gaps import Seen
from terralink.vectorize.roads.holes import fill_holes
from terralink.vectorize.roads.junctions import Clearance
from terralink.vectorize.roads.mask_store import MaskStore
from terralink.vectorize.roads.skeleton import centre_pixels
from terralink.vectorize.roads.subthreshold import Faint
from terralink.vectorize.roads.trace import Pixels, Traces, straightened, trace
from terralink.vectorize.spill_buffer import Shelf
from terralink.vectorize.strips import STRIP_ROWS, Strip, Strips

_CHUNK_ROWS = 64  # probabilities are brought to bytes in so many rows at a time
_CHUNK_POINTS = 1 << 18  # and pixels to metres


def roads(
    prob: Raster,
    *,
    threshold: float = 0.5,
    weak_threshold: float | None = None,
    min_spur_m: float = 15,
    max_gap_m: float = 30,
    min_piece_m: float = 30,
    simplify_m: float = 1,
) -> RoadGraph:
    """The road graph of a raster of probabilities; see ``RoadTracer``."""
    tracer = RoadTracer(
        threshold=threshold,
        weak_threshold=weak_threshold,
        min_spur_m=min_spur_m,
        max_gap_m=max_gap_m,
        min_piece_m=min_piece_m,
        simplify_m=simplify_m,
    )
    prob = scaled(prob, threshold=threshold if weak_threshold is None else weak_threshold)
    for start in range(0, max(prob.grid.height, 1), STRIP_ROWS):
        tracer.add(prob.rows(start, min(start + STRIP_ROWS, prob.grid.height)))
    return tracer.finish()


class RoadTracer:
    """Traces roads through a scene that comes in bands of whole rows, from top to bottom.

        tracer = RoadTracer(threshold=0.4)
        for band in inference.bands(model, scene):
            tracer.add(band)
        graph = tracer.finish()

    threshold       pixels of this probability and more are road
    weak_threshold  pixels down to this are road too where they hang together with such a one
    min_spur_m      dead ends shorter than this, or than the road they leave is wide, are noise
    max_gap_m       dead ends that point at each other, or at a road, are joined over this distance;
                    over twice that where the probability between is just below the threshold, over
                    half where it is nothing; a mask of 0 and 255 knows nothing of its gaps
    min_piece_m     pieces of road that hang together with no other and are shorter are noise
    simplify_m      lines stay this close to the smoothed centre line

    Lengths are on the ground; where there is no CRS they are in the unit of the grid. Pixels that
    are not valid are never road.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        weak_threshold: float | None = None,
        min_spur_m: float = 15,
        max_gap_m: float = 30,
        min_piece_m: float = 30,
        simplify_m: float = 1,
    ) -> None:
        self._strong = threshold
        self._weak = threshold if weak_threshold is None else weak_threshold
        if not 0 < self._weak <= self._strong <= 1:
            raise InputError(
                f"thresholds are 0 < weak_threshold <= threshold <= 1, not {self._weak} and "
                f"{self._strong}"
            )
        self._rules = Rules(min_spur_m, max_gap_m, min_piece_m, simplify_m)
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
        faint, mask = self._tracing.faint, self._tracing.mask
        clearance = Clearance(traced.graph.junctions, traced.radius_m.astype(np.float64))
        facts = SceneFacts(
            clearance,
            partial(_at_border, clearance=clearance, grid=grid),
            partial(mask.measure_road, grid=grid),
        )
        seen = Seen(partial(faint.along, grid=grid), partial(mask.trim, grid=grid))
        graph = _strong(traced.graph, traced.peak, least=least_level(self._strong)).joined()
        del traced  # what is left out need not be held while the rest is cleaned
        return clean(graph, self._rules, facts, pixel_m=max(grid.pixel_size_m), seen=seen)


class _Tracing:
    """What is known of a scene so far: the rows that wait, and the traces of those that went."""

    def __init__(self, first: Grid, *, weakest: float) -> None:
        self.bands = Bands(first)
        top_row = first.window(0, 0, (1, first.width))  # the same whatever the bands
        self.faint = Faint(full=weakest * 255, pixel_m=max(top_row.pixel_size_m))
        self.mask = MaskStore(width_px=first.width)
        self._first = first  # the grid of the first band
        self._strips = Strips(first.width, road=least_level(weakest))
        self._above = Pixels.none()  # the skeleton in the last row of the strip before
        self._traces = Shelf()

    def add(self, levels: NDArray[np.uint8]) -> None:
        for strip in self._strips.add(levels):
            self._trace(strip)

    def finish(self) -> "_Traced":
        """The raw graph of all rows that came in."""
        for strip in self._strips.rest():
            self._trace(strip)
        return _graph([Traces.unpacked(data) for data in self._traces], self.bands.grid)

    def _trace(self, strip: Strip) -> None:
        first_row, last_row = strip.top + strip.core.start, strip.top + strip.core.stop - 1
        shape = (last_row + 1 - first_row, self._first.width)
        pixel_size_m = self._first.window(first_row, 0, shape).pixel_size_m
        fill_holes(strip, pixel_size_m=pixel_size_m)
        self.faint.add(strip)
        self.mask.add(strip)
        pixels = centre_pixels(strip, pixel_size_m=pixel_size_m)
        seams = (first_row - 1, last_row)
        traces = trace(self._above + pixels, seams=seams, pixel_size_m=pixel_size_m)
        if len(traces.counts):
            self._traces.put(straightened(traces).packed())
        self._above = pixels.in_row(last_row)


def _at_border(xy: NDArray[np.float64], *, clearance: Clearance, grid: Grid) -> NDArray[np.bool_]:
    """(k,) whether no background is nearer to points (k, 2) than the scene's border."""
    if not len(xy):
        return np.zeros(0, bool)
    cols, rows = grid.metric_colrow(*xy.T)
    border_px = np.minimum.reduce([cols, rows, grid.width - cols, grid.height - rows])
    pixel_m = max(grid.pixel_size_m)
    return np.asarray(border_px * pixel_m <= clearance.at(xy) + pixel_m)


class _Traced(NamedTuple):
    """The raw graph of a scene.

    peak (m,)      the highest probability of each road, 0..255
    radius_m (n,)  how far the background is from each junction
    """

    graph: RoadGraph
    peak: NDArray[np.uint8]
    radius_m: NDArray[np.float32]


def _graph(strips: Sequence[Traces], grid: Grid) -> _Traced:
    """A road a trace; traces that were cut at a seam meet in one junction there."""
    if not strips:
        none = RoadGraph.empty(grid.metric_crs)
        return _Traced(none, np.empty(0, np.uint8), np.empty(0, np.float32))
    traces = Traces.together(strips)
    polylines = _drawn(traces, grid)
    pixels = _tip_pixels(traces, grid)
    _, tip_of_junction, ends = np.unique(pixels, return_index=True, return_inverse=True)
    junctions = polylines.tips().reshape(-1, 2)[tip_of_junction]
    columns = ends.reshape(-1, 2), polylines, traces.width_m, traces.prob / 255
    graph = RoadGraph(junctions, *columns, grid.metric_crs)
    return _Traced(graph, traces.peak, traces.radius_m.ravel()[tip_of_junction])


def _tip_pixels(traces: Traces, grid: Grid) -> NDArray[np.int64]:
    """(k, 2) the numbers of the pixels that each trace begins and ends at."""
    stops = np.cumsum(traces.counts)
    tip = np.column_stack([stops - traces.counts, stops - 1])
    return traces.rows[tip].astype(np.int64) * grid.width + traces.cols[tip]


def _drawn(traces: Traces, grid: Grid) -> Polylines:
    """Lines through the middles of the pixels, in metres."""

    def middles(cols: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.float64]:
        return np.column_stack(grid.metric_xy(cols + 0.5, rows + 0.5))

    xy = by_chunks(middles, traces.cols, traces.rows, rows=_CHUNK_POINTS)
    return Polylines.counted(xy, traces.counts)


def _strong(graph: RoadGraph, peak: NDArray[np.uint8], *, least: int) -> RoadGraph:
    """Only what hangs together with a road whose highest probability is strong."""
    strong = peak >= least
    if strong.all():
        return graph
    piece = graph.pieces()[graph.ends[:, 0]]
    return graph.select(np.isin(piece, piece[strong]))
