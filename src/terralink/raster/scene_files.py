"""From the name of a scene to files: one file, an address, a folder, a pattern, or a STAC item.

RULE 1: a path that exists is that file or folder, whatever characters its name has. RULE 2: a
folder, or a pattern such as ``tiles/*.tif``, is one scene: the mosaic of its rasters. RULE 3: a
STAC item is one scene: the bands of its assets, by name. A band has the names in its
``eo:common_name`` (STAC 1.1), ``common_name`` in ``eo:bands`` (1.0) and ``name``; the only band of
an asset also has the asset's key. https://github.com/radiantearth/stac-spec

A fingerprint of the files tells whether a job that is continued still reads the same scene. It is
cheap: of a local file it holds size and time, of a file on a server only the name.
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

Bands = Sequence[int | str] | None

_DEFAULT_BANDS = ("red", "green", "blue")
_MAX_ITEM_BYTES = 16 * 2**20
_TIMEOUT_S = 30
_ROLES_WITHOUT_BANDS = {"thumbnail", "overview", "metadata"}
_IN_MEMORY = "/vsimem/"
# Programs that only display a raster write these files beside it; they change no pixel.
_DISPLAY_SUFFIXES = (".ovr", ".aux.xml")


@contextmanager
def resolve(path: str | os.PathLike[str], bands: Bands) -> Iterator[tuple[str, Bands]]:
    """The name that GDAL can open inside the ``with`` block, and the bands to read from it.

    Raises ``SceneError`` when the files of a scene differ, or a STAC item lacks a band.
    """
    address = _to_address(path)
    if (item := _read_item(address)) is not None:
        assets = _select_assets(item, address, bands)
        files = {file for _, file, _ in assets}
        if len(files) == 1:
            yield files.pop(), [band for _, _, band in assets]
        else:
            with _in_memory(vrt.build_band_stack(assets)) as name:
                yield name, None
    elif Path(address).is_dir() or is_pattern(address):
        with _in_memory(vrt.build_mosaic(vrt.list_rasters(address))) as name:
            yield name, bands
    else:
        yield address, bands


def list_files(path: str | os.PathLike[str]) -> list[str]:
    """The files or addresses that a scene's name stands for; the name itself where it is one."""
    address = _to_address(path)
    with suppress(SceneError):
        if Path(address).is_dir() or is_pattern(address):
            return vrt.list_rasters(address)
        if "://" not in address and (item := _read_item(address)) is not None:
            return [address, *(file for file, _ in _list_assets(item, address).values())]
    return [address]


def list_local_files(path: str | os.PathLike[str]) -> set[str]:
    """The local files that a scene is read from, also those inside a VRT, a folder or an item.

    A file that cannot be opened stands for itself. No server is asked.
    """
    files: set[str] = set()
    for name in list_files(path):
        files.add(name)
        if "://" in name:
            continue
        with suppress(SceneError), open_dataset(name) as dataset:
            _add_files(dataset, files)
    return files


