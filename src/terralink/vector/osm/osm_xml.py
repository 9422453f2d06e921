"""OpenStreetMap's XML in and out.

Files come from anywhere, so no document type is allowed: without one there is no entity that could
expand or reach out. libosmium reads the rest. What is written is plain: nodes, ways, a few tags.
"""

import bz2
import gzip
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias, cast
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from terralink.atomic_write import written_whole
from terralink.errors import InputError
from terralink.vector.osm.tags import Tags

StartHandler: TypeAlias = Callable[[str, dict[str, str]], None]

_DELETED = re.compile(rb"""\baction\s*=\s*["']delete["']""")
_BLOCK, _LONGEST_MARK = 1 << 20, 64


class _FoundError(Exception):
    """What was looked for is found: the rest of the file need not be read."""


def check_markup(path: str | os.PathLike[str]) -> None:
    """Raise ``InputError`` for XML that is not of OpenStreetMap, or has a document type.

    Both show before the first element ends: no more is read.
    """
    roots: list[str] = []

    def stop_at(name: str, _attributes: object) -> None:
        roots.append(name)
        raise _FoundError

    with suppress(_FoundError):
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
    with _opened(path) as file, told_of_xml(path):
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
    with written_whole(path) as part, part.open("w", encoding="utf-8") as file:
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
    with told_of_xml(path), _opened(path) as file:
        parser.ParseFile(file)


@contextmanager
def told_of_xml(path: str | os.PathLike[str]) -> Iterator[None]:
    """Tell of a file that cannot be read, or is no XML, in one line."""
    try:
        yield
    except (expat.ExpatError, ValueError, KeyError, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is not well-formed: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _opened(path: str | os.PathLike[str]) -> IO[bytes]:
    """The bytes of a file, unpacked where the suffix says that it is packed."""
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return cast(IO[bytes], bz2.open(path)) if suffix == ".bz2" else Path(path).open("rb")
