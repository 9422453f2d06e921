"""The EPFL road challenge: its table of labels, one for each patch of 16 px of each image.

    id,prediction
    001_0_0,0         image 1, the patch whose first pixel is x 0, y 0: background
    001_0_16,1        the one below: road

Rows are sorted by image number, then by column from left to right, then from top to bottom, as the
challenge's own script writes them. Shapes are (row, col).
"""

import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from terralink._typing import Mask
from terralink.atomic_write import MARK, write_atomically
from terralink.data.chips import list_images, read_image
from terralink.errors import InputError
from terralink.metrics.masks import label_patches

PATCH_PX = 16
_HEADER = "id,prediction"
_ROW = re.compile(r"(\d{1,9})_(\d{1,9})_(\d{1,9}),([01])", re.ASCII)
_NUMBER = re.compile(r"\d+", re.ASCII)


def find_numbered_images(paths: Iterable[Path]) -> dict[int, Path]:
    """Images by the last number in their names: ``satImage_007.png`` is 7.

    A folder stands for the images in it and in its subfolders, as in the challenge:
    ``test_set_images/test_7/test_7.png``. Raises ``InputError`` if there is none, for a name
    without a number, and for two images with the same number.
    """
    images: dict[int, Path] = {}
    for picture in (each for path in paths for each in _find_pictures(path)):
        first = images.setdefault(_parse_number(picture), picture)
        if first is not picture:
            raise InputError(
                f"{first} and {picture} have the same number; each image needs a different one"
            )
    return dict(sorted(images.items()))


def write_submission(
    path: str | os.PathLike[str], masks: Mapping[int, ArrayLike], *, threshold: float = 0.25
) -> None:
    """Write the patch labels of masks (row, col), booleans or shares 0..1, by image number.

    A patch is road where more than ``threshold`` of it is; see ``patches`` for the rules. Raises
    ``InputError`` for an image smaller than a patch.

    >>> from tempfile import TemporaryDirectory
    >>> road = np.zeros((32, 16))
    >>> road[16:] = 1
    >>> with TemporaryDirectory() as folder:
    ...     write_submission(f"{folder}/submission.csv", {1: road})
    ...     Path(f"{folder}/submission.csv").read_text().split()
    ['id,prediction', '001_0_0,0', '001_0_16,1']
    """
    lines = [_HEADER]
    for number, mask in sorted(masks.items()):
        lines += _format_rows(number, np.asarray(mask), threshold)
    with write_atomically(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="ascii")


def read_submission(path: str | os.PathLike[str]) -> dict[int, Mask]:
    """The masks (row, col) of a table, in whole patches, by image number.

    Sides are rounded up to whole patches. Raises ``InputError``, with the line, for a file that is
    not such a table, and for missing or repeated patches.
    """
    labels: dict[int, dict[tuple[int, int], bool]] = defaultdict(dict)
    for position, (number, col, row, label) in _parse_rows(Path(path)):
        if (row, col) in labels[number]:
            raise InputError(f"{position}: the patch {number:03d}_{col}_{row} occurs twice")
        labels[number][row, col] = bool(label)
    if not labels:
        raise InputError(f"{path} has no patches below its header")
    return {
        number: _draw_mask(each, f"{path}: image {number:03d}") for number, each in labels.items()
    }


def write_mask(path: str | os.PathLike[str], mask: Mask) -> None:
    """Write a mask (row, col) as a grey PNG: 255 is road."""
    with write_atomically(path) as part:
        info = PngInfo()
        info.add_text("Software", MARK)
        Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(part, pnginfo=info)


def _find_pictures(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    if not path.is_dir():
        return [path]
    inner = sorted(each for each in path.iterdir() if each.is_dir())
    found = [picture for folder in (path, *inner) for picture in list_images(folder)]
    if not found:
        raise InputError(f"no images in {path}, such as test_1.png or test_1/test_1.png")
    return found


def _parse_number(picture: Path) -> int:
    numbers = _NUMBER.findall(picture.stem)
    if not numbers:
        raise InputError(f"{picture} has no number in its name; wanted one such as test_1.png")
    return int(numbers[-1])


def _format_rows(number: int, mask: NDArray[np.generic], threshold: float) -> list[str]:
    if mask.ndim != 2 or min(mask.shape) < PATCH_PX:
        raise InputError(
            f"image {number:03d} is of shape {mask.shape}; wanted (row, col) of a patch's "
            f"{PATCH_PX} px or more each"
        )
    labels = label_patches(mask, patch_px=PATCH_PX, threshold=threshold)
    return [
        f"{number:03d}_{PATCH_PX * col}_{PATCH_PX * row},{int(label)}"
        for (col, row), label in np.ndenumerate(labels.T)
    ]


def _parse_rows(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The position of each line in the file, and its number, x, y and label."""
    header, *rows = _read_lines(path)
    if header.strip() != _HEADER:
        raise InputError(f"{path}: the first line is {header[:40]!r}; wanted {_HEADER!r}")
    for line, row in enumerate(rows, start=2):
        match = _ROW.fullmatch(row.strip())
        values = tuple(map(int, match.groups())) if match else ()
        if not values or values[1] % PATCH_PX or values[2] % PATCH_PX:
            raise InputError(
                f"{path}, line {line}: {row[:40]!r}; wanted an image's number, x and y in steps of "
                f"{PATCH_PX} and 0 or 1, such as 001_0_{PATCH_PX},1"
            )
        yield f"{path}, line {line}", values


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    return text.splitlines() or [""]


def _draw_mask(labels: Mapping[tuple[int, int], bool], image: str) -> Mask:
    rows, cols = (PATCH_PX + max(place[axis] for place in labels) for axis in (0, 1))
    missing = rows * cols // PATCH_PX**2 - len(labels)
    if missing:
        raise InputError(
            f"{image} has {cols} x {rows} px by its last patches, but {missing} patches are "
            "missing; write the table again"
        )
    grid = np.array([label for _, label in sorted(labels.items())])
    patches = grid.reshape(rows // PATCH_PX, cols // PATCH_PX)
    return patches.repeat(PATCH_PX, axis=0).repeat(PATCH_PX, axis=1)


@contextmanager
def unpack_submission(pred: Path, *, truth: Path) -> Iterator[Path]:
    """The prediction as files to pair with ``truth``: the path itself, unless it is a CSV.

    For a CSV, each image becomes a mask with the name and size of the true image of that number, in
    a temporary folder that is removed at the end of the block. Raises ``InputError`` if the CSV has
    images without truth, or of another size.
    """
    if pred.suffix.lower() != ".csv":
        yield pred
        return
    masks, images = read_submission(pred), find_numbered_images(list_images(truth))
    unknown = [number for number in masks if number not in images]
    if unknown:
        raise InputError(
            f"{pred} has {len(unknown)} images that {truth} does not have, the first is "
            f"{unknown[0]:03d}; each image needs its truth"
        )
    with tempfile.TemporaryDirectory() as folder:
        for number, mask in masks.items():
            path = images[number]
            height, width = read_image(path).shape[:2]
            if mask.shape != tuple(-(-side // PATCH_PX) * PATCH_PX for side in (height, width)):
                raise InputError(
                    f"{pred}: image {number:03d} is {mask.shape[1]} x {mask.shape[0]} px, "
                    f"its truth {path} {width} x {height} px"
                )
            write_mask(Path(folder, f"{path.stem}.png"), mask[:height, :width])
        yield Path(folder)
