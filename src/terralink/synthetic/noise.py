"""Chance that depends on a place only: hashed numbers and value noise of any window.

The same seed and the same coordinates give the same number in every window, on every machine:
integers are hashed, and what is done with them afterwards is one rounding per operation.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MASK = 0xFFFFFFFF


def rng(seed: int, *keys: int) -> np.random.Generator:
    """A generator for one thing of a town: ``keys`` say which (negative ones too)."""
    return np.random.Generator(np.random.PCG64([seed & _MASK, *(key & _MASK for key in keys)]))


def chance(seed: int, *keys: int) -> float:
    """One number in [0, 1) for ``keys``, cheaper than a generator."""
    mixed = seed & _MASK
    for key in keys:
        mixed = ((mixed ^ (key & _MASK)) * 0x9E3779B1) & _MASK
        mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & _MASK
        mixed ^= mixed >> 13
    mixed = (mixed * 0x297A2D39) & _MASK
    return (mixed ^ (mixed >> 15)) / 2.0**32


def hashed(seed: int, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Hash of every pair of ``rows`` (h,) and ``cols`` (w,): uint32 (h, w)."""
    down = (rows & _MASK).astype(np.uint32) * np.uint32(0x85EBCA77)
    across = (cols & _MASK).astype(np.uint32) * np.uint32(0x9E3779B1)
    mixed = (down ^ np.uint32(seed & _MASK))[:, None] + across[None, :]
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    mixed ^= mixed >> np.uint32(15)
    return mixed


def grain(seed: int, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Floats:
    """White noise (h, w), one value per pixel, bell-shaped, mean 0, deviation 1."""
    mixed = hashed(seed, rows, cols)
    # Two 16-bit halves: a triangle, near enough to a bell for the eye.
    total = (mixed & np.uint32(0xFFFF)).astype(np.float32)
    total += (mixed >> np.uint32(16)).astype(np.float32)
    total -= np.float32(65535)
    total *= np.float32(1 / 26755)
    return total


def value_noise(
    seed: int, xs_m: NDArray[np.float64], ys_m: NDArray[np.float64], scale_m: float
) -> Floats:
    """Smooth noise (h, w) in [-1, 1] at columns ``xs_m``, rows ``ys_m``; bumps ``scale_m`` wide."""
    col, right = _lattice(xs_m, scale_m)
    row, down = _lattice(ys_m, scale_m)
    corners = hashed(
        seed, np.arange(row.min(), row.max() + 2), np.arange(col.min(), col.max() + 2)
    ).astype(np.float32) * np.float32(2.0**-31) - np.float32(1)
    at = col - col.min()
    strips = corners[:, at] + (corners[:, at + 1] - corners[:, at]) * right
    at = row - row.min()
    above: Floats = strips[at]
    below = strips[at + 1]
    below -= above
    below *= down[:, None]
    above += below
    return above


def octaves(
    seed: int,
    xs_m: NDArray[np.float64],
    ys_m: NDArray[np.float64],
    scale_m: float,
    count: int,
    *,
    gain: float = 0.5,
) -> Floats:
    """Sum of ``count`` value noises, each half as wide and ``gain`` as strong as the one before."""
    total = value_noise(seed, xs_m, ys_m, scale_m)
    for octave in range(1, count):
        finer = value_noise(seed + 7919 * octave, xs_m, ys_m, scale_m / 2**octave)
        finer *= np.float32(gain**octave)
        total += finer
    return total


def _lattice(at_m: NDArray[np.float64], scale_m: float) -> tuple[NDArray[np.int64], Floats]:
    """Lattice index and smoothed fraction of each coordinate."""
    scaled = at_m / scale_m
    index = np.floor(scaled)
    part = scaled - index
    return index.astype(np.int64), (part * part * (3 - 2 * part)).astype(np.float32)
