"""From what a mask stores to class indices, and the check that chips fit a recipe's model.

RULE 1: a value that nobody told of is a mistake, never a class and never ignored in silence.
RULE 2: stored indices stay as they are, and 255 is ``IGNORE``. A mask of 0 and 255 alone may also
        mean that 255 is the class: it is refused until the recipe says which.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, Chip, Chips
from terralink.errors import InputError

Values: TypeAlias = Mapping[int, int] | Mapping[str, int] | Mapping[int | str, int]
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_GREY_WITHIN = 12  # levels by which a JPEG moves the bands of a grey pixel apart
_SHOWN = 6  # colours that a message names
_MOST = 1 << 16
_UNKNOWN = 256


def over_half(levels: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where a grey mask is over half: those that were stored as JPEG once are not quite 0 or 255.

    >>> over_half(np.array([0, 12, 127, 128, 251], np.uint8), np.empty(0, np.uint8))
    array([0, 0, 0, 1, 1], dtype=uint8)
    """
    road: NDArray[np.uint8] = (levels > 127).astype(np.uint8)
    return road


def indices(
    levels: NDArray[Any], values: Values | None, *, threshold: int | None = None
) -> NDArray[np.uint8]:
    """Class indices of stored ``levels``, (row, col) or (band, row, col) of one band or three.

    They are as ``values`` tell, by numbers or by colours; or 1 from ``threshold`` on; or the levels
    themselves (RULE 2). Three bands that are the same are one. Raises ``InputError`` for a level or
    a colour that is not in ``values``, and for colours where none was told.

    >>> indices(np.array([[0, 255]]), {0: 0, 255: 1})
    array([[0, 1]], dtype=uint8)
    >>> red = np.zeros((3, 1, 2), np.uint8)
    >>> red[0, 0, 1] = 255
    >>> indices(red, {"#000000": 0, "#ff0000": 1})
    array([[0, 1]], dtype=uint8)
    """
    if has_colours(values):
        assert values is not None
        return _of_colours(levels, values)
    band = _one_band(levels, nearly=threshold is not None)
    if threshold is not None:
        return (band >= threshold).astype(np.uint8)
    if values is not None:
        return _told(band, {int(level): index for level, index in values.items()})
    found = _told(band, {level: level for level in range(IGNORE + 1)})
    if set(np.flatnonzero(_counts(found)).tolist()) == {0, IGNORE}:
        raise InputError(
            "the mask holds 0 and 255 alone; say whether 255 is a class, with values: "
            "{0: 0, 255: 1}, or counts nowhere, with values: {0: 0, 1: 1, 255: 255}"
        )
    return found


def has_colours(values: Values | None) -> bool:
    """Whether ``values`` map colours, such as "#ff0000"."""
    return any(isinstance(each, str) and each.startswith("#") for each in values or ())


def check_values(values: Values) -> None:
    """Raise ``InputError`` for values that cannot stand together."""
    for value, index in values.items():
        if isinstance(value, str) and not _COLOUR.fullmatch(value):
            raise InputError(f"{value!r} is no value of a mask: a number, or a colour as #ff0000")
        if has_colours(values) != isinstance(value, str):
            raise InputError("values are numbers or colours, not both")
        if not 0 <= index <= IGNORE:
            raise InputError(f"a class is a number from 0 to {IGNORE}, not {index}")


def _one_band(levels: NDArray[Any], *, nearly: bool) -> NDArray[np.integer]:
    """A mask of one band; of three, where they are the same (or ``nearly``: a JPEG blurs them)."""
    bands = levels[None] if levels.ndim == 2 else levels
    if len(bands) not in (1, 3) or bands.dtype.kind not in "ui":
        raise InputError(
            f"a mask is one band of whole numbers, or red, green and blue; this has {len(bands)} "
            f"of {bands.dtype}"
        )
    if len(bands) == 1:
        return np.asarray(bands[0])
    apart = int(np.ptp(bands.astype(np.int64), axis=0).max(initial=0))
    if apart == 0 or (nearly and apart <= _GREY_WITHIN):
        return np.asarray(bands[1])
    packed, counts = np.unique(_packed(bands), return_counts=True)
    often = packed[np.argsort(-counts)]
    shown = {_named(colour): number for number, colour in enumerate(often[:_SHOWN].tolist())}
    more = f" and {len(often) - _SHOWN} more" if len(often) > _SHOWN else ""
    raise InputError(
        f"the mask is in colour, with {', '.join(shown)}{more}; give each a class, as with "
        f"values: {json.dumps(shown)}"
    )


