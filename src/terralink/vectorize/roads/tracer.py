"""Probability of road to a road graph, streaming.

    rows -> mask -> strips with a halo -> skeleton -> chains of pixels -> raw graph -> clean graph

Strips are counted from the first row of the scene and do not depend on how many rows arrive at a
time, so neither does the graph. Memory depends on the width of the scene and on the roads in it.

    RULE 1: a dead end is noise of the mask's edge if it is shorter than ``min_spur_m``, or shorter
            than the width of the road that it leaves. If the border of the scene cuts the road,
            only the width counts
    RULE 2: two paths around an area smaller than the width squared are one road with a hole
    RULE 3: if a road ends in a fork, only its longest end stays
    RULE 4: a component that is short, or hardly longer than wide, is no road

Rules 5, 6 and 13 are in ``junctions``, 7 to 12 in ``ends``, and 14 to 16 in ``holes``.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink._typing import Bools, Floats
from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.graph.polylines import Lines, Polylines, map_chunks
from terralink.raster import Raster
from terralink.raster.grid import Grid
from terralink.raster.pixel_values import min_positive_value
from terralink.vectorize.bands import ProbabilityReader, RowTracker, assign_scale
from terralink.vectorize.options import RoadOptions
from terralink.vectorize.roads.ends import (
    UNKNOWN_GAPS,
    GapQueries,
    MaskQueries,
    bridge_gaps,
    extend_ends,
)
from terralink.vectorize.roads.holes import fill_holes
from terralink.vectorize.roads.junctions import (
    Clearance,
    measure_max_width,
    merge_crossings,
    merge_junctions,
    straighten_junctions,
)
from terralink.vectorize.roads.skeleton import (
    CentrePixels,
    PixelChains,
    RawGraph,
    build_raw_graph,
    find_centre_pixels,
    simplify_chains,
    trace_chains,
)
from terralink.vectorize.roads.strips import (
    STRIP_ROWS,
    MaskStore,
    SpillBuffer,
    Strip,
    StripBuffer,
    SubthresholdStore,
)

# Lines are smoothed by a mean over this many pixels to either side
SMOOTH_PX = 5
# A component must be longer than so many times its width
MIN_LENGTH_WIDTHS = 2.0
_CHUNK_ROWS = 64  # rows whose probabilities are converted to bytes at a time
_CHUNK_ROADS = 2048  # roads smoothed at a time: a line temporarily has a point every pixel


def trace_roads(prob: Raster, options: RoadOptions = RoadOptions()) -> RoadGraph:
    """The road graph of a raster of probabilities; see ``RoadTracer``."""
    tracer = RoadTracer(options)
    prob = assign_scale(prob, threshold=options.effective_weak_threshold)
    for start in range(0, max(prob.grid.height, 1), STRIP_ROWS):
        tracer.add(prob.rows(start, min(start + STRIP_ROWS, prob.grid.height)))
    return tracer.finish()


class RoadTracer:
    """Traces roads through a scene whose rows arrive from top to bottom.

        tracer = RoadTracer(RoadOptions(threshold=0.4))
        for rows in inference.predict_bands(model, scene):
            tracer.add(rows)
        graph = tracer.finish()

    Pixels that are not valid are never road. Raises ``InputError`` for thresholds that are not in
    order.
    """

    def __init__(self, options: RoadOptions = RoadOptions()) -> None:
        self._options = options
        self._strong, self._weak = options.effective_threshold, options.effective_weak_threshold
        self._reader = ProbabilityReader(self._strong, self._weak)
        self._scene: _SceneState | None = None

    def add(self, rows: Raster) -> None:
        """Add the next rows; raises ``InputError`` when they do not follow the ones before."""
        if rows.array.ndim == 3 and len(rows.array) == 1:
            rows = replace(rows, array=rows.array[0])
        if rows.array.ndim != 2:
            raise InputError(
                f"expected one band of probabilities, not an array of {rows.array.shape}"
            )
        if self._scene is None:
            self._scene = _SceneState(rows.grid, weak_threshold=self._weak)
        self._scene.rows.append(rows.grid)
        for start in range(0, rows.grid.height, _CHUNK_ROWS):
            self._scene.add(self._reader.read(rows.rows(start, start + _CHUNK_ROWS)))

    def finish(self) -> RoadGraph:
        """The graph of all rows."""
        if self._scene is None:
            return RoadGraph.empty()
        self._reader.check()
        grid = self._scene.rows.grid
        raw = self._scene.finish()
        mask, subthreshold = self._scene.mask, self._scene.subthreshold
        clearance = Clearance(raw.graph.junctions, raw.radius_m.astype(np.float64))
        queries = MaskQueries(
            clearance,
            partial(_is_at_border, clearance=clearance, grid=grid),
            partial(mask.measure_road, grid=grid),
        )
        gaps = GapQueries(
            partial(subthreshold.mean_share, grid=grid), partial(mask.trim_road, grid=grid)
        )
        graph = _select_strong(raw, min_peak=min_positive_value(self._strong)).merge_degree2()
        del raw  # frees the weak roads before the graph is cleaned
        return clean_graph(graph, self._options, queries, pixel_m=max(grid.pixel_size_m), gaps=gaps)


class _SceneState:
    """What is stored of the rows so far: the ones of no strip yet, and the chains of the others."""

    def __init__(self, first_rows: Grid, *, weak_threshold: float) -> None:
        self.rows = RowTracker(first_rows)
        top_row = first_rows.window(0, 0, (1, first_rows.width))  # the same whatever the rows
        self.subthreshold = SubthresholdStore(
            threshold=weak_threshold * 255, pixel_m=max(top_row.pixel_size_m)
        )
        self.mask = MaskStore(width_px=first_rows.width)
        self._first_rows = first_rows
        self._strips = StripBuffer(first_rows.width, threshold=min_positive_value(weak_threshold))
        self._above = CentrePixels.empty()  # in the last row of the previous strip
        self._chains = SpillBuffer()

    def add(self, prob: NDArray[np.uint8]) -> None:
        for strip in self._strips.add(prob):
            self._trace(strip)

    def finish(self) -> RawGraph:
        """The raw graph of all rows."""
        for strip in self._strips.flush():
            self._trace(strip)
        chains = [PixelChains.from_bytes(data) for data in self._chains]
        return build_raw_graph(chains, self.rows.grid)

    def _trace(self, strip: Strip) -> None:
        first_row, last_row = strip.top + strip.core.start, strip.top + strip.core.stop - 1
        shape = (last_row + 1 - first_row, self._first_rows.width)
        pixel_size_m = self._first_rows.window(first_row, 0, shape).pixel_size_m
        fill_holes(strip, pixel_size_m=pixel_size_m)
        self.subthreshold.add(strip)
        self.mask.add(strip)
        pixels = find_centre_pixels(strip, pixel_size_m=pixel_size_m)
        seams = (first_row - 1, last_row)
        chains = trace_chains(self._above + pixels, seams=seams, pixel_size_m=pixel_size_m)
        if len(chains.counts):
            self._chains.append(simplify_chains(chains).to_bytes())
        self._above = pixels.select_row(last_row)


def _is_at_border(xy: Floats, *, clearance: Clearance, grid: Grid) -> Bools:
    """(k,) whether the border of the scene is nearer to points (k, 2) than any background."""
    if not len(xy):
        return np.zeros(0, bool)
    cols, rows = grid.metric_colrow(*xy.T)
    border_px = np.minimum.reduce([cols, rows, grid.width - cols, grid.height - rows])
    pixel_m = max(grid.pixel_size_m)
    return np.asarray(border_px * pixel_m <= clearance.query(xy) + pixel_m)


def _select_strong(raw: RawGraph, *, min_peak: int) -> RoadGraph:
    """The components with a road whose highest probability is ``min_peak`` or more."""
    graph, strong = raw.graph, raw.peak >= min_peak
    if strong.all():
        return graph
    component = graph.components()[graph.edges[:, 0]]
    return graph.select(np.isin(component, component[strong]))


def clean_graph(
    graph: RoadGraph,
    options: RoadOptions,
    mask: MaskQueries,
    *,
    pixel_m: float,
    gaps: GapQueries = UNKNOWN_GAPS,
) -> RoadGraph:
    """The raw graph of a skeleton, without noise and with its gaps bridged.

    Each step takes a graph and returns a new one. Lengths are in the unit of the graph, metres.
    """
    min_spur_m, simplify_m = options.min_spur_m, options.simplify_m
    for step in (
        partial(prune_spurs, min_spur_m=min_spur_m, mask=mask),
        partial(merge_junctions, clearance=mask.clearance),
        partial(prune_spurs, min_spur_m=min_spur_m, mask=mask),
        straighten_junctions,
        merge_crossings,
        partial(extend_ends, mask=mask, pixel_m=pixel_m),
        partial(smooth_lines, pixel_m=pixel_m, simplify_m=simplify_m),
        partial(drop_small_components, min_length_m=min(min_spur_m, options.min_component_m)),
        partial(bridge_gaps, max_gap_m=options.max_gap_m, gaps=gaps),
        partial(merge_junctions, clearance=mask.clearance),
        partial(prune_spurs, min_spur_m=min_spur_m, mask=mask, extended=True),
        partial(drop_small_components, min_length_m=options.min_component_m),
    ):
        graph = step(graph)
    polylines = graph.polylines.map(partial(_simplify, simplify_m=simplify_m))
    return replace(graph, polylines=polylines)


def prune_spurs(
    graph: RoadGraph, *, min_spur_m: float, mask: MaskQueries, extended: bool = False
) -> RoadGraph:
    """The graph without dead ends shorter than ``min_spur_m`` or than the road's width.

    Before ``extend_ends`` the mask continues beyond the dead ends of the skeleton, and that counts
    for their length; ``extended`` says that it has been done. Paths around a hole become one first,
    because the other one is no dead end (RULES 1 to 3).
    """
    while True:
        noise = _find_paths_around_holes(graph)
        if not noise.any():
            noise = _find_spurs(graph, min_spur_m, mask, extended=extended)
        if not noise.any():
            return graph
        graph = graph.merge_degree2(~noise)


def smooth_lines(graph: RoadGraph, *, pixel_m: float, simplify_m: float) -> RoadGraph:
    """Lines without the steps of pixels, with points only where they bend. Their ends stay."""

    def smooth(lines: Polylines) -> Polylines:
        return _simplify(_average(lines, pixel_m), simplify_m)

    if not len(graph):
        return graph
    return replace(graph, polylines=graph.polylines.map(smooth, rows=_CHUNK_ROADS))


def drop_small_components(graph: RoadGraph, *, min_length_m: float) -> RoadGraph:
    """The graph without components shorter than ``min_length_m``, or hardly longer than wide."""
    if min_length_m <= 0 or not len(graph):
        return graph
    component = graph.components()[graph.edges[:, 0]]
    width_m = np.zeros(component.max() + 1)
    np.fmax.at(width_m, component, graph.width_m)
    # RULE 4
    required_m = np.maximum(min_length_m, MIN_LENGTH_WIDTHS * width_m)
    return graph.select((np.bincount(component, graph.length_m) >= required_m)[component])


def _average(lines: Polylines, pixel_m: float) -> Polylines:
    """A moving mean along each line, over fewer points towards its ends."""
    dense = Polylines.from_shapely(shapely.segmentize(lines.to_shapely(), pixel_m))
    points, owner = dense.points, dense.line_index
    number = np.arange(len(points))
    nearer_end = np.minimum(number - dense.starts[owner], dense.starts[owner + 1] - 1 - number)
    radius = np.minimum(SMOOTH_PX, nearer_end)
    origin = points.mean(axis=0)  # sums of large coordinates would lose digits
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(points - origin, axis=0)])
    mean = (sums[number + radius + 1] - sums[number - radius]) / (2 * radius + 1)[:, None] + origin
    return replace(dense, points=np.where(radius[:, None] > 0, mean, points))


def _simplify(polylines: Polylines, simplify_m: float) -> Polylines:
    """As few points as lines within ``simplify_m`` need (Douglas and Peucker 1973)."""
    lines: Lines = polylines.to_shapely()
    simple = shapely.simplify(lines, simplify_m, preserve_topology=False)
    loop = shapely.is_closed(lines)
    simple[loop] = shapely.simplify(lines[loop], simplify_m, preserve_topology=True)
    return Polylines.from_shapely(np.where(shapely.length(simple) > 0, simple, lines))


def _find_spurs(graph: RoadGraph, min_spur_m: float, mask: MaskQueries, *, extended: bool) -> Bools:
    """(m,) short dead ends; at each junction the longest stay until two roads are left."""
    degree = graph.degree[graph.edges]
    dead_end = np.flatnonzero((degree.min(axis=1) == 1) & (degree.max(axis=1) > 2))
    root = np.where(degree[:, 0] == 1, graph.edges[:, 1], graph.edges[:, 0])
    tip = graph.junctions[graph.edges[dead_end].sum(axis=1) - root[dead_end]]
    # RULE 1
    beyond_m = 0 if extended or not len(tip) else mask.clearance.query(tip)
    length_m = graph.length_m[dead_end] + beyond_m
    width_m = measure_max_width(graph)[root[dead_end]]
    required_m = np.where(mask.at_border(tip), width_m, np.maximum(min_spur_m, width_m))
    spurs = dead_end[length_m < required_m]
    # RULE 3
    spurs = spurs[np.lexsort((-graph.length_m[spurs], root[spurs]))]
    _, start, count = np.unique(root[spurs], return_index=True, return_counts=True)
    rank = np.arange(len(spurs)) - np.repeat(start, count)
    others = (graph.degree - np.bincount(root[spurs], minlength=len(graph.degree)))[root[spurs]]
    noise = np.zeros(len(graph), bool)
    noise[spurs[rank >= 2 - others]] = True
    return noise


def _find_paths_around_holes(graph: RoadGraph) -> Bools:
    """(m,) loops, and the longer ones of parallel roads, around hardly any area (RULE 2)."""
    low, high = np.sort(graph.edges, axis=1).T
    order = np.lexsort((graph.length_m, high, low))
    swept_m2 = map_chunks(_measure_swept_area, graph.polylines)
    swept = np.where(graph.edges[:, 0] == low, 1, -1) * swept_m2
    pairs = np.column_stack([low, high])[order]
    is_first = np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)])[: len(order)]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    loop = low[order] == high[order]
    enclosed_m2 = np.abs(swept[order] - np.where(loop, 0, swept[order[first]]))
    width_m = measure_max_width(graph)[pairs].max(axis=1, initial=0)
    noise = np.zeros(len(graph), bool)
    # RULE 2
    noise[order] = (enclosed_m2 < width_m**2) & (loop | ~is_first)
    return noise


def _measure_swept_area(lines: Polylines) -> Floats:
    """(m,) signed area between each line and the straight line between its ends."""
    owner = lines.line_index
    points = lines.points - lines.points[lines.starts[owner]]
    cross = points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]
    cross[owner[1:] != owner[:-1]] = 0
    return np.bincount(owner[1:], cross, minlength=len(lines)) / 2
