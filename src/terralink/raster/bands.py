"""Which bands of a raster are wanted: those that a user names, or those that a model takes."""

from collections.abc import Mapping, Sequence

from rasterio.io import DatasetReader

from terralink.errors import SceneError, unknown
from terralink.raster.band_names import KNOWN, RGB, Names, canonical, canonical_all

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


def ask_for_bands(
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
