"""From what a mask stores to class indices, and the check that chips fit a recipe's model.

RULE 1: a value that nobody told of is a mistake, never a class and never ignored in silence.
RULE 2: stored indices stay as they are, and 255 is ``IGNORE``. A mask of 0 and 255 alone may also
        mean that 255 is the class: it is refused until the recipe says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, Chip, Chips
from terralink.errors import InputError

_MOST = 1 << 16
_UNKNOWN = 256


def over_half(levels: NDArray[np.uint8], _image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where a grey mask is over half: those that were stored as JPEG once are not quite 0 or 255.

    >>> over_half(np.array([0, 12, 127, 128, 251], np.uint8), np.empty(0, np.uint8))
    array([0, 0, 0, 1, 1], dtype=uint8)
    """
    road: NDArray[np.uint8] = (levels > 127).astype(np.uint8)
    return road


def indices(levels: NDArray[np.integer], values: Mapping[int, int] | None) -> NDArray[np.uint8]:
    """Class indices of stored ``levels``: as ``values`` tell, or the levels themselves (RULE 2).

    Raises ``InputError`` for a level that is not in ``values``.

    >>> indices(np.array([[0, 255]]), {0: 0, 255: 1})
    array([[0, 1]], dtype=uint8)
    """
    if values is not None:
        return _told(levels, values)
    found = _told(levels, {level: level for level in range(IGNORE + 1)})
    if set(np.flatnonzero(_counts(found)).tolist()) == {0, IGNORE}:
        raise InputError(
            "the mask holds 0 and 255 alone; say whether 255 is a class, with values: "
            "{0: 0, 255: 1}, or counts nowhere, with values: {0: 0, 1: 1, 255: 255}"
        )
    return found


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
