"""What the bands of a raster show: by their descriptions, wavelengths and colour interpretation.

RULE 1: what a file says of a band in words or as a wavelength goes before its colour
interpretation, which many programs set by default. RULE 2: numbers such as B4 are those of a sensor
that the other names tell: Sentinel-2, Landsat, MODIS; B1, B2, ... alone are only numbers. RULE 3: a
band that is tagged as alpha but named otherwise, or holds many levels, is a band: near infrared is
often written as the fourth band of an RGB file.

Which bands of a raster are wanted: those that a user names, or those that a model takes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from terralink.errors import SceneError, unknown

Names: TypeAlias = tuple[str | None, ...]

RGB = ("red", "green", "blue")
# Name -> centre and reach in nanometres; of two bands in reach, the nearer one has the name.
_WAVELENGTHS_NM = {
    "coastal": (443, 17),
    "blue": (482, 22),
    "green": (560, 35),
    "yellow": (605, 10),
    "red": (660, 30),
    "rededge": (725, 30),
    "nir": (840, 65),
    "swir1": (1610, 80),
    "swir2": (2200, 130),
}
_NANOMETRES = {"nm": 1.0, "nanometers": 1.0, "nanometer": 1.0, "nanometres": 1.0, "": 1.0}
_NANOMETRES |= dict.fromkeys(
    ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometres"), 1000.0
)
_LENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(nm|nanomet\w+|[uµμ]m|microns?|micromet\w+)\b", re.I)
_WORDS = {
    "red": "red",
    "green": "green",
    "blue": "blue",
    "nir": "nir",
    "nir1": "nir",
    "nir08": "nir",
    "infrared": "nir",
    "yellow": "yellow",
    "coastal": "coastal",
    "ultrablue": "coastal",
    "rededge": "rededge",
    "swir": "swir1",
    "swir1": "swir1",
    "swir16": "swir1",
    "swir2": "swir2",
    "swir22": "swir2",
    "alpha": "alpha",
    "pan": "pan",
    "panchromatic": "pan",
}
KNOWN = frozenset(_WORDS.values())
_LETTERS = {"r": "red", "g": "green", "b": "blue", "n": "nir", "a": "alpha"}
_NUMBER = re.compile(
    r"\b(?:(?P<family>sur refl|sr|toa) ?)?b(?P<spelt>and)? ?(?P<number>\d{1,2}a?)\b"
)
_SENTINEL_2 = {"1": "coastal", "2": "blue", "3": "green", "4": "red", "8": "nir", "11": "swir1"}
_SENTINEL_2 |= {"5": "rededge", "12": "swir2"}
_LANDSAT_8 = {"1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "nir", "6": "swir1"}
_LANDSAT_8 |= {"7": "swir2"}
_LANDSAT_7 = {"1": "blue", "2": "green", "3": "red", "4": "nir", "5": "swir1", "7": "swir2"}
_MODIS = {"1": "red", "2": "nir", "3": "blue", "4": "green", "6": "swir1", "7": "swir2"}
_COLOURS = {"red", "green", "blue", "coastal", "rededge", "nir", "pan"}
_COLOURS |= {"cyan", "magenta", "yellow", "black", "hue", "saturation", "lightness"}
_COLOURS |= {"Y", "Cb", "Cr"}  # luma and two of chroma, where GDAL does not make RGB of them
# RULE 3: of an alpha band, at least this part of the sampled pixels is clear or opaque.
_MASK_LIKE = 0.9
_PATCHES, _PATCH_PX = 4, 64


def band_names(dataset: DatasetReader, palette: bool = False) -> Names:
    """What each band shows, such as "red" or "nir"; None where nothing tells."""
    if palette:
        return RGB
    told = _described(dataset)
    colours = [
        kind.name if kind.name in _COLOURS and kind.name not in told else None
        for kind in dataset.colorinterp
    ]
    return tuple(name or colour for name, colour in zip(told, colours, strict=True))


def canonical(name: str) -> str:
    """The one spelling of a band's name, or the name in small letters.

    >>> canonical("Near Infrared"), canonical("R"), canonical("elevation")
    ('nir', 'red', 'elevation')
    """
    small = name.strip().lower()
    return _LETTERS.get(small) or _worded(name) or small


def canonical_all(names: Sequence[str]) -> tuple[str, ...]:
    """The same for all bands of a model, of which numbers may be those of a sensor.

    >>> canonical_all(["B04", "B03", "B02"]), canonical_all(["Red", "height"])
    (('red', 'green', 'blue'), ('red', 'height'))
    """
    numbered = _numbered(names)
    return tuple(told or canonical(name) for told, name in zip(numbered, names, strict=True))


def alpha_bands(dataset: DatasetReader) -> tuple[int, ...]:
    """The bands, from 1, that say which pixels are valid; see RULE 3."""
    tagged = [
        number
        for number, kind in enumerate(dataset.colorinterp, start=1)
        if kind == ColorInterp.alpha
    ]
    told = _described(dataset) if tagged else ()
    return tuple(
        number
        for number in tagged
        if told[number - 1] in (None, "alpha")
        and (told[number - 1] == "alpha" or _is_mask(dataset, number))
    )


def _described(dataset: DatasetReader) -> Names:
    """What descriptions and wavelengths tell, band by band."""
    texts = [text or "" for text in dataset.descriptions]
    words = _lettered(texts) or [_worded(text) for text in texts]
    lengths = [_wavelength_nm(dataset, number, text) for number, text in enumerate(texts, start=1)]
    seen = _by_wavelength(lengths)
    numbered = _numbered(texts)
    return tuple(a or b or c for a, b, c in zip(words, seen, numbered, strict=True))


def _lettered(texts: Sequence[str]) -> list[str | None]:
    """Names of bands that are called R, G, B and so on; none where these three are not there.

    >>> _lettered(["b", "G", "r", "N"]), _lettered(["a", "b", "c"])
    (['blue', 'green', 'red', 'nir'], [])
    """
    names = [_LETTERS.get(text.strip().lower()) for text in texts]
    return names if set(RGB) <= set(names) else []


def _worded(text: str) -> str | None:
    """A name in a description, such as "Band 3 - Red (660 nm)".

    >>> [_worded(text) for text in ("SR_Red", "Red Edge 1", "NIR", "green_i", "swir 2")]
    ['red', 'rededge', 'nir', None, 'swir2']
    """
    plain = _plain(text)
    if re.search(r"\bred ?edge", plain):
        return "rededge"
    if re.search(r"\bgreen (?:i|1)\b|\b(?:nir|near ?infra ?red) ?(?:2|b)\b", plain):
        return None
    if re.search(r"\bshort ?wave|\bswir", plain):
        return "swir2" if re.search(r"2\d?\b", plain) else "swir1"
    if re.search(r"\b(?:thermal|mid|far|long)\b.*infra ?red", plain):
        return None
    found = [
        _WORDS[word] for word in plain.replace("infra red", "infrared").split() if word in _WORDS
    ]
    if "coastal" in found:
        return "coastal"
    return found[0] if len(set(found)) == 1 else None


def _wavelength_nm(dataset: DatasetReader, number: int, text: str) -> float | None:
    """The wavelength of a band, from its description or its metadata."""
    if match := _LENGTH.search(text):
        return float(match[1].replace(",", ".")) * _unit(match[2])
    imagery = dataset.tags(number, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
    tags = {key.lower(): value for key, value in dataset.tags(number).items()}
    length, unit = tags.get("wavelength"), tags.get("wavelength_units", "")
    try:
        if imagery is not None:
            return float(imagery) * 1000
        if length is not None:
            found = float(length) * _unit(unit)
            return found * 1000 if found < 20 else found  # no unit, and micrometres
    except ValueError:
        pass
    return None


def _unit(name: str) -> float:
    return _NANOMETRES.get(name.strip().lower(), 1.0)


def _by_wavelength(lengths_nm: Sequence[float | None]) -> Names:
    """The names of wavelengths; of several in reach of a name the nearest one has it.

    >>> _by_wavelength([490.0, 560.0, 665.0, 705.0, 842.0, None])
    ('blue', 'green', 'red', 'rededge', 'nir', None)
    """
    names: list[str | None] = [None] * len(lengths_nm)
    for name, (centre, reach) in _WAVELENGTHS_NM.items():
        off = [
            (abs(length - centre), index)
            for index, length in enumerate(lengths_nm)
            if length is not None and abs(length - centre) <= reach
        ]
        if off:
            names[min(off)[1]] = name
    return tuple(names)


def _numbered(texts: Sequence[str]) -> Names:
    """RULE 2.

    >>> _numbered(["B02", "B03", "B04", "B08"]), _numbered(["B1", "B2", "B3"])
    (('blue', 'green', 'red', 'nir'), (None, None, None))
    >>> _numbered(["sur_refl_b01", "sur_refl_b04", "sur_refl_b03"])
    ('red', 'green', 'blue')
    """
    found = [_NUMBER.search(_plain(text)) for text in texts]
    names = _sensor([match for match in found if match])
    return tuple(names.get(match["number"].lstrip("0")) if match else None for match in found)


def _sensor(found: Sequence[re.Match[str]]) -> Mapping[str, str]:
    """What the numbers mean, by which of them are there."""
    families = {match["family"] for match in found} - {None}
    numbers = {match["number"].lstrip("0") for match in found}
    in_a_row = numbers == {str(number) for number in range(1, len(numbers) + 1)}
    if "sur refl" in families:
        return _MODIS
    if in_a_row and any(match["spelt"] for match in found):  # Band 1, Band 2, ...: only numbers
        return {}
    if numbers == {"1", "2", "3", "4", "5", "7"} or (families and numbers == {"1", "2", "3"}):
        return _LANDSAT_7
    padded = any(match["number"].startswith("0") for match in found)
    if (
        numbers & {"8a", "12"}
        or (padded and not in_a_row)
        or ("8" in numbers and "5" not in numbers)
    ):
        return _SENTINEL_2
    return {} if in_a_row and len(numbers) != len(_LANDSAT_8) else _LANDSAT_8


def _plain(text: str) -> str:
    """Words in small letters with one space between them."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _is_mask(dataset: DatasetReader, band: int) -> bool:
    """Whether nearly all of the sampled pixels are clear or as opaque as any."""
    windows = _windows(dataset.height, dataset.width)
    try:
        levels = np.concatenate([dataset.read(band, window=window).ravel() for window in windows])
    except RasterioError:
        return True  # the damage is told where the band is needed
    return bool(np.isin(levels, (0, levels.max())).mean() >= _MASK_LIKE)


