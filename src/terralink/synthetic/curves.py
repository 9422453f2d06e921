"""Plane curves as arrays of points (n, 2) in metres, x to the east, y to the north."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]

_STEPS_PER_M = 64.0


def snapped(points: ArrayLike) -> Points:
    """Points on a grid of 1/64 m, so that ends that meet are equal to the last bit."""
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


def hermite_directions(
    start: Points, end: Points, leaving: Points, arriving: Points, at: ArrayLike
) -> Points:
    """Derivatives of that cubic; at the ends they are the tangents, exactly."""
    t = np.asarray(at, float)[..., None]
    slope: Points = 6 * t * (1 - t) * (end - start)
    slope += (1 - t) * (1 - 3 * t) * leaving + t * (3 * t - 2) * arriving
    return slope


def distances(points: Points) -> NDArray[np.float64]:
    """Distance travelled at each point, from 0 to the length."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate(([0.0], np.cumsum(steps)))


def along(points: Points, at_m: NDArray[np.float64]) -> tuple[Points, Points]:
    """Points and unit directions at the distances ``at_m`` from the start."""
    travelled = distances(points)
    index = np.clip(np.searchsorted(travelled, at_m, side="right") - 1, 0, len(points) - 2)
    step = np.diff(points, axis=0)[index]
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    part = (at_m - travelled[index]) / length
    return points[index] + step * part[:, None], step / length[:, None]


def left_of(directions: Points) -> Points:
    """Directions turned by 90 degrees to the left."""
    return np.stack([-directions[..., 1], directions[..., 0]], axis=-1)


def offset(points: Points, directions: Points, left_m: float) -> Points:
    """The curve through ``points`` with ``directions``, moved to its left."""
    length = np.hypot(directions[:, 0], directions[:, 1])[:, None]
    return points + left_of(directions / np.maximum(length, 1e-9)) * left_m


def strips(starts: Points, ends: Points, width_m: ArrayLike) -> Points:
    """Rectangles (n, 4, 2) around the segments from ``starts`` to ``ends``."""
    step = ends - starts
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
    half = np.reshape(np.asarray(width_m, float), (-1, 1)) / 2
    side = left_of(step / length) * half
    return np.stack([starts + side, starts - side, ends - side, ends + side], axis=1)


def boxes(centres: Points, directions: Points, length_m: ArrayLike, width_m: ArrayLike) -> Points:
    """Rectangles (n, 4, 2) about ``centres``, ``length_m`` along ``directions``."""
    half = directions * (np.reshape(np.asarray(length_m, float), (-1, 1)) / 2)
    return strips(centres - half, centres + half, width_m)


def circle(centre: Points, radius_m: float, count: int = 20) -> Points:
    """A closed ring of ``count`` points, the first not repeated."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return centre + radius_m * np.stack([np.cos(angle), np.sin(angle)], axis=1)
