"""The bands of a raster: their names, and which of them a user or a model requests.

RULE 1: a description or a wavelength has precedence over the colour interpretation, which many
programs set by default. RULE 2: numbers such as B4 are those of the sensor that the other names
imply (Sentinel-2, Landsat, MODIS); B1, B2, ... alone imply none. RULE 3: a band that is tagged as
alpha but has another name, or many values, is an image band: near infrared is often written as the
fourth band of an RGB file.
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
BandList: TypeAlias = Sequence[int | str]

RGB = ("red", "green", "blue")
# Name -> centre and tolerance in nanometres; of two bands within it, the nearer one has the name.
_WAVELENGTHS_NM = {"coastal": (443, 17), "blue": (482, 22), "green": (560, 35)}
_WAVELENGTHS_NM |= {"yellow": (605, 10), "red": (660, 30), "rededge": (725, 30)}
_WAVELENGTHS_NM |= {"nir": (840, 65), "swir1": (1610, 80), "swir2": (2200, 130)}
_MICROMETRES = {"um", "µm", "μm", "micron", "microns"}
_MICROMETRES |= {"micrometer", "micrometers", "micrometres"}
_LENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(nm|nanomet\w+|[uµμ]m|microns?|micromet\w+)\b", re.I)
_WORDS = {name: name for name in ("red", "green", "blue", "yellow", "rededge", "alpha")}
_WORDS |= dict.fromkeys(("nir", "nir1", "nir08", "infrared"), "nir")
_WORDS |= dict.fromkeys(("coastal", "ultrablue"), "coastal")
_WORDS |= dict.fromkeys(("swir", "swir1", "swir16"), "swir1")
_WORDS |= dict.fromkeys(("swir2", "swir22"), "swir2")
_WORDS |= dict.fromkeys(("pan", "panchromatic"), "pan")
KNOWN_NAMES = frozenset(_WORDS.values())
_LETTERS = {"r": "red", "g": "green", "b": "blue", "n": "nir", "a": "alpha"}
_NUMBER = re.compile(
    r"\b(?:(?P<family>sur refl|sr|toa) ?)?b(?P<spelled>and)? ?(?P<number>\d{1,2}a?)\b"
)
_SENTINEL_2 = {"1": "coastal", "2": "blue", "3": "green", "4": "red", "8": "nir", "11": "swir1"}
_SENTINEL_2 |= {"5": "rededge", "12": "swir2"}
_LANDSAT_8 = {"1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "nir", "6": "swir1"}
_LANDSAT_8 |= {"7": "swir2"}
_LANDSAT_7 = {"1": "blue", "2": "green", "3": "red", "4": "nir", "5": "swir1", "7": "swir2"}
_MODIS = {"1": "red", "2": "nir", "3": "blue", "4": "green", "6": "swir1", "7": "swir2"}
_COLOURS = {"red", "green", "blue", "coastal", "rededge", "nir", "pan"}
_COLOURS |= {"cyan", "magenta", "yellow", "black", "hue", "saturation", "lightness"}
_COLOURS |= {"Y", "Cb", "Cr"}  # luma and chroma, where GDAL does not convert them to RGB
# RULE 3: in an alpha band, at least this part of the sampled pixels is clear or opaque.
_MIN_MASK_SHARE = 0.9
_PATCHES, _PATCH_PX = 4, 64


def read_band_names(dataset: DatasetReader, palette: bool = False) -> Names:
    """The name of each band, such as "red" or "nir"; None where the file does not tell."""
    if palette:
        return RGB
    names = _names_by_description(dataset)
    colours = [
        kind.name if kind.name in _COLOURS and kind.name not in names else None
        for kind in dataset.colorinterp
    ]
    return tuple(name or colour for name, colour in zip(names, colours, strict=True))


def canonical_name(name: str) -> str:
    """The standard spelling of a band's name; of an unknown name, its lower case.

    >>> canonical_name("Near Infrared"), canonical_name("R"), canonical_name("elevation")
    ('nir', 'red', 'elevation')
    """
    lower = name.strip().lower()
    return _LETTERS.get(lower) or _name_in_words(name) or lower


def canonical_names(names: Sequence[str]) -> tuple[str, ...]:
    """The same for all bands of a model, whose numbers may be those of a sensor.

    >>> canonical_names(["B04", "B03", "B02"]), canonical_names(["Red", "height"])
    (('red', 'green', 'blue'), ('red', 'height'))
    """
    by_number = _names_by_number(names)
    return tuple(
        known or canonical_name(name) for known, name in zip(by_number, names, strict=True)
    )


def find_alpha_bands(dataset: DatasetReader) -> tuple[int, ...]:
    """The bands, from 1, that mark the valid pixels; see RULE 3."""
    kinds = enumerate(dataset.colorinterp, start=1)
    tagged = [number for number, kind in kinds if kind == ColorInterp.alpha]
    names = _names_by_description(dataset) if tagged else ()
    named = [(number, names[number - 1]) for number in tagged]
    return tuple(
        number
        for number, name in named
        if name == "alpha" or (name is None and _is_mask(dataset, number))
    )


def _names_by_description(dataset: DatasetReader) -> Names:
    """The names by descriptions and wavelengths."""
    texts = [text or "" for text in dataset.descriptions]
    by_word = _names_by_letter(texts) or [_name_in_words(text) for text in texts]
    lengths = [_wavelength_nm(dataset, number, text) for number, text in enumerate(texts, start=1)]
    by_length = _names_by_wavelength(lengths)
    by_number = _names_by_number(texts)
    return tuple(a or b or c for a, b, c in zip(by_word, by_length, by_number, strict=True))


def _names_by_letter(texts: Sequence[str]) -> list[str | None]:
    """Names of bands that are described as R, G, B and so on; none where one of these is missing.

    >>> _names_by_letter(["b", "G", "r", "N"]), _names_by_letter(["a", "b", "c"])
    (['blue', 'green', 'red', 'nir'], [])
    """
    names = [_LETTERS.get(text.strip().lower()) for text in texts]
    return names if set(RGB) <= set(names) else []


def _name_in_words(text: str) -> str | None:
    """The name in a description such as "Band 3 - Red (660 nm)".

    >>> [_name_in_words(text) for text in ("SR_Red", "Red Edge 1", "NIR", "green_i", "swir 2")]
    ['red', 'rededge', 'nir', None, 'swir2']
    """
    plain = _to_plain_words(text)
    if re.search(r"\bred ?edge", plain):
        return "rededge"
    if re.search(r"\bgreen (?:i|1)\b|\b(?:nir|near ?infra ?red) ?(?:2|b)\b", plain):
        return None
    if re.search(r"\bshort ?wave|\bswir", plain):
        return "swir2" if re.search(r"2\d?\b", plain) else "swir1"
    if re.search(r"\b(?:thermal|mid|far|long)\b.*infra ?red", plain):
        return None
    words = plain.replace("infra red", "infrared").split()
    names = [_WORDS[word] for word in words if word in _WORDS]
    if "coastal" in names:
        return "coastal"
    return names[0] if len(set(names)) == 1 else None


def _wavelength_nm(dataset: DatasetReader, number: int, text: str) -> float | None:
    """The wavelength of a band, from its description or its metadata."""
    if match := _LENGTH.search(text):
        return float(match[1].replace(",", ".")) * _unit_nm(match[2])
    imagery = dataset.tags(number, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
    tags = {key.lower(): value for key, value in dataset.tags(number).items()}
    length, unit = tags.get("wavelength"), tags.get("wavelength_units", "")
    try:
        if imagery is not None:
            return float(imagery) * 1000
        if length is not None:
            length_nm = float(length) * _unit_nm(unit)
            return length_nm * 1000 if length_nm < 20 else length_nm  # micrometres, without a unit
    except ValueError:
        pass
    return None


def _unit_nm(name: str) -> float:
    return 1000.0 if name.strip().lower() in _MICROMETRES else 1.0


def _names_by_wavelength(lengths_nm: Sequence[float | None]) -> Names:
    """The names by wavelength; a name goes to the nearest of several bands.

    >>> _names_by_wavelength([490.0, 560.0, 665.0, 705.0, 842.0, None])
    ('blue', 'green', 'red', 'rededge', 'nir', None)
    """
    names: list[str | None] = [None] * len(lengths_nm)
    for name, (centre, tolerance) in _WAVELENGTHS_NM.items():
        distances = [
            (abs(length - centre), index)
            for index, length in enumerate(lengths_nm)
            if length is not None and abs(length - centre) <= tolerance
        ]
        if distances:
            names[min(distances)[1]] = name
    return tuple(names)


def _names_by_number(texts: Sequence[str]) -> Names:
    """RULE 2.

    >>> _names_by_number(["B02", "B03", "B04", "B08"]), _names_by_number(["B1", "B2", "B3"])
    (('blue', 'green', 'red', 'nir'), (None, None, None))
    >>> _names_by_number(["sur_refl_b01", "sur_refl_b04", "sur_refl_b03"])
    ('red', 'green', 'blue')
    """
    matches = [_NUMBER.search(_to_plain_words(text)) for text in texts]
    names = _sensor_bands([match for match in matches if match])
    return tuple(names.get(match["number"].lstrip("0")) if match else None for match in matches)


def _sensor_bands(matches: Sequence[re.Match[str]]) -> Mapping[str, str]:
    """The bands of the sensor that has these numbers."""
    families = {match["family"] for match in matches} - {None}
    numbers = {match["number"].lstrip("0") for match in matches}
    is_sequence = numbers == {str(number) for number in range(1, len(numbers) + 1)}
    if "sur refl" in families:
        return _MODIS
    if is_sequence and any(
        match["spelled"] for match in matches
    ):  # Band 1, Band 2, ...: only numbers
        return {}
    if numbers == {"1", "2", "3", "4", "5", "7"} or (families and numbers == {"1", "2", "3"}):
        return _LANDSAT_7
    padded = any(match["number"].startswith("0") for match in matches)
    if (
        numbers & {"8a", "12"}
        or (padded and not is_sequence)
        or ("8" in numbers and "5" not in numbers)
    ):
        return _SENTINEL_2
    return {} if is_sequence and len(numbers) != len(_LANDSAT_8) else _LANDSAT_8


def _to_plain_words(text: str) -> str:
    """The words of a text in lower case, with one space between them."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _is_mask(dataset: DatasetReader, band: int) -> bool:
    """Whether nearly all sampled pixels are 0 or the maximum of the sample."""
    windows = _sample_windows(dataset.height, dataset.width)
    try:
        values = np.concatenate([dataset.read(band, window=window).ravel() for window in windows])
    except RasterioError:
        return True  # an error is raised where the band is read
    return bool(np.isin(values, (0, values.max())).mean() >= _MIN_MASK_SHARE)


