"""Many files as one scene, as a GDAL virtual raster (VRT): a mosaic, or bands in separate files.

RULE 1: the files of a mosaic have one CRS, pixel size, dtype and list of bands; each is moved to
the nearest whole pixel. RULE 2: where files overlap the last one is read, but its pixels without
data do not hide those of the others. RULE 3: where there is no file there is no data. No pixel is
copied: a VRT is XML text that names the files.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring

from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from terralink.errors import SceneError
from terralink.raster.source import open_dataset

_SUFFIXES = {".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg"}
_GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}
_OBJECT_STORES = ("s3", "gs", "az")
_PIXEL_SIZE_TOLERANCE = 1e-4  # relative
_BLOCK_PX = 512


@dataclass(frozen=True)
class Header:
    """What a VRT must state about one file."""

    path: str
    shape: tuple[int, int]
    transform: Affine
    wkt: str
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    names: tuple[str | None, ...]
    nodata: tuple[float | None, ...]
    has_mask: bool

    @property
    def mask_band(self) -> int:
        """The band whose mask is used for all: the first with a nodata tag, else the first."""
        tagged = (band for band, value in enumerate(self.nodata, start=1) if value is not None)
        return next(tagged, 1)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Header":
        """Read the header of a file; raises ``SceneError``."""
        with open_dataset(path) as dataset:
            return cls.from_dataset(dataset)

    @classmethod
    def from_dataset(cls, dataset: DatasetReader) -> "Header":
        """The header of an open file; raises ``SceneError`` where a VRT cannot hold its bands."""
        if ColorInterp.palette in dataset.colorinterp or set(dataset.dtypes) - set(_GDAL_TYPES):
            raise SceneError(
                f"{dataset.name} has a palette or the dtype {dataset.dtypes[0]}; the files of one "
                "scene must have plain bands; convert it: gdal_translate -expand rgb"
            )
        return cls(
            dataset.name,
            dataset.shape,
            dataset.transform,
            dataset.crs.to_wkt() if dataset.crs else "",
            dataset.dtypes,
            tuple(kind.name for kind in dataset.colorinterp),
            dataset.descriptions,
            tuple(dataset.nodatavals),
            any(MaskFlags.all_valid not in flags for flags in dataset.mask_flag_enums),
        )


Placement: TypeAlias = tuple[Header, tuple[int, int]]  # a file and its first pixel (row, col)


def list_rasters(path: str | os.PathLike[str]) -> list[str]:
    """The rasters in a folder, or those that match a pattern such as ``tiles/*.tif``, sorted.

    Raises ``SceneError`` when there are none.
    """
    pattern = Path(path)
    if pattern.is_dir():
        found = [file for file in pattern.iterdir() if file.suffix.lower() in _SUFFIXES]
    else:
        # an existing folder is taken literally, also where its name has a wildcard
        folder = next((parent for parent in pattern.parents if parent.is_dir()), Path())
        found = list(folder.glob(str(pattern.relative_to(folder))))
    if not found:
        problem = "is a folder that holds" if pattern.is_dir() else "finds"
        suffixes = ", ".join(sorted(_SUFFIXES))
        raise SceneError(f"{path} {problem} no raster; name one, or a folder of {suffixes}")
    return sorted(map(str, found))


def build_mosaic(paths: Sequence[str | os.PathLike[str]]) -> str:
    """The text of a VRT of adjacent files; raises ``SceneError`` where one of them differs."""
    headers = [Header.read(path) for path in paths]
    first = headers[0]
    for header in headers:
        _check_compatible(header, first)
    pixel_width, pixel_height = first.transform.a, first.transform.e
    lefts = [header.transform.c for header in headers]
    tops = [header.transform.f for header in headers]
    left = min(lefts) if pixel_width > 0 else max(lefts)
    top = min(tops) if pixel_height > 0 else max(tops)
    placements = [
        (
            header,
            (
                round((header.transform.f - top) / pixel_height),
                round((header.transform.c - left) / pixel_width),
            ),
        )
        for header in headers
    ]
    height = max(row + header.shape[0] for header, (row, _) in placements)
    width = max(col + header.shape[1] for header, (_, col) in placements)
    same_nodata = all(all(map(_equal, header.nodata, first.nodata)) for header in headers)
    nodata = first.nodata if same_nodata else (None,) * len(first.dtypes)
    bands = [
        _band(number, placements, name=name, nodata=value)
        for number, (name, value) in enumerate(zip(first.names, nodata, strict=True), start=1)
    ]
    has_tag = any(value is not None for value in nodata)
    mask = [] if has_tag or "alpha" in first.colours else [_mask(placements)]
    transform = Affine(pixel_width, 0, left, 0, pixel_height, top)
    return _dataset((height, width), transform, first.wkt, [*bands, *mask])


def build_band_stack(bands: Sequence[tuple[str, str, int]]) -> str:
    """The text of a VRT of bands (name, path, number in that file), each under its name.

    Raises ``SceneError`` where they differ in size or position.
    """
    headers = [(name, Header.read(path), band) for name, path, band in bands]
    first_name, first, _ = headers[0]
    for name, header, _ in headers:
        same_transform = header.transform.almost_equals(first.transform, 1e-6)
        if header.shape != first.shape or not same_transform:
            raise SceneError(
                f"the bands of a scene must have one size and position; {first_name} "
                f"({first.path}) has {_size(first)}, {name} ({header.path}) {_size(header)}; "
                "resample them to one grid, or choose others with --bands"
            )
    elements = [
        _band(
            number, [(header, (0, 0))], name=name, nodata=header.nodata[band - 1], source_band=band
        )
        for number, (name, header, band) in enumerate(headers, start=1)
    ]
    masked: list[Placement] = [
        (header, (0, 0))
        for _, header, band in headers
        if header.has_mask and header.nodata[band - 1] is None
    ]
    mask = [_mask(masked[:1])] if masked else []
    return _dataset(first.shape, first.transform, first.wkt, [*elements, *mask])


def _check_compatible(header: Header, first: Header) -> None:
    """RULE 1."""
    differences = {
        "is rotated": header.transform.b != 0 or header.transform.d != 0,
        "is in another CRS": header.wkt != first.wkt,
        "has other bands": (header.dtypes, header.colours) != (first.dtypes, first.colours),
        "has pixels of another size": _differs(header.transform.a, first.transform.a)
        or _differs(header.transform.e, first.transform.e),
    }
    for difference, applies in differences.items():
        if applies:
            raise SceneError(
                f"the files of one scene must be alike; {header.path} {difference}, compared with "
                f"{first.path}; warp it, or leave it out"
            )


def _differs(size: float, expected: float) -> bool:
    return abs(size / expected - 1) > _PIXEL_SIZE_TOLERANCE


def _band(
    number: int,
    placements: Sequence[Placement],
    *,
    name: str | None,
    nodata: float | None,
    source_band: int | None = None,
) -> Element:
    first = placements[0][0]
    band = source_band or number
    colour = first.colours[band - 1] if source_band is None else "undefined"
    element = _block_band(_GDAL_TYPES[first.dtypes[band - 1]], band=str(number))
    if name:
        SubElement(element, "Description").text = name
    if nodata is not None:
        SubElement(element, "NoDataValue").text = repr(nodata)
    SubElement(element, "ColorInterp").text = colour.capitalize()
    for header, position in placements:
        source = _source(header, position, str(band), is_complex=header.has_mask)
        if header.has_mask:
            value = header.nodata[band - 1]
            tag, text = ("UseMaskBand", "true") if value is None else ("NODATA", repr(value))
            SubElement(source, tag).text = text
        element.append(source)
    return element


def _mask(placements: Sequence[Placement]) -> Element:
    """The mask of all bands; RULE 2: where a file masks a pixel (0), those below it count."""
    element = Element("MaskBand")
    band = _block_band("Byte")
    element.append(band)
    for header, position in placements:
        source = _source(header, position, f"mask,{header.mask_band}", is_complex=True)
        SubElement(source, "NODATA").text = "0"
        band.append(source)
    return element


def _block_band(dtype: str, **attributes: str) -> Element:
    block_px = str(_BLOCK_PX)
    attributes |= {"blockXSize": block_px, "blockYSize": block_px}
    return Element("VRTRasterBand", {"dataType": dtype, **attributes})


def _source(header: Header, position: tuple[int, int], band: str, *, is_complex: bool) -> Element:
    (row, col), (height, width) = position, header.shape
    size = {"xSize": str(width), "ySize": str(height)}
    element = Element("ComplexSource" if is_complex else "SimpleSource")
    SubElement(element, "SourceFilename", relativeToVRT="0").text = _to_gdal_path(header.path)
    SubElement(element, "SourceBand").text = band
    SubElement(element, "SourceProperties", RasterXSize=str(width), RasterYSize=str(height))
    SubElement(element, "SrcRect", {"xOff": "0", "yOff": "0", **size})
    SubElement(element, "DstRect", {"xOff": str(col), "yOff": str(row), **size})
    return element


def _dataset(shape: tuple[int, int], transform: Affine, wkt: str, bands: Sequence[Element]) -> str:
    root = Element("VRTDataset", rasterXSize=str(shape[1]), rasterYSize=str(shape[0]))
    if wkt:
        SubElement(root, "SRS").text = wkt
    numbers = (repr(float(number)) for number in transform.to_gdal())
    SubElement(root, "GeoTransform").text = ", ".join(numbers)
    root.extend(bands)
    return tostring(root, encoding="unicode")


def _to_gdal_path(path: str) -> str:
    """An absolute path, or the name that GDAL has for an address.

    >>> _to_gdal_path("s3://bucket/a.tif"), _to_gdal_path("https://host/a.tif")
    ('/vsis3/bucket/a.tif', '/vsicurl/https://host/a.tif')
    """
    scheme, separator, rest = path.partition("://")
    if separator:
        return f"/vsi{scheme}/{rest}" if scheme in _OBJECT_STORES else f"/vsicurl/{path}"
    return path if path.startswith("/vsi") else str(Path(path).resolve())


def _equal(one: float | None, other: float | None) -> bool:
    """Whether two nodata values are equal; NaN equals NaN."""
    return bool(one == other or (one != one and other != other))


def _size(header: Header) -> str:
    return f"{header.shape[1]} x {header.shape[0]} px of {header.transform.a:g}"
