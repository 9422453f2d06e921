"""What tags say: which shapes are roads, areas and buildings. One rule for all files and verbs.

RULE 1: a road is tagged ``highway`` with a class that cars use. Footways, rails and power lines are
        no roads.
RULE 2: a ring that is tagged ``area``, or with a key that only areas have (``area:highway``), goes
        around a square. It is no road along its edge.
RULE 3: a building is tagged ``building``, with anything but ``no``. A ``building:part`` lies within
        one, and is none itself.
RULE 4: a layer that knows no tag of OpenStreetMap, such as SpaceNet's centre lines or the labels of
        a project, tells by its geometry: lines are roads, polygons are buildings.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tags: TypeAlias = dict[str, str]

# Values of the tag 'highway' that a car may drive on
DRIVABLE = frozenset(
    {
        *("motorway", "trunk", "primary", "secondary", "tertiary"),
        *("motorway_link", "trunk_link", "primary_link", "secondary_link", "tertiary_link"),
        *("unclassified", "residential", "living_street", "service", "track", "road"),
    }
)
# Keys by which OpenStreetMap says what a line or an area is. Left out are names that tables of
# other sources have as well: route, place, type, amenity.
_FEATURE_KEYS = frozenset(
    {
        *("highway", "area:highway", "railway", "waterway", "aeroway", "aerialway", "power"),
        *("barrier", "building", "building:part", "landuse", "leisure", "natural", "man_made"),
    }
)
# Columns that hold all tags, or all that have no column of their own
_NESTED = frozenset({"tags", "other_tags", "all_tags"})
# Columns that say what a shape is, and how wide it is
RULE_COLUMNS = frozenset(
    _FEATURE_KEYS
    | _NESTED
    | {"area", "width", "est_width", "type", "fclass", "code"}
    | {"id", "@id", "@type", "osm_type", "element"}
)
_NOT = {"", "no", "false", "0"}
# How exporters write that a tag is not there
_ABSENT = {"", "none", "nan", "null", "<na>", "nat"}
# Names of other sources, and of our own maps, for what OpenStreetMap calls otherwise
_ALSO_CALLED = {"width_m": "width", "lane_number": "lanes"}
# How the codes of Geofabrik's layers begin
_GEOFABRIK = {
    **{"15": "building", "51": "highway", "61": "railway", "66": "power", "81": "waterway"},
    **{"41": "natural", "72": "landuse"},
}
_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=>\s*"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_VALUES = re.compile(r"[^;,|\[\]\s'\"]+")


def is_road(tags: Mapping[str, str]) -> bool:
    """Whether a car may drive along a line with these tags (RULES 1 and 2).

    osmnx joins ways of several classes; then one of them is enough.

    >>> is_road({"highway": "track"}), is_road({"highway": "footway"}), is_road({"railway": "rail"})
    (True, False, False)
    >>> is_road({"highway": "['service', 'path']"}), is_road({"highway": "service", "area": "yes"})
    (True, False)
    """
    return is_drivable(tags) and not is_area(tags)


def is_drivable(tags: Mapping[str, str]) -> bool:
    """Whether a car may drive there, along a line or across an area (RULE 1)."""
    value = tags.get("highway", "")
    return value in DRIVABLE or not DRIVABLE.isdisjoint(_VALUES.findall(value))


def is_area(tags: Mapping[str, str]) -> bool:
    """Whether a ring goes around an area rather than along a road (RULE 2)."""
    return has_tag(tags, "area") or has_tag(tags, "area:highway")


def is_relation(tags: Mapping[str, str]) -> bool:
    """Whether an exporter says that a shape was a relation, as osmtogeojson and QuickOSM do.

    >>> is_relation({"@id": "relation/8"}), is_relation({"@id": "way/8"}), is_relation({})
    (True, False, False)
    """
    of_type = (tags.get(key, "") == "relation" for key in ("osm_type", "@type", "element"))
    numbered = (tags.get(key, "").startswith("relation") for key in ("@id", "id"))
    return any(of_type) or any(numbered) or tags.get("type") == "multipolygon"


def is_building(tags: Mapping[str, str]) -> bool:
    """Whether an area with these tags is a building (RULE 3)."""
    return has_tag(tags, "building")


def has_tag(tags: Mapping[str, str], key: str) -> bool:
    """Whether a tag is there and does not say no.

    >>> [has_tag(tags, "tunnel") for tags in ({"tunnel": "yes"}, {"tunnel": "no"}, {})]
    [True, False, False]
    """
    return tags.get(key, "no").lower() not in _NOT


def any_known(rows: Iterable[Tags]) -> bool:
    """Whether any row has a tag by which OpenStreetMap says what a shape is (RULE 4)."""
    return any(not _FEATURE_KEYS.isdisjoint(tags) for tags in rows)


def parse_tags(columns: Mapping[str, NDArray[Any]], count: int) -> list[Tags]:
    """The tags of each of ``count`` rows, from the columns of a table.

    >>> columns = {"highway": np.array(["track", None]), "tags": np.array([None, '{"lanes": 2}'])}
    >>> parse_tags(columns, 2)
    [{'highway': 'track'}, {'lanes': '2'}]
    """
    rows: list[Tags] = [{} for _ in range(count)]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row.update(_parse_value(name, value))
    return [_parse_geofabrik(row) if "fclass" in row else row for row in rows]


def _parse_geofabrik(tags: Tags) -> Tags:
    """Tags of Geofabrik's shapefiles, whose column ``fclass`` has the value and ``code`` the key.

    >>> _parse_geofabrik({"code": "5122", "fclass": "residential"})["highway"]
    'residential'
    >>> _parse_geofabrik({"code": "6101", "fclass": "rail"})["railway"]
    'rail'
    """
    key = _GEOFABRIK.get(tags.get("code", "")[:2])
    return tags if key is None else {key: tags["fclass"], **tags}


def _parse_value(name: str, value: Any) -> Tags:
    """The tags of one value: of a column of tags those within, else the column's own."""
    nested = _parse_nested(value) if name in _NESTED else None
    if nested is not None:
        return {str(key): str(each) for key, each in nested.items() if not _is_absent(each)}
    return {} if _is_absent(value) else {_ALSO_CALLED.get(name, name): _text(value)}


def _parse_nested(value: Any) -> Mapping[str, Any] | None:
    """Tags as a dict, as JSON, or as the hstore of ogr2ogr, else None."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple | np.ndarray):  # a map of Arrow is a list of pairs
        with suppress(TypeError, ValueError):
            return dict(value)
    text = str(value).strip()
    if text.startswith("{"):
        for parse in (json.loads, ast.literal_eval):  # geopandas writes a dict as Python does
            with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                return dict(parse(text))
    pairs = _HSTORE.findall(text)
    return {_unescape(key): _unescape(each) for key, each in pairs} if pairs else None


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _text(value: Any) -> str:
    """
    >>> _text("yes"), _text(2.0), _text(True)
    ('yes', '2', 'yes')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


def _is_absent(value: Any) -> bool:
    return str(value).lower() in _ABSENT
