"""Many files as one scene: rasters beside each other, or bands in files of their own, as a VRT.

RULE 1: files beside each other share CRS, pixel size, bands and dtype; each is laid to the nearest
whole pixel. RULE 2: where files overlap the later counts, but its pixels without data do not hide
those below. RULE 3: where there is no file there is no data. Nothing is copied: the VRT is text.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

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
_STORES = ("s3", "gs", "az")
_SAME_SIZE = 1e-4
_BLOCK_PX = 512


@dataclass(frozen=True)
class Part:
    """What a VRT must know of one file."""

    path: str
    shape: tuple[int, int]
    transform: Affine
    wkt: str
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    names: tuple[str | None, ...]
    nodatas: tuple[float | None, ...]
    masked: bool

    @property
    def tagged_band(self) -> int:
        """The first band with a nodata tag, else the first: its mask is that of all."""
        tagged = (band for band, level in enumerate(self.nodatas, start=1) if level is not None)
        return next(tagged, 1)

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "Part":
        """Read a file's header; raises ``SceneError``."""
        with open_dataset(path) as dataset:
            return cls._of(dataset)

    @classmethod
    def _of(cls, dataset: DatasetReader) -> "Part":
        if ColorInterp.palette in dataset.colorinterp or set(dataset.dtypes) - set(_GDAL_TYPES):
            raise SceneError(
                f"{dataset.name} has a palette or levels of {dataset.dtypes[0]}; files that are "
                "one scene hold plain bands: gdal_translate -expand rgb"
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


def list_files(path: str | os.PathLike[str]) -> list[str]:
    """The rasters of a folder, or those that a pattern such as ``tiles/*.tif`` finds, sorted.

    Raises ``SceneError`` when there are none.
    """
    place = Path(path)
    if place.is_dir():
        found = [each for each in place.iterdir() if each.suffix.lower() in _SUFFIXES]
    else:
        # folders that are there stand for themselves, whatever their names
        folder = next((each for each in place.parents if each.is_dir()), Path())
        found = list(folder.glob(str(place.relative_to(folder))))
    if not found:
        what = "is a folder that holds" if place.is_dir() else "finds"
        raise SceneError(f"{path} {what} no raster; name one, or a folder of {_kinds()}")
    return sorted(map(str, found))


def mosaic(paths: Sequence[str | os.PathLike[str]]) -> str:
    """A VRT of files that lie beside each other; raises ``SceneError`` that names the odd one."""
    parts = [Part.of(path) for path in paths]
    first = parts[0]
    for part in parts:
        _check_fits(part, first)
    across, down = first.transform.a, first.transform.e
    lefts, tops = zip(*((part.transform.c, part.transform.f) for part in parts), strict=True)
    left = min(lefts) if across > 0 else max(lefts)
    top = min(tops) if down > 0 else max(tops)
    places = [
        (round((part.transform.f - top) / down), round((part.transform.c - left) / across))
        for part in parts
    ]
    height = max(row + part.shape[0] for part, (row, _) in zip(parts, places, strict=True))
    width = max(col + part.shape[1] for part, (_, col) in zip(parts, places, strict=True))
    laid = list(zip(parts, places, strict=True))
    alike = all(all(map(_same, part.nodatas, first.nodatas)) for part in parts)
    nodatas = first.nodatas if alike else (None,) * len(first.dtypes)
    bands = [
        _band(number, laid, name=name, nodata=nodata)
        for number, (name, nodata) in enumerate(zip(first.names, nodatas, strict=True), start=1)
    ]
    tagged = any(nodata is not None for nodata in nodatas)
    mask = [] if tagged or "alpha" in first.colours else [_mask(laid)]
    place = Affine(across, 0, left, 0, down, top)
    return _dataset((height, width), place, first.wkt, [*bands, *mask])


def stack(bands: Sequence[tuple[str, str, int]]) -> str:
    """A VRT of (name, path, band): each band under its name.

    Raises ``SceneError`` where they are not of one size and place.
    """
    parts = [(name, Part.of(path), band) for name, path, band in bands]
    first_name, first, _ = parts[0]
    for name, part, _ in parts:
        if part.shape != first.shape or not part.transform.almost_equals(first.transform, 1e-6):
            raise SceneError(
                f"bands of one size and place were wanted; {first_name} ({first.path}) has "
                f"{_size(first)}, {name} ({part.path}) {_size(part)}; bring them to one grid, "
                "or choose others with --bands"
            )
    made = [
        _band(number, [(part, (0, 0))], name=name, nodata=part.nodatas[band - 1], source_band=band)
        for number, (name, part, band) in enumerate(parts, start=1)
    ]
    masked = [
        (part, (0, 0)) for _, part, band in parts if part.masked and part.nodatas[band - 1] is None
    ]
    mask = [_mask(masked[:1])] if masked else []
    return _dataset(first.shape, first.transform, first.wkt, [*made, *mask])


def _check_fits(part: Part, first: Part) -> None:
    across, down = first.transform.a, first.transform.e
    odd = {
        "is turned": part.transform.b != 0 or part.transform.d != 0,
        "is in another CRS": part.wkt != first.wkt,
        "has other bands": (part.dtypes, part.colours) != (first.dtypes, first.colours),
        "has pixels of another size": abs(part.transform.a / across - 1) > _SAME_SIZE
        or abs(part.transform.e / down - 1) > _SAME_SIZE,
    }
    for what, is_so in odd.items():
        if is_so:
            raise SceneError(
                f"files that are one scene are alike; {part.path} {what}, seen from {first.path}; "
                "warp it, or leave it out"
            )


def _band(
    number: int,
    laid: Sequence[tuple[Part, tuple[int, int]]],
    *,
    name: str | None,
    nodata: float | None,
    source_band: int | None = None,
) -> str:
    first = laid[0][0]
    band = source_band or number
    colour = first.colours[band - 1] if source_band is None else "undefined"
    told = [f"<Description>{escape(name)}</Description>"] if name else []
    told += [] if nodata is None else [f"<NoDataValue>{nodata!r}</NoDataValue>"]
    told += [f"<ColorInterp>{colour.capitalize()}</ColorInterp>"]
    sources = (_source(part, place, str(band)) for part, place in laid)
    return (
        f'<VRTRasterBand dataType="{_GDAL_TYPES[first.dtypes[band - 1]]}" band="{number}" '
        f'blockXSize="{_BLOCK_PX}" blockYSize="{_BLOCK_PX}">'
        f"{''.join(chain(told, sources))}</VRTRasterBand>"
    )


def _mask(laid: Sequence[tuple[Part, tuple[int, int]]]) -> str:
    sources = "".join(
        _source(part, place, f"mask,{part.tagged_band}", hides=0) for part, place in laid
    )
    return (
        f'<MaskBand><VRTRasterBand dataType="Byte" blockXSize="{_BLOCK_PX}" '
        f'blockYSize="{_BLOCK_PX}">{sources}</VRTRasterBand></MaskBand>'
    )


def _source(part: Part, place: tuple[int, int], band: str, *, hides: int | None = None) -> str:
    (row, col), (height, width) = place, part.shape
    kind = "ComplexSource" if part.masked or hides is not None else "SimpleSource"
    through = f"<NODATA>{hides}</NODATA>" if hides is not None else ""
    if part.masked and hides is None:
        nodata = part.nodatas[int(band) - 1]
        through = (
            "<UseMaskBand>true</UseMaskBand>" if nodata is None else f"<NODATA>{nodata!r}</NODATA>"
        )
    return (
        f'<{kind}><SourceFilename relativeToVRT="0">{escape(_absolute(part.path))}'
        f"</SourceFilename><SourceBand>{band}</SourceBand>"
        f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}"/>'
        f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
        f'<DstRect xOff="{col}" yOff="{row}" xSize="{width}" ySize="{height}"/>{through}</{kind}>'
    )


def _dataset(shape: tuple[int, int], transform: Affine, wkt: str, bands: Sequence[str]) -> str:
    place = ", ".join(repr(float(number)) for number in transform.to_gdal())
    srs = f"<SRS>{escape(wkt)}</SRS>" if wkt else ""
    return (
        f'<VRTDataset rasterXSize="{shape[1]}" rasterYSize="{shape[0]}">{srs}'
        f"<GeoTransform>{place}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )


def _absolute(path: str) -> str:
    """GDAL's own names, of what is remote, for what rasterio calls by address.

    >>> _absolute("s3://bucket/a.tif"), _absolute("https://host/a.tif")
    ('/vsis3/bucket/a.tif', '/vsicurl/https://host/a.tif')
    """
    scheme, remote, rest = path.partition("://")
    if remote:
        return f"/vsi{scheme}/{rest}" if scheme in _STORES else f"/vsicurl/{path}"
    return path if path.startswith("/vsi") else str(Path(path).resolve())


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # NaN is NaN


def _size(part: Part) -> str:
    return f"{part.shape[1]} x {part.shape[0]} px of {part.transform.a:g}"


def _kinds() -> str:
    return ", ".join(sorted(_SUFFIXES))
