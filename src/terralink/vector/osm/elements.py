"""OpenStreetMap's ways and areas, and the shapes that they make.

Buildings of several rings come from relations; libosmium's assembler makes their shapes.

RULE 1: a relation of the type ``multipolygon`` that is tagged ``building``, and one of the type
        ``building`` with its outline, is a building. Parts in 3D are within it.
RULE 2: in the old style the tags are on the outer ways, and the relation has none of its own.
RULE 3: what a relation says is counted once: a closed way that is its outer ring is no second
        building, though it may be tagged so as well. An inner ring may be a building of its own.
RULE 4: a relation with a ring that is not whole makes no area; its closed outer ways stand alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import shapely

from terralink._typing import Bools, Floats, Ints, Shapes
from terralink.vector.osm.tags import Tags, has_tag, is_area, is_building, is_drivable, is_road

# Keys that say nothing of what a relation is
_SILENT = {"type", "source", "created_by", "note", "fixme", "name", "description"}
_OUTER, _INNER = {"outer", "outline", ""}, {"inner"}


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways (m,) as arrays: a city has millions of nodes.

    nodes (p,)       the numbers of their nodes, way after way
    lonlat (p, 2)    where these are; nan where an extract leaves a node out beyond its border
    starts (m + 1,)  way i is ``nodes[starts[i]:starts[i + 1]]``
    tags             those of each way
    """

    nodes: Ints
    lonlat: Floats
    starts: Ints
    tags: Sequence[Tags]

    def __len__(self) -> int:
        return len(self.tags)

    @cached_property
    def way_index(self) -> Ints:
        """(p,) the way of each node."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def has_location(self) -> Bools:
        """(p,) whether the place of each node is known."""
        return ~np.isnan(self.lonlat[:, 0])

    @cached_property
    def is_complete(self) -> Bools:
        """(m,) whether the places of all nodes are known."""
        return np.asarray(np.bincount(self.way_index, ~self.has_location, len(self)) == 0)

    @cached_property
    def is_ring(self) -> Bools:
        """(m,) whether a way ends where it begins, around something."""
        ring = np.diff(self.starts) > 3
        first, last = self.starts[:-1][ring], self.starts[1:][ring] - 1
        ring[ring] = self.nodes[first] == self.nodes[last]
        return ring

    def select(self, rows: Ints) -> "Ways":
        """Some of the ways, in the order of ``rows`` (k,)."""
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        points = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], counts)
        tags = [self.tags[row] for row in rows]
        return Ways(self.nodes[points], self.lonlat[points], starts, tags)

    def polygons(self) -> Shapes:
        """(m,) polygons of ways that are whole rings, all of them."""
        if not len(self):
            return np.empty(0, object)
        rings = shapely.linearrings(self.lonlat, indices=self.way_index)
        return np.asarray(shapely.polygons(rings), dtype=object)

    def lines(self, *, cut: bool) -> tuple[Shapes, Ints]:
        """Lines (k,) between known nodes, and the way (k,) of each.

        Where ``cut`` they also end at nodes that are there more than once, such as those that two
        ways share. A way is never drawn across a node whose place is not known.
        """
        new_run = np.diff(self.way_index, prepend=-1) > 0
        new_run[1:] |= ~self.has_location[:-1]
        repeated = ~new_run
        repeated[1:] &= np.diff(self.nodes) == 0
        point = np.flatnonzero(self.has_location & ~repeated)
        run = np.cumsum(new_run)[point]
        tip = (np.diff(run, prepend=-1) != 0) | (np.diff(run, append=-1) != 0)
        _, numbers, seen = np.unique(self.nodes[point], return_inverse=True, return_counts=True)
        inner_cut = (seen[numbers] > 1) & ~tip if cut else np.zeros(len(point), bool)
        # a cut ends one line and begins the next: its point is there twice
        twice = np.repeat(np.arange(len(point)), 1 + inner_cut)
        again = np.diff(twice, prepend=-1) == 0
        line = np.cumsum((np.diff(run[twice], prepend=-1) != 0) | again) - 1
        long = np.bincount(line)[line] > 1
        at, (_, line) = point[twice][long], np.unique(line[long], return_inverse=True)
        if not len(at):
            return np.empty(0, object), np.empty(0, np.int64)
        lines = shapely.linestrings(self.lonlat[at], indices=line)
        first = np.flatnonzero(np.diff(line, prepend=-1))
        return np.asarray(lines, dtype=object), self.way_index[at[first]]


@dataclass(frozen=True, eq=False)
class Elements:
    """What a file says of roads and buildings.

    ways           all that are tagged ``highway``, and the rings of areas
    areas          buildings, the ones of several rings assembled
    area_tags      those of each area
    repeated (m,)  whether a way is the outer ring of an area, which counts in its place
    failed         relations of buildings that an extract has cut, or whose rings cross
    """

    ways: Ways
    areas: Shapes
    area_tags: Sequence[Tags]
    repeated: Bools
    failed: int = 0

    def roads(self) -> tuple[Shapes, list[Tags]]:
        """Lines (m,) in longitude and latitude, and their tags, of what a car may drive on.

        Ways are cut at nodes that they share: there one can turn. Where lines merely cross there is
        a bridge. Squares are no roads.
        """
        roads = self._ways([is_road(tags) for tags in self.ways.tags])
        lines, way = roads.lines(cut=True)
        return lines, [roads.tags[i] for i in way]

    def streets(self) -> tuple[Shapes, list[Tags]]:
        """As ``roads``, but each way in one piece, and squares are there, as polygons."""
        roads = self._ways([is_road(tags) for tags in self.ways.tags])
        lines, way = roads.lines(cut=False)
        drivable = [is_drivable(tags) and is_area(tags) for tags in self.ways.tags]
        squares = self._ways(np.array(drivable, bool) & self.ways.is_ring & self.ways.is_complete)
        tags = [roads.tags[i] for i in way] + list(squares.tags)
        return np.concatenate([lines, squares.polygons()]), tags

    def buildings(self) -> tuple[Shapes, list[Tags]]:
        """Polygons (k,) of buildings in longitude and latitude, and their tags."""
        rings = self._ways(self._is_building & self.ways.is_ring & self.ways.is_complete)
        shapes = np.concatenate([rings.polygons(), self.areas])
        tags = [*rings.tags, *self.area_tags]
        whole = np.flatnonzero(~find_parts(shapes, tags))
        return shapes[whole], [tags[i] for i in whole.tolist()]

    @property
    def incomplete_buildings(self) -> int:
        """How many ways are tagged ``building`` and are no ring, or not whole in an extract."""
        return int((self._is_building & ~(self.ways.is_ring & self.ways.is_complete)).sum())

    @cached_property
    def _is_building(self) -> Bools:
        """(m,) which ways are buildings, if they are whole rings."""
        return np.array([is_building(tags) for tags in self.ways.tags], bool) & ~self.repeated

    def _ways(self, chosen: Sequence[bool] | Bools) -> Ways:
        return self.ways.select(np.flatnonzero(np.asarray(chosen, bool)))


def find_parts(shapes: Shapes, tags: Sequence[Tags]) -> Bools:
    """(k,) which buildings are but parts of another: tagged so as well, and inside it."""
    parts = np.array([has_tag(each, "building:part") for each in tags], bool)
    rows = np.flatnonzero(parts)
    if len(rows):
        middles = shapely.point_on_surface(shapely.make_valid(shapes[rows]))
        inner, outer = shapely.STRtree(shapes).query(middles, predicate="within")
        larger = shapely.area(shapes[outer]) > shapely.area(shapes[rows[inner]])
        parts[rows] = np.isin(np.arange(len(rows)), inner[larger])
    return parts


@dataclass(frozen=True)
class Relation:
    """A building as ways around it and around its courtyards; ``tags`` are empty in old style."""

    outer: tuple[int, ...]
    inner: tuple[int, ...]
    tags: Tags

    @property
    def members(self) -> tuple[int, ...]:
        return self.outer + self.inner


@dataclass(frozen=True, eq=False)
class Assembly:
    """Areas with their tags, the numbers of the ways that they repeat, and how many failed."""

    shapes: Shapes
    tags: list[Tags]
    repeated: set[int]
    failed: int


def building_relations(relations: Iterable[Any]) -> list[Relation]:
    """Those of osmium's relations that may be buildings (RULES 1 and 2), multipolygons first."""
    multipolygons: dict[int, Relation] = {}
    outlines: list[tuple[Relation, list[int]]] = []
    for each in relations:
        tags = element_tags(each)
        kind = tags.get("type")
        if kind not in ("multipolygon", "building"):
            continue
        ways = [(m.ref, m.role) for m in each.members if m.type == "w"]
        outer = tuple(ref for ref, role in ways if role in _OUTER)
        relation = Relation(outer, tuple(ref for ref, role in ways if role in _INNER), tags)
        if kind == "multipolygon":
            multipolygons[each.id] = relation
        else:
            nested = [m.ref for m in each.members if m.type == "r" and m.role in _OUTER]
            outlines.append((relation, nested))
    found = [each for each in map(_as_building, multipolygons.values()) if each is not None]
    return found + [
        _merge_outline(relation, nested, multipolygons) for relation, nested in outlines
    ]


