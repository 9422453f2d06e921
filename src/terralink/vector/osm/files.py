"""OpenStreetMap's own files: XML, also compressed, PBF and O5M by libosmium, and XML written.

Files come from anywhere, so no document type is allowed in XML: without one there is no entity that
could expand or reach out. What is written is plain: nodes, ways, a few tags.
"""

import bz2
import gzip
import logging
import os
import re
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TypeAlias, cast
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink._typing import Shapes
from terralink.atomic_write import write_atomically
from terralink.errors import InputError
from terralink.vector.osm.elements import Elements, Ways, assemble, building_relations, element_tags
from terralink.vector.osm.tags import Tags, is_building

StartHandler: TypeAlias = Callable[[str, dict[str, str]], None]

_log = logging.getLogger(__name__)
_FORM = re.compile(r"\.(osm(?:\.gz|\.bz2)?|pbf|o5m)$", re.IGNORECASE)
_NO_LOCATION = 2**31 - 1  # of libosmium: the place of a node that is not known
_UNITS = 1e7  # libosmium counts in these parts of a degree
_DELETED = re.compile(rb"""\baction\s*=\s*["']delete["']""")
_BLOCK, _LONGEST_MARK = 1 << 20, 64


def is_osm(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix names a file of OpenStreetMap's own: .osm, .osm.gz, .osm.bz2, .pbf, .o5m.

    >>> is_osm("town.osm.pbf"), is_osm("Town.OSM"), is_osm("town.osm.gz"), is_osm("osm.geojson")
    (True, True, True, False)
    """
    return _find_format(path) is not None


def file_stem(path: str | os.PathLike[str]) -> str:
    """The name of a file without its suffix; ``.osm.pbf`` is one, as is ``.osm.gz``.

    >>> file_stem("town.osm.pbf"), file_stem("town.osm.gz"), file_stem("town.v2.tif")
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

    Raises ``InputError`` for what is no such file, is damaged, or declares a document type.
    """
    if not Path(path).is_file():
        raise InputError(f"cannot read {path}: no such file")
    form, deleted = _find_format(path) or "osm", set[tuple[str, int]]()
    if form.startswith("osm"):
        check_xml(path)
        deleted = deleted_elements(path)
    osmium = _osmium(path)
    try:
        file = _OsmFile(osmium, osmium.io.File(os.fspath(Path(path).absolute()), form), deleted)
        return _elements(file, keys)
    except (RuntimeError, ValueError, osmium.InvalidLocationError) as error:  # of libosmium
        reason = " ".join(str(error).split())
        kind = "not well-formed" if form.startswith("osm") else "no OpenStreetMap file"
        raise InputError(f"{path} is {kind}, or is cut off: {reason}") from error


def warn_incomplete(path: str | os.PathLike[str], elements: Elements) -> None:
    """Log how many incomplete buildings are left out."""
    broken = elements.failed + elements.incomplete_buildings
    if broken:
        what = "1 building is" if broken == 1 else f"{broken} buildings are"
        _log.warning("%s: %s left out, cut off or with rings that cross", path, what)


def _elements(file: "_OsmFile", keys: Collection[str]) -> Elements:
    relations = building_relations(file.relations())
    relations = relations if "building" in keys else []
    found = file.ways(keys, {ref for each in relations for ref in each.members})
    ways, row_of = found.ways()
    areas = assemble(file.osmium, relations, ways, row_of)
    repeated = np.zeros(len(ways), bool)
    repeated[[row_of[number] for number in areas.repeated]] = True
    shapes, tags = found.buildings()
    shapes, tags = np.concatenate([shapes, areas.shapes]), tags + areas.tags
    return Elements(ways, shapes, tags, repeated, areas.failed)


class _OsmFile:
    """A file as libosmium streams it, without what its editor has ``deleted``.

    First come the relations, then the ways: the places of nodes are kept on the way.
    """

    def __init__(self, osmium: ModuleType, file: Any, deleted: set[tuple[str, int]]) -> None:
        self.osmium, self.file, self.deleted = osmium, file, deleted
        self._places = osmium.NodeLocationsForWays(osmium.index.create_map("flex_mem"))
        self._places.ignore_errors()

    def relations(self) -> Iterator[Any]:
        """All that are not deleted."""
        kinds = self.osmium.osm.NODE | self.osmium.osm.RELATION
        elements = self.osmium.FileProcessor(self.file, kinds).with_filter(self._places)
        only = self.osmium.filter.EntityFilter(self.osmium.osm.RELATION)
        relations = elements.with_filter(only)
        return (each for each in relations if not self._is_deleted("relation", each))

    def ways(self, keys: Collection[str], members: set[int]) -> "_WayCollector":
        """Ways that have one of the keys or are ``members``."""
        elements = self.osmium.FileProcessor(self.file, self.osmium.osm.WAY)
        found = self._find(elements.with_filter(self._places), keys, members)
        if not found.is_placed:  # then they may tell themselves where they run
            elements = self.osmium.FileProcessor(self.file, self.osmium.osm.WAY)
            parsed = self._find(elements, keys, members)
            found = parsed if parsed.is_placed else found
        self._place_new_nodes(found)
        return found

    def _find(self, elements: Any, keys: Collection[str], members: set[int]) -> "_WayCollector":
        found = _WayCollector(self.osmium)
        for way in elements:
            found.forget(way.id)  # of several versions the last one counts
            if self._is_deleted("way", way):
                continue
            if way.id in members or ("highway" in way.tags and "highway" in keys):
                found.add(way)
            elif "building" in way.tags and "building" in keys:
                found.add_building(way)
        return found

    def _place_new_nodes(self, found: "_WayCollector") -> None:
        """Find the places of nodes with negative numbers, which libosmium does not keep."""
        new = found.new_nodes()
        if not new:
            return
        places: dict[int, tuple[int, int]] = {}
        for node in self.osmium.FileProcessor(self.file, self.osmium.osm.NODE):
            if node.id < 0 and not self._is_deleted("node", node):
                places[node.id] = node.location.x, node.location.y
        found.place(new, places)

    def _is_deleted(self, kind: str, element: Any) -> bool:
        return element.deleted or (kind, element.id) in self.deleted


class _WayCollector:
    """Ways as they are found: with all their nodes, or, what is quicker, closed lines as WKB."""

    def __init__(self, osmium: ModuleType) -> None:
        self._to_wkb, self._all = osmium.geom.WKBFactory().create_linestring, osmium.geom.ALL
        self._unknown = osmium.InvalidLocationError
        self._nodes, self._xy, self._starts = array("q"), array("i"), array("q", [0])
        self._tags: list[Tags] = []
        self._row_of: dict[int, int] = {}
        self._buildings: dict[int, tuple[str, Tags]] = {}

    def forget(self, number: int) -> None:
        """Leave out an older version of a way."""
        self._row_of.pop(number, None)
        self._buildings.pop(number, None)

    def add(self, way: Any) -> None:
        """A way with its nodes: others may share them."""
        for node in way.nodes:
            self._nodes.append(node.ref)
            self._xy.append(node.x)
            self._xy.append(node.y)
        self._row_of[way.id] = len(self._tags)
        self._starts.append(len(self._nodes))
        self._tags.append(element_tags(way))

    def add_building(self, way: Any) -> None:
        """A way of which the shape alone is wanted; one that is no whole ring is added as it is."""
        if len(way.nodes) > 3 and way.is_closed():
            with suppress(self._unknown):
                line = self._to_wkb(way, self._all)
                self._buildings[way.id] = line, element_tags(way)
                return
        self.add(way)

    @property
    def is_placed(self) -> bool:
        """Whether the place of any node is known, or there are no nodes."""
        return bool(self._buildings) or not self._xy or min(self._xy) != _NO_LOCATION

    def new_nodes(self) -> list[int]:
        """Where in the list of nodes those with negative numbers are that have no place."""
        unknown = self._units()[:, 0] == _NO_LOCATION
        rows = np.flatnonzero(unknown & (np.array(self._nodes, np.int64) < 0))
        return [int(row) for row in rows]

    def place(self, rows: list[int], places: Mapping[int, tuple[int, int]]) -> None:
        """Say where some nodes of the list are."""
        for row in rows:
            x, y = places.get(self._nodes[row], (_NO_LOCATION, _NO_LOCATION))
            self._xy[2 * row], self._xy[2 * row + 1] = x, y

    def ways(self) -> tuple[Ways, dict[int, int]]:
        """The ways that have their nodes, and the row of each number."""
        lonlat = np.where(self._units() == _NO_LOCATION, np.nan, self._units() / _UNITS)
        nodes, starts = (np.array(each, np.int64) for each in (self._nodes, self._starts))
        ways = Ways(nodes, lonlat, starts, self._tags)
        rows = np.array([*self._row_of.values()], dtype=np.int64)
        ways = ways if len(rows) == len(ways) else ways.select(rows)
        return ways, dict(zip(self._row_of, range(len(rows)), strict=True))

    def buildings(self) -> tuple[Shapes, list[Tags]]:
        """The polygons of closed lines, and their tags; parts of buildings are none."""
        parsed = [each for each in self._buildings.values() if is_building(each[1])]
        lines = shapely.from_wkb(np.array([line for line, _ in parsed], dtype=object))
        if not len(lines):
            return np.empty(0, object), []
        xy, ring = shapely.get_coordinates(lines, return_index=True)
        polygons = shapely.polygons(shapely.linearrings(xy, indices=ring))
        return np.asarray(polygons, dtype=object), [tags for _, tags in parsed]

    def _units(self) -> NDArray[np.int32]:
        """(p, 2) the places of the nodes as libosmium counts."""
        return np.array(self._xy, np.int32).reshape(-1, 2)


def _find_format(path: str | os.PathLike[str]) -> str | None:
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


class _StopReadingError(Exception):
    """What was looked for is found: the rest of the file need not be read."""


def check_xml(path: str | os.PathLike[str]) -> None:
    """Raise ``InputError`` for XML that is not of OpenStreetMap, or has a document type.

    Both show before the first element ends: no more is read.
    """
    roots: list[str] = []

    def stop_at(name: str, _attributes: object) -> None:
        roots.append(name)
        raise _StopReadingError

    with suppress(_StopReadingError):
        read_xml(path, start=stop_at)
    if roots != ["osm"]:
        raise InputError(f"{path} is XML, but not of OpenStreetMap: its root is {roots[0]!r}")


def deleted_elements(path: str | os.PathLike[str]) -> set[tuple[str, int]]:
    """("way", -3) and the like: what an editor, such as JOSM, has marked to be deleted."""
    found: set[tuple[str, int]] = set()

    def keep(name: str, attributes: dict[str, str]) -> None:
        if attributes.get("action") == "delete":
            found.add((name, int(attributes["id"])))

    if _has_deleted(path):
        read_xml(path, start=keep)
    return found


def _has_deleted(path: str | os.PathLike[str]) -> bool:
    """Whether the bytes say so somewhere: to parse all of a large file would take long."""
    tail = b""
    with _open_bytes(path) as file, raise_input_error(path):
        while block := file.read(_BLOCK):
            if _DELETED.search(tail + block):
                return True
            tail = block[-_LONGEST_MARK:]
    return False


def write_ways(
    path: str | os.PathLike[str],
    places: Mapping[int, tuple[float, float]],
    ways: Mapping[int, tuple[list[int], Tags]],
) -> None:
    """Write nodes (lon, lat) and ways (their nodes and tags) as an .osm file, whole or not at all.

    It says that it must not be uploaded: nobody has checked what was extracted.
    """
    with write_atomically(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write('<osm version="0.6" generator="terralink" upload="never">\n')
        file.writelines(
            # 8 decimals of a degree are a millimetre
            f'<node id="{number}" lat="{lat:.8f}" lon="{lon:.8f}"/>\n'
            for number, (lon, lat) in places.items()
        )
        for number, (nodes, tags) in ways.items():
            file.write(f'<way id="{number}">\n')
            file.writelines(f'<nd ref="{node}"/>\n' for node in nodes)
            file.writelines(
                f"<tag k={quoteattr(key)} v={quoteattr(value)}/>\n" for key, value in tags.items()
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
    with raise_input_error(path), _open_bytes(path) as file:
        parser.ParseFile(file)


@contextmanager
def raise_input_error(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise ``InputError`` for a file that cannot be read, or is not well-formed XML."""
    try:
        yield
    except (expat.ExpatError, ValueError, KeyError, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is not well-formed: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _open_bytes(path: str | os.PathLike[str]) -> IO[bytes]:
    """The bytes of a file, unpacked where the suffix says that it is packed."""
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return cast(IO[bytes], bz2.open(path)) if suffix == ".bz2" else Path(path).open("rb")
