"""Chips: an image and its mask, and the sources that give them.

An image is uint8 (band, H, W), a mask uint8 (H, W) of class indices; ``IGNORE`` counts nowhere. A
source is a sequence of chips that reads one when it is asked for.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from terralink.errors import InputError, SceneError
from terralink.raster import Grid
from terralink.raster.source import open_source

IGNORE = 255
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
# Pillow's names of 8 bits a band or less
_DEEP = {"I", "I;16", "I;16B", "I;16L"}
_JPEG = (".jpg", ".jpeg")
JPEG_HINT = (
    "a JPEG does not keep the values of a mask: threshold: 128 makes class 1 of what is brighter, "
    "for other classes store it as PNG"
)
_EIGHT_BITS = {"1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}


@dataclass(frozen=True, eq=False)
class Chip:
    """A training sample; ``name`` tells it apart in messages and split lists.

    ``pixel_size_m`` is the ground size of a pixel, the geometric mean of its sides, and
    ``pixel_aspect`` its width over its height. A chip that knows its ground size is brought to that
    of the model (``data.prepare``); others are taken as they are.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    name: str
    pixel_size_m: float | None = None
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        if self.image.shape[1:] != self.mask.shape:
            raise InputError(
                f"{self.name}: the image is {self.image.shape[1:]} pixels, the mask "
                f"{self.mask.shape}; they must be the same"
            )

    @property
    def sides_m(self) -> tuple[float, float] | None:
        """(width, height) of a pixel in metres on the ground; None where nothing tells it."""
        if self.pixel_size_m is None:
            return None
        longer = math.sqrt(self.pixel_aspect)
        return self.pixel_size_m * longer, self.pixel_size_m / longer


def pixel_size_m(grid: Grid) -> float | None:
    """The ground size of a pixel, the mean of its sides; None where nothing tells it."""
    if grid.crs is None:
        return None
    across_m, down_m = grid.pixel_size_m
    return math.sqrt(across_m * down_m)


def pixel_aspect(grid: Grid) -> float:
    """The width of a pixel over its height, on the ground."""
    across_m, down_m = grid.pixel_size_m
    return across_m / down_m


class Chips(Protocol):
    """A sequence of chips."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Chip: ...


@dataclass(frozen=True)
class Pairs:
    """Image files with mask files; ``read_mask`` makes class indices of a mask and its image.

    ``mask_mode`` is what a mask is read as ("L" for grey), None as it is stored, so that a palette
    gives its indices. All have the ground size ``pixel_size_m``; without it each has what its file
    says, as a GeoTIFF does.
    """

    images: Sequence[Path]
    masks: Sequence[Path]
    read_mask: Callable[[NDArray[Any], NDArray[np.uint8]], NDArray[np.uint8]]
    mask_mode: str | None = None
    pixel_size_m: float | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Chip:
        image = read_image(self.images[index], "RGB")
        pixels = read_levels(self.masks[index], self.mask_mode)
        check_shape(self.images[index], image.shape[:2], self.masks[index], pixels.shape[-2:])
        with add_file_to_errors(self.masks[index]):
            mask = self.read_mask(pixels, image)
        bands = np.ascontiguousarray(image.transpose(2, 0, 1))
        name = str(self.images[index])
        if self.pixel_size_m is not None:
            return Chip(bands, mask, name, self.pixel_size_m)
        return Chip(bands, mask, name, *_ground_size(self.images[index]))


def _ground_size(path: Path) -> tuple[float | None, float]:
    """Size and aspect of a picture's pixels, as ``Chip`` has them; most pictures say nothing."""
    try:
        with open_source(path) as source:
            size_m = pixel_size_m(source.grid)
            return size_m, 1.0 if size_m is None else pixel_aspect(source.grid)
    except SceneError:  # a picture that GDAL does not read is a picture all the same
        return None, 1.0