def _sample_windows(height: int, width: int) -> Iterator[Window]:
    for row in np.unique(np.linspace(0, max(height - _PATCH_PX, 0), _PATCHES).astype(int)):
        for col in np.unique(np.linspace(0, max(width - _PATCH_PX, 0), _PATCHES).astype(int)):
            size = min(_PATCH_PX, width - col), min(_PATCH_PX, height - row)
            yield Window(col, row, *size)


# The usual bands of files with so many bands, to suggest in errors.
_USUAL_BANDS = {
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
    bands: BandList | None,
) -> tuple[int, ...]:
    """The numbers of the requested bands, which are numbers or names; None is all but alpha.

    Raises ``SceneError`` where a band does not exist, or holds complex numbers.
    """
    name = dataset.name
    if dataset.count == 0:
        parts = ", ".join(dataset.subdatasets[:3])
        raise SceneError(
            f"{name} has no bands" + (f"; name a subdataset: {parts}" if parts else "")
        )
    image_bands = tuple(band for band in range(1, len(names) + 1) if band not in alpha)
    numbers = image_bands if bands is None else _to_numbers(dataset, names, bands)
    if not numbers:
        raise SceneError(
            f"there is no band of {name} to read; it has {_list(image_bands) or 'only alpha'}"
        )
    for band in numbers:
        if band in alpha:
            raise SceneError(
                f"band {band} of {name} is its alpha; choose from {_list(image_bands)}"
            )
        if band not in image_bands:
            raise SceneError(f"{name} has no band {band}; choose from {_list(image_bands)}")
        if "complex" in dataset.dtypes[min(band, dataset.count) - 1]:
            raise SceneError(
                f"band {band} of {name} holds complex numbers ({dataset.dtypes[band - 1]}); "
                "convert it to a raster of its amplitude"
            )
    return numbers


