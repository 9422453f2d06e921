"""What users name as a scene, as something GDAL opens: a file, an address, many files, a STAC item.

RULE 1: a file that is there is that file, whatever its name. RULE 2: a folder, and a pattern such
as ``tiles/*.tif``, is one scene of all rasters in it.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rasterio.io import MemoryFile

from terralink.errors import SceneError
from terralink.raster import stac, vrt
from terralink.raster.source import gdal

Bands = Sequence[int | str] | None


@contextmanager
def given(path: str | os.PathLike[str], bands: Bands) -> Iterator[tuple[str, Bands]]:
    """A name that GDAL opens while the block runs, and which bands of it are wanted.

    Raises ``SceneError`` when files do not go together, or an item lacks a band.
    """
    address = _address(path)
    if (item := stac.item_at(address)) is not None:
        found = stac.chosen(item, address, bands)
        files = {file for _, file, _ in found}
        if len(files) == 1:
            yield files.pop(), [band for _, _, band in found]
        else:
            with _in_memory(vrt.stack(found)) as name:
                yield name, None
    elif Path(address).is_dir() or is_pattern(address):
        with _in_memory(vrt.mosaic(vrt.files_of(address))) as name:
            yield name, bands
    else:
        yield address, bands


def files_of(path: str | os.PathLike[str]) -> list[str]:
    """The files, or addresses, that a name stands for; the name where it stands for itself."""
    address = _address(path)
    with suppress(SceneError):
        if Path(address).is_dir() or is_pattern(address):
            return vrt.files_of(address)
        if "://" not in address and (item := stac.item_at(address)) is not None:
            return [address, *(file for file, _ in stac.bands_of(item, address).values())]
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
    with gdal(), MemoryFile(vrt.encode(), filename="scene.vrt") as file:
        yield file.name
