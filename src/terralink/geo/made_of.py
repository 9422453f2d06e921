"""What an open raster is made of: each file, and how a scene of many files is laid out.

By it long work knows whether the scene is still the one that it was begun with. Cheap: of a file on
disk its size and time are looked at, of what lies on a server the name alone.
"""

import hashlib
from pathlib import Path
from typing import Any

from rasterio.io import DatasetReader

from terralink.geo.source import gdal, gdal_dataset

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
