"""What changed: roads and buildings of a map that are new, matched or gone against a reference.

The reference is OpenStreetMap or an older map. Roads are told apart stretch by stretch, so that all
lengths of a map are in one of its layers, once; buildings are one thing each. Buildings that both
maps have, but divide in another way (a row of houses drawn as one), are groups of their own.
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

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.metrics.buildings import Buildings, align_polygons, pair_buildings
from terralink.metrics.roads import align_graphs
from terralink.vector import styles
from terralink.vector.layers import Layer, write_geopackage
from terralink.vector.osm import has_features, is_osm, read_buildings
from terralink.vector.projection import Extent, check_overlap

Shapes: TypeAlias = NDArray[np.object_]
Kind: TypeAlias = Literal["roads", "buildings"]

_NAMES = ("the map", "the reference")
_KINDS: tuple[Kind, ...] = ("roads", "buildings")
_STEP_M = 1.0  # how finely a road is told apart
# Blue, amber and magenta are told apart by every kind of eye.
COLOURS = {"new": "#ff3d8b", "matched": "#6b95ff", "gone": "#ffb000", "grouped": "#4de0c3"}
# Of the buildings of a group: those of the map to those of the reference.
RELATIONS = ("one-to-many", "many-to-one", "many-to-many")


@dataclass(frozen=True, eq=False)
class Groups:
    """Buildings of one place that two maps divide in different ways.

    given (k,), given_group (k,)          those of the map, and the group 0..g-1 of each
    reference (l,), reference_group (l,)  the same of the reference
    """

    given: Shapes
    given_group: NDArray[np.int64]
    reference: Shapes
    reference_group: NDArray[np.int64]

    @classmethod
    def none(cls) -> "Groups":
        """No groups: all that is there is one to one."""
        return cls(*(np.empty(0, kind) for kind in (object, np.int64, object, np.int64)))

    @property
    def relation(self) -> Shapes:
        """(g,) which of ``RELATIONS`` each group is, from the map to the reference."""
        count = max(self.given_group.max(initial=-1), self.reference_group.max(initial=-1)) + 1
        ours, theirs = (
            np.bincount(group, minlength=count)
            for group in (self.given_group, self.reference_group)
        )
        number = np.where(ours == 1, 0, np.where(theirs == 1, 1, 2))
        return np.array(RELATIONS, dtype=object)[number]

    def summary(self, relation: str) -> dict[str, float]:
        """How many groups are of that ``relation``, and what buildings they hold.

        ``map`` and ``reference`` count buildings, ``area_m2`` is of the map's.
        """
        is_so = self.relation == relation
        ours, theirs = is_so[self.given_group], is_so[self.reference_group]
        return {
            "count": int(is_so.sum()),
            "map": int(ours.sum()),
            "reference": int(theirs.sum()),
            "area_m2": float(shapely.area(self.given[ours]).sum()),
        }

    def layer(self) -> tuple[Layer, str]:
        """The buildings of both maps, ``side`` says of which, with their ``group``, and a style."""
        group = np.concatenate([self.given_group, self.reference_group])
        shapes = np.concatenate([self.given, self.reference])
        side = np.repeat(
            np.array(["map", "reference"], dtype=object), [len(self.given), len(self.reference)]
        )
        columns = {
            "group": group,
            "relation": self.relation[group],
            "side": side,
            "area_m2": shapely.area(shapes),
        }
        layer = Layer("buildings_grouped", "MultiPolygon", _several(shapes), columns)
        return layer, styles.outline_style(COLOURS["grouped"])


@dataclass(frozen=True, eq=False)
class Changes:
    """Lines or polygons of one ``kind`` in metres of ``crs``.

    new      in the map, and not in the reference
    matched  in both, as the map has them
    gone     in the reference, and not in the map
    groups   buildings of both that are the same ground, divided in another way
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
        return {name: float(measure(shapes).sum()) for name, shapes in self._named()}

    @property
    def count(self) -> dict[str, int]:
        """Stretches of road, or buildings, that are new, matched and gone."""
        return {name: len(shapes) for name, shapes in self._named()}

    def layers(self) -> Iterator[tuple[Layer, str]]:
        """A layer each with its style, named ``roads_new`` and so on."""
        for name, shapes in self._named():
            label = f"{self.kind}_{name}"
            if self.kind == "roads":
                columns = {"length_m": shapely.length(shapes)}
                yield Layer(label, "LineString", shapes, columns), styles.line_style(COLOURS[name])
            else:
                columns = {"area_m2": shapely.area(shapes)}
                layer = Layer(label, "MultiPolygon", _several(shapes), columns)
                yield layer, styles.outline_style(COLOURS[name])
        if self.kind == "buildings":
            yield self.groups.layer()

    def _named(self) -> tuple[tuple[str, Shapes], ...]:
        return ("new", self.new), ("matched", self.matched), ("gone", self.gone)


