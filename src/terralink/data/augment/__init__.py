"""Augmentation: one warp moves image and mask alike, then the colours change.

Images are uint8 (C, H, W) and become float32 in 0 to 255, masks are uint8 (H, W). Beyond the
border the image is reflected. Every draw comes from the generator that is passed, so a sample is a
function of its seed; a range of one value costs no draw, so that a new key leaves the samples of
older recipes as they are. docs/training.md has the augmentations of the papers.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from terralink.data.augment import colour
from terralink.data.augment.warp import Affine, rotation_matrix, warp_chip
from terralink.data.chips import Chip
from terralink.data.schema import Factors, Finite, Probability, Range, StrictModel, Widths
from terralink.errors import InputError

_JITTER = ("gain", "channel_gain", "contrast", "gamma", "saturation", "blur_px", "noise")
_SIGNS = {"none": (1, 1), "horizontal": (-1, 1), "vertical": (1, -1)}  # of x and y
Pair = NDArray[np.float64]  # (2,) x and y


class Augment(StrictModel):
    """What is drawn for a sample; ranges are uniform, those of factors uniform in the logarithm.

    ``fit`` says what a sample shows at a scale of 1: a crop from anywhere, pixel for pixel, or the
    whole chip resized to ``crop_px``. That is turned, then flipped, then stretched, then shifted.

    >>> Augment(crop_px=512, scale=(0.9, 1.1), hue_deg=(-60, 60), hsv_p=0.5).fit
    'crop'
    """

    crop_px: PositiveInt
    fit: Literal["crop", "whole"] = "crop"

    dihedral: bool = True  # the eight flips and quarter turns, each as likely
    turns_deg: Annotated[tuple[Finite, ...], Field(min_length=1)] = (0.0,)  # counter-clockwise
    flips: Annotated[tuple[Literal["none", "horizontal", "vertical"], ...], Field(min_length=1)] = (
        "none",
    )

    warp_p: Probability = 1.0  # of the next four, together
    scale: Factors = (1.0, 1.0)  # above 1 the ground comes nearer
    aspect: Factors = (1.0, 1.0)  # width over height, the area stays
    rotate_deg: Range = (0.0, 0.0)  # besides the turns
    shift_px: Range = (0.0, 0.0)  # in the sample, along x and along y

    hsv_p: Probability = 1.0  # of the next three, together
    hue_deg: Range = (0.0, 0.0)
    saturation_shift: Range = (0.0, 0.0)  # levels of 255
    value_shift: Range = (0.0, 0.0)  # levels of 255

    gain: Factors = (1.0, 1.0)  # brightness
    channel_gain: Factors = (1.0, 1.0)  # of each band
    contrast: Factors = (1.0, 1.0)
    gamma: Factors = (1.0, 1.0)
    saturation: Factors = (1.0, 1.0)
    blur_px: Widths = (0.0, 0.0)
    noise: Annotated[Finite, Field(ge=0)] = 0.0  # levels, standard deviation at most

    @model_validator(mode="after")
    def _blur_fits(self) -> Self:
        if 2 * self.blur_px[1] > self.crop_px - 1:
            raise ValueError(f"blur_px of {self.blur_px[1]} is too wide for {self.crop_px} px")
        return self

    def __call__(
        self, chip: Chip, rng: np.random.Generator, *, zoom: float | Pair = 1.0
    ) -> tuple[Tensor, Tensor]:
        """A sample of ``chip``: image (C, crop_px, crop_px) float32, mask (crop_px, crop_px) uint8.

        ``zoom`` (of both axes, or across and down) brings the ground nearer before all else: the
        chip's ground size over the one that is wanted. A chip that is shown whole has its size from
        ``crop_px`` and is not zoomed.
        Raises ``InputError`` for colours that the chip's bands do not have.
        """
        if len(chip.image) < 3 and (self._changes_hsv or self._changes("saturation")):
            raise InputError(
                f"{chip.name}: hue, saturation and value need red, green and blue as first bands, "
                f"there are {len(chip.image)} bands; leave them out, or choose other bands"
            )
        image, mask = self.warp(chip, rng, zoom=zoom)
        return self.change_colours(image, rng), mask

    def warp(
        self, chip: Chip, rng: np.random.Generator, *, zoom: float | Pair = 1.0
    ) -> tuple[Tensor, Tensor]:
        """A sample in the chip's own colours."""
        affine = self._affine(chip.mask.shape, rng, zoom)
        return warp_chip(chip.image, chip.mask, affine, side_px=self.crop_px)

    def _affine(
        self, shape: tuple[int, ...], rng: np.random.Generator, zoom: float | Pair
    ) -> Affine:
        stretch, angle, shift_px = self._draw_warp(rng)
        turn, signs = self._draw_turn(rng)
        size, side = np.array(shape[::-1]), self.crop_px
        if self.fit == "whole":
            step, offset = size / side, np.zeros(2)
        else:
            step = np.ones(2) / zoom
            free = np.maximum(0.0, (size - side * step / stretch) / 2)
            offset = rng.uniform(-free, free)
        axes = step[:, None] * rotation_matrix(angle + turn) * (signs / stretch)
        return np.column_stack([axes, size / 2 + offset - axes @ (side / 2 + shift_px)])

    def _draw_warp(self, rng: np.random.Generator) -> tuple[Pair, float, Pair]:
        """Stretch, angle in radians, shift."""
        if not draw_bool(self.warp_p, rng):
            return np.ones(2), 0.0, np.zeros(2)
        scale, angle = (
            draw_factor(self.scale, rng),
            math.radians(draw_uniform(self.rotate_deg, rng)),
        )
        wide = math.sqrt(draw_factor(self.aspect, rng))
        shift_px = np.array([draw_uniform(self.shift_px, rng), draw_uniform(self.shift_px, rng)])
        return np.array([scale * wide, scale / wide]), angle, shift_px

    def _draw_turn(self, rng: np.random.Generator) -> tuple[float, Pair]:
        """Angle in radians, and the signs of x and y."""
        turns, flips = (rng.integers(4), rng.integers(2)) if self.dihedral else (0, 0)
        angle = math.radians(90 * int(turns) + draw_choice(self.turns_deg, rng))
        mirrored = np.array([1 - 2 * int(flips), 1])
        return angle, mirrored * _SIGNS[draw_choice(self.flips, rng)]

    def change_colours(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Colours as another sensor, hour or haze would give them; (C, H, W) in 0 to 255."""
        if self._changes_hsv and draw_bool(self.hsv_p, rng):
            image = self._shift_hsv(image / 255, rng)
        if self._changes(
            "gain", "channel_gain", "contrast", "gamma", "saturation", "blur_px", "noise"
        ):
            image = self._jitter(image / 255, rng)
        return image

    def _shift_hsv(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        hue_deg = draw_uniform(self.hue_deg, rng)
        saturation = draw_uniform(self.saturation_shift, rng) / 255
        value = draw_uniform(self.value_shift, rng) / 255
        return colour.shift_hsv(image, hue_deg=hue_deg, saturation=saturation, value=value) * 255

    def _jitter(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        image = image.clamp(0, 1) ** draw_factor(self.gamma, rng)
        saturation, contrast = draw_factor(self.saturation, rng), draw_factor(self.contrast, rng)
        channel_gains = torch.tensor([draw_factor(self.channel_gain, rng) for _ in image])
        gains = channel_gains * draw_factor(self.gain, rng)
        image = colour.mix_bands(image, saturation=saturation, contrast=contrast, gains=gains)
        image = colour.blur(image, draw_uniform(self.blur_px, rng))
        deviation = draw_uniform((0.0, self.noise), rng) / 255
        if deviation > 0:
            image = colour.add_noise(image, deviation, seed=int(rng.integers(2**31)))
        return image.clamp(0, 1) * 255

    @property
    def _changes_hsv(self) -> bool:
        return self._changes("hue_deg", "saturation_shift", "value_shift")

    def _changes(self, *keys: str) -> bool:
        fields = type(self).model_fields
        return any(getattr(self, key) != fields[key].default for key in keys)


T = TypeVar("T")


def draw_uniform(low_high: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = low_high
    return low if low == high else float(rng.uniform(low, high))


def draw_factor(low_high: tuple[float, float], rng: np.random.Generator) -> float:
    """Uniform in the logarithm: twice is as likely as half."""
    low, high = low_high
    return math.exp(draw_uniform((math.log(low), math.log(high)), rng))


def draw_bool(chance: float, rng: np.random.Generator) -> bool:
    return chance == 1 or bool(rng.random() < chance)


def draw_choice(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[0] if len(choices) == 1 else choices[int(rng.integers(len(choices)))]
