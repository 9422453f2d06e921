"""Drawn towns as chips; they need no data folder. Chip ``i`` is the town of seed ``seed + i``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from terralink import synthetic
from terralink.data.chips import Chip
from terralink.data.sources.source import Source


class Towns(Source):
    """``count`` towns whose ground sizes are spread evenly over ``pixel_sizes_m`` (from, to)."""

    credit: ClassVar[str | None] = ""
    kind: Literal["towns"]
    count: PositiveInt
    side_px: PositiveInt = 512
    pixel_sizes_m: tuple[float, float] = (0.5, 1.0)
    seed: int = 0

    def read(self, _root: Path) -> "Drawn":
        return Drawn(self)


@dataclass(frozen=True)
class Drawn:
    """The chips of an entry, each drawn when it is asked for."""

    wanted: Towns

    def __len__(self) -> int:
        return self.wanted.count

    def __getitem__(self, index: int) -> Chip:
        if not 0 <= index < len(self):
            raise IndexError(index)
        seed = self.wanted.seed + index
        low, high = self.wanted.pixel_sizes_m
        pixel_size_m = low + (high - low) * (index + 0.5) / len(self)
        shape = (self.wanted.side_px, self.wanted.side_px)
        drawn = synthetic.draw(shape, seed=seed, pixel_size_m=pixel_size_m)
        road = drawn.road_mask(0, 0, shape).astype(np.uint8)
        return Chip(drawn.image(0, 0, shape), road, f"town of seed {seed}", pixel_size_m)
