"""What chips go through between a source and a data set.

``ResampledChips`` resamples them to the ground size of the model, as scenes are for prediction:

RULE 1: what gets coarser is averaged: an image pixel is the mean of the ground that it covers
        (``raster.resample``), a mask pixel the class that covers most of it, where at least half
        of it is known.
RULE 2: what gets finer is interpolated linearly; in training, the warp of the augmentation does it.
RULE 3: a chip whose ground size is not known stays as it is.

``ValidatedChips`` checks bands and classes. ``CachedChips`` keeps chips in memory, and leaves
out those that are not informative:

RULE 4: a chip whose pixels are all ``IGNORE`` is not informative.
RULE 5: nor is one where, in every band, the known pixels lie within ``FLAT_RANGE`` of 255, but
        for one in a hundred at each end: open water and sand differ by more.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from terralink.data.chips import IGNORE, Chip, Chips, Subset
from terralink.data.masks import count_pixels
from terralink.errors import InputError
from terralink.raster import Grid
from terralink.raster.resample import Axis, Resampler

_MAX_ENLARGEMENT = 4  # as for a scene that is predicted
_KNOWN_FROM = 0.5  # of a pixel
_SAME_SHARE = 5e-4  # the weights of pixels are rounded to 1/4096


@dataclass(frozen=True)
class ResampledChips:
    """``chips`` with pixels of ``pixel_size_m``; with None they stay as they are, pixel for pixel.

    ``source_pixel_size_m`` is what the recipe states of the chips, in place of what they know.
    Without ``enlarge`` only what gets coarser is resampled: the warp of a sample enlarges.
    """

    chips: Chips
    pixel_size_m: float | None
    source_pixel_size_m: float | None = None
    enlarge: bool = True

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, index: int) -> Chip:
        chip = self.chips[index]
        if self.pixel_size_m is None:
            return replace(chip, pixel_size_m=None, pixel_aspect=1.0)
        if self.source_pixel_size_m is not None:
            chip = replace(chip, pixel_size_m=self.source_pixel_size_m, pixel_aspect=1.0)
        return resample_chip(chip, self.pixel_size_m, enlarge=self.enlarge)


def resample_chip(chip: Chip, pixel_size_m: float, *, enlarge: bool = True) -> Chip:
    """``chip`` with square pixels of ``pixel_size_m`` on the ground; see the RULES above.

    Raises ``InputError`` for a chip whose pixels are too coarse by far.

    >>> chip = Chip(np.full((3, 4, 8), 9, np.uint8), np.ones((4, 8), np.uint8), "a", 0.5)
    >>> resample_chip(chip, 1.0).image.shape
    (3, 2, 4)
    """
    if chip.sides_m is None:
        return chip
    down, across = (
        step if enlarge or step > 1 else 1.0 for step in _pixel_ratios(chip, pixel_size_m)
    )
    if down == across == 1:
        return chip
    height, width = chip.mask.shape
    resample = ChipResampler(Axis(height, down), Axis(width, across))
    width_m, height_m = chip.sides_m[0] * across, chip.sides_m[1] * down
    return replace(
        chip,
        image=resample.resample_image(chip.image, chip.mask),
        mask=resample.resample_mask(chip.mask),
        pixel_size_m=math.sqrt(width_m * height_m),
        pixel_aspect=width_m / height_m,
    )


def zoom(chip: Chip, pixel_size_m: float | None) -> NDArray[np.float64]:
    """By how much (across, down) the ground of a chip must come nearer; 1 where it is unknown."""
    if chip.sides_m is None or pixel_size_m is None:
        return np.ones(2)
    down, across = _pixel_ratios(chip, pixel_size_m)
    return 1 / np.array([across, down])


def _pixel_ratios(chip: Chip, pixel_size_m: float) -> tuple[float, float]:
    """How many pixels of the chip one of ``pixel_size_m`` is long, (down, across).

    What is n or 1/n of them within 1% is made exactly so, as for a scene.
    """
    assert chip.sides_m is not None
    coarsest_m = max(chip.sides_m)
    if coarsest_m > _MAX_ENLARGEMENT * pixel_size_m:
        raise InputError(
            f"{chip.name} has pixels of {coarsest_m:.3g} m, the model {pixel_size_m:g} m: too "
            "coarse by far; change model.pixel_size_m, or say rescale: false to train on the "
            "pixels as they are"
        )
    height, width = chip.mask.shape
    native = Grid((height, width), Affine.scale(*chip.sides_m))
    step = ~native.transform @ native.with_pixel_size(pixel_size_m).transform
    # Rounded, because the inverse leaves 2.0000000001 where the step is 2.
    return round(step.e, 9), round(step.a, 9)


@dataclass(frozen=True)
class ChipResampler:
    """How both axes of a chip are resampled; the last pixel of each may stick out."""

    rows: Axis
    cols: Axis

    def resample_image(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """The picture (band, row, col) of a chip with that ``mask``."""
        # What counts nowhere and is black holds no picture: it must not darken what is beside it.
        known = (mask != IGNORE) | (image != 0).any(axis=0)
        return np.rint(self._resample(image, known)).clip(0, 255).astype(np.uint8)

    def resample_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class with the largest share of each pixel; of equal ones the later, as road."""
        known = self._share(mask != IGNORE)
        found = np.full(known.shape, IGNORE, np.uint8)
        largest = np.zeros(known.shape, np.float32)
        for each in np.unique(mask[mask != IGNORE]):
            share = self._share(mask == each)
            larger = (share > 0) & (share >= largest - _SAME_SHARE)
            found[larger] = each
            largest = np.maximum(largest, share)
        found[known < _KNOWN_FROM - _SAME_SHARE] = IGNORE
        return found

    def _share(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        share: NDArray[np.float32] = self._resample(mask[None], np.ones_like(mask))[0]
        return share

    def _resample(self, bands: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        rows, cols = ((0, _round_up(axis.size / axis.step)) for axis in (self.rows, self.cols))
        return Resampler(self.rows, self.cols)(bands, known, rows, cols)[0]


def _round_up(pixels: float) -> int:
    """Round up, but not for a rounding error: 100.0000001 pixels are 100."""
    return max(1, math.ceil(pixels - 1e-6))


FLAT_RANGE = 2
_ENDS = (1, 99)
_LATTICE_PX = 128  # pixels looked at along each axis, at most


def is_informative(chip: Chip) -> bool:
    """Whether there is something to see and to learn in a chip (RULES 1 and 2).

    >>> flat = np.full((3, 8, 8), 7, np.uint8)
    >>> is_informative(Chip(flat, np.zeros((8, 8), np.uint8), "night"))
    False
    """
    known = chip.mask != IGNORE
    step = -(-max(known.shape) // _LATTICE_PX)
    values = chip.image[:, ::step, ::step][:, known[::step, ::step]]
    if not values.size:
        values = chip.image[:, known]  # a few pixels, between those of the lattice
    return bool(values.size) and bool(
        (np.ptp(np.percentile(values, _ENDS, axis=1), axis=0) > FLAT_RANGE).any()
    )


def select_informative(chips: Chips) -> tuple[Subset, list[str]]:
    """The chips that have signal, and the names of those that have none. Reads every chip once."""
    informative, left_out = [], []
    for index, chip in enumerate_chips(chips):
        if is_informative(chip):
            informative.append(index)
        else:
            left_out.append(chip.name)
    return Subset(chips, informative), left_out


def enumerate_chips(chips: Chips) -> Iterator[tuple[int, Chip]]:
    """Indices and chips, one at a time: iterating over chips itself would end by an error."""
    return ((index, chips[index]) for index in range(len(chips)))


@dataclass(frozen=True)
class ValidatedChips:
    """``chips``, each looked at as it is read: its mask holds indices of ``classes`` classes.

    One class, such as road, has the indices 0 and 1; of more classes each has its own from 0. With
    the names of a model's ``bands`` an image has one for each; ``hint`` says how to choose them.
    """

    chips: Chips
    classes: int
    bands: Sequence[str] | None = None
    hint: str = ""

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, index: int) -> Chip:
        chip = self.chips[index]
        if self.bands is not None and len(chip.image) != len(self.bands):
            raise InputError(
                f"{chip.name} has {len(chip.image)} bands, the recipe's model {len(self.bands)} "
                f"({', '.join(self.bands)}); {self.hint}"
            )
        allowed = max(self.classes, 2)
        beyond = np.flatnonzero(count_pixels(chip.mask)[allowed:IGNORE]) + allowed
        if len(beyond):
            raise InputError(
                f"{chip.name}: its mask holds the class {beyond[0]}, but the recipe has classes 0 "
                f"to {allowed - 1}; name more classes in the recipe, or map the values of the mask"
            )
        return chip


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedChips:
    """``chips`` from number ``first`` on, after those that are ``informative`` in memory.

    ``left_out`` are the names of those without signal among the chips before ``first``.
    """

    chips: Chips
    in_memory: Sequence[Chip]
    first: int
    left_out: Sequence[str] = ()
    _warned: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def read_up_to(cls, limit_mb: float, chips: Chips) -> "CachedChips":
        """Read chips, in their order, until ``limit_mb`` megabytes are full.

        Raises ``InputError`` where none of them has signal.
        """
        informative: list[Chip] = []
        left_out: list[str] = []
        free_bytes = limit_mb * 1e6
        read = 0
        while read < len(chips):
            chip = chips[read]
            free_bytes -= chip.image.nbytes + chip.mask.nbytes
            if free_bytes < 0:
                break
            read += 1
            if is_informative(chip):
                informative.append(chip)
            else:
                free_bytes += chip.image.nbytes + chip.mask.nbytes
                left_out.append(chip.name)
        if left_out and read == len(chips) and not informative:
            raise _nothing(left_out)
        return cls(chips, informative, read, left_out)

    def __len__(self) -> int:
        return len(self.in_memory) + len(self.chips) - self.first

    def __getitem__(self, index: int) -> Chip:
        """The chip, or the next one that has signal."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        for later in range(len(self)):
            place = (index + later) % len(self)
            if place < len(self.in_memory):
                return self.in_memory[place]
            chip = self.chips[place - len(self.in_memory) + self.first]
            if is_informative(chip):
                return chip
            self._warn(chip.name)
        raise _nothing(sorted(self._warned))

    def _warn(self, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            _log.warning("%s has no signal: the next chip stands in", name)


def _nothing(names: Sequence[str]) -> InputError:
    return InputError(f"none of {len(names)} chips has signal, such as {names[0]}")
