"""Scores of buildings: how many are found one to one, and how well their outlines lie."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from terralink.errors import InputError
from terralink.metrics.counts import DetectionCounts, Overlap, match_one_to_one
from terralink.vector.projection import Extent, check_overlap, reproject, to_metric

Shapes: TypeAlias = NDArray[np.object_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_AREAS = (3, 6)  # GEOS: Polygon, MultiPolygon
_ROUNDING = 1e-9  # a building and itself have an IoU of 1 but for the last digits


class Buildings(Protocol):
    """A table or a column of polygons with a CRS: ``GeoDataFrame`` or ``GeoSeries``."""

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
    have buildings but their extents do not touch, unless they ``allow_disjoint`` (a chip with one
    building found in the wrong corner).
    """
    t, p, _ = align_polygons(truth, pred, allow_disjoint)
    t, p = (_drop_small(side, min_area_m2) for side in (t, p))
    matched = len(match_polygons(t, p, iou)[0])
    return DetectionCounts(truth=len(t), matched_truth=matched, pred=len(p), matched_pred=matched)


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
    """Boundary IoU of polygons (Cheng et al. 2021), in square metres: how well outlines lie.

    Only the ground inside a building and within ``within_m`` of its own outline counts, holes'
    outlines too. Raises ``InputError`` as ``match_buildings`` does.
    """
    t, p, _ = align_polygons(truth, pred, allow_disjoint)
    t, p = (shapely.difference(side, shapely.buffer(side, -within_m)) for side in (t, p))
    zones = [shapely.disjoint_subset_union_all(side) for side in (t, p)]
    shared = float(shapely.area(shapely.intersection(*zones)))
    return Overlap(shared, float(shapely.area(zones).sum()) - shared)


def match_polygons(truth: Shapes, pred: Shapes, least: float) -> tuple[Ints, Ints]:
    """(k,) numbers on both sides of what is one building (RULES 2, 3), out of all that meet."""
    return _match_overlaps(_Overlaps.of(truth, pred), least)


@dataclass(frozen=True, eq=False)
class BuildingPairs:
    """Which buildings of two maps are the same, one to one or in groups.

    truth, pred (k,)  numbers of the buildings that are one and the same
    truth_group (n,)  for each true building the number of the group that it is in, -1 for none
    pred_group (m,)   the same of each predicted one
    """

    truth: Ints
    pred: Ints
    truth_group: Ints
    pred_group: Ints


def pair_buildings(truth: Shapes, pred: Shapes, least: float) -> BuildingPairs:
    """The buildings that are the same, also where one map divides them in another way.

    RULE 1: a building is linked to one of the other map where they share at least half of the
    smaller one, or match at IoU ``least``. What hangs together by links is a group.
    RULE 2: a group stands where both maps have one of it and one has several, where their unions
    match at IoU ``least``, and better than the best two of its buildings do, and where not all of
    its buildings are matched one to one anyway.
    RULE 3: what is in no such group is matched one to one (``match_polygons``).

    >>> row = shapely.box(np.arange(4) * 5, 0, np.arange(4) * 5 + 5, 9)
    >>> pairs = pair_buildings(row, shapely.box([0, 40], 0, [20, 49], 9), 0.5)
    >>> pairs.truth_group.tolist(), pairs.pred_group.tolist(), len(pairs.truth)
    ([0, 0, 0, 0], [0, -1], 0)
    """
    overlaps = _Overlaps.of(truth, pred)
    t, p = _match_overlaps(overlaps, least)
    label = overlaps.linked(least)
    single = np.ones(len(truth) + len(pred), bool)
    single[t] = single[len(truth) + p] = False
    t_group, p_group = np.full(len(truth), -1), np.full(len(pred), -1)
    count = 0
    for number in np.unique(label[single]):
        i, j = (np.flatnonzero(side == number) for side in np.split(label, [len(truth)]))
        if len(i) and len(j) and _is_one_group(truth[i], pred[j], least, overlaps.best(i)):
            t_group[i] = p_group[j] = count
            count += 1
    alone = t_group[t] < 0
    return BuildingPairs(t[alone], p[alone], t_group, p_group)


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """Buildings ``truth`` (k,) and ``pred`` (k,) of both sides that meet, and how well."""

    truth: Ints
    pred: Ints
    iou: Floats
    share: Floats  # of the smaller one
    sizes: tuple[int, int]

    @classmethod
    def of(cls, truth: Shapes, pred: Shapes) -> "_Overlaps":
        p, t = shapely.STRtree(truth).query(pred, predicate="intersects")
        shared = shapely.area(shapely.intersection(truth[t], pred[p]))
        areas = shapely.area(truth)[t], shapely.area(pred)[p]
        iou = shared / (areas[0] + areas[1] - shared)
        return cls(t, p, iou, shared / np.minimum(*areas), (len(truth), len(pred)))

    def linked(self, least: float) -> Ints:
        """(n + m,) which of all buildings, the true ones first, hang together by links."""
        link = (self.share >= 0.5 - _ROUNDING) | (self.iou >= least - _ROUNDING)
        size = sum(self.sizes)
        ends = self.truth[link], self.sizes[0] + self.pred[link]
        graph = coo_array((np.ones(link.sum()), ends), shape=(size, size))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def best(self, truth: Ints) -> float:
        """The best IoU that one of these true buildings has with a single predicted one."""
        return float(self.iou[np.isin(self.truth, truth)].max(initial=0))


def _match_overlaps(overlaps: _Overlaps, least: float) -> tuple[Ints, Ints]:
    t, p, iou = overlaps.truth, overlaps.pred, overlaps.iou
    order = np.lexsort((p, t, -iou))
    order = order[iou[order] >= least - _ROUNDING]
    order = order[match_one_to_one(t[order], p[order])]
    return t[order], p[order]


def _is_one_group(truth: Shapes, pred: Shapes, least: float, best: float) -> bool:
    """Whether the buildings of both sides together match, and better than ``best`` (RULE 2)."""
    if len(truth) + len(pred) < 3:
        return False
    there, here = shapely.union_all(truth), shapely.union_all(pred)
    shared = shapely.area(shapely.intersection(there, here))
    iou = shared / (shapely.area(there) + shapely.area(here) - shared)
    return bool(iou >= least - _ROUNDING and iou > best + _ROUNDING)


def align_polygons(
    truth: Buildings, pred: Buildings, allow_disjoint: bool
) -> tuple[Shapes, Shapes, CRS | None]:
    """Valid polygons of both sides in one CRS in metres, and that CRS."""
    t, p = _valid_polygons(truth), _valid_polygons(pred)
    t_crs, p_crs = (
        None if side.crs is None else CRS.from_user_input(side.crs) for side in (truth, pred)
    )
    if len(t) and len(p) and (t_crs is None) != (p_crs is None):
        raise InputError("truth and prediction both have a CRS or neither has: one has none here")
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
    given = np.asarray(side.geometry, dtype=object)
    there = shapely.force_2d(given[~(shapely.is_missing(given) | shapely.is_empty(given))])
    strange = ~np.isin(shapely.get_type_id(there), _AREAS)
    if strange.any():
        kinds = sorted({shape.geom_type for shape in there[strange]})
        raise InputError(f"buildings are polygons, not {', '.join(kinds)}")
    crossed = ~shapely.is_valid(there)
    there[crossed] = shapely.make_valid(there[crossed], method="structure", keep_collapsed=False)
    return np.asarray(there[shapely.area(there) > 0], dtype=object)
