"""Colours as another sensor, hour or haze would give them, on images (C, H, W) in 0 to 1.

Hue and saturation are those of red, green and blue, the first three bands; further bands keep
theirs. Everything else is for any number of bands. Images are left alone, results are new ones.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_SHARPEST_PX = 0.3  # a narrower blur cannot be seen
_LEAST = 1e-6  # a chroma below is grey: it has no hue


def shift_hsv(image: Tensor, *, hue_deg: float, saturation: float, value: float) -> Tensor:
    """Hue turned, saturation and value (each in 0 to 1) moved and clipped.

    >>> red = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    >>> shift_hsv(red, hue_deg=120, saturation=0, value=-0.5).flatten().tolist()
    [0.0, 0.5, 0.0]
    """
    bright = image[:3].amax(0)
    chroma = bright - image[:3].amin(0)
    sixths = _hue(image, bright, chroma).add_(hue_deg / 60)
    value_now = (bright + value).clamp_(0, 1)
    saturation_now = chroma.div_(bright.clamp_(min=_LEAST)).add_(saturation).clamp_(0, 1)
    return torch.cat([_rgb(sixths, saturation_now.mul_(value_now), value_now), image[3:]])


def _hue(image: Tensor, bright: Tensor, chroma: Tensor) -> Tensor:
    """In sixths of the circle, from red (0) by green (2) and blue (4); (H, W)."""
    red, green, blue = image[:3]
    chroma = chroma.clamp(min=_LEAST)
    sixths = (red - green).div_(chroma).add_(4)
    sixths = torch.where(bright == green, (blue - red).div_(chroma).add_(2), sixths)
    return torch.where(bright == red, (green - blue).div_(chroma), sixths)


def _rgb(sixths: Tensor, chroma: Tensor, value: Tensor) -> Tensor:
    """Each band lacks a part of the chroma: all of it where the hue is opposite, none around it."""
    rgb = torch.empty(3, *value.shape)
    for band, start in zip(rgb, (5, 3, 1), strict=True):
        lacking = (sixths + start).remainder_(6).sub_(2).abs_().neg_().add_(2).clamp_(0, 1)
        torch.addcmul(value, lacking, chroma, value=-1, out=band)
    return rgb


def mix_bands(image: Tensor, *, saturation: float, contrast: float, gains: Tensor) -> Tensor:
    """Saturation about each pixel's grey, contrast about the image's mean, a gain for each band.

    All three are linear, and the first keeps the mean: together they are a matrix and an offset.
    """
    mixing = torch.eye(len(image))
    if saturation != 1:
        mixing[:3, :3] = saturation * torch.eye(3) + (1 - saturation) / 3
    offset = gains * (1 - contrast) * image.mean()
    mixing = gains[:, None] * contrast * mixing
    return torch.addmm(offset[:, None], mixing, image.flatten(1)).view(image.shape)


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """A Gaussian of ``sigma_px``, mirrored at the border."""
    if sigma_px < _SHARPEST_PX:
        return image
    radius = math.ceil(2 * sigma_px)
    taps = [math.exp(-0.5 * (step / sigma_px) ** 2) for step in range(-radius, radius + 1)]
    padded = F.pad(image[None], (radius,) * 4, mode="reflect")[0]
    return _convolve(_convolve(padded, taps, dim=2), taps, dim=1)


def _convolve(image: Tensor, taps: list[float], *, dim: int) -> Tensor:
    """A running mean along ``dim``: for few taps, adding shifted images is faster than conv2d."""
    length = image.shape[dim] - len(taps) + 1
    total = torch.zeros_like(image.narrow(dim, 0, length))
    for first, tap in enumerate(taps):
        total.add_(image.narrow(dim, first, length), alpha=tap / sum(taps))
    return total


def add_noise(image: Tensor, deviation: float, *, seed: int) -> Tensor:
    """Normal noise on each pixel and band."""
    grain = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return grain.mul_(deviation).add_(image)