def _of_colours(levels: NDArray[Any], values: Values) -> NDArray[np.uint8]:
    bands = levels[None] if levels.ndim == 2 else levels
    if len(bands) not in (1, 3) or bands.dtype != np.uint8:
        raise InputError(
            f"values map colours, of three bands of 8 bits; the mask has {len(bands)} of "
            f"{bands.dtype}"
        )
    packed = _packed(np.broadcast_to(bands, (3, *bands.shape[1:])))
    known = {int(str(colour)[1:], 16): index for colour, index in values.items()}
    colours = np.array(sorted(known))
    place = np.searchsorted(colours, packed).clip(0, len(colours) - 1)
    if (unknown := colours[place] != packed).any():
        raise InputError(
            f"the mask holds the colour {_named(int(packed[unknown][0]))}, wanted were "
            f"{', '.join(map(str, values))}; give it a class, or 255 for what counts nowhere"
        )
    found: NDArray[np.uint8] = np.array([known[each] for each in sorted(known)], np.uint8)[place]
    return found


def _packed(bands: NDArray[Any]) -> NDArray[np.int64]:
    red, green, blue = bands.astype(np.int64)
    packed: NDArray[np.int64] = (red << 16) + (green << 8) + blue
    return packed


def _named(colour: int) -> str:
    return f"#{colour:06x}"


def _told(levels: NDArray[np.integer], values: Mapping[int, int]) -> NDArray[np.uint8]:
    given = levels
    table = np.full(_MOST, _UNKNOWN, np.uint16)
    table[list(values)] = list(values.values())
    if levels.dtype not in (np.uint8, np.uint16):  # what is beyond the table is not known either
        levels = np.where((levels >= 0) & (levels < _MOST - 1), levels, _MOST - 1)
    found = table[levels]
    if (unknown := found == _UNKNOWN).any():
        known = ", ".join(map(str, sorted(values))) if len(values) < 20 else "0 to 255"
        raise InputError(
            f"the mask holds the value {given[unknown][0]}, wanted were {known}; "
            "give it a class, or 255 for what counts nowhere"
        )
    mask: NDArray[np.uint8] = found.astype(np.uint8)
    return mask


def _counts(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(mask.ravel(), minlength=IGNORE + 1)


@dataclass(frozen=True)
class Checked:
    """``chips``, each looked at as it is read: its mask holds indices of ``classes`` classes.

    One class, such as road, has the indices 0 and 1; of more classes each has its own from 0. With
    the names of a model's ``bands`` an image has one for each; ``hint`` says how to choose them.
    """

    chips: Chips
    classes: int
    bands: Sequence[str] | None = None
    hint: str = ""

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, index: int) -> Chip:
        chip = self.chips[index]
        if self.bands is not None and len(chip.image) != len(self.bands):
            raise InputError(
                f"{chip.name} has {len(chip.image)} bands, the recipe's model {len(self.bands)} "
                f"({', '.join(self.bands)}); {self.hint}"
            )
        allowed = max(self.classes, 2)
        beyond = np.flatnonzero(_counts(chip.mask)[allowed:IGNORE]) + allowed
        if len(beyond):
            raise InputError(
                f"{chip.name}: its mask holds the class {beyond[0]}, but the recipe has classes 0 "
                f"to {allowed - 1}; name more classes in the recipe, or map the values of the mask"
            )
        return chip
