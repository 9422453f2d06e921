"""EPFL road segmentation: ``training/images``, ``training/groundtruth``, 400 px, about 0.3 m.

Pictures may be of any kind. The ground truth is grey: values over half are road. The challenge's
own test images, ``test_set_images/test_1/test_1.png`` to 50, 608 px, have none.
"""

import re
from pathlib import Path
from typing import ClassVar, Literal

from terralink.data.chips import Pairs, files, paired
from terralink.data.classes import over_half
from terralink.data.sources.source import Source, folder_of
from terralink.errors import InputError

_TEST = re.compile(r"test_(\d+)")


class Epfl(Source):
    credit: ClassVar[str | None] = (
        "Imagery of a web map, from the EPFL road segmentation challenge (research only)"
    )
    kind: Literal["epfl"]
    folder: str = "epfl"

    def read(self, root: Path) -> Pairs:
        part = folder_of(root, self.folder) / "training"
        return Pairs(*paired(files(part / "images"), files(part / "groundtruth")), over_half, "L")

    def test_images(self, root: Path) -> dict[int, Path]:
        """The images to predict, by their numbers; in a folder each, or together in one."""
        folder = folder_of(root, self.folder) / "test_set_images"
        if not folder.is_dir():
            raise InputError(f"no folder {folder}; the challenge gives it as test_set_images.zip")
        inner = [each for each in sorted(folder.iterdir()) if each.is_dir()]
        numbered = {
            int(named[1]): path
            for each in (folder, *inner)
            for path in files(each)
            if (named := _TEST.fullmatch(path.stem))
        }
        if not numbered:
            raise InputError(f"no test images in {folder}; wanted test_1/test_1.png and so on")
        return dict(sorted(numbered.items()))
