"""What an open raster is made of: each file, and how a scene of many files is laid out.

By it long work knows whether the scene is still the one that it was begun with. Cheap: of a file on
disk its size and time are looked at, of what lies on a server the name alone.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from rasterio.io import DatasetReader

from terralink.errors import SceneError
from terralink.raster.resolve import files_of
from terralink.raster.source import gdal, gdal_dataset

# Programs that only show a raster write these beside it, and no pixel changes.
_SHOWN_BY = (".ovr", ".aux.xml")
_IN_MEMORY = "/vsimem/"


def made_of(dataset: DatasetReader) -> dict[str, Any]:
    """As JSON: ``files`` by name, ``layout`` of a scene of many files, ``nodata`` of the bands."""
    return {
        "files": dict(sorted(_files(dataset, set()).items())),
        "layout": _layout(dataset),
        "nodata": [repr(level) for level in dataset.nodatavals],
    }


def files_behind(path: str | os.PathLike[str]) -> set[str]:
    """The files of this machine that a scene is read from: those of a VRT, a folder, an item.

    What cannot be opened is a file for itself; nothing on a server is asked.
    """
    found: set[str] = set()
    for name in files_of(path):
        found.add(name)
        if "://" in name:
            continue
        with suppress(SceneError), gdal_dataset(name) as dataset:
            _collect(dataset, found)
    return found


def _collect(dataset: DatasetReader, found: set[str]) -> None:
    with gdal():
        names = set(dataset.files) - found
    found |= names
    for name in names:
        if name.lower().endswith(".vrt"):
            with suppress(SceneError), gdal_dataset(name) as inner:
                _collect(inner, found)


def _files(dataset: DatasetReader, seen: set[str]) -> dict[str, Any]:
    """Those that it names, and of a VRT among them those that it names in turn."""
    found: dict[str, Any] = {}
    with gdal():
        names = set(dataset.files) - seen
    for name in names:
        if name.startswith(_IN_MEMORY) or name.endswith(_SHOWN_BY):
            continue
        seen.add(name)
        found |= _state(name)
        if name.lower().endswith(".vrt") and name != dataset.name and Path(name).is_file():
            with gdal_dataset(name) as inner:
                found |= _files(inner, seen)
    return found


def _state(name: str) -> dict[str, Any]:
    path = Path(name)
    if not path.exists():
        return {name.partition("?")[0]: "remote"}  # what follows may be a signature of today
    status = path.stat()
    return {str(path.resolve()): {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}}


def _layout(dataset: DatasetReader) -> str | None:
    """The SHA-256 of a VRT that was made for this scene: which band of which file lies where."""
    if not dataset.name.startswith(_IN_MEMORY):
        return None
    with gdal():
        text = "".join(dataset.tags(ns="xml:VRT").values())
    return hashlib.sha256(text.encode()).hexdigest()
