"""Which prediction belongs to which truth: files by themselves, or of two folders by their stem."""

from dataclasses import dataclass
from pathlib import Path

from terralink.errors import InputError
from terralink.vector import osm
from terralink.vector.osm import stem_of

RASTERS = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".vrt", ".bmp", ".gif"})


@dataclass(frozen=True)
class Pair:
    """A truth and its prediction."""

    name: str
    truth: Path
    pred: Path


@dataclass(frozen=True)
class Pairs:
    """The pairs, sorted by name, and the files that have no partner."""

    pairs: tuple[Pair, ...]
    alone: tuple[Path, ...] = ()


def paired(truth: Path, pred: Path) -> Pairs:
    """Pair two files, or the files of two folders that have the same stem.

    In folders rasters and vectors count, by their suffix. Raises ``InputError`` where one is a
    folder and the other is not, where nothing has a partner, and for a stem that is there twice.
    """
    for path in (truth, pred):
        if not path.exists():
            raise InputError(f"no such file or folder: {path}")
    if truth.is_dir() != pred.is_dir():
        raise InputError(f"two files or two folders are wanted, not {truth} and {pred}")
    if not truth.is_dir():
        return Pairs((Pair(stem_of(truth), truth, pred),))
    wanted, given = _by_stem(truth), _by_stem(pred)
    both = sorted(wanted.keys() & given.keys())
    if not both:
        raise InputError(f"no file of {truth} has the stem of one in {pred}: nothing to compare")
    alone = [side[stem] for side in (wanted, given) for stem in sorted(side) if stem not in both]
    return Pairs(tuple(Pair(stem, wanted[stem], given[stem]) for stem in both), tuple(alone))


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not (is_vector(path) or path.suffix.lower() in RASTERS):
            continue
        first = found.setdefault(stem_of(path), path)
        if first != path:
            raise InputError(f"{folder} has {first.name} and {path.name}: which of them is meant?")
    return found


def is_vector(path: Path) -> bool:
    """Whether the suffix names a file of shapes, or a graph."""
    return path.suffix.lower() == ".graphml" or osm.is_vector(path)
