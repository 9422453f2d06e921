"""Augmentation: one warp moves image and mask alike, then the colours change.

Images are float32 (3, H, W) in 0 to 255, masks uint8 (H, W). What lies beyond the border is
mirrored. Every draw comes from the generator that is given, so a sample is a function of its seed.
"""

import math

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from terralink.data.chips import Chip

Range = tuple[float, float]


class Augment(BaseModel):
    """What is drawn for a sample; ranges are uniform, those of factors uniform in the logarithm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop_px: PositiveInt
    scale: Range = (1.0, 1.0)  # above 1 the ground comes nearer
    rotate_deg: Range = (0.0, 0.0)  # besides the quarter turns
    dihedral: bool = True  # flips and quarter turns
    gain: Range = (1.0, 1.0)  # brightness
    cast: Range = (1.0, 1.0)  # gain of each band
    contrast: Range = (1.0, 1.0)
    gamma: Range = (1.0, 1.0)
    saturation: Range = (1.0, 1.0)
    blur_px: Range = (0.0, 0.0)
    noise: float = 0.0  # levels, standard deviation at most

    def __call__(self, chip: Chip, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A crop of ``chip``: image (3, crop_px, crop_px) float32 and mask (crop_px, crop_px)."""
        image, mask = self.warped(chip, rng)
        return self.coloured(image, rng), mask

    def warped(self, chip: Chip, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        image = torch.from_numpy(chip.image).float()[None]
        mask = torch.from_numpy(chip.mask)[None, None]
        matrix, scale = self._matrix(chip.mask.shape, rng)
        if scale < math.sqrt(0.5):  # shrinking by half skips pixels; average them first
            image = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
        side = self.crop_px
        grid = F.affine_grid(matrix[None], [1, 1, side, side], align_corners=False)
        moved = _sampled(image, grid, "bilinear"), _sampled(mask.float(), grid, "nearest")
        return moved[0][0], moved[1][0, 0].to(torch.uint8)

    def _matrix(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Tensor, float]:
        """The affine map from the crop's normalised coordinates to the chip's, and its scale."""
        height, width = shape
        scale = _log_uniform(self.scale, rng)
        turn = math.radians(rng.uniform(*self.rotate_deg))
        flip = 1
        if self.dihedral:
            turn += math.pi / 2 * rng.integers(4)
            flip = 1 - 2 * int(rng.integers(2))
        half = self.crop_px / 2 / scale
        free_x, free_y = max(0.0, width / 2 - half), max(0.0, height / 2 - half)
        shift_x, shift_y = rng.uniform(-free_x, free_x), rng.uniform(-free_y, free_y)
        cos, sin = half * math.cos(turn), half * math.sin(turn)
        in_pixels = np.array([[flip * cos, -sin, shift_x], [flip * sin, cos, shift_y]])
        normalised = in_pixels / np.array([[width / 2], [height / 2]])
        return torch.from_numpy(normalised).float(), scale

    def coloured(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Colours as another sensor, hour or haze would give them; (3, H, W) in 0 to 255."""
        image = (image / 255).clamp(0, 1) ** _log_uniform(self.gamma, rng)
        grey = image.mean(0, keepdim=True)
        image = grey + (image - grey) * _log_uniform(self.saturation, rng)
        middle = image.mean()
        image = middle + (image - middle) * _log_uniform(self.contrast, rng)
        casts = [_log_uniform(self.cast, rng) for _ in range(len(image))]
        image = image * (_log_uniform(self.gain, rng) * torch.tensor(casts).float()[:, None, None])
        image = _blurred(image, rng.uniform(*self.blur_px))
        grain = rng.uniform(0, self.noise) / 255
        if grain > 0:
            generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
            image = image + grain * torch.randn(image.shape, generator=generator)
        return image.clamp(0, 1) * 255


def _sampled(pixels: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(pixels, grid, mode, padding_mode="reflection", align_corners=False)


def _log_uniform(low_high: Range, rng: np.random.Generator) -> float:
    low, high = low_high
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _blurred(image: Tensor, sigma_px: float) -> Tensor:
    if sigma_px < 0.3:
        return image
    radius = math.ceil(2 * sigma_px)
    steps = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-0.5 * (steps / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    bands = len(image)
    image = F.pad(image[None], (radius,) * 4, mode="reflect")
    image = F.conv2d(image, kernel.view(1, 1, 1, -1).repeat(bands, 1, 1, 1), groups=bands)
    return F.conv2d(image, kernel.view(1, 1, -1, 1).repeat(bands, 1, 1, 1), groups=bands)[0]
