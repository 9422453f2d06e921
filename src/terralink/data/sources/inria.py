"""Inria Aerial Image Labeling (Maggiori 2017): buildings of five cities, 0.3 m.

``train/images/austin1.tif`` to ``vienna36.tif``, 5000 px, and ``train/gt`` of the same names, 255
where there is a building. Each tile is cut to windows when they are asked for.
"""

import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import PositiveInt

from terralink.data.chips import files, paired
from terralink.data.masks import CutMasks
from terralink.data.sources.source import SceneSource, folder_of
from terralink.data.windows import Scenes
from terralink.errors import InputError
from terralink.raster import Stretch

_VALIDATION = range(1, 6)  # by the set's authors, the first five tiles of each city
_NUMBERED = re.compile(r"(.+?)(\d+)")


class Inria(SceneSource):
    """The set's own split: of each city tiles 1 to 5 are for validation, the others to train on."""

    credit: ClassVar[str | None] = "Inria Aerial Image Labeling (Maggiori et al. 2017)"
    kind: Literal["inria"]
    part: Literal["train", "val", "all"]
    side_px: PositiveInt = 512
    folder: str = "inria"

    def read(self, root: Path) -> Scenes:
        folder = folder_of(root, self.folder) / "train"
        images, masks = paired(files(folder / "images"), files(folder / "gt"))
        taken = [path for path in images if self.part in ("all", _part(path))]
        if not taken:
            raise InputError(f"no tiles of the part {self.part!r} in {folder / 'images'}")
        labels = CutMasks(dict(zip(images, masks, strict=True)), {0: 0, 255: 1})
        return Scenes(taken, labels, self.side_px, given_stretch=Stretch.none())


def _part(path: Path) -> str:
    named = _NUMBERED.fullmatch(path.stem)
    if named is None:
        raise InputError(f"{path} is not named as Inria's tiles are: a city and a number")
    return "val" if int(named[2]) in _VALIDATION else "train"