def roads(
    given: RoadGraph,
    reference: RoadGraph,
    *,
    within_m: float = 8.0,
    min_stretch_m: float = 25.0,
    allow_disjoint: bool = False,
) -> Changes:
    """The stretches of roads that are new, matched and gone.

    RULE 1: a step of road is matched where the other map has a road within ``within_m`` of its
    middle.
    RULE 2: a stretch shorter than ``min_stretch_m`` is what the longer one beside it on the same
    road is: where a new road leaves an old one it is new from its beginning.

    Raises ``InputError`` where both maps have roads but their extents do not overlap, unless they
    ``allow_disjoint``, where only one has a CRS, and for a ``within_m`` that is not more than 0.
    """
    if not within_m > 0:
        raise InputError(f"within_m is more than 0, not {within_m}")
    reference = _comparable(given, reference, within_m, allow_disjoint=allow_disjoint)
    new, matched = _told_apart(given, reference, within_m, min_stretch_m)
    gone, _ = _told_apart(reference, given, within_m, min_stretch_m)
    return Changes("roads", new, matched, gone, given.crs if len(given) else reference.crs)


def buildings(
    given: Buildings, reference: Buildings, *, iou: float = 0.5, allow_disjoint: bool = False
) -> Changes:
    """The buildings that are new, matched (one to one, at ``iou`` or more), gone, or in a group.

    ``metrics.polygons.pair_buildings`` has the rules. Raises ``InputError`` as ``roads`` does.
    """
    old, now, crs = align_polygons(reference, given, allow_disjoint=True)
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


def of_files(
    given: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    within_m: float = 8.0,
    iou: float = 0.5,
) -> list[Changes]:
    """The changes of what both files have: roads, buildings or both.

    The reference is taken as far as the box around the map reaches: beyond it nobody looked. Lines
    are joined where they share a point. Raises ``InputError`` where the files have nothing in
    common to compare.
    """
    both = _kinds_of_both(given, reference)
    changes = []
    if "roads" in both:
        now, old = (RoadGraph.from_file(path, noding="vertices") for path in (given, reference))
        changes.append(_within_box(now, old, within_m))
    if "buildings" in both:
        changes.append(_buildings_within_box(read_buildings(given), read_buildings(reference), iou))
    if not both:
        raise InputError(
            f"{given} and {reference} have nothing in common to compare: both need a layer of "
            "roads (lines) or of buildings (polygons)"
        )
    return changes


def write(path: str | os.PathLike[str], changes: list[Changes]) -> None:
    """Write a GeoPackage of a layer each, styled; raises ``InputError`` for another suffix."""
    if Path(path).suffix.lower() != ".gpkg":
        raise InputError(f"changes are layers of a GeoPackage: name the file .gpkg, not {path}")
    layers = [layer for each in changes for layer in each.layers()]
    write_geopackage(path, layers, next((each.crs for each in changes if each.crs), None))


def _comparable(
    given: RoadGraph, reference: RoadGraph, within_m: float, *, allow_disjoint: bool
) -> RoadGraph:
    """The reference in the CRS of the map."""
    brought = align_graphs(given, reference, within_m, allow_disjoint=True)
    if not allow_disjoint:
        here, there = (Extent.from_shapes(side.lines, side.crs) for side in (given, reference))
        check_overlap(here, there, within_m, names=_NAMES)
    return brought


def _told_apart(
    graph: RoadGraph, other: RoadGraph, within_m: float, min_stretch_m: float
) -> tuple[Shapes, Shapes]:
    """(far, near): the stretches of the graph's roads that the other has not, and those it has."""
    if not len(graph):
        return graph.lines, graph.lines
    dense = shapely.segmentize(graph.lines, _STEP_M)
    points, road = shapely.get_coordinates(dense, return_index=True)
    step = np.flatnonzero(np.diff(road) == 0)  # from point i to point i + 1
    length_m = np.hypot(*(points[step + 1] - points[step]).T)
    near = _near(other, (points[step] + points[step + 1]) / 2, within_m)
    starts = np.flatnonzero((np.diff(road[step], prepend=-1) != 0) | np.diff(near, prepend=near[0]))
    runs_m = np.add.reduceat(length_m, starts)
    kept = _settled(road[step][starts], near[starts], runs_m, min_stretch_m)
    return _stretches(points, step, starts, road[step][starts], kept)


