"""What changed: roads and buildings of a map that are new, matched or gone against a reference.

The reference is OpenStreetMap or an older map. Roads are compared stretch by stretch, so that each
length of a map is in exactly one of its layers; buildings are compared as wholes. Buildings of both
maps that cover the same ground but are divided in different ways (a row of houses drawn as one) are
groups.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from terralink._typing import Shapes
from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics.buildings import Buildings, align_polygons, pair_buildings
from terralink.metrics.roads import align_graphs
from terralink.vector import styles
from terralink.vector.layers import Layer, write_geopackage
from terralink.vector.osm import has_features, is_osm, read_buildings
from terralink.vector.projection import Extent, check_overlap

Kind: TypeAlias = Literal["roads", "buildings"]

_NAMES = ("the map", "the reference")
_KINDS: tuple[Kind, ...] = ("roads", "buildings")
_STEP_M = 1.0  # roads are compared in steps of this length
# Blue, amber and magenta: also people with colour blindness can distinguish them.
COLOURS = {"new": "#ff3d8b", "matched": "#6b95ff", "gone": "#ffb000", "grouped": "#4de0c3"}
# Of the buildings of a group: those of the map to those of the reference.
RELATIONS = ("one-to-many", "many-to-one", "many-to-many")


@dataclass(frozen=True, eq=False)
class Groups:
    """Buildings on the same ground that two maps divide in different ways.

    current (k,), current_group (k,)          those of the map, and the group 0..g-1 of each
    reference (l,), reference_group (l,)  the same of the reference
    """

    current: Shapes
    current_group: NDArray[np.int64]
    reference: Shapes
    reference_group: NDArray[np.int64]

    @classmethod
    def none(cls) -> "Groups":
        """No groups."""
        return cls(*(np.empty(0, kind) for kind in (object, np.int64, object, np.int64)))

    @property
    def relation(self) -> Shapes:
        """(g,) which of ``RELATIONS`` each group is, from the map to the reference."""
        count = max(self.current_group.max(initial=-1), self.reference_group.max(initial=-1)) + 1
        ours, theirs = (
            np.bincount(group, minlength=count)
            for group in (self.current_group, self.reference_group)
        )
        number = np.where(ours == 1, 0, np.where(theirs == 1, 1, 2))
        return np.array(RELATIONS, dtype=object)[number]

    def summary(self, relation: str) -> dict[str, float]:
        """The number of groups with this ``relation``, and of the buildings in them.

        ``map`` and ``reference`` count buildings, ``area_m2`` is of the map's.
        """
        is_so = self.relation == relation
        ours, theirs = is_so[self.current_group], is_so[self.reference_group]
        return {
            "count": int(is_so.sum()),
            "map": int(ours.sum()),
            "reference": int(theirs.sum()),
            "area_m2": float(shapely.area(self.current[ours]).sum()),
        }

    def layer(self) -> tuple[Layer, str]:
        """The buildings of both maps with their ``group`` and ``side`` (the map), and a style."""
        group = np.concatenate([self.current_group, self.reference_group])
        shapes = np.concatenate([self.current, self.reference])
        side = np.repeat(
            np.array(["map", "reference"], dtype=object), [len(self.current), len(self.reference)]
        )
        columns = {
            "group": group,
            "relation": self.relation[group],
            "side": side,
            "area_m2": shapely.area(shapes),
        }
        layer = Layer("buildings_grouped", "MultiPolygon", _to_multipolygons(shapes), columns)
        return layer, styles.outline_style(COLOURS["grouped"])


@dataclass(frozen=True, eq=False)
class Changes:
    """Lines or polygons of one ``kind`` in metres of ``crs``.

    new      in the map, and not in the reference
    matched  in both, as the map has them
    gone     in the reference, and not in the map
    groups   buildings of both that cover the same ground, divided in different ways
    """

    kind: Kind
    new: Shapes
    matched: Shapes
    gone: Shapes
    crs: CRS | None
    groups: Groups = field(default_factory=Groups.none)

    @property
    def size(self) -> dict[str, float]:
        """Metres of road, or square metres of buildings, that are new, matched and gone."""
        measure = shapely.length if self.kind == "roads" else shapely.area
        return {name: float(measure(shapes).sum()) for name, shapes in self._named_shapes()}

    @property
    def count(self) -> dict[str, int]:
        """Stretches of road, or buildings, that are new, matched and gone."""
        return {name: len(shapes) for name, shapes in self._named_shapes()}

    def layers(self) -> Iterator[tuple[Layer, str]]:
        """The layers with their styles, named ``roads_new`` and so on."""
        for name, shapes in self._named_shapes():
            label = f"{self.kind}_{name}"
            if self.kind == "roads":
                columns = {"length_m": shapely.length(shapes)}
                yield Layer(label, "LineString", shapes, columns), styles.line_style(COLOURS[name])
            else:
                columns = {"area_m2": shapely.area(shapes)}
                layer = Layer(label, "MultiPolygon", _to_multipolygons(shapes), columns)
                yield layer, styles.outline_style(COLOURS[name])
        if self.kind == "buildings":
            yield self.groups.layer()

    def _named_shapes(self) -> tuple[tuple[str, Shapes], ...]:
        return ("new", self.new), ("matched", self.matched), ("gone", self.gone)


def compare_roads(
    current: RoadGraph,
    reference: RoadGraph,
    *,
    within_m: float = 8.0,
    min_stretch_m: float = 25.0,
    allow_disjoint: bool = False,
) -> Changes:
    """The stretches of roads that are new, matched and gone.

    RULE 1: a step of road is matched where the other map has a road within ``within_m`` of its
    middle.
    RULE 2: a stretch shorter than ``min_stretch_m`` counts as the longer one beside it on the same
    road: a new road that leaves an old one is new from its first point.

    Raises ``InputError`` where both maps have roads but their extents do not overlap, unless they
    ``allow_disjoint``, where only one has a CRS, and for a ``within_m`` that is not more than 0.
    """
    if not within_m > 0:
        raise InputError(f"within_m is more than 0, not {within_m}")
    reference = _align_reference(current, reference, within_m, allow_disjoint=allow_disjoint)
    new, matched = _split_by_distance(current, reference, within_m, min_stretch_m)
    gone, _ = _split_by_distance(reference, current, within_m, min_stretch_m)
    return Changes("roads", new, matched, gone, current.crs if len(current) else reference.crs)


def compare_buildings(
    current: Buildings, reference: Buildings, *, iou: float = 0.5, allow_disjoint: bool = False
) -> Changes:
    """The buildings that are new, matched (one to one, at ``iou`` or more), gone, or in a group.

    ``metrics.polygons.pair_buildings`` has the rules. Raises ``InputError`` as ``roads`` does.
    """
    old, now, crs = align_polygons(reference, current, allow_disjoint=True)
    if not allow_disjoint:
        check_overlap(Extent.from_shapes(now, crs), Extent.from_shapes(old, crs), names=_NAMES)
    pairs = pair_buildings(old, now, iou)
    is_new, is_gone = pairs.pred_group < 0, pairs.truth_group < 0
    groups = Groups(
        now[~is_new], pairs.pred_group[~is_new], old[~is_gone], pairs.truth_group[~is_gone]
    )
    is_new[pairs.pred] = is_gone[pairs.truth] = False
    matched = np.sort(pairs.pred)
    return Changes("buildings", now[is_new], now[matched], old[is_gone], crs, groups)


def compare_files(
    current: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    within_m: float = 8.0,
    iou: float = 0.5,
) -> list[Changes]:
    """The changes of what both files have: roads, buildings or both.

    Only the part of the reference inside the bounding box of the map is compared. Lines are joined
    where they share a point. Raises ``InputError`` where the files have nothing in
    common to compare.
    """
    both = _find_common_kinds(current, reference)
    changes = []
    if "roads" in both:
        now, old = (RoadGraph.from_file(path, noding="vertices") for path in (current, reference))
        changes.append(_compare_roads_in_box(now, old, within_m))
    if "buildings" in both:
        changes.append(
            _compare_buildings_in_box(read_buildings(current), read_buildings(reference), iou)
        )
    if not both:
        raise InputError(
            f"{current} and {reference} have nothing in common to compare: both need a layer of "
            "roads (lines) or of buildings (polygons)"
        )
    return changes


def write_changes(path: str | os.PathLike[str], changes: list[Changes]) -> None:
    """Write the layers to a GeoPackage; raises ``InputError`` for another suffix."""
    if Path(path).suffix.lower() != ".gpkg":
        raise InputError(f"changes are layers of a GeoPackage: name the file .gpkg, not {path}")
    layers = [layer for each in changes for layer in each.layers()]
    write_geopackage(path, layers, next((each.crs for each in changes if each.crs), None))


def _align_reference(
    current: RoadGraph, reference: RoadGraph, within_m: float, *, allow_disjoint: bool
) -> RoadGraph:
    """The reference in the CRS of the map."""
    aligned = align_graphs(current, reference, within_m, allow_disjoint=True)
    if not allow_disjoint:
        current_extent, reference_extent = (
            Extent.from_shapes(side.lines, side.crs) for side in (current, reference)
        )
        check_overlap(current_extent, reference_extent, within_m, names=_NAMES)
    return aligned


def _split_by_distance(
    graph: RoadGraph, other: RoadGraph, within_m: float, min_stretch_m: float
) -> tuple[Shapes, Shapes]:
    """(far, near): stretches of roads that the other graph does not have, and that it has."""
    if not len(graph):
        return graph.lines, graph.lines
    dense = shapely.segmentize(graph.lines, _STEP_M)
    points, road = shapely.get_coordinates(dense, return_index=True)
    step = np.flatnonzero(np.diff(road) == 0)  # from point i to point i + 1
    length_m = np.hypot(*(points[step + 1] - points[step]).T)
    near = _find_near(other, (points[step] + points[step + 1]) / 2, within_m)
    starts = np.flatnonzero((np.diff(road[step], prepend=-1) != 0) | np.diff(near, prepend=near[0]))
    runs_m = np.add.reduceat(length_m, starts)
    is_near = _absorb_short_runs(road[step][starts], near[starts], runs_m, min_stretch_m)
    return _build_lines(points, step, starts, road[step][starts], is_near)


def _find_near(graph: RoadGraph, xy: NDArray[np.float64], within_m: float) -> NDArray[np.bool_]:
    """Whether the graph has a road within a distance of each point (k, 2)."""
    near = np.zeros(len(xy), bool)
    if len(graph):
        found = shapely.STRtree(graph.lines).query_nearest(
            shapely.points(xy), max_distance=within_m, all_matches=False
        )
        near[found[0]] = True
    return near


def _absorb_short_runs(
    road: NDArray[np.int64],
    near: NDArray[np.bool_],
    length_m: NDArray[np.float64],
    min_stretch_m: float,
) -> NDArray[np.bool_]:
    """(r,) near or not, with short runs counted as their neighbours on the road (RULE 2)."""
    result = near.copy()
    firsts = np.flatnonzero(np.diff(road, prepend=-1))
    for first, stop in zip(firsts, [*firsts[1:], len(road)], strict=True):
        runs = [
            (float(m), bool(n)) for m, n in zip(length_m[first:stop], near[first:stop], strict=True)
        ]
        result[first:stop] = _merge_runs(runs, min_stretch_m)
    return result


def _merge_runs(runs: list[tuple[float, bool]], min_m: float) -> list[bool]:
    """Near or not for each run of one road, from the shortest run that changes to the longest.

    >>> _merge_runs([(8.0, True), (60.0, False), (16.0, True), (90.0, False)], 25)
    [False, False, False, False]
    >>> _merge_runs([(8.0, True), (12.0, False)], 25)
    [False, False]
    """
    groups = [(m, near, 1) for m, near in runs]
    while len(groups) > 1:
        at = min(range(len(groups)), key=lambda i: groups[i][0])
        if groups[at][0] >= min_m:
            break
        low, high = max(at - 1, 0), min(at + 2, len(groups))
        total_m = sum(m for m, _, _ in groups[low:high])
        count = sum(size for _, _, size in groups[low:high])
        groups[low:high] = [(total_m, not groups[at][1], count)]
    return [near for _, near, count in groups for _ in range(count)]


def _build_lines(
    points: NDArray[np.float64],
    step: NDArray[np.int64],
    starts: NDArray[np.int64],
    road: NDArray[np.int64],
    near: NDArray[np.bool_],
) -> tuple[Shapes, Shapes]:
    """The lines of runs that are far, and of those that are near; equal neighbours are one."""
    fresh = (np.diff(road, prepend=-1) != 0) | np.diff(near, prepend=near[0])
    starts, near = starts[fresh], near[fresh]
    stops = np.append(starts[1:], len(step))
    lines = np.array(
        [
            shapely.LineString(points[step[start] : step[stop - 1] + 2])
            for start, stop in zip(starts, stops, strict=True)
        ],
        dtype=object,
    )
    lines = np.asarray(
        shapely.simplify(lines, 0.0), dtype=object
    )  # removes the points of the steps
    return lines[~near], lines[near]


def _find_common_kinds(
    current: str | os.PathLike[str], reference: str | os.PathLike[str]
) -> list[Kind]:
    """What both files have; an OpenStreetMap file that has nothing is an empty map of any kind."""
    have = [[kind for kind in _KINDS if _has_kind(path, kind)] for path in (current, reference)]
    may_have = [
        current_extent or (_KINDS if is_osm(path) else ())
        for path, current_extent in zip((current, reference), have, strict=True)
    ]
    return [kind for kind in _KINDS if all(kind in current_extent for current_extent in may_have)]


def _has_kind(path: str | os.PathLike[str], kind: Kind) -> bool:
    return kind == "roads" if Path(path).suffix.lower() == ".graphml" else has_features(path, kind)


def _compare_roads_in_box(current: RoadGraph, reference: RoadGraph, within_m: float) -> Changes:
    """Roads against those of the reference that lie in the map's box."""
    reference = _align_reference(current, reference, within_m, allow_disjoint=False)
    if len(current) and len(reference):
        left, bottom, right, top = shapely.total_bounds(current.lines)
        box = shapely.box(left - within_m, bottom - within_m, right + within_m, top + within_m)
        reference = _clip(reference, box)
    return compare_roads(current, reference, within_m=within_m, allow_disjoint=True)


def _compare_buildings_in_box(current: Buildings, reference: Buildings, iou: float) -> Changes:
    """Buildings against those of the reference whose middle lies in the map's box."""
    whole = compare_buildings(current, reference, iou=iou)
    current_extent = np.concatenate([whole.new, whole.matched, whole.groups.current])
    if not len(current_extent):
        return whole
    box = shapely.box(*shapely.total_bounds(current_extent))
    inside = shapely.intersects(shapely.centroid(whole.gone), box)
    return replace(whole, gone=whole.gone[inside])


def _clip(graph: RoadGraph, box: shapely.Polygon) -> RoadGraph:
    """The roads inside a box; those that do not leave it stay as they are."""
    inside = shapely.covers(box, graph.lines)
    parts = shapely.get_parts(shapely.intersection(graph.lines[~inside], box))
    parts = parts[shapely.length(parts) > 0]
    return RoadGraph.from_lines([*graph.lines[inside], *parts], graph.crs)


def _to_multipolygons(shapes: Shapes) -> Shapes:
    """All as MultiPolygons: a building may have several parts."""
    return np.array(
        [
            shape if shape.geom_type == "MultiPolygon" else shapely.MultiPolygon([shape])
            for shape in shapes
        ],
        dtype=object,
    )
