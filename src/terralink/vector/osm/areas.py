"""Buildings of several rings: which relations say them, and their shapes by libosmium's assembler.

RULE 1: a relation of the type ``multipolygon`` that is tagged ``building``, and one of the type
        ``building`` with its outline, is a building. Parts in 3D are within it.
RULE 2: in the old style the tags are on the outer ways, and the relation has none of its own.
RULE 3: what a relation says is counted once: a closed way that is its outer ring is no second
        building, though it may be tagged so as well. An inner ring may be a building of its own.
RULE 4: a relation with a ring that is not whole makes no area; its closed outer ways stand alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import shapely

from terralink.vector.osm.elements import Shapes, Ways
from terralink.vector.osm.tags import Tags, has, is_building

# Keys that say nothing of what a relation is
_SILENT = {"type", "source", "created_by", "note", "fixme", "name", "description"}
_OUTER, _INNER = {"outer", "outline", ""}, {"inner"}


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
class Assembled:
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
        tags = tags_of_element(each)
        kind = tags.get("type")
        if kind not in ("multipolygon", "building"):
            continue
        ways = [(m.ref, m.role) for m in each.members if m.type == "w"]
        outer = tuple(ref for ref, role in ways if role in _OUTER)
        told = Relation(outer, tuple(ref for ref, role in ways if role in _INNER), tags)
        if kind == "multipolygon":
            multipolygons[each.id] = told
        else:
            nested = [m.ref for m in each.members if m.type == "r" and m.role in _OUTER]
            outlines.append((told, nested))
    found = [each for each in map(_multipolygon, multipolygons.values()) if each is not None]
    return found + [_outlined(told, nested, multipolygons) for told, nested in outlines]


def tags_of_element(element: Any) -> Tags:
    """The tags of an element of osmium's.

    They are counted, since the end of its iterator is an exception of C++, which takes long.
    """
    return {tag.k: tag.v for tag in islice(element.tags, len(element.tags))}


def _multipolygon(relation: Relation) -> Relation | None:
    if is_building(relation.tags):
        return relation
    return None if relation.tags.keys() - _SILENT else replace(relation, tags={})


def _outlined(told: Relation, nested: list[int], others: Mapping[int, Relation]) -> Relation:
    """A relation of the type ``building``, with the rings of the relations that are its outline."""
    within = [others[number] for number in nested if number in others]
    outer = told.outer + tuple(ref for each in within for ref in each.outer)
    inner = told.inner + tuple(ref for each in within for ref in each.inner)
    return Relation(outer, inner, {"building": "yes"} | told.tags)


def assemble(
    osmium: ModuleType, relations: list[Relation], ways: Ways, row_of: Mapping[int, int]
) -> Assembled:
    """The areas of ``relations``; ``row_of`` says which row of ``ways`` has a way's number."""
    wanted = [_tagged(each, ways, row_of) for each in relations]
    usable = [each for each in wanted if each is not None]
    areas = _areas(osmium, [_rows(each, ways, row_of) for each in usable], ways)
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
    return Assembled(result, tags, repeated, failed)


def _tagged(relation: Relation, ways: Ways, row_of: Mapping[int, int]) -> Relation | None:
    """The relation with the tags of its outer ways where it has none (RULE 2)."""
    if relation.tags:
        return relation
    outer = (ways.tags[row_of[ref]] for ref in relation.outer if ref in row_of)
    tags = next((tags for tags in outer if is_building(tags)), None)
    return None if tags is None else replace(relation, tags=tags)


def _rows(relation: Relation, ways: Ways, row_of: Mapping[int, int]) -> list[int]:
    """The rows of all members; none where one of them is missing or not whole."""
    rows = [row_of.get(ref, -1) for ref in relation.members]
    return rows if all(row >= 0 and ways.is_whole[row] for row in rows) else []


def _stands_alone(relation: Relation, ways: Ways, row_of: Mapping[int, int]) -> bool:
    """Whether the outer ways are drawn as buildings anyway, each by itself (RULE 4)."""
    rows = [row_of.get(ref, -1) for ref in relation.outer]
    return bool(rows) and all(
        row >= 0 and ways.is_ring[row] and has(ways.tags[row], "building") for row in rows
    )


def _areas(osmium: ModuleType, relations: list[list[int]], ways: Ways) -> dict[int, Any]:
    """The shape of each relation, by its place in the list, whose ways (rows) close to rings.

    The assembler reads a file, here in memory: nodes and ways are numbered anew, from 1.
    """
    rows = np.unique(np.array([row for each in relations for row in each], dtype=np.int64))
    if not len(rows):
        return {}
    told = ways.select(rows)
    nodes, first, number = np.unique(told.nodes, return_index=True, return_inverse=True)
    places = told.lonlat[first].tolist()
    lines = [f"n{i + 1} x{x:.7f} y{y:.7f}" for i, (x, y) in enumerate(places)]
    del nodes
    for way, (start, stop) in enumerate(zip(told.starts, told.starts[1:], strict=False)):
        lines.append(f"w{way + 1} N" + ",".join(f"n{i + 1}" for i in number[start:stop]))
    for i, each in enumerate(relations):
        members = ",".join(f"w{row + 1}@" for row in np.searchsorted(rows, each))
        lines += [f"r{i + 1} Ttype=multipolygon M{members}"] if each else []
    buffer = osmium.io.FileBuffer(("\n".join(lines) + "\n").encode(), "opl")
    to_wkb = osmium.geom.WKBFactory().create_multipolygon
    return {
        area.orig_id() - 1: _plain(shapely.from_wkb(to_wkb(area)))
        for area in osmium.FileProcessor(buffer).with_areas()
        if area.is_area() and not area.from_way() and area.num_rings()[0]
    }


def _plain(area: shapely.MultiPolygon) -> shapely.Geometry:
    """A polygon where there is just one."""
    return area.geoms[0] if len(area.geoms) == 1 else area
