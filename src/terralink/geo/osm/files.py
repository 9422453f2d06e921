"""OpenStreetMap's own files: XML and, with the extra ``osm``, the binary PBF."""

import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from terralink.errors import InputError
from terralink.geo.osm.elements import Elements, Tags, Way
from terralink.geo.osm.markup import read_markup

_MARKUP, _BINARY = ".osm", ".pbf"
_KEYS = ("highway", "building")


def is_osm(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix names a file of OpenStreetMap's own."""
    return Path(path).suffix.lower() in (_MARKUP, _BINARY)


def read_elements(path: str | os.PathLike[str]) -> Elements:
    """Read an .osm or .osm.pbf file; of the latter, what roads and buildings are made of.

    Raises ``InputError`` for what is none, is damaged, has a document type, or needs the extra.
    """
    return _read_binary(path) if Path(path).suffix.lower() == _BINARY else read_markup(path)


def _read_binary(path: str | os.PathLike[str]) -> Elements:
    osmium = _osmium(path)
    if not Path(path).is_file():
        raise InputError(f"cannot read {path}: no such file")
    try:
        relations = _relations(osmium, path)
        places, ways = _ways(osmium, path, {way for each in relations for way in each.nodes})
    except (RuntimeError, ValueError) as error:  # all that libosmium throws
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no OpenStreetMap PBF, or is cut off: {reason}") from error
    return Elements(places, ways, relations)


def _osmium(path: str | os.PathLike[str]) -> ModuleType:
    try:
        import osmium
    except ModuleNotFoundError as error:
        raise InputError(
            f"{Path(path).name} is PBF, which needs osmium, and the core install leaves it out; "
            "get it with: pip install 'terralink[osm]'"
        ) from error
    return osmium


def _relations(osmium: ModuleType, path: str | os.PathLike[str]) -> list[Way]:
    """Buildings of several rings, as ways of ways."""
    found = osmium.FileProcessor(os.fspath(path), osmium.osm.RELATION)
    with_key = found.with_filter(osmium.filter.KeyFilter("building"))
    return [
        Way([member.ref for member in each.members if member.type == "w"], _tags(each))
        for each in with_key
    ]


def _ways(
    osmium: ModuleType, path: str | os.PathLike[str], members: set[int]
) -> tuple[dict[int, tuple[float, float]], dict[int, Way]]:
    """Roads, buildings and ``members``, with the places of the nodes that these have."""
    places: dict[int, tuple[float, float]] = {}
    ways: dict[int, Way] = {}
    kinds = osmium.osm.NODE | osmium.osm.WAY
    for way in _only_ways(osmium.FileProcessor(os.fspath(path), kinds).with_locations()):
        if way.id in members or any(key in way.tags for key in _KEYS):
            nodes = [(node.ref, node.location) for node in way.nodes]
            places.update((ref, (at.lon, at.lat)) for ref, at in nodes if at.valid())
            ways[way.id] = Way([ref for ref, _ in nodes], _tags(way))
    return places, ways


def _only_ways(elements: Iterable[Any]) -> Iterable[Any]:
    return (element for element in elements if element.is_way())


def _tags(element: Any) -> Tags:
    return {tag.k: tag.v for tag in element.tags}
