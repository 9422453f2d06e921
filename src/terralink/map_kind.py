"""What map the classes of a model make: roads, buildings or land cover. Told here and nowhere else.

RULE 1  a model of roads alone makes roads, one of buildings alone buildings (their border may be a
        class of its own), and every other one land cover; background is nothing that one maps
RULE 2  of more classes any map can be asked for by name, whose classes are among them
RULE 3  what is asked for and not seen is refused, before anything is computed

Names are of the words that data sets use: "Road surface" is road, "non-building" is background.
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
_NOTHING = frozenset(
    {"background", "other", "others", "nothing", "none", "no", "non", "not", "unlabeled"}
    | {"unlabelled", "unknown"}
)


class MapKind(StrEnum):
    """A kind of map, as the command line names it."""

    ROADS = "roads"
    BUILDINGS = "buildings"
    LANDCOVER = "landcover"


_THINGS = {MapKind.ROADS: _ROAD, MapKind.BUILDINGS: _BUILDING}


def kind_of(classes: Sequence[str]) -> MapKind:
    """The map that a model of these classes makes (RULE 1).

    >>> str(kind_of(["road"])), str(kind_of(["background", "building", "border"]))
    ('roads', 'buildings')
    >>> str(kind_of(["field"])), str(kind_of(["road", "building"]))
    ('landcover', 'landcover')
    """
    seen = {name for name in classes if not _words(name) & (_NOTHING | _BORDER)}
    for kind, things in _THINGS.items():
        if seen and all(_words(name) & things for name in seen):
            return kind
    return MapKind.LANDCOVER


def class_bands(kind: MapKind, classes: Sequence[str], *, source: str) -> list[list[int]]:
    """The bands, counted from 0, that a map of this kind is made of.

    Of roads one list of them; of buildings another one for their border, where that is a class; of
    land cover all, each by itself. Raises ``InputError`` that names ``source`` where none shows
    what is wanted (RULE 3).

    >>> class_bands(MapKind.BUILDINGS, ["background", "building", "border"], source="it")
    [[1], [2]]
    """
    if kind is MapKind.LANDCOVER:
        return [[band] for band in range(len(classes))]
    words = [_words(name) for name in classes]
    found = [
        band for band, name in enumerate(words)
        if name & _THINGS[kind] and not name & (_NOTHING | _BORDER)
    ]  # fmt: skip
    if not found:
        raise InputError(
            f"{source} shows {', '.join(classes)}, and no {kind.value}; "
            f"make a map of {kind_of(classes).value} of it: --what {kind_of(classes).value}"
        )
    border = [band for band, name in enumerate(words) if name & _BORDER and not name & _ROAD]
    return [found, border] if kind is MapKind.BUILDINGS and border else [found]


def _words(name: str) -> set[str]:
    return set(re.findall("[a-z]+", name.lower()))
