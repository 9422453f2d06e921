"""From the raw skeleton graph to a map: what is noise of thinning goes, what is road stays.

    RULE 1: a dead end shorter than the road it leaves is wide is noise of the mask's edge; one that
            is shorter than ``min_spur_m`` too, unless it is the scene's border that cuts it
    RULE 2: two ways around less ground than the road's width squared are one road with a hole
    RULE 3: where a road ends in a fork, its longest end stays
    RULE 4: a piece that hangs together with nothing and is short, or a blob, is no road

Every step takes a graph and gives a new one; lengths are in the unit of the graph, metres.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.graph import RoadGraph
from terralink.graph.polylines import Floats, Lines, Polylines, by_chunks
from terralink.vectorize.roads.crossings import merge_crossings
from terralink.vectorize.roads.ends import SceneFacts, extend_ends
from terralink.vectorize.roads.gaps import NOTHING_SEEN, Seen, bridged
from terralink.vectorize.roads.junctions import merge_junctions, settled, widest_m

# Steps of a pixel's size go away under a mean over this many pixels to either side
SMOOTH_PX = 5
# A piece of less than so many times its width is a blob
BLOB_WIDTHS = 2.0
_CHUNK_ROADS = 2048  # smoothed at a time: in between a line has a point a pixel


class Rules(NamedTuple):
    """Lengths that decide what is road, see ``RoadTracer``."""

    min_spur_m: float
    max_gap_m: float
    min_piece_m: float
    simplify_m: float


def clean(
    graph: RoadGraph, rules: Rules, scene: SceneFacts, *, pixel_m: float, seen: Seen = NOTHING_SEEN
) -> RoadGraph:
    """The graph of a skeleton of pixels of ``pixel_m`` made into a map."""
    min_spur_m, max_gap_m, min_piece_m, simplify_m = rules
    for step in (
        partial(pruned, min_spur_m=min_spur_m, scene=scene),
        partial(merge_junctions, clearance=scene.clearance),
        partial(pruned, min_spur_m=min_spur_m, scene=scene),
        settled,
        merge_crossings,
        partial(extend_ends, scene=scene, pixel_m=pixel_m),
        partial(smoothed, pixel_m=pixel_m, simplify_m=simplify_m),
        partial(without_pieces, min_piece_m=min(min_spur_m, min_piece_m)),
        partial(bridged, max_gap_m=max_gap_m, seen=seen),
        partial(merge_junctions, clearance=scene.clearance),
        partial(pruned, min_spur_m=min_spur_m, scene=scene, extended=True),
        partial(without_pieces, min_piece_m=min_piece_m),
    ):
        graph = step(graph)
    simplified = graph.polylines.changed(partial(_simplified, simplify_m=simplify_m))
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
    swept_m2 = by_chunks(_swept_m2, graph.polylines)
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
