"""Chips: an image and its mask, and the sources that give them.

An image is uint8 (3, H, W), a mask uint8 (H, W) of class indices; ``IGNORE`` counts nowhere. A
source is a sequence of chips that reads one when it is asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from terralink.errors import InputError

IGNORE = 255
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True, eq=False)
class Chip:
    """A training sample; ``name`` tells it apart in messages and split lists.

    A chip that knows its ground size is scaled to that of the recipe; others are taken as they are.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    name: str
    pixel_size_m: float | None = None

    def __post_init__(self) -> None:
        if self.image.shape[1:] != self.mask.shape:
            raise InputError(
                f"{self.name}: the image is {self.image.shape[1:]} pixels, the mask "
                f"{self.mask.shape}; they must be the same"
            )


class Chips(Protocol):
    """A sequence of chips."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Chip: ...


@dataclass(frozen=True)
class Pairs:
    """Image files with mask files; ``read_mask`` makes class indices of a mask and its image."""

    images: Sequence[Path]
    masks: Sequence[Path]
    read_mask: Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Chip:
        image = read_image(self.images[index], "RGB")
        mask = read_image(self.masks[index])
        chip_mask = self.read_mask(mask, image)
        return Chip(
            np.ascontiguousarray(image.transpose(2, 0, 1)), chip_mask, str(self.images[index])
        )


def read_image(path: Path, mode: str | None = None) -> NDArray[np.uint8]:
    """The pixels of a picture as (H, W) or (H, W, 3); a palette gives its indices."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode) if mode else picture).astype(np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{path} is not a picture that can be read: {error}") from error


def files(folder: Path) -> list[Path]:
    """The pictures and GeoTIFFs of a folder, by name; one clear line when there is no folder."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; is the data folder the right one?")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)


def paired(images: Sequence[Path], masks: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Images and masks of the same stem, in the order of their names.

    Raises ``InputError`` when there are none, and when one has no partner.
    """
    by_stem = {path.stem: path for path in masks}
    images = sorted(images)
    if not images:
        raise InputError("no images found; is the data folder the right one?")
    alone = [path.name for path in images if path.stem not in by_stem]
    if alone:
        raise InputError(f"{len(alone)} images have no mask, the first is {alone[0]}")
    return images, [by_stem[path.stem] for path in images]


@dataclass(frozen=True)
class Part:
    """Some chips of a source."""

    chips: Chips
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Chip:
        return self.chips[self.indices[index]]
