"""STAC items: which of their assets hold the bands that are wanted.

Names of bands are ``eo:common_name`` (STAC 1.1), ``common_name`` in ``eo:bands`` (1.0), their own
names, and of an asset of one band its key. https://github.com/radiantearth/stac-spec

What users name as a scene, as something GDAL opens: a file, an address, many files, a STAC item.

RULE 1: a file that is there is that file, whatever its name. RULE 2: a folder, and a pattern such
as ``tiles/*.tif``, is one scene of all rasters in it.

What an open raster is made of: each file, and how a scene of many files is laid out.

By it long work knows whether the scene is still the one that it was begun with. Cheap: of a file on
disk its size and time are looked at, of what lies on a server the name alone.
"""

import hashlib
import json
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from rasterio.io import DatasetReader, MemoryFile

from terralink.errors import SceneError, unknown
from terralink.raster import vrt
from terralink.raster.source import gdal_env, open_dataset

_SHOWN = ("red", "green", "blue")
_MOST_BYTES = 16 * 2**20
_TIMEOUT_S = 30
_NO_IMAGE = {"thumbnail", "overview", "metadata"}


def item_at(address: str) -> dict[str, Any] | None:
    """The STAC item in a JSON file or at an http address; None when it is something else.

    Raises ``SceneError`` when the address cannot be read.
    """
    if not address.lower().partition("?")[0].endswith((".json", ".geojson")):
        return None
    try:
        text = _text(address)
    except (OSError, HTTPException) as error:
        raise SceneError(f"cannot read {address}: {error}; check the address") from error
    try:
        item = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{address} is no STAC item: {error}") from error
    if not isinstance(item, dict) or not isinstance(item.get("assets"), dict):
        raise SceneError(f"{address} is no STAC item: it has no assets")
    return item


def bands_of(item: Mapping[str, Any], address: str) -> dict[str, tuple[str, int]]:
    """Name -> (address of the file, band from 1) of all bands of an item's images."""
    found: dict[str, tuple[str, int]] = {}
    for key, asset in item["assets"].items():
        if not isinstance(asset, dict) or _NO_IMAGE & set(asset.get("roles") or ()):
            continue
        href = asset.get("href")
        if isinstance(href, str):
            for name, band in _names(key, asset):
                found.setdefault(name.lower(), (_placed(href, address), band))
    return found


def chosen(
    item: Mapping[str, Any], address: str, bands: Sequence[int | str] | None
) -> list[tuple[str, str, int]]:
    """(name, file, band) of the bands wanted; None is red, green, blue. Raises ``SceneError``."""
    known = bands_of(item, address)
    wanted = list(bands) if bands is not None else list(_SHOWN)
    for name in wanted:
        if isinstance(name, int) or name.lower() not in known:
            raise SceneError(
                f"{address}: {unknown('band', str(name), known)}"
                if known
                else f"{address} has no image whose bands have names"
            )
    return [(str(name), *known[str(name).lower()]) for name in wanted]