def _windows(height: int, width: int) -> Iterator[Window]:
    for row in np.unique(np.linspace(0, max(height - _PATCH_PX, 0), _PATCHES).astype(int)):
        for col in np.unique(np.linspace(0, max(width - _PATCH_PX, 0), _PATCHES).astype(int)):
            size = min(_PATCH_PX, width - col), min(_PATCH_PX, height - row)
            yield Window(col, row, *size)


# What files of so many bands mostly are, for those that do not say it.
_USUAL = {
    3: (("1,2,3", "red, green, blue"), ("3,2,1", "blue, green, red")),
    4: (
        ("1,2,3", "red, green, blue, near infrared, as NAIP"),
        ("3,2,1", "blue, green, red, near infrared, as PlanetScope and most satellites"),
    ),
    5: (("3,2,1", "blue, green, red, red edge, near infrared, as RapidEye"),),
    6: (("3,2,1", "those of Landsat 5 or 7"),),
    7: (("4,3,2", "those of Landsat 8 or 9"),),
    8: (("5,3,2", "those of WorldView-2 or 3"), ("6,4,2", "those of PlanetScope SuperDove")),
    12: (("4,3,2", "those of Sentinel-2"),),
    13: (("4,3,2", "those of Sentinel-2"),),
}


def check_bands(
    dataset: DatasetReader,
    names: Names,
    alpha: tuple[int, ...],
    bands: Sequence[int | str] | None,
) -> tuple[int, ...]:
    """The bands that are wanted, by number or name, as numbers; None is all but alpha.

    Raises ``SceneError`` where one is not there, or can't be read as levels.
    """
    name = dataset.name
    if dataset.count == 0:
        parts = ", ".join(dataset.subdatasets[:3])
        raise SceneError(
            f"{name} has no bands" + (f"; name a part of it: {parts}" if parts else "")
        )
    image_bands = tuple(band for band in range(1, len(names) + 1) if band not in alpha)
    wanted = image_bands if bands is None else _numbers(dataset, names, bands)
    if not wanted:
        raise SceneError(
            f"no band of {name} is left to read; it has {_list(image_bands) or 'alpha'}"
        )
    for band in wanted:
        if band in alpha:
            raise SceneError(
                f"band {band} of {name} is its alpha; choose from {_list(image_bands)}"
            )
        if band not in image_bands:
            raise SceneError(f"{name} has no band {band}; choose from {_list(image_bands)}")
        if "complex" in dataset.dtypes[min(band, dataset.count) - 1]:
            raise SceneError(
                f"band {band} of {name} holds complex numbers ({dataset.dtypes[band - 1]}); "
                "give its amplitude as a real raster"
            )
    return wanted