def fingerprint(dataset: DatasetReader) -> dict[str, Any]:
    """As JSON: ``files`` by name, ``layout`` of a scene of many files, ``nodata`` of the bands."""
    return {
        "files": dict(sorted(_fingerprint_files(dataset, set()).items())),
        "layout": _fingerprint_layout(dataset),
        "nodata": [repr(value) for value in dataset.nodatavals],
    }


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a name has wildcards and stands for many files (RULE 1: not where it exists).

    >>> is_pattern("tiles/*.tif"), is_pattern("https://example.org/scene.tif?key=1")
    (True, False)
    """
    name = os.fspath(path)
    return bool(re.search(r"[*?]", name)) and "://" not in name and not os.path.lexists(name)


def _to_address(path: str | os.PathLike[str]) -> str:
    """The name as text, with the second slash of an address, which ``Path`` removes.

    >>> _to_address(Path("https://example.org/scene.tif"))
    'https://example.org/scene.tif'
    """
    if os.path.lexists(path):
        return os.fspath(path)
    return re.sub(r"^(https?|s3|gs|az):/(?!/)", r"\1://", os.fspath(path))


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """The name of a VRT of this text, which exists inside the ``with`` block."""
    with gdal_env(), MemoryFile(text.encode(), filename="scene.vrt") as file:
        yield file.name


def _read_item(address: str) -> dict[str, Any] | None:
    """The STAC item in a JSON file or at an http address; None for any other name.

    Raises ``SceneError`` when the address cannot be read.
    """
    if not address.lower().partition("?")[0].endswith((".json", ".geojson")):
        return None
    try:
        text = _read_bytes(address)
    except (OSError, HTTPException) as error:
        raise SceneError(f"cannot read {address}: {error}; check the address") from error
    try:
        item = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{address} is no STAC item: {error}") from error
    if not isinstance(item, dict) or not isinstance(item.get("assets"), dict):
        raise SceneError(f"{address} is no STAC item: it has no assets")
    return item


def _read_bytes(address: str) -> bytes:
    if not address.startswith(("http://", "https://")):
        return Path(address).read_bytes()
    with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response:
        content: bytes = response.read(_MAX_ITEM_BYTES)
        return content


def _select_assets(
    item: Mapping[str, Any], address: str, bands: Bands
) -> list[tuple[str, str, int]]:
    """(name, file, band) of each requested band, by default red, green and blue.

    Raises ``SceneError`` where the item has no such band.
    """
    available = _list_assets(item, address)
    names = list(bands) if bands is not None else list(_DEFAULT_BANDS)
    for name in names:
        if isinstance(name, int) or name.lower() not in available:
            raise SceneError(
                f"{address}: {unknown('band', str(name), available)}"
                if available
                else f"{address} has no image whose bands have names"
            )
    return [(str(name), *available[str(name).lower()]) for name in names]


def _list_assets(item: Mapping[str, Any], address: str) -> dict[str, tuple[str, int]]:
    """Name -> (address of the file, band from 1) of all bands of an item's images."""
    assets: dict[str, tuple[str, int]] = {}
    for key, asset in item["assets"].items():
        if not isinstance(asset, dict) or _ROLES_WITHOUT_BANDS & set(asset.get("roles") or ()):
            continue
        href = asset.get("href")
        if isinstance(href, str):
            for name, band in _band_names(key, asset):
                assets.setdefault(name.lower(), (_join(address, href), band))
    return assets


def _band_names(key: str, asset: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The names of an asset's bands (RULE 3), each with its number from 1."""
    bands = asset.get("bands") or asset.get("eo:bands") or []
    bands = [band for band in bands if isinstance(band, dict)]
    for number, band in enumerate(bands, start=1):
        for name in ("eo:common_name", "common_name", "name"):
            if isinstance(band.get(name), str):
                yield band[name], number
    if len(bands) <= 1:
        yield key, 1


def _join(address: str, href: str) -> str:
    """The address of an asset, which may be relative to that of its item."""
    if "://" in href or href.startswith("/"):
        return href
    return urljoin(address, href) if "://" in address else os.fspath(Path(address).parent / href)


def _add_files(dataset: DatasetReader, files: set[str]) -> None:
    """Add the files of a dataset, and of the VRTs among them."""
    with gdal_env():
        new = set(dataset.files) - files
    files |= new
    for name in new:
        if name.lower().endswith(".vrt"):
            with suppress(SceneError), open_dataset(name) as inner:
                _add_files(inner, files)


def _fingerprint_files(dataset: DatasetReader, visited: set[str]) -> dict[str, Any]:
    """The state of each file of a dataset, and of those of the VRTs among them."""
    states: dict[str, Any] = {}
    with gdal_env():
        names = set(dataset.files) - visited
    for name in names:
        if name.startswith(_IN_MEMORY) or name.endswith(_DISPLAY_SUFFIXES):
            continue
        visited.add(name)
        states |= _fingerprint_file(name)
        if name.lower().endswith(".vrt") and name != dataset.name and Path(name).is_file():
            with open_dataset(name) as inner:
                states |= _fingerprint_files(inner, visited)
    return states


def _fingerprint_file(name: str) -> dict[str, Any]:
    path = Path(name)
    if not path.exists():
        return {name.partition("?")[0]: "remote"}  # a query may hold a signature that expires
    status = path.stat()
    return {str(path.resolve()): {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}}


def _fingerprint_layout(dataset: DatasetReader) -> str | None:
    """The SHA-256 of a VRT that ``resolve`` built: which band of which file lies where."""
    if not dataset.name.startswith(_IN_MEMORY):
        return None
    with gdal_env():
        text = "".join(dataset.tags(ns="xml:VRT").values())
    return hashlib.sha256(text.encode()).hexdigest()