def _names(key: str, asset: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    told = asset.get("bands") or asset.get("eo:bands") or []
    told = [each for each in told if isinstance(each, dict)]
    for number, band in enumerate(told, start=1):
        for name in ("eo:common_name", "common_name", "name"):
            if isinstance(band.get(name), str):
                yield band[name], number
    if len(told) <= 1:
        yield key, 1


def _placed(href: str, address: str) -> str:
    if "://" in href or href.startswith("/"):
        return href
    return urljoin(address, href) if "://" in address else os.fspath(Path(address).parent / href)


def _text(address: str) -> bytes:
    if not address.startswith(("http://", "https://")):
        return Path(address).read_bytes()
    with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:
        content: bytes = answer.read(_MOST_BYTES)
        return content


Bands = Sequence[int | str] | None


@contextmanager
def resolve(path: str | os.PathLike[str], bands: Bands) -> Iterator[tuple[str, Bands]]:
    """A name that GDAL opens while the block runs, and which bands of it are wanted.

    Raises ``SceneError`` when files do not go together, or an item lacks a band.
    """
    address = _address(path)
    if (item := item_at(address)) is not None:
        found = chosen(item, address, bands)
        files = {file for _, file, _ in found}
        if len(files) == 1:
            yield files.pop(), [band for _, _, band in found]
        else:
            with _in_memory(vrt.stack(found)) as name:
                yield name, None
    elif Path(address).is_dir() or is_pattern(address):
        with _in_memory(vrt.mosaic(vrt.list_files(address))) as name:
            yield name, bands
    else:
        yield address, bands


def list_files(path: str | os.PathLike[str]) -> list[str]:
    """The files, or addresses, that a name stands for; the name where it stands for itself."""
    address = _address(path)
    with suppress(SceneError):
        if Path(address).is_dir() or is_pattern(address):
            return vrt.list_files(address)
        if "://" not in address and (item := item_at(address)) is not None:
            return [address, *(file for file, _ in bands_of(item, address).values())]
    return [address]


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a name stands for many files; one that is there is that file, whatever its name.

    >>> is_pattern("tiles/*.tif"), is_pattern("https://example.org/scene.tif?key=1")
    (True, False)
    """
    name = os.fspath(path)
    return bool(re.search(r"[*?]", name)) and "://" not in name and not os.path.lexists(name)


def _address(path: str | os.PathLike[str]) -> str:
    """A ``Path`` swallows a slash of an address.

    >>> _address(Path("https://example.org/scene.tif"))
    'https://example.org/scene.tif'
    """
    if os.path.lexists(path):
        return os.fspath(path)
    return re.sub(r"^(https?|s3|gs|az):/(?!/)", r"\1://", os.fspath(path))


@contextmanager
def _in_memory(vrt: str) -> Iterator[str]:
    with gdal_env(), MemoryFile(vrt.encode(), filename="scene.vrt") as file:
        yield file.name


# Programs that only show a raster write these beside it, and no pixel changes.
_SHOWN_BY = (".ovr", ".aux.xml")
_IN_MEMORY = "/vsimem/"


def fingerprint(dataset: DatasetReader) -> dict[str, Any]:
    """As JSON: ``files`` by name, ``layout`` of a scene of many files, ``nodata`` of the bands."""
    return {
        "files": dict(sorted(_files(dataset, set()).items())),
        "layout": _layout(dataset),
        "nodata": [repr(level) for level in dataset.nodatavals],
    }


def list_local_files(path: str | os.PathLike[str]) -> set[str]:
    """The files of this machine that a scene is read from: those of a VRT, a folder, an item.

    What cannot be opened is a file for itself; nothing on a server is asked.
    """
    found: set[str] = set()
    for name in list_files(path):
        found.add(name)
        if "://" in name:
            continue
        with suppress(SceneError), open_dataset(name) as dataset:
            _collect(dataset, found)
    return found


def _collect(dataset: DatasetReader, found: set[str]) -> None:
    with gdal_env():
        names = set(dataset.files) - found
    found |= names
    for name in names:
        if name.lower().endswith(".vrt"):
            with suppress(SceneError), open_dataset(name) as inner:
                _collect(inner, found)


def _files(dataset: DatasetReader, seen: set[str]) -> dict[str, Any]:
    """Those that it names, and of a VRT among them those that it names in turn."""
    found: dict[str, Any] = {}
    with gdal_env():
        names = set(dataset.files) - seen
    for name in names:
        if name.startswith(_IN_MEMORY) or name.endswith(_SHOWN_BY):
            continue
        seen.add(name)
        found |= _state(name)
        if name.lower().endswith(".vrt") and name != dataset.name and Path(name).is_file():
            with open_dataset(name) as inner:
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
    with gdal_env():
        text = "".join(dataset.tags(ns="xml:VRT").values())
    return hashlib.sha256(text.encode()).hexdigest()
