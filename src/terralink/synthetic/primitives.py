"""Basics of the drawn town: noise by position, plane curves, layers of polygons.

Noise: the same seed and the same coordinates give the same number in every window, on every
machine. Integers are hashed, and each later operation rounds once.

Curves: arrays of points (n, 2) in metres, x to the east, y to the north.

Layers: polygons with a colour, a tree density and a land cover, in the order of painting.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]

_STEPS_PER_M = 64.0

Fill = tuple[int, int, int, int]  # red, green, blue, chance of a tree (0 to 255)

Floats = NDArray[np.float32]

_MASK = 0xFFFFFFFF


def make_rng(seed: int, *keys: int) -> np.random.Generator:
    """A generator of random numbers for ``seed`` and ``keys``; keys may be negative."""
    return np.random.Generator(np.random.PCG64([seed & _MASK, *(key & _MASK for key in keys)]))


def hash_uniform(seed: int, *keys: int) -> float:
    """One number in [0, 1) for ``seed`` and ``keys``, cheaper than a generator."""
    mixed = seed & _MASK
    for key in keys:
        mixed = ((mixed ^ (key & _MASK)) * 0x9E3779B1) & _MASK
        mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & _MASK
        mixed ^= mixed >> 13
    mixed = (mixed * 0x297A2D39) & _MASK
    return (mixed ^ (mixed >> 15)) / 2.0**32


def hash_grid(seed: int, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Hash of every pair of ``rows`` (h,) and ``cols`` (w,): uint32 (h, w)."""
    down = (rows & _MASK).astype(np.uint32) * np.uint32(0x85EBCA77)
    across = (cols & _MASK).astype(np.uint32) * np.uint32(0x9E3779B1)
    mixed = (down ^ np.uint32(seed & _MASK))[:, None] + across[None, :]
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    mixed ^= mixed >> np.uint32(15)
    return mixed


