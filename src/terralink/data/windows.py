"""Scenes as chips, cut when they are read: a tile of 5,000 px is never read whole.

Windows of ``side_px`` stand at every ``side_px - overlap_px`` pixels; the last of a row reaches out
of the scene where that is no multiple. There the pixels are reflected and masked, so that
without an overlap each pixel of a scene counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, Chip, pixel_aspect, pixel_size_m
from terralink.errors import InputError
from terralink.raster import Grid, Raster, Stretch
from terralink.raster.no_data import SIDE_PX, apply_opening
from terralink.raster.source import Source, open_source
from terralink.raster.tiling import read_reflected

# The stretch of a set is measured on this many of its scenes, on 4 x 4 patches of 64 px of each.
_MEASURED_SCENES, _PATCHES, _PATCH_PX = 32, 4, 64


class Window(NamedTuple):
    """A part of a scene: pixel (row, col) where it begins, its grid, and that of the scene."""

    scene: Path
    row: int
    col: int
    grid: Grid
    scene_grid: Grid

    @property
    def name(self) -> str:
        """The scene alone when the window is all of it, else with the place: ``a.tif@512,0``."""
        whole = (self.row, self.col) == (0, 0) and self.grid.shape == self.scene_grid.shape
        return str(self.scene) if whole else f"{self.scene}@{self.row},{self.col}"


class Labels(Protocol):
    """What a window's mask is made by."""

    def __call__(self, window: Window, /) -> NDArray[np.uint8]:
        """The mask (row, col) of class indices of ``window``."""
        ...


@dataclass(frozen=True, eq=False)
class Scenes:
    """Scenes of any size, whole or in windows of ``side_px``, with the masks of ``labels``.

    ``bands`` count from 1 (None: all but alpha). The ``preset_stretch`` is one for all scenes; None
    measures it once, over the whole set and never for a chip. ``no_data`` is the level of pixels of
    which nothing is known though the file does not say so: where all bands have it, over an area.
    Without labels a mask is 0 where something is known.
    """

    paths: Sequence[Path]
    labels: Labels | None
    side_px: int | None = None
    overlap_px: int = 0
    bands: tuple[int, ...] | None = None
    preset_stretch: Stretch | None = None
    no_data: int | None = None

    def __post_init__(self) -> None:
        if self.side_px is not None and not 0 <= self.overlap_px < self.side_px:
            raise InputError(
                f"an overlap of {self.overlap_px} px for windows of {self.side_px} px; "
                "wanted from 0 to less than the side"
            )

    def __len__(self) -> int:
        """Without ``side_px`` no file is opened for it, else the headers are read, once."""
        return len(self.paths) if self.side_px is None else int(self._cumulative_counts[-1])

    def __getitem__(self, index: int) -> Chip:
        window, image, mask = self.read(index)
        grid = window.scene_grid
        return Chip(image.array, mask, window.name, pixel_size_m(grid), pixel_aspect(grid))

    def read(self, index: int) -> tuple[Window, Raster, NDArray[np.uint8]]:
        """A window, its image uint8 (band, row, col) with what is known, and its mask."""
        path, row, col = self.locate(index)
        with open_source(path, bands=self.bands) as source:
            whole = source.grid
            shape = whole.shape if self.side_px is None else (self.side_px, self.side_px)
            pixels, valid = read_window(source, row, col, shape)
        valid &= ~find_blank(pixels, self.no_data)
        image = np.where(valid, self.stretch(np.where(valid, pixels, 0)), np.uint8(0))
        window = Window(path, row, col, whole.window(row, col, shape), whole)
        mask = np.zeros(shape, np.uint8) if self.labels is None else self.labels(window)
        mask[~valid] = IGNORE
        return window, Raster(image, window.grid, valid), mask

    def locate(self, index: int) -> tuple[Path, int, int]:
        """The scene of a chip, and the pixel (row, col) where it begins."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self.side_px is None:
            return self.paths[index], 0, 0
        number = int(np.searchsorted(self._cumulative_counts, index, side="right"))
        before = int(self._cumulative_counts[number]) - self._counts[number]
        down, right = divmod(index - before, self._count_windows(self._shapes[number][1]))
        return self.paths[number], down * self._stride_px, right * self._stride_px

    def list_scenes(self) -> list[Path]:
        """The scene of each chip: chips of one scene belong together."""
        if self.side_px is None:
            return list(self.paths)
        pairs = zip(self.paths, self._counts, strict=True)
        return [path for path, count in pairs for _ in range(count)]

    @cached_property
    def stretch(self) -> Stretch:
        """What maps the levels of every scene to 0..255."""
        return self.preset_stretch or Stretch.fit(self._sample_pixels())

    @property
    def _stride_px(self) -> int:
        assert self.side_px is not None
        return self.side_px - self.overlap_px

    def _count_windows(self, size_px: int) -> int:
        """How many windows cover an axis."""
        return max(1, -(-(size_px - self.overlap_px) // self._stride_px))

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        return [_shape(path) for path in self.paths]

    @cached_property
    def _counts(self) -> list[int]:
        return [
            self._count_windows(height) * self._count_windows(width)
            for height, width in self._shapes
        ]

    @cached_property
    def _cumulative_counts(self) -> NDArray[np.int64]:
        return np.cumsum(self._counts)

    def _sample_pixels(self) -> NDArray[Any]:
        """Levels (band, pixel) of a lattice of patches in scenes spread over the set."""
        chosen = np.unique(np.linspace(0, len(self.paths) - 1, _MEASURED_SCENES).astype(int))
        pixels = [_read_patches(self.paths[number], self.bands, self.no_data) for number in chosen]
        return np.concatenate(pixels, axis=1)


def read_window(
    source: Source, row: int, col: int, shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Levels (band, row, col) and valid pixels of a window of a raster, which may stick out."""
    return read_reflected(source.read, source.grid.shape, row, col, shape)


def _read_patches(path: Path, bands: tuple[int, ...] | None, no_data: int | None) -> NDArray[Any]:
    with open_source(path, bands=bands) as source:
        height, width = source.grid.shape
        shape = (min(_PATCH_PX, height), min(_PATCH_PX, width))
        patches = [
            read_window(source, row, col, shape)
            for row in np.unique(np.linspace(0, height - shape[0], _PATCHES).astype(int)).tolist()
            for col in np.unique(np.linspace(0, width - shape[1], _PATCHES).astype(int)).tolist()
        ]
    known = [pixels[:, valid & ~find_blank(pixels, no_data)] for pixels, valid in patches]
    return np.concatenate(known, axis=1)


def _shape(path: Path) -> tuple[int, int]:
    with open_source(path) as source:
        return source.grid.shape


def find_blank(pixels: NDArray[Any], no_data: int | None) -> NDArray[np.bool_]:
    """True (row, col) where all bands of ``pixels`` (band, row, col) are ``no_data``, over an area.

    >>> scene = np.full((3, 40, 40), 90, np.uint8)
    >>> scene[:, :20] = 0
    >>> scene[:, 30, 30] = 0
    >>> int(find_blank(scene, 0).sum()), 20 * 40
    (800, 800)
    """
    if no_data is None:
        return np.zeros(pixels.shape[1:], bool)
    empty = (pixels == no_data).all(axis=0)
    # Continued at the border, where an area may be narrower than the square.
    inner = slice(SIDE_PX, -SIDE_PX)
    return apply_opening(np.pad(empty, SIDE_PX, mode="edge"), SIDE_PX)[inner, inner]
