"""OpenStreetMap's ways and areas, and the shapes that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.vector.osm.tags import Tags, has, is_area, is_building, is_drivable, is_road

Shapes: TypeAlias = NDArray[np.object_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


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
    def owner(self) -> Ints:
        """(p,) the way of each node."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def known(self) -> Bools:
        """(p,) whether the place of each node is known."""
        return ~np.isnan(self.lonlat[:, 0])

    @cached_property
    def is_whole(self) -> Bools:
        """(m,) whether the places of all nodes are known."""
        return np.asarray(np.bincount(self.owner, ~self.known, len(self)) == 0)

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
        rings = shapely.linearrings(self.lonlat, indices=self.owner)
        return np.asarray(shapely.polygons(rings), dtype=object)

    def lines(self, *, cut: bool) -> tuple[Shapes, Ints]:
        """Lines (k,) between known nodes, and the way (k,) of each.

        Where ``cut`` they also end at nodes that are there more than once, such as those that two
        ways share. A way is never drawn across a node whose place is not known.
        """
        new_run = np.diff(self.owner, prepend=-1) > 0
        new_run[1:] |= ~self.known[:-1]
        repeated = ~new_run
        repeated[1:] &= np.diff(self.nodes) == 0
        point = np.flatnonzero(self.known & ~repeated)
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
        return np.asarray(lines, dtype=object), self.owner[at[first]]


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
        squares = self._ways(np.array(drivable, bool) & self.ways.is_ring & self.ways.is_whole)
        tags = [roads.tags[i] for i in way] + list(squares.tags)
        return np.concatenate([lines, squares.polygons()]), tags

    def buildings(self) -> tuple[Shapes, list[Tags]]:
        """Polygons (k,) of buildings in longitude and latitude, and their tags."""
        houses = self._ways(self._houses & self.ways.is_ring & self.ways.is_whole)
        shapes = np.concatenate([houses.polygons(), self.areas])
        tags = [*houses.tags, *self.area_tags]
        whole = np.flatnonzero(~are_parts(shapes, tags))
        return shapes[whole], [tags[i] for i in whole.tolist()]

    @property
    def broken_buildings(self) -> int:
        """How many ways are tagged ``building`` and are no ring, or not whole in an extract."""
        return int((self._houses & ~(self.ways.is_ring & self.ways.is_whole)).sum())

    @cached_property
    def _houses(self) -> Bools:
        """(m,) which ways are buildings, if they are whole rings."""
        return np.array([is_building(tags) for tags in self.ways.tags], bool) & ~self.repeated

    def _ways(self, chosen: Sequence[bool] | Bools) -> Ways:
        return self.ways.select(np.flatnonzero(np.asarray(chosen, bool)))


def are_parts(shapes: Shapes, tags: Sequence[Tags]) -> Bools:
    """(k,) which buildings are but parts of another: tagged so as well, and inside it."""
    parts = np.array([has(each, "building:part") for each in tags], bool)
    rows = np.flatnonzero(parts)
    if len(rows):
        middles = shapely.point_on_surface(shapely.make_valid(shapes[rows]))
        inner, outer = shapely.STRtree(shapes).query(middles, predicate="within")
        larger = shapely.area(shapes[outer]) > shapely.area(shapes[rows[inner]])
        parts[rows] = np.isin(np.arange(len(rows)), inner[larger])
    return parts