def white_noise(seed: int, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Floats:
    """White noise (h, w): mean 0, standard deviation 1, nearly normal."""
    mixed = hash_grid(seed, rows, cols)
    # The sum of two 16-bit halves has a triangular distribution, close to a normal one.
    total = (mixed & np.uint32(0xFFFF)).astype(np.float32)
    total += (mixed >> np.uint32(16)).astype(np.float32)
    total -= np.float32(65535)
    total *= np.float32(1 / 26755)
    return total


def value_noise(
    seed: int, xs_m: NDArray[np.float64], ys_m: NDArray[np.float64], scale_m: float
) -> Floats:
    """Smooth noise (h, w) in [-1, 1] at columns ``xs_m``, rows ``ys_m``; bumps ``scale_m`` wide."""
    col, right = _lattice_coords(xs_m, scale_m)
    row, down = _lattice_coords(ys_m, scale_m)
    corners = hash_grid(
        seed, np.arange(row.min(), row.max() + 2), np.arange(col.min(), col.max() + 2)
    ).astype(np.float32) * np.float32(2.0**-31) - np.float32(1)
    at = col - col.min()
    columns = corners[:, at] + (corners[:, at + 1] - corners[:, at]) * right
    at = row - row.min()
    above: Floats = columns[at]
    below = columns[at + 1]
    below -= above
    below *= down[:, None]
    above += below
    return above


def fractal_noise(
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


def _lattice_coords(at_m: NDArray[np.float64], scale_m: float) -> tuple[NDArray[np.int64], Floats]:
    """Lattice index and smoothed fraction of each coordinate."""
    scaled = at_m / scale_m
    index = np.floor(scaled)
    part = scaled - index
    return index.astype(np.int64), (part * part * (3 - 2 * part)).astype(np.float32)


def snap(points: ArrayLike) -> Points:
    """Round to 1/64 m, so that line ends that meet are equal to the last bit."""
    steps: Points = np.round(np.asarray(points, float) * _STEPS_PER_M)
    return steps / _STEPS_PER_M


def hermite(start: Points, end: Points, leaving: Points, arriving: Points, at: ArrayLike) -> Points:
    """The cubic from ``start`` to ``end`` with these tangents, at parameters in [0, 1]."""
    t = np.asarray(at, float)[..., None]
    square, cube = t * t, t * t * t
    curve: Points = (
        (2 * cube - 3 * square + 1) * start
        + (cube - 2 * square + t) * leaving
        + (3 * square - 2 * cube) * end
        + (cube - square) * arriving
    )
    return curve


def hermite_tangents(
    start: Points, end: Points, leaving: Points, arriving: Points, at: ArrayLike
) -> Points:
    """Derivatives of that cubic; at its ends exactly the given tangents."""
    t = np.asarray(at, float)[..., None]
    slope: Points = 6 * t * (1 - t) * (end - start)
    slope += (1 - t) * (1 - 3 * t) * leaving + t * (3 * t - 2) * arriving
    return slope


def cumulative_length(points: Points) -> NDArray[np.float64]:
    """Length of the line up to each point, from 0 to the whole length."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate(([0.0], np.cumsum(steps)))


def sample_along(points: Points, at_m: NDArray[np.float64]) -> tuple[Points, Points]:
    """Points and unit directions at the distances ``at_m`` from the start."""
    lengths = cumulative_length(points)
    index = np.clip(np.searchsorted(lengths, at_m, side="right") - 1, 0, len(points) - 2)
    step = np.diff(points, axis=0)[index]
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    part = (at_m - lengths[index]) / length
    return points[index] + step * part[:, None], step / length[:, None]


def rotate_left(directions: Points) -> Points:
    """Directions turned by 90 degrees to the left."""
    return np.stack([-directions[..., 1], directions[..., 0]], axis=-1)


def offset(points: Points, directions: Points, left_m: float) -> Points:
    """The curve through ``points`` with ``directions``, moved ``left_m`` to its left."""
    length = np.hypot(directions[:, 0], directions[:, 1])[:, None]
    return points + rotate_left(directions / np.maximum(length, 1e-9)) * left_m


def buffer_segments(starts: Points, ends: Points, width_m: ArrayLike) -> Points:
    """Rectangles (n, 4, 2) around the segments from ``starts`` to ``ends``."""
    step = ends - starts
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
    half = np.reshape(np.asarray(width_m, float), (-1, 1)) / 2
    side = rotate_left(step / length) * half
    return np.stack([starts + side, starts - side, ends - side, ends + side], axis=1)


def oriented_boxes(
    centres: Points, directions: Points, length_m: ArrayLike, width_m: ArrayLike
) -> Points:
    """Rectangles (n, 4, 2) about ``centres``, ``length_m`` along ``directions``."""
    half = directions * (np.reshape(np.asarray(length_m, float), (-1, 1)) / 2)
    return buffer_segments(centres - half, centres + half, width_m)


def circle(centre: Points, radius_m: float, count: int = 20) -> Points:
    """A closed ring of ``count`` points, the first not repeated."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return centre + radius_m * np.stack([np.cos(angle), np.sin(angle)], axis=1)


class LandCover(IntEnum):
    """Classes of the land-cover truth; a later polygon covers an earlier one."""

    LAND = 0
    WATER = 1
    VEGETATION = 2
    FIELD = 3
    ROAD = 4
    BUILDING = 5
    SAME = 255  # changes the colour only: the class below stays


@dataclass(frozen=True, eq=False)
class Layer:
    """``m`` polygons in painting order: all corners in one array.

    ``corners`` (n, 2) in metres, ``starts`` (m + 1,), ``fills`` (m, 4) uint8, ``covers`` (m,)
    uint8, ``bounds`` (m, 4): left, bottom, right, top.
    """

    corners: Points
    starts: NDArray[np.int64]
    fills: NDArray[np.uint8]
    covers: NDArray[np.uint8]
    bounds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.covers)

    def intersecting(
        self, left: float, bottom: float, right: float, top: float
    ) -> Iterator[tuple[Points, Fill, int]]:
        """Corners, fill and cover of the polygons that touch the rectangle, in painting order."""
        if not len(self):
            return
        box = self.bounds
        touched = (box[:, 0] <= right) & (box[:, 2] >= left) & (box[:, 1] <= top)
        touched &= box[:, 3] >= bottom
        starts, fills, covers = self.starts.tolist(), self.fills, self.covers
        for index in np.flatnonzero(touched).tolist():
            red, green, blue, trees = fills[index].tolist()
            yield (
                self.corners[starts[index] : starts[index + 1]],
                (red, green, blue, trees),
                int(covers[index]),
            )


class LayerBuilder:
    """Collects polygons; ``build`` returns them as a layer."""

    def __init__(self) -> None:
        self._corners: list[Points] = []
        self._counts: list[int] = []
        self._fills: list[NDArray[np.uint8]] = []
        self._covers: list[int] = []

    def add(
        self,
        polygons: Iterable[Points] | Points,
        fills: ArrayLike,
        cover: LandCover = LandCover.SAME,
    ) -> None:
        """Add rings; ``fills`` is one colour (3,), one fill (4,), or one per polygon."""
        rings: Sequence[Points] = list(polygons)
        if not rings:
            return
        values = np.asarray(fills, float)
        colours = np.zeros((len(rings), 4), np.uint8)
        colours[:, : values.shape[-1]] = np.minimum(np.maximum(values, 0), 255)
        self._corners += rings
        self._counts += [len(ring) for ring in rings]
        self._fills.append(colours)
        self._covers += [int(cover)] * len(rings)

    def build(self) -> Layer:
        if not self._corners:
            nothing = np.zeros((0, 4))
            no_class = np.zeros(0, np.uint8)
            return Layer(
                np.zeros((0, 2)), np.zeros(1, int), nothing.astype(np.uint8), no_class, nothing
            )
        corners = np.concatenate(self._corners)
        starts = np.concatenate(([0], np.cumsum(self._counts)))
        low = np.minimum.reduceat(corners, starts[:-1])
        high = np.maximum.reduceat(corners, starts[:-1])
        return Layer(
            corners,
            starts,
            np.concatenate(self._fills),
            np.array(self._covers, np.uint8),
            np.hstack([low, high]),
        )


def exterior_rings(polygons: Sequence[shapely.Polygon] | NDArray[np.object_]) -> list[Points]:
    """The outer ring of each polygon, its first point not repeated."""
    rings = shapely.get_exterior_ring(np.asarray(polygons, dtype=object))
    counts = shapely.get_num_coordinates(rings)
    return [part[:-1] for part in np.split(shapely.get_coordinates(rings), np.cumsum(counts))[:-1]]


LayerBuilders = dict[str, LayerBuilder]
