"""STAC items: which of their assets hold the bands that are wanted.

Names of bands are ``eo:common_name`` (STAC 1.1), ``common_name`` in ``eo:bands`` (1.0), their own
names, and of an asset of one band its key. https://github.com/radiantearth/stac-spec
"""

import json
import os
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from terralink.errors import SceneError, unknown

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
