"""Junctions of a skeleton brought to where the roads' crossing is.

RULE 5: junctions nearer to each other than the road is wide are one crossing
RULE 6: within half a road's width of a junction the skeleton bends to the corners of the
        crossing; there roads run straight on, and the junction lies where they point
"""

from dataclasses import replace
from functools import partial

import numpy as np
import shapely

from terralink.graph import RoadGraph
from terralink.graph.polylines import Bools, Floats, Ints, Polylines

# A junction is drawn to where it was with this share of the pull of one road: so it stays where
# roads that run straight through leave it free to slide
STAY = 0.1


def merged(graph: RoadGraph) -> RoadGraph:
    """Junctions linked by a road shorter than it is wide made one, in their middle (RULE 5)."""
    width_m = np.where(  # a bridge is as wide as what it joins
        np.isnan(graph.width_m), widest_m(graph)[graph.ends].max(axis=1, initial=0), graph.width_m
    )
    narrow = graph.length_m < width_m
    short = narrow & (graph.degree[graph.ends] > 2).all(axis=1)
    if not short.any():
        return graph
    return _clustered(graph, graph.pieces(short), short=short, narrow=narrow).joined()


def _clustered(graph: RoadGraph, cluster: Ints, *, short: Bools, narrow: Bools) -> RoadGraph:
    """The junctions of each cluster (n,) made one, without short roads and narrow loops."""
    xy = graph.junctions
    size = np.bincount(cluster)[:, None]
    middle = np.column_stack([np.bincount(cluster, axis) for axis in xy.T]) / size
    radius = np.zeros(len(middle))
    np.maximum.at(radius, cluster, np.hypot(*(xy - middle[cluster]).T))
    ends = cluster[graph.ends]
    led = _led_to(graph.polylines, ends, middle, radius)
    kept = ~short & ~(narrow & (ends[:, 0] == ends[:, 1])) & (led.length() > 0)
    return replace(
        graph,
        junctions=middle,
        ends=ends[kept],
        polylines=led[kept],
        width_m=graph.width_m[kept],
        prob=graph.prob[kept],
    )


def settled(graph: RoadGraph) -> RoadGraph:
    """Junctions moved to the point that their roads point at, as near as can be (RULE 6)."""
    widest = widest_m(graph)
    reach_m = np.where(graph.degree > 2, widest / 2, 0)
    road, side = np.nonzero(reach_m[graph.ends] > 0)
    at, length_m = graph.ends[road, side], graph.length_m[road]
    near_m = np.minimum(reach_m[at], length_m / 3)
    far_m = np.minimum(near_m + 1.5 * widest[at], length_m * 2 / 3)
    near, far = (
        graph.polylines.at(road, np.where(side == 0, along_m, length_m - along_m))
        for along_m in (near_m, far_m)
    )
    xy = _pointed_at(graph.junctions, at, near, near - far)
    strayed = np.hypot(*(xy - graph.junctions).T) > widest / 2
    xy[strayed] = graph.junctions[strayed]
    led = _led_to(graph.polylines, graph.ends, xy, reach_m)
    return replace(graph, junctions=xy, polylines=led)


def widest_m(graph: RoadGraph) -> Floats:
    """(n,) width of the widest road at each junction, 0 where no width is known."""
    widest = np.zeros(len(graph.junctions))
    np.fmax.at(widest, graph.ends, graph.width_m[:, None])
    return widest


def _pointed_at(junctions: Floats, at: Ints, points: Floats, directions: Floats) -> Floats:
    """(n, 2) the points with the least squared distance to the straight lines at each junction.

    Lines go through ``points`` (k, 2) along ``directions`` (k, 2) and belong to junction ``at``.
    """
    along = directions / np.maximum(np.hypot(*directions.T), 1e-12)[:, None]
    aside = np.eye(2) - along[:, :, None] * along[:, None, :]  # takes away what lies along
    pull = np.tile(STAY * np.eye(2), (len(junctions), 1, 1))
    target = STAY * junctions[:, :, None]
    np.add.at(pull, at, aside)
    np.add.at(target, at, aside @ points[:, :, None])
    return np.asarray(np.linalg.solve(pull, target)[:, :, 0])


def _led_to(lines: Polylines, ends: Ints, xy: Floats, reach_m: Floats) -> Polylines:
    """Lines that run straight to junctions at ``xy`` (n, 2) over their last ``reach_m`` (n,).

    That near the skeleton bends to the corners of the crossing. Of a short line each end has a
    third. A line that need not change stays as it is.
    """
    return lines.changed(partial(_led, xy=xy, reach_m=reach_m), ends)


def _led(lines: Polylines, ends: Ints, *, xy: Floats, reach_m: Floats) -> Polylines:
    bent = (reach_m[ends] > 0).any(axis=1) | (lines.tips() != xy[ends]).any(axis=(1, 2))
    return lines.replaced(bent, _bent(lines[bent], ends[bent], xy, reach_m))


def _bent(lines: Polylines, ends: Ints, xy: Floats, reach_m: Floats) -> Polylines:
    owner, (along_m, length_m) = lines.owner, lines.measured()
    reach = np.minimum(reach_m[ends], length_m[:, None] / 3)
    inner = (along_m > reach[owner, 0]) & (along_m < (length_m - reach[:, 1])[owner])
    turns_m = np.column_stack([reach[:, 0], length_m - reach[:, 1]])
    turns = shapely.get_coordinates(shapely.line_interpolate_point(lines.drawn()[:, None], turns_m))
    each = np.repeat(np.arange(len(lines)), 2)
    beyond = np.column_stack([-np.ones(len(lines)), length_m + 1])
    turning = (reach > 0).ravel()
    owners = np.concatenate([owner[inner], each[turning], each])
    place = np.concatenate([along_m[inner], turns_m.ravel()[turning], beyond.ravel()])
    points = np.concatenate([lines.points[inner], turns[turning], xy[ends].reshape(-1, 2)])
    order = np.lexsort((place, owners))
    return Polylines.counted(points[order], np.bincount(owners, minlength=len(lines)))
