"""DeepGlobe 2018 roads: ``<id>_sat.jpg`` and ``<id>_mask.png`` in one folder, 1024 px, 0.5 m.

Masks are white where there is road; by the challenge's rule a level from 128 is. Of the 6,226 pairs
with masks PP-LinkNet trains on 4,696 and tests on 1,530: ``split: {held_out: 1530}``.
"""

from pathlib import Path
from typing import ClassVar, Literal

from terralink.data.chips import Pairs, paired
from terralink.data.classes import over_half
from terralink.data.sources.source import Source, folder_of


class DeepGlobe(Source):
    credit: ClassVar[str | None] = "DeepGlobe 2018 road extraction (research only)"
    kind: Literal["deepglobe"]
    folder: str = "deepglobe"

    def read(self, root: Path) -> Pairs:
        folder = folder_of(root, self.folder)
        images, masks = folder.glob("*_sat.jpg"), folder.glob("*_mask.png")
        return Pairs(*paired(images, masks, _number), over_half, "L", pixel_size_m=0.5)


def _number(path: Path) -> str:
    return path.stem.rpartition("_")[0]
