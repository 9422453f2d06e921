"""Which chips have something to see: a failed sensor, or no data, teaches nothing.

RULE 1: a chip whose pixels count nowhere (``IGNORE``) has no signal.
RULE 2: nor has one where, in every band, the known pixels lie within ``FLAT_LEVELS`` of 255, but
        for one in a hundred at each end: open water and sand differ by more.
"""

from collections.abc import Iterator

import numpy as np

from terralink.data.chips import IGNORE, Chip, Chips, Part

FLAT_LEVELS = 2
_ENDS = (1, 99)
_LATTICE_PX = 128  # pixels looked at along each axis, at most


def has_signal(chip: Chip) -> bool:
    """Whether there is something to see and to learn in a chip (RULES 1 and 2).

    >>> flat = np.full((3, 8, 8), 7, np.uint8)
    >>> has_signal(Chip(flat, np.zeros((8, 8), np.uint8), "night"))
    False
    """
    known = chip.mask != IGNORE
    step = -(-max(known.shape) // _LATTICE_PX)
    levels = chip.image[:, ::step, ::step][:, known[::step, ::step]]
    if not levels.size:
        levels = chip.image[:, known]  # a few pixels, between those of the lattice
    return bool(levels.size) and bool(
        (np.ptp(np.percentile(levels, _ENDS, axis=1), axis=0) > FLAT_LEVELS).any()
    )


def with_signal(chips: Chips) -> tuple[Part, list[str]]:
    """The chips that have signal, and the names of those that have none. Reads every chip once."""
    kept, left_out = [], []
    for index, chip in each(chips):
        if has_signal(chip):
            kept.append(index)
        else:
            left_out.append(chip.name)
    return Part(chips, kept), left_out


def each(chips: Chips) -> Iterator[tuple[int, Chip]]:
    """Indices and chips, one at a time: iterating over chips itself would end by an error."""
    return ((index, chips[index]) for index in range(len(chips)))
