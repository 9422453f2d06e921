"""OpenStreetMap's elements, nodes, ways and relations, and the shapes that they make."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

Shapes: TypeAlias = NDArray[np.object_]
Tags: TypeAlias = dict[str, str]

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

    @property
    def is_closed(self) -> bool:
        return len(self.nodes) > 3 and self.nodes[0] == self.nodes[-1]


@dataclass(frozen=True)
class Elements:
    """What a file says: ``places`` (node -> lon, lat), ``ways``, and relations as ways of ways."""

    places: Mapping[int, tuple[float, float]]
    ways: Mapping[int, Way]
    relations: Sequence[Way] = field(default_factory=list)

    def roads(self) -> tuple[Shapes, list[Tags]]:
        """Lines (m,) in longitude and latitude, and their tags, of what a car may drive on.

        Ways are cut at nodes that they share: there one can turn. Where lines merely cross there is
        a bridge.
        """
        drivable = self._drivable()
        seen = Counter(node for way in drivable for node in self._known(way.nodes))
        parts = [
            (part, way.tags)
            for way in drivable
            for part in _cut(self._known(way.nodes), seen)
            if len(part) > 1
        ]
        lines = [shapely.LineString([self.places[node] for node in part]) for part, _ in parts]
        return _array(lines), [tags for _, tags in parts]

    def streets(self) -> tuple[Shapes, list[Tags]]:
        """As ``roads``, but each way in one piece; squares (``area=yes``) are polygons."""
        ways = [(self._points(way), way.tags) for way in self._drivable()]
        told = [
            (shapely.Polygon(points) if is_square(tags) else shapely.LineString(points), tags)
            for points, tags in ways
            if len(points) > (3 if is_square(tags) else 1)
        ]
        return _array([shape for shape, _ in told]), [tags for _, tags in told]

    def areas(self, key: str) -> tuple[Shapes, list[Tags]]:
        """Polygons (k,) in longitude and latitude of what is tagged ``key``, and their tags.

        They are closed ways, and relations of several rings, whose inner ones are holes.
        """
        closed = [way for way in self.ways.values() if _is_tagged(way, key) and way.is_closed]
        rings = [(self._points(way), way.tags) for way in closed]
        told = [(shapely.Polygon(points), tags) for points, tags in rings if len(points) > 3]
        told += [(self._assembled(way), way.tags) for way in self._multipolygons(key)]
        return _array([shape for shape, _ in told]), [tags for _, tags in told]

    def _drivable(self) -> list[Way]:
        return [way for way in self.ways.values() if way.tags.get("highway") in DRIVABLE]

    def _multipolygons(self, key: str) -> list[Way]:
        kind = ("multipolygon", "building")
        return [
            way for way in self.relations if way.tags.get("type") in kind and _is_tagged(way, key)
        ]

    def _assembled(self, relation: Way) -> shapely.Geometry:
        """The area that the member ways enclose: inner rings are holes."""
        members = [self.ways[number] for number in relation.nodes if number in self.ways]
        lines = [self._points(way) for way in members]
        drawn = shapely.node(shapely.MultiLineString([line for line in lines if len(line) > 1]))
        return shapely.build_area(drawn)

    def _points(self, way: Way) -> list[tuple[float, float]]:
        return [self.places[node] for node in self._known(way.nodes)]

    def _known(self, nodes: list[int]) -> list[int]:
        """Without the nodes that an extract leaves out beyond its border."""
        return [node for node in nodes if node in self.places]

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of all nodes; nan without any."""
        left, bottom, right, top = shapely.total_bounds(shapely.points([*self.places.values()]))
        return float(left), float(bottom), float(right), float(top)


def _cut(nodes: list[int], seen: Counter[int]) -> Iterable[list[int]]:
    """The stretches of a way between nodes that are seen more than once."""
    inner = [i for i in range(1, len(nodes) - 1) if seen[nodes[i]] > 1]
    for start, stop in zip([0, *inner], [*inner, len(nodes) - 1], strict=True):
        yield nodes[start : stop + 1]


def is_square(tags: Mapping[str, str]) -> bool:
    """Whether a way that is closed goes around an area rather than along a road."""
    return tags.get("area") == "yes"


def _is_tagged(way: Way, key: str) -> bool:
    return way.tags.get(key, "no") != "no"


def _array(shapes: Sequence[shapely.Geometry]) -> Shapes:
    result = np.empty(len(shapes), dtype=object)
    result[:] = shapes
    return result
