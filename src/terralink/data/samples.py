"""An endless stream of augmented samples of which each is a function of (seed, index).

So the order does not depend on the number of workers, and a run that is resumed sees what it
would have seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import distributed
from torch.utils.data import Dataset, Sampler

from terralink.data.augment import Augment
from terralink.data.chips import Chip, Chips
from terralink.data.prepare import zoom
from terralink.errors import InputError


@dataclass(frozen=True, eq=False)
class Samples(Dataset[dict[str, Any]]):
    """Draws a source by weight, a chip of it evenly, and augments it.

    With ``passes`` every chip comes once before any comes again, in an order that is shuffled anew
    for each pass; weights then count for nothing.

    A source may be a list, or read each chip from disk when it is asked for: only the chip that was
    drawn is read. Chips that know their ground size are scaled to ``pixel_size_m``, where given.
    A sample is image (C, H, W), mask (H, W) and the chip's name.
    """

    sources: Sequence[Chips]
    weights: Sequence[float]
    augment: Augment
    seed: int
    pixel_size_m: float | None = None
    passes: bool = False

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.weights) or not self.sources:
            raise InputError(
                f"wanted a weight for each source, got {len(self.weights)} for {len(self.sources)}"
            )
        for source in self.sources:
            if not len(source):
                raise InputError(f"an empty split cannot be trained on: {source}")

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, index))
        chip = self._in_turn(index) if self.passes else self._drawn(rng)
        image, mask = self.augment(chip, rng, zoom=zoom(chip, self.pixel_size_m))
        return {"image": image, "mask": mask, "name": chip.name}

    def _drawn(self, rng: np.random.Generator) -> Chip:
        shares = np.asarray(self.weights) / sum(self.weights)
        source = self.sources[rng.choice(len(self.sources), p=shares)]
        return source[int(rng.integers(len(source)))]

    def _in_turn(self, index: int) -> Chip:
        ends = np.cumsum([len(source) for source in self.sources])
        done, place = divmod(index, int(ends[-1]))
        order = np.random.default_rng((self.seed, done)).permutation(ends[-1])
        number = int(np.searchsorted(ends, order[place], side="right"))
        return self.sources[number][int(order[place] - ends[number])]


@dataclass(eq=False)
class EpochSampler(Sampler[int]):
    """The next ``size`` indices after those that were ``seen``, asked when an epoch begins.

    So a run that is resumed draws on, whatever the loop believes its epoch to be. Of several
    processes each takes its turn, so that together they draw what one alone would.
    """

    size: int
    seen: Callable[[], int]

    def __len__(self) -> int:
        return self.size // _processes()[1]

    def __iter__(self) -> Iterator[int]:
        first = self.seen()
        rank, processes = _processes()
        return iter(range(first + rank, first + self.size, processes))


def _processes() -> tuple[int, int]:
    """The number of this process and how many train together."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


class Whole(Dataset[dict[str, Any]]):
    """Whole chips, not augmented, for validation: image (C, H, W), mask (H, W)."""

    def __init__(self, chips: Chips):
        self.chips = chips

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        chip = self.chips[index]
        return {"image": chip.image.astype(np.float32), "mask": chip.mask}