def element_tags(element: Any) -> Tags:
    """The tags of an element of osmium's.

    They are counted, since the end of its iterator is an exception of C++, which takes long.
    """
    return {tag.k: tag.v for tag in islice(element.tags, len(element.tags))}


def _as_building(relation: Relation) -> Relation | None:
    if is_building(relation.tags):
        return relation
    return None if relation.tags.keys() - _SILENT else replace(relation, tags={})


def _merge_outline(
    relation: Relation, nested: list[int], others: Mapping[int, Relation]
) -> Relation:
    """A relation of the type ``building``, with the rings of the relations that are its outline."""
    within = [others[number] for number in nested if number in others]
    outer = relation.outer + tuple(ref for each in within for ref in each.outer)
    inner = relation.inner + tuple(ref for each in within for ref in each.inner)
    return Relation(outer, inner, {"building": "yes"} | relation.tags)


def assemble(
    osmium: ModuleType, relations: list[Relation], ways: Ways, row_of: Mapping[int, int]
) -> Assembly:
    """The areas of ``relations``; ``row_of`` says which row of ``ways`` has a way's number."""
    wanted = [_with_way_tags(each, ways, row_of) for each in relations]
    usable = [each for each in wanted if each is not None]
    areas = _assemble_areas(osmium, [_rows(each, ways, row_of) for each in usable], ways)
    shapes, tags, repeated, failed = [], [], set[int](), 0
    for number, each in enumerate(usable):
        if each.outer and repeated.issuperset(each.outer):
            continue  # an outline of what a multipolygon has said
        if number in areas:
            shapes.append(areas[number])
            tags.append(each.tags)
            repeated.update(each.outer)
        else:
            failed += not _stands_alone(each, ways, row_of)
    result = np.empty(len(shapes), dtype=object)
    result[:] = shapes
    return Assembly(result, tags, repeated, failed)


