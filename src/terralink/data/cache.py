"""Chips that are kept in memory as far as there is room; the others are read again each time.

Chips without signal are left out, and named. Those that fit in memory are all looked at when they
are read; of the others each is looked at when its turn comes, so that a set which is larger than
memory is not read once more for it: the next chip stands in, and the log names the one left out.
``signal.with_signal`` looks at every chip beforehand.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from terralink.data.chips import Chip, Chips
from terralink.data.signal import has_signal
from terralink.errors import InputError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """``chips`` from number ``first`` on, after those that are ``kept`` in memory.

    ``left_out`` are the names of those without signal among the chips before ``first``.
    """

    chips: Chips
    kept: Sequence[Chip]
    first: int
    left_out: Sequence[str] = ()
    _told: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def within(cls, limit_mb: float, chips: Chips) -> "Cached":
        """Read chips, in their order, until ``limit_mb`` megabytes are full.

        Raises ``InputError`` where none of them has signal.
        """
        kept: list[Chip] = []
        left_out: list[str] = []
        room = limit_mb * 1e6
        read = 0
        while read < len(chips):
            chip = chips[read]
            room -= chip.image.nbytes + chip.mask.nbytes
            if room < 0:
                break
            read += 1
            if has_signal(chip):
                kept.append(chip)
            else:
                room += chip.image.nbytes + chip.mask.nbytes
                left_out.append(chip.name)
        if left_out and read == len(chips) and not kept:
            raise _nothing(left_out)
        return cls(chips, kept, read, left_out)

    def __len__(self) -> int:
        return len(self.kept) + len(self.chips) - self.first

    def __getitem__(self, index: int) -> Chip:
        """The chip, or the next one that has signal."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        for later in range(len(self)):
            place = (index + later) % len(self)
            if place < len(self.kept):
                return self.kept[place]
            chip = self.chips[place - len(self.kept) + self.first]
            if has_signal(chip):
                return chip
            self._tell(chip.name)
        raise _nothing(sorted(self._told))

    def _tell(self, name: str) -> None:
        if name not in self._told:
            self._told.add(name)
            _log.warning("%s has no signal: the next chip stands in", name)


def _nothing(names: Sequence[str]) -> InputError:
    return InputError(f"none of {len(names)} chips has signal, such as {names[0]}")