def _to_numbers(
    dataset: DatasetReader, names: Names, bands: Sequence[int | str]
) -> tuple[int, ...]:
    """Bands as numbers; the descriptions in the file have precedence over standard names."""
    known: dict[str, int] = {}
    for band_names in (dataset.descriptions, names):
        for band, name in enumerate(band_names, start=1):
            if name:
                known.setdefault(name.strip().lower(), band)
    numbers = []
    for band_or_name in bands:
        if isinstance(band_or_name, str):
            name = band_or_name.strip().lower()
            number = known.get(name, known.get(canonical_name(name)))
            if number is None:
                raise SceneError(f"{dataset.name}: {unknown('band', band_or_name.strip(), known)}")
            numbers.append(number)
        else:
            numbers.append(band_or_name)
    return tuple(numbers)


def _list(bands: tuple[int, ...]) -> str:
    return ", ".join(map(str, bands))


def pick_bands(names: Mapping[int, str | None], required: Sequence[str]) -> tuple[int, ...] | None:
    """The numbers of a model's ``required`` bands, in its order; None where names do not tell.

    ``names`` is number -> name. Where the scene or the model has no names but the right number of
    bands, all bands are taken in their order.

    >>> pick_bands({1: "blue", 2: "green", 3: "red", 4: "nir"}, ["red", "green", "blue"])
    (3, 2, 1)
    >>> pick_bands({1: "nir", 2: "red", 3: "green"}, ["red", "green", "blue"]) is None
    True
    """
    number_of: dict[str, int] = {}
    for number, name in names.items():
        if name is not None:
            number_of.setdefault(name, number)
    titles = canonical_names(required)
    if all(title in number_of for title in titles):
        return tuple(number_of[title] for title in titles)
    fits = len(names) == len(titles) and all(
        name in (None, title) or title not in KNOWN_NAMES
        for name, title in zip(names.values(), titles, strict=True)
    )
    return tuple(names) if fits else None