def _with_way_tags(relation: Relation, ways: Ways, row_of: Mapping[int, int]) -> Relation | None:
    """The relation with the tags of its outer ways where it has none (RULE 2)."""
    if relation.tags:
        return relation
    outer = (ways.tags[row_of[ref]] for ref in relation.outer if ref in row_of)
    tags = next((tags for tags in outer if is_building(tags)), None)
    return None if tags is None else replace(relation, tags=tags)


def _rows(relation: Relation, ways: Ways, row_of: Mapping[int, int]) -> list[int]:
    """The rows of all members; none where one of them is missing or not whole."""
    rows = [row_of.get(ref, -1) for ref in relation.members]
    return rows if all(row >= 0 and ways.is_complete[row] for row in rows) else []


def _stands_alone(relation: Relation, ways: Ways, row_of: Mapping[int, int]) -> bool:
    """Whether the outer ways are drawn as buildings anyway, each by itself (RULE 4)."""
    rows = [row_of.get(ref, -1) for ref in relation.outer]
    return bool(rows) and all(
        row >= 0 and ways.is_ring[row] and has_tag(ways.tags[row], "building") for row in rows
    )


def _assemble_areas(osmium: ModuleType, relations: list[list[int]], ways: Ways) -> dict[int, Any]:
    """The shape of each relation, by its place in the list, whose ways (rows) close to rings.

    The assembler reads a file, here in memory: nodes and ways are numbered anew, from 1.
    """
    rows = np.unique(np.array([row for each in relations for row in each], dtype=np.int64))
    if not len(rows):
        return {}
    used = ways.select(rows)
    nodes, first, number = np.unique(used.nodes, return_index=True, return_inverse=True)
    places = used.lonlat[first].tolist()
    lines = [f"n{i + 1} x{x:.7f} y{y:.7f}" for i, (x, y) in enumerate(places)]
    del nodes
    for way, (start, stop) in enumerate(zip(used.starts, used.starts[1:], strict=False)):
        lines.append(f"w{way + 1} N" + ",".join(f"n{i + 1}" for i in number[start:stop]))
    for i, each in enumerate(relations):
        members = ",".join(f"w{row + 1}@" for row in np.searchsorted(rows, each))
        lines += [f"r{i + 1} Ttype=multipolygon M{members}"] if each else []
    buffer = osmium.io.FileBuffer(("\n".join(lines) + "\n").encode(), "opl")
    to_wkb = osmium.geom.WKBFactory().create_multipolygon
    return {
        area.orig_id() - 1: _unwrap_single(shapely.from_wkb(to_wkb(area)))
        for area in osmium.FileProcessor(buffer).with_areas()
        if area.is_area() and not area.from_way() and area.num_rings()[0]
    }


def _unwrap_single(area: shapely.MultiPolygon) -> shapely.Geometry:
    """A polygon where there is just one."""
    return area.geoms[0] if len(area.geoms) == 1 else area
