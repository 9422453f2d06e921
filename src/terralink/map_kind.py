"""Which map the classes of a model make: roads, buildings or land cover.

RULE 1  a model of roads alone makes roads, one of buildings alone buildings (their border may be a
        class of its own), and every other model land cover; background is not mapped
RULE 2  of a model with more classes, users can ask for any map whose classes are among them
RULE 3  a map that the model has no class for is refused before anything is computed

Classes are recognised by the words that data sets use: "Road surface" is road, "non-building" is
background.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from terralink.errors import InputError

_ROAD = frozenset({"road", "roads", "street", "streets", "highway", "highways"})
_BUILDING = frozenset(
    {"building", "buildings", "roof", "roofs", "rooftop", "rooftops", "house", "houses"}
    | {"footprint", "footprints"}
)
_BORDER = frozenset(
    {"border", "borders", "boundary", "boundaries", "edge", "edges", "contact", "contacts"}
)
_BACKGROUND = frozenset(
    {"background", "other", "others", "nothing", "none", "no", "non", "not", "unlabeled"}
    | {"unlabelled", "unknown"}
)


class MapKind(StrEnum):
    """A kind of map, as the command line names it."""

    ROADS = "roads"
    BUILDINGS = "buildings"
    LANDCOVER = "landcover"


_CLASS_WORDS = {MapKind.ROADS: _ROAD, MapKind.BUILDINGS: _BUILDING}


def kind_of(classes: Sequence[str]) -> MapKind:
    """The map that a model of these classes makes (RULE 1).

    >>> str(kind_of(["road"])), str(kind_of(["background", "building", "border"]))
    ('roads', 'buildings')
    >>> str(kind_of(["field"])), str(kind_of(["road", "building"]))
    ('landcover', 'landcover')
    """
    mapped = {name for name in classes if not _words(name) & (_BACKGROUND | _BORDER)}
    for kind, words in _CLASS_WORDS.items():
        if mapped and all(_words(name) & words for name in mapped):
            return kind
    return MapKind.LANDCOVER


def class_bands(kind: MapKind, classes: Sequence[str], *, source: str) -> list[list[int]]:
    """The bands, counted from 0, that a map of this kind is made of.

    Roads have one list of bands; buildings have a second one for their border, if that is a class;
    land cover has one list for each band. Raises ``InputError`` that names ``source`` if no band
    has a class of the map (RULE 3).

    >>> class_bands(MapKind.BUILDINGS, ["background", "building", "border"], source="it")
    [[1], [2]]
    """
    if kind is MapKind.LANDCOVER:
        return [[band] for band in range(len(classes))]
    words = [_words(name) for name in classes]
    bands = [
        band for band, name in enumerate(words)
        if name & _CLASS_WORDS[kind] and not name & (_BACKGROUND | _BORDER)
    ]  # fmt: skip
    if not bands:
        raise InputError(
            f"{source} shows {', '.join(classes)}, and no {kind.value}; "
            f"make a map of {kind_of(classes).value} of it: --what {kind_of(classes).value}"
        )
    border = [band for band, name in enumerate(words) if name & _BORDER and not name & _ROAD]
    return [bands, border] if kind is MapKind.BUILDINGS and border else [bands]


def _words(name: str) -> set[str]:
    return set(re.findall("[a-z]+", name.lower()))