def describe_missing_bands(
    path: str, names: Mapping[int, str | None], required: Sequence[str], model: str
) -> str:
    """The error for bands that ``pick_bands`` does not find, with a suggestion for this file."""
    takes = f"model {model!r} takes {len(required)} ({', '.join(required)})"
    count = f"{len(names)} band{'s' if len(names) != 1 else ''}"
    if len(names) < len(required):
        repeated = ",".join([str(next(iter(names)))] * len(required))
        hint = "it needs a scene with all of them"
        if len(names) == 1:
            hint += f" (--bands {repeated} repeats the one band, unlike the scenes of its training)"
        return f"{path} has {count}{_list_names(names)}, but {takes}; {hint}"
    known = {name for name in names.values() if name is not None}
    titles = zip(required, canonical_names(required), strict=True)
    missing = [name for name, title in titles if title not in known]
    problem = (
        f"and nothing in it says which {'is' if len(missing) == 1 else 'are'} {', '.join(missing)}"
        if not known
        else f"of which none is named {' or '.join(missing)}"
    )
    return (
        f"{path} has {count}{_list_names(names)}, {problem}; {takes}; {_suggest(names, required)}"
    )


def _list_names(names: Mapping[int, str | None]) -> str:
    listed = [f"{number} {name}" for number, name in names.items() if name is not None]
    return f" ({', '.join(listed)})" if listed else ""


def _suggest(names: Mapping[int, str | None], required: Sequence[str]) -> str:
    """An example of --bands, with the usual numbers of files with so many bands."""
    titles = canonical_names(required)
    number_of = {name: number for number, name in names.items() if name is not None}
    if number_of and not set(titles) & set(number_of):
        return "convert it to these colours, or choose bands with --bands, such as " + ",".join(
            str(number) for number in list(names)[: len(required)]
        )
    if number_of:
        numbers = ",".join(str(number_of.get(title, "?")) for title in titles)
        return f"choose with --bands {numbers}, a number for each"
    usual = _USUAL_BANDS.get(len(names), ())
    if titles == RGB and usual:
        choices = (f"--bands {numbers} if they are {what}" for numbers, what in usual)
        return f"choose: {', '.join(choices)}"
    if titles == (*RGB, "nir") and len(names) in (4, 5):
        last = len(names)
        return (
            f"choose: --bands 1,2,3,{last} or, as most satellites have them, --bands 3,2,1,{last}"
        )
    example = ",".join(str(number) for number in list(names)[: len(required)])
    return f"choose {len(required)} of them with --bands, such as --bands {example}, in that order"
