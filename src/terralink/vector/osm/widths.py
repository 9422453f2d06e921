"""How wide a road is by its tags, and which roads are drawn.

RULES, the first that gives a width: the tag ``width``; ``est_width``; ``lanes`` times the width of
a lane; the lanes of its class, after PP-LinkNet (Tran et al. 2020): its published code draws 8 px a
lane at 0.5 m, which is 4 m; 1.5 lanes from motorway to tertiary, half a lane for tracks.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from terralink.vector.osm.tags import has_tag

if TYPE_CHECKING:
    import geopandas as gpd

LANE_M = 4.0
# Lanes of a class without the tag. A link (a slip road) has the one lane that it mostly has.
LANES_OF_CLASS: Mapping[str, float] = {
    **dict.fromkeys(("motorway", "trunk", "primary", "secondary", "tertiary"), 1.5),
    **dict.fromkeys(("residential", "service", "unclassified", "road"), 1.0),
    **dict.fromkeys(("track", "living_street"), 0.5),
}
_OTHER_LANES = 1.0
# Widths outside are errors, such as 350 for 3.50, or widths of the right of way.
_PLAUSIBLE_M = (0.5, 100.0)
_PLAUSIBLE_LANES = (0.5, 20.0)

_FOOT_M, _INCH_M = 0.3048, 0.0254
_UNITS_M = {
    **dict.fromkeys(("", "m", "meter", "meters", "metre", "metres", "mtr"), 1.0),
    **dict.fromkeys(("'", "ft", "feet", "foot"), _FOOT_M),
    **dict.fromkeys(('"', "in", "inch", "inches"), _INCH_M),
    **{"cm": 0.01, "mm": 0.001, "km": 1000.0, "mi": 1609.344, "yd": 0.9144},
}
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_ABOUT = r"(?:[~≈±<>=≤≥]|ca?\.?|circa|approx\.?|about)*\s*"
_LENGTH = re.compile(rf"{_ABOUT}{_NUMBER}\s*([a-z]*|'|\")\.?")
_FEET_AND_INCHES = re.compile(
    rf"{_ABOUT}{_NUMBER}\s*(?:'|ft\.?|feet|foot)\s*-?\s*{_NUMBER}\s*(\"|''|in\.?|inch|inches)?"
)
_LIST, _QUOTED = re.compile(r"[;|]"), re.compile(r"'[^']*'|\"[^\"]*\"")
_RANGE = re.compile(r"""(?<=[\d.a-z'"])\s*[-–—]\s*(?=\d)|(?<=[\d.a-z'"])\s+to\s+(?=\d)""")


@dataclass(frozen=True)
class RoadFilter:
    """Which roads are drawn. In a tunnel or under a roof a road is not seen from above."""

    bridges: bool = True
    tunnels: bool = False
    links: bool = True
    service: bool = True
    tracks: bool = True

    def accepts(self, tags: Mapping[str, str]) -> bool:
        """Whether a road with these tags is drawn.

        >>> RoadFilter(tracks=False).accepts({"highway": "track"})
        False
        """
        kind = tags.get("highway", "road")
        hidden = has_tag(tags, "tunnel") or has_tag(tags, "covered")
        return (
            (self.bridges or not has_tag(tags, "bridge"))
            and (self.tunnels or not hidden)
            and (self.links or not kind.endswith("_link"))
            and (self.service or kind != "service")
            and (self.tracks or kind != "track")
        )


@dataclass(frozen=True, eq=False)
class CentreLines:
    """Roads to draw: ``lines`` (m,) in ``crs``, and how wide each is; like a ``RoadGraph``.

    A polygon among the lines is a square, drawn as it is.
    """

    lines: NDArray[np.object_]
    width_m: NDArray[np.float64]
    crs: CRS | None


def select_centre_lines(
    roads: "gpd.GeoDataFrame", road_filter: RoadFilter | None = None, *, lane_m: float = LANE_M
) -> CentreLines:
    """The roads of ``OsmTables`` that ``road_filter`` accepts, with their widths.

    None accepts all but tunnels.
    """
    accepts = (road_filter or RoadFilter()).accepts
    selected = roads[np.array([accepts(tags) for tags in roads.tags], dtype=bool)]
    width_m = np.array([road_width_m(tags, lane_m=lane_m) for tags in selected.tags], np.float64)
    crs = CRS(selected.crs) if selected.crs else None
    return CentreLines(np.asarray(selected.geometry.to_numpy(), dtype=object), width_m, crs)


def road_width_m(tags: Mapping[str, str], *, lane_m: float = LANE_M) -> float:
    """The width of a road by the rules above.

    >>> road_width_m({"highway": "track", "width": "9'6\\""})
    2.8956
    >>> road_width_m({"highway": "primary", "lanes": "2"}), road_width_m({"highway": "primary"})
    (8.0, 6.0)
    """
    tagged_m = tagged_width_m(tags)
    if tagged_m is not None:
        return tagged_m
    lanes = _mean(_parse_number(part) for part in _split_values(tags.get("lanes", "")))
    if lanes is None or not _is_within(lanes, _PLAUSIBLE_LANES):
        lanes = LANES_OF_CLASS.get(tags.get("highway", "road"), _OTHER_LANES)
    return lanes * lane_m


def tagged_width_m(tags: Mapping[str, str]) -> float | None:
    """The width of a road by its tags ``width`` and ``est_width`` in metres, None without one.

    >>> tagged_width_m({"est_width": "~4"}), tagged_width_m({"width": "wide"})
    (4.0, None)
    """
    widths_m = (parse_length_m(tags.get(key, "")) for key in ("width", "est_width"))
    known = (width_m for width_m in widths_m if width_m is not None)
    return next((width_m for width_m in known if _is_within(width_m, _PLAUSIBLE_M)), None)


def parse_length_m(text: str) -> float | None:
    """Metres of a tag's value, as people write it; several values give their mean, others None.

    >>> [parse_length_m(text) for text in ("3,5 m", "12'6\\"", "6;8", "wide")]
    [3.5, 3.81, 7.0, None]
    """
    return _mean(_parse_range_m(value.lower()) for value in _split_values(text))


def _split_values(text: str) -> list[str]:
    """The values of a list, of which some may be empty.

    >>> _split_values("2.5 m;"), _split_values("2;3")
    (['2.5 m'], ['2', '3'])
    """
    if text.startswith("["):  # a list of Python's, as osmnx writes what it joined
        return [quoted[1:-1] for quoted in _QUOTED.findall(text)]
    parts = (part.strip() for part in _LIST.split(text))
    return [part for part in parts if part]


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of values that are all known, else None."""
    numbers = [*values]
    known = [value for value in numbers if value is not None]
    return sum(known) / len(known) if known and len(known) == len(numbers) else None


def _parse_range_m(text: str) -> float | None:
    """One length, or the middle of two: a unit may be said once, at the end."""
    if (both := _FEET_AND_INCHES.fullmatch(text)) and (both[3] or "-" not in text):
        return round(_float(both[1]) * _FOOT_M + _float(both[2]) * _INCH_M, 6)
    ends = [_LENGTH.fullmatch(end) for end in _RANGE.split(text)]
    lengths = [(end[1], end[2]) for end in ends if end and end[2] in _UNITS_M]
    if len(lengths) < len(ends) or len(ends) > 2:
        return None
    unit = lengths[-1][1]
    return _mean(_to_metres(number, own or unit) for number, own in lengths)


def _to_metres(number: str, unit: str) -> float:
    return _float(number) if unit in ("", "m") else round(_float(number) * _UNITS_M[unit], 6)


def _parse_number(text: str) -> float | None:
    """A number, or the middle of two, without a unit."""
    ends = [re.fullmatch(_NUMBER, end) for end in _RANGE.split(text)]
    return _mean(None if end is None else _float(end[1]) for end in ends)


def _float(text: str) -> float:
    return float(text.replace(",", "."))


def _is_within(value: float, span: tuple[float, float]) -> bool:
    return span[0] <= value <= span[1]
