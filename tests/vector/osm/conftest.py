"""A small town in OpenStreetMap's XML: streets, a square, a house, and one with a courtyard."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

# Places of nodes in metres around 36.139 degrees north, 115.888 west
NODES: Mapping[int, tuple[float, float]] = {
    **{1: (0, 0), 2: (60, 0), 3: (60, 60), 4: (0, 60)},
    **{11: (10, 10), 12: (30, 10), 13: (30, 30), 14: (10, 30)},
    **{22: (50, 10), 23: (50, 30)},
}
Way: TypeAlias = tuple[Sequence[int], Mapping[str, str]]
Relation: TypeAlias = tuple[str, Mapping[str, str]]
OUTER, INNER, SECOND = [1, 2, 3, 4, 1], [11, 12, 13, 14, 11], [12, 22, 23, 13, 12]
WriteOsm: TypeAlias = Callable[..., Path]

TOWN = """<osm version="0.6">
<node id="1" lon="0" lat="0"/><node id="2" lon="1" lat="0"/><node id="3" lon="2" lat="0"/>
<node id="4" lon="1" lat="1"/><node id="5" lon="0" lat="1"/><node id="6" lon="9" lat="9"/>
<node id="11" lon="5" lat="5"/><node id="12" lon="8" lat="5"/>
<node id="13" lon="8" lat="8"/><node id="14" lon="5" lat="8"/>
<node id="21" lon="6" lat="6"/><node id="22" lon="7" lat="6"/><node id="23" lon="7" lat="7"/>
<way id="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="99"/><tag k="highway" v="residential"/>
</way>
<way id="2"><nd ref="2"/><nd ref="4"/><tag k="highway" v="service"/><tag k="width" v="4 m"/></way>
<way id="3"><nd ref="4"/><nd ref="6"/><tag k="highway" v="footway"/></way>
<way id="4"><nd ref="1"/><nd ref="2"/><nd ref="4"/><nd ref="5"/><nd ref="1"/>
<tag k="building" v="yes"/></way>
<way id="5"><nd ref="11"/><nd ref="12"/><nd ref="13"/></way>
<way id="6"><nd ref="13"/><nd ref="14"/><nd ref="11"/></way>
<way id="7"><nd ref="21"/><nd ref="22"/><nd ref="23"/><nd ref="21"/></way>
<way id="8"><nd ref="21"/><nd ref="22"/><nd ref="23"/><nd ref="21"/>
<tag k="highway" v="service"/><tag k="area" v="yes"/></way>
<relation id="1"><member type="way" ref="5" role="outer"/><member type="way" ref="6" role="outer"/>
<member type="way" ref="7" role="inner"/><member type="node" ref="1" role=""/>
<tag k="type" v="multipolygon"/><tag k="building" v="yes"/></relation>
</osm>"""


@pytest.fixture
def town(tmp_path: Path) -> Path:
    path = tmp_path / "town.osm"
    path.write_text(TOWN)
    return path


@pytest.fixture
def write_osm(tmp_path: Path) -> WriteOsm:
    """Write ways by number, (nodes, tags), and relations, ("1 outer, 2 inner", tags), as XML."""

    def write(
        ways: Mapping[int, Way],
        relations: Sequence[Relation] = (),
        *,
        name: str = "made.osm",
        nodes: Mapping[int, tuple[float, float]] = NODES,
        order: str = "nwr",
    ) -> Path:
        parts = {
            "n": "".join(
                f'<node id="{i}" lat="{36.139 + y / 110950:.9f}" lon="{-115.888 + x / 90030:.9f}"/>'
                for i, (x, y) in nodes.items()
            ),
            "w": "".join(
                f'<way id="{i}">'
                + "".join(f'<nd ref="{n}"/>' for n in refs)
                + _tags(tags)
                + "</way>"
                for i, (refs, tags) in ways.items()
            ),
            "r": "".join(
                f'<relation id="{-i - 1}">{_members(members)}{_tags(tags)}</relation>'
                for i, (members, tags) in enumerate(relations)
            ),
        }
        path = tmp_path / name
        path.write_text('<osm version="0.6">' + "".join(parts[each] for each in order) + "</osm>")
        return path

    return write


@pytest.fixture
def as_pbf() -> Callable[[Path], Path]:
    """The same file as PBF, written by pyosmium."""
    osmium: Any = pytest.importorskip("osmium")

    def write(path: Path) -> Path:
        result = path.with_name(path.name + ".pbf")
        with osmium.SimpleWriter(str(result), overwrite=True) as writer:
            for element in osmium.FileProcessor(str(path)):
                writer.add(element)
        return result

    return write


def _tags(tags: Mapping[str, str]) -> str:
    return "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())


def _members(text: str) -> str:
    kinds = {"w": "way", "r": "relation"}
    told = [each.split() for each in text.split(", ")]
    return "".join(
        f'<member type="{kinds[number[0]]}" ref="{number[1:]}" role="{" ".join(role)}"/>'
        for number, *role in told
    )