def _near(graph: RoadGraph, xy: NDArray[np.float64], within_m: float) -> NDArray[np.bool_]:
    """Whether the graph has a road within a distance of each point (k, 2)."""
    near = np.zeros(len(xy), bool)
    if len(graph):
        found = shapely.STRtree(graph.lines).query_nearest(
            shapely.points(xy), max_distance=within_m, all_matches=False
        )
        near[found[0]] = True
    return near


def _settled(
    road: NDArray[np.int64],
    near: NDArray[np.bool_],
    length_m: NDArray[np.float64],
    min_stretch_m: float,
) -> NDArray[np.bool_]:
    """(r,) near or not, with short runs given to what is beside them on their road (RULE 2)."""
    result = near.copy()
    firsts = np.flatnonzero(np.diff(road, prepend=-1))
    for first, stop in zip(firsts, [*firsts[1:], len(road)], strict=True):
        runs = [
            (float(m), bool(n)) for m, n in zip(length_m[first:stop], near[first:stop], strict=True)
        ]
        result[first:stop] = _merged(runs, min_stretch_m)
    return result


def _merged(runs: list[tuple[float, bool]], min_m: float) -> list[bool]:
    """What each of the runs of one road becomes: the shortest turns first.

    >>> _merged([(8.0, True), (60.0, False), (16.0, True), (90.0, False)], 25)
    [False, False, False, False]
    >>> _merged([(8.0, True), (12.0, False)], 25)
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


def _stretches(
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
    lines = np.asarray(shapely.simplify(lines, 0.0), dtype=object)  # the points of the steps go
    return lines[~near], lines[near]


def _kinds_of_both(given: str | os.PathLike[str], reference: str | os.PathLike[str]) -> list[Kind]:
    """What both files have; an OpenStreetMap file that has nothing is an empty map of any kind."""
    have = [[kind for kind in _KINDS if _has(path, kind)] for path in (given, reference)]
    may_have = [
        here or (_KINDS if is_osm(path) else ())
        for path, here in zip((given, reference), have, strict=True)
    ]
    return [kind for kind in _KINDS if all(kind in here for here in may_have)]


def _has(path: str | os.PathLike[str], kind: Kind) -> bool:
    return kind == "roads" if Path(path).suffix.lower() == ".graphml" else has_features(path, kind)


def _within_box(given: RoadGraph, reference: RoadGraph, within_m: float) -> Changes:
    """Roads against those of the reference that lie in the map's box."""
    reference = _comparable(given, reference, within_m, allow_disjoint=False)
    if len(given) and len(reference):
        left, bottom, right, top = shapely.total_bounds(given.lines)
        box = shapely.box(left - within_m, bottom - within_m, right + within_m, top + within_m)
        reference = _clip(reference, box)
    return roads(given, reference, within_m=within_m, allow_disjoint=True)


def _buildings_within_box(given: Buildings, reference: Buildings, iou: float) -> Changes:
    """Buildings against those of the reference whose middle lies in the map's box."""
    whole = buildings(given, reference, iou=iou)
    here = np.concatenate([whole.new, whole.matched, whole.groups.given])
    if not len(here):
        return whole
    box = shapely.box(*shapely.total_bounds(here))
    inside = shapely.intersects(shapely.centroid(whole.gone), box)
    return replace(whole, gone=whole.gone[inside])


def _clip(graph: RoadGraph, box: shapely.Polygon) -> RoadGraph:
    """The roads inside a box; those that do not leave it stay as they are."""
    inside = shapely.covers(box, graph.lines)
    parts = shapely.get_parts(shapely.intersection(graph.lines[~inside], box))
    parts = parts[shapely.length(parts) > 0]
    return RoadGraph.from_lines([*graph.lines[inside], *parts], graph.crs)


def _several(shapes: Shapes) -> Shapes:
    """All as MultiPolygons: what has several parts is one building."""
    return np.array(
        [
            shape if shape.geom_type == "MultiPolygon" else shapely.MultiPolygon([shape])
            for shape in shapes
        ],
        dtype=object,
    )
