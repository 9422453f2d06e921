"""Chips that are kept in memory as far as there is room; the others are read again each time."""

from collections.abc import Sequence
from dataclasses import dataclass

from terralink.data.chips import Chip, Chips


@dataclass(frozen=True)
class Cached:
    """``chips``, of which the first are ``kept``."""

    chips: Chips
    kept: Sequence[Chip]

    @classmethod
    def within(cls, limit_mb: float, chips: Chips) -> "Cached":
        """Read chips, in their order, until ``limit_mb`` megabytes are full."""
        kept: list[Chip] = []
        room = limit_mb * 1e6
        for index in range(len(chips)):
            chip = chips[index]
            room -= chip.image.nbytes + chip.mask.nbytes
            if room < 0:
                break
            kept.append(chip)
        return cls(chips, kept)

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, index: int) -> Chip:
        return self.kept[index] if index < len(self.kept) else self.chips[index]