def _numbers(dataset: DatasetReader, names: Names, bands: Sequence[int | str]) -> tuple[int, ...]:
    """Bands by number or name as numbers; a file's own names go before those of what it shows."""
    known: dict[str, int] = {}
    for told in (dataset.descriptions, names):
        for band, name in enumerate(told, start=1):
            if name:
                known.setdefault(name.strip().lower(), band)
    numbers = []
    for wanted in bands:
        if isinstance(wanted, str):
            name = wanted.strip().lower()
            number = known.get(name, known.get(canonical(name)))
            if number is None:
                raise SceneError(f"{dataset.name}: {unknown('band', wanted.strip(), known)}")
            numbers.append(number)
        else:
            numbers.append(wanted)
    return tuple(numbers)


def _list(bands: tuple[int, ...]) -> str:
    return ", ".join(map(str, bands))


def pick_bands(names: Mapping[int, str | None], wanted: Sequence[str]) -> tuple[int, ...] | None:
    """The bands (number -> name) that a model wants, in its order; None where nothing tells.

    Without names, of the scene or the model, as many bands as are wanted are taken as they come.

    >>> pick_bands({1: "blue", 2: "green", 3: "red", 4: "nir"}, ["red", "green", "blue"])
    (3, 2, 1)
    >>> pick_bands({1: "nir", 2: "red", 3: "green"}, ["red", "green", "blue"]) is None
    True
    """
    number_of: dict[str, int] = {}
    for number, name in names.items():
        if name is not None:
            number_of.setdefault(name, number)
    titles = canonical_all(wanted)
    if all(title in number_of for title in titles):
        return tuple(number_of[title] for title in titles)
    fits = len(names) == len(titles) and all(
        name in (None, title) or title not in KNOWN
        for name, title in zip(names.values(), titles, strict=True)
    )
    return tuple(names) if fits else None


