"""Where a sample's pixels come from: one affine map carries image and mask alike.

The map is (2, 3) and takes (x, y, 1) in pixels of the sample to (x, y) in pixels of the chip, where
(0, 0) is a pixel's corner and y points down. What lies beyond the border of the chip is mirrored,
the pixels at the border repeated. The image is interpolated linearly, the mask takes its nearest
pixel, so no class is invented. A map that only turns, flips and shifts copies pixels as they are.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Affine = NDArray[np.float64]  # (2, 3)
Pixels = NDArray[np.uint8]  # (..., H, W)


def rotation_matrix(radians: float) -> NDArray[np.float64]:
    """The (2, 2) map from a sample's axes to those of a chip that is turned counter-clockwise."""
    cos, sin = math.cos(radians), math.sin(radians)
    return np.array([[cos, -sin], [sin, cos]])


def warp_chip(
    image: Pixels, mask: Pixels, affine: Affine, *, side_px: int
) -> tuple[Tensor, Tensor]:
    """Image (C, side_px, side_px) float32 and mask (side_px, side_px) uint8 of a sample."""
    if _is_quarter_turn(affine[:, :2], side_px):
        # The fraction of a pixel that is left would blur and tell the network nothing.
        whole = np.rint(affine).astype(np.int64)
        copies = _copy_pixels(image, whole, side_px), _copy_pixels(mask, whole, side_px)
        return torch.from_numpy(copies[0]).float(), torch.from_numpy(copies[1])
    return _interpolate(image, mask, affine, side_px)


def _is_quarter_turn(axes: NDArray[np.float64], side_px: int) -> bool:
    """Whether each axis becomes one of the chip's, within a thousandth of a pixel."""
    whole = np.rint(axes)
    straight = all((np.abs(whole).sum(axis=axis) == 1).all() for axis in (0, 1))
    return straight and bool(np.abs(axes - whole).max() * side_px < 1e-3)


def _copy_pixels(pixels: Pixels, affine: NDArray[np.int64], side_px: int) -> Pixels:
    """``affine`` has one 1 or -1 in each row and each column of its first two."""
    (step_x, step_y), (first_x, first_y) = affine[:, :2].sum(axis=1), affine[:, 2]
    cols = _reflect_index(step_x * np.arange(side_px) + first_x - (step_x < 0), pixels.shape[-1])
    rows = _reflect_index(step_y * np.arange(side_px) + first_y - (step_y < 0), pixels.shape[-2])
    picked = pixels.take(rows, axis=-2).take(cols, axis=-1)
    exchanged = affine[0, 0] == 0
    return np.ascontiguousarray(picked.swapaxes(-1, -2) if exchanged else picked)


def _reflect_index(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    around = index % (2 * length)
    return np.minimum(around, 2 * length - 1 - around)


def _interpolate(
    image: Pixels, mask: Pixels, affine: Affine, side_px: int
) -> tuple[Tensor, Tensor]:
    mean_of = _find_averaging(affine)
    rows, cols = _find_window(affine, mask.shape, side_px, mean_of)
    grid = _sampling_grid(affine, rows, cols, side_px)
    labels = _sample_at(grid, _floats(mask[rows, cols])[None], "nearest")
    seen = _floats(image[:, rows, cols])
    if mean_of > 1:
        seen = F.avg_pool2d(seen, mean_of, ceil_mode=True, count_include_pad=False)
        height, width = mean_of * seen.shape[2], mean_of * seen.shape[3]  # the last may reach out
        rows, cols = slice(rows.start, rows.start + height), slice(cols.start, cols.start + width)
        grid = _sampling_grid(affine, rows, cols, side_px)
    return _sample_at(grid, seen, "bilinear")[0], labels[0, 0].to(torch.uint8)


def _floats(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32))[None]  # a copy: chips may be read-only


def _sample_at(grid: Tensor, pixels: Tensor, mode: str) -> Tensor:
    return F.grid_sample(pixels, grid, mode, padding_mode="reflection", align_corners=False)


def _find_averaging(affine: Affine) -> int:
    """The side of the squares to average first: shrinking by half and more would skip pixels."""
    shrinking = math.sqrt(abs(float(np.linalg.det(affine[:, :2]))))
    return int(2 ** round(math.log2(max(1.0, shrinking))))


def _find_window(
    affine: Affine, shape: tuple[int, ...], side_px: int, multiple: int
) -> tuple[slice, slice]:
    """Rows and columns of the chip that the sample looks at, mirror images included."""
    corners = affine @ np.array([[0, side_px, 0, side_px], [0, 0, side_px, side_px], [1] * 4])
    low, high = corners.min(axis=1), corners.max(axis=1)
    height, width = shape
    return _find_span(low[1], high[1], height, multiple), _find_span(
        low[0], high[0], width, multiple
    )


def _find_span(low: float, high: float, length: int, multiple: int) -> slice:
    """What lies from ``low`` to ``high``, and a neighbour on each side, in whole multiples."""
    first, last = math.floor(low) - multiple, math.ceil(high) + multiple
    start = min(first, 2 * length - last) if last > length else first
    stop = max(last, -first) if first < 0 else last
    return slice(max(0, start // multiple * multiple), min(length, -(-stop // multiple) * multiple))


def _sampling_grid(affine: Affine, rows: slice, cols: slice, side_px: int) -> Tensor:
    """Where each pixel's centre comes from, in -1 to 1 across the window; (1, side, side, 2)."""
    centres = torch.arange(side_px) + 0.5
    seen = [
        (along_x * centres + along_y * centres[:, None] + (first - window.start))
        * (2 / (window.stop - window.start))
        - 1
        for (along_x, along_y, first), window in zip(affine.tolist(), (cols, rows), strict=True)
    ]
    return torch.stack(seen, -1)[None]
