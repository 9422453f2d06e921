"""In place of a network: one that sleeps. In a file of its own, where other processes find it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import sleep
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from terralink.export import Metadata


@dataclass(frozen=True)
class Sleeper:
    """In place of a network: takes its time over a tile, and hands the first band on."""

    tile_s: float
    metadata: ClassVar[Metadata] = Metadata(name="sleeper")
    provider: ClassVar[str] = "nobody"

    def load(self) -> "Sleeper":
        return self

    def levels(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        for image in images:
            sleep(self.tile_s)
            yield image[:1]
