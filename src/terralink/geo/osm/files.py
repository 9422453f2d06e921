"""OpenStreetMap's own files by libosmium: XML, also compressed, PBF and O5M, one path for all."""

import logging
import os
import re
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from terralink.errors import InputError
from terralink.geo.osm.areas import assemble, building_relations
from terralink.geo.osm.elements import Elements, Ways
from terralink.geo.osm.markup import check_markup, deleted_elements
from terralink.geo.osm.tags import Tags

_log = logging.getLogger(__name__)
_FORM = re.compile(r"\.(osm(?:\.gz|\.bz2)?|pbf|o5m)$", re.IGNORECASE)
_NOWHERE = 2**31 - 1  # of libosmium: the place of a node that is not known
_UNITS = 1e7  # libosmium counts in these parts of a degree


def is_osm(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix names a file of OpenStreetMap's own: .osm, .osm.gz, .osm.bz2, .pbf, .o5m.

    >>> is_osm("town.osm.pbf"), is_osm("Town.OSM"), is_osm("town.osm.gz"), is_osm("osm.geojson")
    (True, True, True, False)
    """
    return _form(path) is not None


def stem_of(path: str | os.PathLike[str]) -> str:
    """The name of a file without its suffix; ``.osm.pbf`` is one, as is ``.osm.gz``.

    >>> stem_of("town.osm.pbf"), stem_of("town.osm.gz"), stem_of("town.v2.tif")
    ('town', 'town', 'town.v2')
    """
    name = _FORM.sub("", Path(path).name) if is_osm(path) else Path(path).stem
    return name.removesuffix(".osm")


def read_elements(
    path: str | os.PathLike[str], *, keys: Collection[str] = ("highway", "building")
) -> Elements:
    """What roads (the key ``highway``) and buildings (the key ``building``) are made of.

    Nodes may come after the ways or be told by these; numbers may be negative, as JOSM's are; what
    is marked as deleted is not there. The places of all nodes are held meanwhile, 16 bytes each.
    The log says how many buildings are left out, since they are cut off or their rings cross.

    Raises ``InputError`` for what is no such file, is damaged, or declares a document type.
    """
    if not Path(path).is_file():
        raise InputError(f"cannot read {path}: no such file")
    form, deleted = _form(path) or "osm", set[tuple[str, int]]()
    if form.startswith("osm"):
        check_markup(path)
        deleted = deleted_elements(path)
    osmium = _osmium(path)
    try:
        file = _File(osmium, osmium.io.File(os.fspath(Path(path).absolute()), form), deleted)
        elements, broken = _elements(file, keys)
    except (RuntimeError, ValueError) as error:  # all that libosmium throws
        reason = " ".join(str(error).split())
        kind = "not well-formed" if form.startswith("osm") else "no OpenStreetMap file"
        raise InputError(f"{path} is {kind}, or is cut off: {reason}") from error
    if broken:
        what = "1 building is" if broken == 1 else f"{broken} buildings are"
        _log.warning("%s: %s left out, cut off or with rings that cross", path, what)
    return elements


def _elements(file: "_File", keys: Collection[str]) -> tuple[Elements, int]:
    """The elements, and how many buildings are broken."""
    relations = building_relations(file.relations()) if "building" in keys else []
    ways, row_of = file.ways(keys, {ref for each in relations for ref in each.members})
    areas = assemble(file.osmium, relations, ways, row_of)
    repeated = np.zeros(len(ways), bool)
    repeated[[row_of[number] for number in areas.repeated]] = True
    elements = Elements(ways, areas.shapes, areas.tags, repeated)
    return elements, areas.failed + (elements.broken_buildings if "building" in keys else 0)


@dataclass(frozen=True, eq=False)
class _File:
    """A file as libosmium streams it, without what its editor has ``deleted``."""

    osmium: ModuleType
    file: Any
    deleted: set[tuple[str, int]]

    def relations(self) -> Iterator[Any]:
        """All that are not deleted."""
        relations = self.osmium.FileProcessor(self.file, self.osmium.osm.RELATION)
        return (each for each in relations if not self._is_deleted("relation", each))

    def ways(self, keys: Collection[str], members: set[int]) -> tuple[Ways, dict[int, int]]:
        """Ways that have one of the keys or are ``members``, and the row of each number.

        Of several versions of a way the last one counts.
        """
        nodes, xy, starts = array("q"), array("i"), array("q", [0])
        tags: list[Tags] = []
        row_of: dict[int, int] = {}
        for way in self._placed_ways():
            if self._is_deleted("way", way):
                row_of.pop(way.id, None)
            elif way.id in members or any(key in way.tags for key in keys):
                for node in way.nodes:
                    nodes.append(node.ref)
                    xy.append(node.x)
                    xy.append(node.y)
                row_of[way.id] = len(tags)
                starts.append(len(nodes))
                tags.append({tag.k: tag.v for tag in way.tags})
        units = np.array(xy, np.int32).reshape(-1, 2)
        lonlat = np.where(units == _NOWHERE, np.nan, units / _UNITS)
        ways = Ways(np.array(nodes, np.int64), lonlat, np.array(starts, np.int64), tags)
        rows = np.array([*row_of.values()], dtype=np.int64)
        ways = ways if len(rows) == len(ways) else ways.select(rows)
        return self._with_new_nodes(ways), dict(zip(row_of, range(len(rows)), strict=True))

    def _placed_ways(self) -> Any:
        """All ways, and the places of their nodes, where the file has them at all."""
        ways = self.osmium.FileProcessor(self.file, self.osmium.osm.WAY)
        if any(node.x != _NOWHERE for way in islice(ways, 1) for node in way.nodes):
            return ways  # they tell themselves where they run, and nodes may be missing
        places = self.osmium.NodeLocationsForWays(self.osmium.index.create_map("flex_mem"))
        places.ignore_errors()
        with self.osmium.io.Reader(self.file, self.osmium.osm.NODE) as reader:
            self.osmium.apply(reader, places)
        return ways.with_filter(places)

    def _with_new_nodes(self, ways: Ways) -> Ways:
        """The places of nodes with negative numbers, which libosmium does not keep."""
        new = np.flatnonzero(~ways.known & (ways.nodes < 0))
        if not len(new):
            return ways
        nodes = self.osmium.FileProcessor(self.file, self.osmium.osm.NODE)
        place_of = {
            node.id: (node.lon, node.lat)
            for node in nodes
            if node.id < 0 and not self._is_deleted("node", node)
        }
        nowhere = (np.nan, np.nan)
        lonlat = ways.lonlat.copy()
        lonlat[new] = [place_of.get(number, nowhere) for number in ways.nodes[new].tolist()]
        return Ways(ways.nodes, lonlat, ways.starts, ways.tags)

    def _is_deleted(self, kind: str, element: Any) -> bool:
        return element.deleted or (kind, element.id) in self.deleted


def _form(path: str | os.PathLike[str]) -> str | None:
    """The format by the suffix, as libosmium calls it; None for others."""
    found = _FORM.search(Path(path).name)
    return found[1].lower() if found else None


def _osmium(path: str | os.PathLike[str]) -> ModuleType:
    try:
        import osmium
    except ImportError as error:
        raise InputError(
            f"{Path(path).name} is read by osmium, which is missing here or broken; "
            "get it with: pip install osmium"
        ) from error
    return osmium
