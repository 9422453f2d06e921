"""OpenStreetMap's XML in and out.

Files come from anywhere, so they are read by expat with no document type allowed: without one there
is no entity that could expand or reach out. What is written is plain: nodes, ways, a few tags.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from terralink.errors import InputError
from terralink.files import written_whole
from terralink.geo.osm.elements import Elements, Way

StartHandler: TypeAlias = Callable[[str, dict[str, str]], None]


def read_markup(path: str | os.PathLike[str]) -> Elements:
    """Read an .osm file; raises ``InputError`` for what is none, or has a document type."""
    reader = _Reader()
    read_xml(path, start=reader.start)
    if reader.root != "osm":
        raise InputError(f"{path} is XML, but not of OpenStreetMap: its root is {reader.root!r}")
    return Elements(reader.places, reader.ways, reader.relations)


def write_elements(path: str | os.PathLike[str], elements: Elements) -> None:
    """Write nodes and ways as an .osm file, whole or not at all.

    It says that it must not be uploaded: nobody has checked what was extracted.
    """
    with written_whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write('<osm version="0.6" generator="terralink" upload="never">\n')
        file.writelines(
            # 8 decimals of a degree are a millimetre
            f'<node id="{number}" lat="{lat:.8f}" lon="{lon:.8f}"/>\n'
            for number, (lon, lat) in elements.places.items()
        )
        for number, way in elements.ways.items():
            file.write(f'<way id="{number}">\n')
            file.writelines(f'<nd ref="{node}"/>\n' for node in way.nodes)
            file.writelines(
                f"<tag k={quoteattr(key)} v={quoteattr(value)}/>\n"
                for key, value in way.tags.items()
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
    try:
        with Path(path).open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not well-formed: {error}") from error


class _Reader:
    """Keeps what the elements of an .osm file say, as expat tells them."""

    def __init__(self) -> None:
        self.root = ""
        self.places: dict[int, tuple[float, float]] = {}
        self.ways: dict[int, Way] = {}
        self.relations: list[Way] = []
        self._open = Way([], {})  # the way or relation that is being told

    def start(self, name: str, given: dict[str, str]) -> None:
        self.root = self.root or name
        if name == "node":
            if "lon" in given:  # a deleted node is nowhere
                self.places[int(given["id"])] = float(given["lon"]), float(given["lat"])
            self._open = Way([], {})
        elif name == "way":
            self._open = self.ways[int(given["id"])] = Way([], {})
        elif name == "relation":
            self._open = Way([], {})
            self.relations.append(self._open)
        elif name == "nd" or (name == "member" and given["type"] == "way"):
            self._open.nodes.append(int(given["ref"]))
        elif name == "tag":
            self._open.tags[given["k"]] = given["v"]