def read_image(path: Path, mode: str | None = None) -> NDArray[np.uint8]:
    """The pixels of a picture as (H, W) or (H, W, 3); a palette gives its indices.

    Raises ``InputError`` for what is no picture, is cut off, or holds more than 8 bits a band.
    """
    with _open_picture(path) as picture:
        if picture.mode not in _EIGHT_BITS:
            raise InputError(
                f"{path} holds levels of more than 8 bits ({picture.mode}); wanted 8: read it "
                "as a scene (kind: scenes), which has a stretch"
            )
        return np.asarray(picture.convert(mode) if mode else picture).astype(np.uint8)


def read_levels(path: Path, mode: str | None = None) -> NDArray[Any]:
    """What a mask stores, (row, col) or (3, row, col); of 8 or 16 bits where no ``mode`` is asked.

    Alpha is left out. Raises ``InputError`` for what is no picture.
    """
    with _open_picture(path) as picture:
        if mode is None and picture.mode in _DEEP:
            return np.asarray(picture)
    pixels = read_image(path, mode)
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :3].transpose(2, 0, 1)


@contextmanager
def _open_picture(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as picture:
            yield picture
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # the last one is of PNGs
        hint = "fetch it again"
        if path.suffix.lower() in (".tif", ".tiff") and path.is_file():
            hint += ", or read it as a scene (kind: scenes), if QGIS shows it"
        raise InputError(f"{path} is not a picture that can be read: {error}; {hint}") from error


def check_shape(
    image: Path, shape: tuple[int, ...], mask: Path, mask_shape: tuple[int, ...]
) -> None:
    """Raise ``InputError`` when a mask is not as large as its image."""
    if shape != mask_shape:
        raise InputError(
            f"{mask} is {mask_shape[1]} x {mask_shape[0]} px, its image {image} {shape[1]} x "
            f"{shape[0]} px; a mask has a pixel for each of its image"
        )


@contextmanager
def add_file_to_errors(path: Path) -> Iterator[None]:
    """Put the file in front of what is wrong with it, and what a JPEG does to masks behind."""
    try:
        yield
    except InputError as error:
        hint = f"; {JPEG_HINT}" if is_jpeg(path) else ""
        raise InputError(f"{path}: {error}{hint}") from error


def is_jpeg(path: Path) -> bool:
    """Whether a picture is stored with loss, by its name."""
    return path.suffix.lower() in _JPEG


def list_images(folder: Path) -> list[Path]:
    """The pictures and GeoTIFFs of a folder, by name; one clear line when there is no folder."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; is the data folder the right one?")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)


def match_pairs(
    images: Iterable[Path],
    masks: Iterable[Path],
    key: Callable[[Path], str] = lambda path: path.stem,
) -> tuple[list[Path], list[Path]]:
    """Images and masks of the same ``key``, in the order of the images' names.

    Raises ``InputError`` when there are none, when an image has no partner, and when two masks (or
    images) have one key. Masks of images that are not wanted may be there.
    """
    by_key = _by_key(images, key, "images")
    masks_by_key = _by_key(masks, key, "masks")
    if not by_key:
        raise InputError("no images found; is the data folder the right one?")
    unpaired = [path for each, path in by_key.items() if each not in masks_by_key]
    if unpaired:
        raise InputError(
            f"{len(unpaired)} images have no mask, the first is {unpaired[0].name}; add what is "
            f"missing or take the images out of {unpaired[0].parent}"
        )
    return list(by_key.values()), [masks_by_key[each] for each in by_key]


def _by_key(paths: Iterable[Path], key: Callable[[Path], str], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(paths):
        first = found.setdefault(key(path), path)
        if first != path:
            raise InputError(f"{what} {first} and {path} have one name; which is the right one?")
    return found


@dataclass(frozen=True)
class Subset:
    """Some chips of a source."""

    chips: Chips
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Chip:
        return self.chips[self.indices[index]]
