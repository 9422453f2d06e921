"""Scores of buildings: how many are found one to one, and how well their outlines lie."""

from typing import Protocol, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from terralink.errors import InputError
from terralink.graph.lines import in_metres, reprojected
from terralink.metrics.extents import Extent, check_overlap
from terralink.metrics.matches import Matches, Overlap, one_to_one

Shapes: TypeAlias = NDArray[np.object_]

_AREAS = (3, 6)  # GEOS: Polygon, MultiPolygon
_ROUNDING = 1e-9  # a building and itself have an IoU of 1 but for the last digits


class Buildings(Protocol):
    """A table or a column of polygons with a CRS: ``GeoDataFrame`` or ``GeoSeries``."""

    @property
    def geometry(self) -> object: ...
    @property
    def crs(self) -> object: ...


def buildings(
    truth: Buildings,
    pred: Buildings,
    *,
    iou: float = 0.5,
    min_area_m2: float = 0.0,
    may_be_apart: bool = False,
) -> Matches:
    """Count buildings that are found, by the rules of SpaceNet's building challenges.

    RULE 1: buildings of less than ``min_area_m2`` are left out, on both sides (SpaceNet 2 left out
    less than 20 pixels of 0.3 m: 1.8 m2).
    RULE 2: a true and a predicted building may be one where their intersection over union is at
    least ``iou``.
    RULE 3: each is matched at most once, pairs with the highest IoU first.

    A row is one building, of several parts or not; what crosses itself is mended, heights are
    dropped, empty rows are none. Areas are square metres (UTM where the CRS is not in metres).
    Counts of areas add; SpaceNet's figure for several cities is the mean of their ``f1``.

    Raises ``InputError`` where rows are not polygons, where only one side has a CRS, and where both
    have buildings but their extents do not touch, unless they ``may_be_apart`` (a chip with one
    building found in the wrong corner).
    """
    t, p, _ = comparable_shapes(truth, pred, may_be_apart)
    t, p = (_large(side, min_area_m2) for side in (t, p))
    matched = len(same_buildings(t, p, iou)[0])
    return Matches(truth=len(t), found=matched, pred=len(p), right=matched)


def buildings_apart(
    truth: Buildings, pred: Buildings, *, iou: float = 0.5, min_area_m2: float = 0.0
) -> tuple[Shapes, Shapes, Shapes]:
    """(matched, missed, false): the buildings that ``buildings`` counts, matched as predicted."""
    t, p, _ = comparable_shapes(truth, pred, may_be_apart=True)
    t, p = (_large(side, min_area_m2) for side in (t, p))
    i, j = same_buildings(t, p, iou)
    return p[j], np.delete(t, i), np.delete(p, j)


def outlines(
    truth: Buildings, pred: Buildings, *, within_m: float = 1.0, may_be_apart: bool = False
) -> Overlap:
    """Boundary IoU of polygons (Cheng et al. 2021), in square metres: how well outlines lie.

    Only the ground inside a building and within ``within_m`` of its own outline counts, holes'
    outlines too. Raises ``InputError`` as ``buildings`` does.
    """
    t, p, _ = comparable_shapes(truth, pred, may_be_apart)
    t, p = (shapely.difference(side, shapely.buffer(side, -within_m)) for side in (t, p))
    zones = [shapely.disjoint_subset_union_all(side) for side in (t, p)]
    shared = float(shapely.area(shapely.intersection(*zones)))
    return Overlap(shared, float(shapely.area(zones).sum()) - shared)


def same_buildings(
    truth: Shapes, pred: Shapes, least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(k,) numbers on both sides of what is one building (RULES 2, 3), out of all that meet."""
    p, t = shapely.STRtree(truth).query(pred, predicate="intersects")
    shared = shapely.area(shapely.intersection(truth[t], pred[p]))
    iou = shared / (shapely.area(truth)[t] + shapely.area(pred)[p] - shared)
    order = np.lexsort((p, t, -iou))
    order = order[iou[order] >= least - _ROUNDING]
    order = order[one_to_one(t[order], p[order])]
    return t[order], p[order]


def comparable_shapes(
    truth: Buildings, pred: Buildings, may_be_apart: bool
) -> tuple[Shapes, Shapes, CRS | None]:
    """Valid polygons of both sides in one CRS in metres, and that CRS."""
    t, p = _shapes(truth), _shapes(pred)
    t_crs, p_crs = (
        None if side.crs is None else CRS.from_user_input(side.crs) for side in (truth, pred)
    )
    if len(t) and len(p) and (t_crs is None) != (p_crs is None):
        raise InputError("truth and prediction both have a CRS or neither has: one has none here")
    extents = Extent.of(t, t_crs), Extent.of(p, p_crs)
    t, metric = in_metres(t, t_crs) if len(t) else (t, None)
    if not len(t):
        p, metric = in_metres(p, p_crs)
    elif len(p) and p_crs is not None and metric is not None:
        p = reprojected(p, p_crs, metric)
    if not may_be_apart:
        check_overlap(*extents)
    return t, p, metric


def _large(shapes: Shapes, min_area_m2: float) -> Shapes:
    return np.asarray(shapes[shapely.area(shapes) >= min_area_m2], dtype=object)


def _shapes(side: Buildings) -> Shapes:
    given = np.asarray(side.geometry, dtype=object)
    there = shapely.force_2d(given[~(shapely.is_missing(given) | shapely.is_empty(given))])
    strange = ~np.isin(shapely.get_type_id(there), _AREAS)
    if strange.any():
        kinds = sorted({shape.geom_type for shape in there[strange]})
        raise InputError(f"buildings are polygons, not {', '.join(kinds)}")
    crossed = ~shapely.is_valid(there)
    there[crossed] = shapely.make_valid(there[crossed], method="structure", keep_collapsed=False)
    return np.asarray(there[shapely.area(there) > 0], dtype=object)
