"""OpenStreetMap's XML in and out: nodes, ways and the tags they carry.

Files come from anywhere, so they are read by expat with no document type allowed: without one there
is no entity that could expand or reach out. What is written is plain: nodes, ways, a few tags.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.errors import InputError
from terralink.files import written_whole

Shapes: TypeAlias = NDArray[np.object_]
Tags: TypeAlias = dict[str, str]
StartHandler: TypeAlias = Callable[[str, dict[str, str]], None]

# Values of the tag 'highway' that a car may drive on
DRIVABLE = frozenset(
    {
        *("motorway", "trunk", "primary", "secondary", "tertiary"),
        *("motorway_link", "trunk_link", "primary_link", "secondary_link", "tertiary_link"),
        *("unclassified", "residential", "living_street", "service", "track", "road"),
    }
)


@dataclass(frozen=True)
class Way:
    """The numbers of its nodes, in order, and its tags."""

    nodes: list[int]
    tags: Tags


@dataclass(frozen=True)
class Osm:
    """What a file says: ``places`` (node -> lon, lat), ``ways``, and relations as ways of ways."""

    places: Mapping[int, tuple[float, float]]
    ways: Mapping[int, Way]
    relations: Sequence[Way] = field(default_factory=list)

    def roads(self) -> tuple[Shapes, list[Tags]]:
        """Lines (m,) in longitude and latitude, and their tags, of what a car may drive on.

        Ways are cut at nodes that they share: there one can turn. Where lines merely cross there is
        a bridge.
        """
        drivable = [way for way in self.ways.values() if way.tags.get("highway") in DRIVABLE]
        seen = Counter(node for way in drivable for node in self._known(way.nodes))
        parts = [
            (part, way.tags)
            for way in drivable
            for part in _cut(self._known(way.nodes), seen)
            if len(part) > 1
        ]
        lines = [shapely.LineString([self.places[node] for node in part]) for part, _ in parts]
        return _array(lines), [tags for _, tags in parts]

    def areas(self, key: str) -> Shapes:
        """Polygons (k,) in longitude and latitude of closed ways and relations tagged ``key``."""
        rings = [way.nodes for way in self.ways.values() if _is_tagged(way, key)]
        closed = [self._known(nodes) for nodes in rings if len(nodes) > 3 and nodes[0] == nodes[-1]]
        simple = [
            shapely.Polygon([self.places[node] for node in ring])
            for ring in closed
            if len(ring) > 3
        ]
        return _array([*simple, *(self._assembled(way) for way in self._multipolygons(key))])

    def _multipolygons(self, key: str) -> list[Way]:
        kind = ("multipolygon", "building")
        return [
            way for way in self.relations if way.tags.get("type") in kind and _is_tagged(way, key)
        ]

    def _assembled(self, relation: Way) -> shapely.Geometry:
        """The area that the member ways enclose: inner rings are holes."""
        members = [self.ways[number] for number in relation.nodes if number in self.ways]
        lines = [[self.places[node] for node in self._known(way.nodes)] for way in members]
        drawn = shapely.node(shapely.MultiLineString([line for line in lines if len(line) > 1]))
        return shapely.build_area(drawn)

    def _known(self, nodes: list[int]) -> list[int]:
        """Without the nodes that an extract leaves out beyond its border."""
        return [node for node in nodes if node in self.places]

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of all nodes; nan without any."""
        left, bottom, right, top = shapely.total_bounds(shapely.points([*self.places.values()]))
        return float(left), float(bottom), float(right), float(top)


def read_osm(path: str | os.PathLike[str]) -> Osm:
    """Read an .osm file; raises ``InputError`` for what is none, or has a document type."""
    reader = _Reader()
    read_xml(path, start=reader.start)
    if reader.root != "osm":
        raise InputError(f"{path} is XML, but not of OpenStreetMap: its root is {reader.root!r}")
    return Osm(reader.places, reader.ways, reader.relations)


def write_osm(path: str | os.PathLike[str], osm: Osm) -> None:
    """Write nodes and ways as an .osm file, whole or not at all.

    It says that it must not be uploaded: nobody has checked what was extracted.
    """
    with written_whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write('<osm version="0.6" generator="terralink" upload="never">\n')
        file.writelines(
            # 8 decimals of a degree are a millimetre
            f'<node id="{number}" lat="{lat:.8f}" lon="{lon:.8f}"/>\n'
            for number, (lon, lat) in osm.places.items()
        )
        for number, way in osm.ways.items():
            file.write(f'<way id="{number}">\n')
            file.writelines(f'<nd ref="{node}"/>\n' for node in way.nodes)
            file.writelines(
                f"<tag k={quoteattr(key)} v={quoteattr(value)}/>\n"
                for key, value in way.tags.items()
            )
            file.write("</way>\n")
        file.write("</osm>\n")


def read_xml(
    path: str | os.PathLike[str],
    *,
    start: StartHandler = lambda _name, _attributes: None,
) -> None:
    """Call ``start(name, attributes)`` for each element of an XML file, from top to bottom.

    Raises ``InputError`` where it is not well-formed, and where it declares a document type.
    """

    def refuse(*_declaration: object) -> None:
        raise InputError(f"{path} declares a document type, which could hide anything: remove it")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    try:
        with Path(path).open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not well-formed: {error}") from error


class _Reader:
    """Keeps what the elements of an .osm file say, as expat tells them."""

    def __init__(self) -> None:
        self.root = ""
        self.places: dict[int, tuple[float, float]] = {}
        self.ways: dict[int, Way] = {}
        self.relations: list[Way] = []
        self._open = Way([], {})  # the way or relation that is being told

    def start(self, name: str, given: dict[str, str]) -> None:
        self.root = self.root or name
        if name == "node":
            if "lon" in given:  # a deleted node is nowhere
                self.places[int(given["id"])] = float(given["lon"]), float(given["lat"])
            self._open = Way([], {})
        elif name == "way":
            self._open = self.ways[int(given["id"])] = Way([], {})
        elif name == "relation":
            self._open = Way([], {})
            self.relations.append(self._open)
        elif name == "nd" or (name == "member" and given["type"] == "way"):
            self._open.nodes.append(int(given["ref"]))
        elif name == "tag":
            self._open.tags[given["k"]] = given["v"]


def _cut(nodes: list[int], seen: Counter[int]) -> Iterable[list[int]]:
    """The stretches of a way between nodes that are seen more than once."""
    inner = [i for i in range(1, len(nodes) - 1) if seen[nodes[i]] > 1]
    for start, stop in zip([0, *inner], [*inner, len(nodes) - 1], strict=True):
        yield nodes[start : stop + 1]


def _is_tagged(way: Way, key: str) -> bool:
    return way.tags.get(key, "no") != "no"


def _array(shapes: Sequence[shapely.Geometry]) -> Shapes:
    result = np.empty(len(shapes), dtype=object)
    result[:] = shapes
    return result