def describe_missing_bands(
    path: str, names: Mapping[int, str | None], wanted: Sequence[str], model: str
) -> str:
    """The line that asks which bands are wanted, with what they may be in this file."""
    takes = f"model {model!r} takes {len(wanted)} ({', '.join(wanted)})"
    count = f"{len(names)} band{'s' if len(names) != 1 else ''}"
    if len(names) < len(wanted):
        again = ",".join([str(next(iter(names)))] * len(wanted))
        help_ = (
            f"; it needs a scene with all of them (--bands {again} shows it the one band "
            f"{len(wanted)} times, which it was not trained on)"
            if len(names) == 1
            else "; it needs a scene with all of them"
        )
        return f"{path} has {count}{_listed(names)}, but {takes}{help_}"
    known = {name for name in names.values() if name is not None}
    titles = zip(wanted, canonical_all(wanted), strict=True)
    missing = [each for each, title in titles if title not in known]
    told = (
        f"and nothing in it says which {'is' if len(missing) == 1 else 'are'} {', '.join(missing)}"
        if not known
        else f"of which none is named {' or '.join(missing)}"
    )
    return f"{path} has {count}{_listed(names)}, {told}; {takes}; {_suggest(names, wanted)}"


def _listed(names: Mapping[int, str | None]) -> str:
    told = [f"{number} {name}" for number, name in names.items() if name is not None]
    return f" ({', '.join(told)})" if told else ""


def _suggest(names: Mapping[int, str | None], wanted: Sequence[str]) -> str:
    """How to say it: with the numbers that files of so many bands mostly have."""
    titles = canonical_all(wanted)
    number_of = {name: number for number, name in names.items() if name is not None}
    if number_of and not set(titles) & set(number_of):
        return "bring it to these colours, or choose bands with --bands, such as " + ",".join(
            str(number) for number in list(names)[: len(wanted)]
        )
    if number_of:
        numbers = ",".join(str(number_of.get(title, "?")) for title in titles)
        return f"choose with --bands {numbers}, a number for each"
    usual = _USUAL.get(len(names), ())
    if titles == RGB and usual:
        ways = (f"--bands {numbers} if they are {what}" for numbers, what in usual)
        return f"say it: {', '.join(ways)}"
    if titles == (*RGB, "nir") and len(names) in (4, 5):
        last = len(names)
        return (
            f"say it: --bands 1,2,3,{last} or, as most satellites have them, --bands 3,2,1,{last}"
        )
    example = ",".join(str(number) for number in list(names)[: len(wanted)])
    return f"choose {len(wanted)} of them with --bands, such as --bands {example}, in that order"
