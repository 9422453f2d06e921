"""Scores of building polygons: one-to-one matches, and boundary IoU."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from terralink._typing import Floats, Ints, Shapes
from terralink.errors import InputError
from terralink.metrics.counts import DetectionCounts, Overlap, match_one_to_one
from terralink.vector.projection import Extent, check_overlap, reproject, to_metric

_AREAS = (3, 6)  # GEOS: Polygon, MultiPolygon
_ROUNDING = 1e-9  # a building has an IoU of 1 with itself, up to rounding


class Buildings(Protocol):
    """Polygons with a CRS: a ``GeoDataFrame`` or ``GeoSeries``."""

    @property
    def geometry(self) -> object: ...
    @property
    def crs(self) -> object: ...


def match_buildings(
    truth: Buildings,
    pred: Buildings,
    *,
    iou: float = 0.5,
    min_area_m2: float = 0.0,
    allow_disjoint: bool = False,
) -> DetectionCounts:
    """Count matched buildings, by the rules of SpaceNet's building challenges.

    RULE 1: buildings smaller than ``min_area_m2`` are left out on both sides (SpaceNet 2: 20 pixels
    of 0.3 m, 1.8 m2).
    RULE 2: a true and a predicted building can match if their intersection over union is at least
    ``iou``.
    RULE 3: each building is matched at most once, pairs with the highest IoU first.

    A row is one building, which may have several parts. Invalid polygons are repaired, heights are
    dropped, empty rows are left out. Areas are in square metres (UTM if the CRS is not in metres).
    Counts of several areas add; SpaceNet's figure for several cities is the mean of their ``f1``.

    Raises ``InputError`` for geometries that are not polygons, if only one side has a CRS, and if
    both have buildings but their extents do not touch. ``allow_disjoint`` permits the last, for
    example for a chip with one building that was found in the wrong corner.
    """
    t, p, _ = align_polygons(truth, pred, allow_disjoint)
    t, p = (_drop_small(side, min_area_m2) for side in (t, p))
    matches = len(match_polygons(t, p, iou)[0])
    return DetectionCounts(truth=len(t), matched_truth=matches, pred=len(p), matched_pred=matches)


def classify_buildings(
    truth: Buildings, pred: Buildings, *, iou: float = 0.5, min_area_m2: float = 0.0
) -> tuple[Shapes, Shapes, Shapes]:
    """(matched, missed, false) as ``match_buildings`` counts them; matched are predicted ones."""
    t, p, _ = align_polygons(truth, pred, allow_disjoint=True)
    t, p = (_drop_small(side, min_area_m2) for side in (t, p))
    i, j = match_polygons(t, p, iou)
    return p[j], np.delete(t, i), np.delete(p, j)


def polygon_boundary_iou(
    truth: Buildings, pred: Buildings, *, within_m: float = 1.0, allow_disjoint: bool = False
) -> Overlap:
    """Boundary IoU of polygons (Cheng et al. 2021), in square metres.

    Only the area inside a building and within ``within_m`` of its outline, or of the outline of a
    hole, counts. Raises ``InputError`` as ``match_buildings`` does.
    """
    t, p, _ = align_polygons(truth, pred, allow_disjoint)
    t, p = (shapely.difference(side, shapely.buffer(side, -within_m)) for side in (t, p))
    zones = [shapely.disjoint_subset_union_all(side) for side in (t, p)]
    shared = float(shapely.area(shapely.intersection(*zones)))
    return Overlap(shared, float(shapely.area(zones).sum()) - shared)


def match_polygons(truth: Shapes, pred: Shapes, min_iou: float) -> tuple[Ints, Ints]:
    """(k,) the rows of matched polygons on both sides (RULES 2 and 3 of ``match_buildings``)."""
    return _match_overlaps(_Overlaps.from_polygons(truth, pred), min_iou)


@dataclass(frozen=True, eq=False)
class BuildingPairs:
    """Buildings of two maps that are the same, one to one or in groups.

    truth, pred (k,)  the rows of buildings that match one to one
    truth_group (n,)  the number of the group of each true building, -1 for none
    pred_group (m,)   the number of the group of each predicted building, -1 for none
    """

    truth: Ints
    pred: Ints
    truth_group: Ints
    pred_group: Ints


def pair_buildings(truth: Shapes, pred: Shapes, min_iou: float) -> BuildingPairs:
    """Match buildings one to one, and in groups where one map divides them differently.

    RULE 1: a building is linked to one of the other map if they share at least half of the smaller
    one, or have an IoU of at least ``min_iou``. A connected component of links is a candidate
    group.
    RULE 2: a candidate is a group if both maps have buildings in it, one of them several; if their
    unions have an IoU of at least ``min_iou``, and a higher one than the best pair of its
    buildings; and if not all of its buildings match one to one.
    RULE 3: buildings in no group are matched one to one (``match_polygons``).

    >>> row = shapely.box(np.arange(4) * 5, 0, np.arange(4) * 5 + 5, 9)
    >>> pairs = pair_buildings(row, shapely.box([0, 40], 0, [20, 49], 9), 0.5)
    >>> pairs.truth_group.tolist(), pairs.pred_group.tolist(), len(pairs.truth)
    ([0, 0, 0, 0], [0, -1], 0)
    """
    overlaps = _Overlaps.from_polygons(truth, pred)
    t, p = _match_overlaps(overlaps, min_iou)
    label = overlaps.components(min_iou)
    single = np.ones(len(truth) + len(pred), bool)
    single[t] = single[len(truth) + p] = False
    t_group, p_group = np.full(len(truth), -1), np.full(len(pred), -1)
    count = 0
    for number in np.unique(label[single]):
        i, j = (np.flatnonzero(side == number) for side in np.split(label, [len(truth)]))
        if len(i) and len(j) and _is_one_group(truth[i], pred[j], min_iou, overlaps.best(i)):
            t_group[i] = p_group[j] = count
            count += 1
    not_grouped = t_group[t] < 0
    return BuildingPairs(t[not_grouped], p[not_grouped], t_group, p_group)


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """Rows ``truth`` (k,) and ``pred`` (k,) of buildings that intersect, and their overlap."""

    truth: Ints
    pred: Ints
    iou: Floats
    share: Floats  # of the smaller building
    sizes: tuple[int, int]

    @classmethod
    def from_polygons(cls, truth: Shapes, pred: Shapes) -> "_Overlaps":
        p, t = shapely.STRtree(truth).query(pred, predicate="intersects")
        shared = shapely.area(shapely.intersection(truth[t], pred[p]))
        areas = shapely.area(truth)[t], shapely.area(pred)[p]
        iou = shared / (areas[0] + areas[1] - shared)
        return cls(t, p, iou, shared / np.minimum(*areas), (len(truth), len(pred)))

    def components(self, min_iou: float) -> Ints:
        """(n + m,) the component of each building, the true ones first (RULE 1)."""
        link = (self.share >= 0.5 - _ROUNDING) | (self.iou >= min_iou - _ROUNDING)
        size = sum(self.sizes)
        ends = self.truth[link], self.sizes[0] + self.pred[link]
        graph = coo_array((np.ones(link.sum()), ends), shape=(size, size))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def best(self, truth: Ints) -> float:
        """The highest IoU of one of these true buildings with a single predicted one."""
        return float(self.iou[np.isin(self.truth, truth)].max(initial=0))


def _match_overlaps(overlaps: _Overlaps, min_iou: float) -> tuple[Ints, Ints]:
    t, p, iou = overlaps.truth, overlaps.pred, overlaps.iou
    order = np.lexsort((p, t, -iou))
    order = order[iou[order] >= min_iou - _ROUNDING]
    order = order[match_one_to_one(t[order], p[order])]
    return t[order], p[order]


def _is_one_group(truth: Shapes, pred: Shapes, min_iou: float, best: float) -> bool:
    """Whether the unions of both sides match, and better than ``best`` (RULE 2)."""
    if len(truth) + len(pred) < 3:
        return False
    true_union, pred_union = shapely.union_all(truth), shapely.union_all(pred)
    shared = shapely.area(shapely.intersection(true_union, pred_union))
    iou = shared / (shapely.area(true_union) + shapely.area(pred_union) - shared)
    return bool(iou >= min_iou - _ROUNDING and iou > best + _ROUNDING)


def align_polygons(
    truth: Buildings, pred: Buildings, allow_disjoint: bool
) -> tuple[Shapes, Shapes, CRS | None]:
    """Valid polygons of both sides in one metric CRS, and that CRS."""
    t, p = _valid_polygons(truth), _valid_polygons(pred)
    t_crs, p_crs = (
        None if side.crs is None else CRS.from_user_input(side.crs) for side in (truth, pred)
    )
    if len(t) and len(p) and (t_crs is None) != (p_crs is None):
        raise InputError("one of truth and prediction has no CRS; give both a CRS, or neither")
    extents = Extent.from_shapes(t, t_crs), Extent.from_shapes(p, p_crs)
    t, metric = to_metric(t, t_crs) if len(t) else (t, None)
    if not len(t):
        p, metric = to_metric(p, p_crs)
    elif len(p) and p_crs is not None and metric is not None:
        p = reproject(p, p_crs, metric)
    if not allow_disjoint:
        check_overlap(*extents)
    return t, p, metric


def _drop_small(shapes: Shapes, min_area_m2: float) -> Shapes:
    return np.asarray(shapes[shapely.area(shapes) >= min_area_m2], dtype=object)


def _valid_polygons(side: Buildings) -> Shapes:
    geometries = np.asarray(side.geometry, dtype=object)
    polygons = shapely.force_2d(
        geometries[~(shapely.is_missing(geometries) | shapely.is_empty(geometries))]
    )
    other = ~np.isin(shapely.get_type_id(polygons), _AREAS)
    if other.any():
        kinds = sorted({shape.geom_type for shape in polygons[other]})
        raise InputError(f"buildings are polygons, not {', '.join(kinds)}")
    invalid = ~shapely.is_valid(polygons)
    polygons[invalid] = shapely.make_valid(
        polygons[invalid], method="structure", keep_collapsed=False
    )
    return np.asarray(polygons[shapely.area(polygons) > 0], dtype=object)
