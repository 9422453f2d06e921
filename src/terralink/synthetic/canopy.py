"""Trees: a tile of crowns that repeats, thinned everywhere by how many trees grow there.

Every crown of the tile has a rank. It stands where its rank is below the tree density at its
centre, so crowns are whole, hang over roads and roofs that they do not stand on, and cost the same
for one tree as for a forest. Taller crowns have lower ranks: the one on top is never the one that
is missing.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from terralink.synthetic import noise
from terralink.synthetic.styles import Look, Style

T = TypeVar("T", bound=np.generic)

SIDE_PX = 576
REACH_M = 16.0  # no crown or shadow is farther from its centre
_SPACING_M = 4.0
_UNEVEN_M = 0.9  # how far outlines of crowns stray


@dataclass(frozen=True)
class Place:
    """A window of the tile that repeats: where it starts and its shape."""

    row: int
    col: int
    shape: tuple[int, int]

    def of(self, tile: NDArray[T]) -> NDArray[T]:
        """The window of one of the tile's arrays."""
        rows = np.arange(self.row, self.row + self.shape[0]) % SIDE_PX
        cols = np.arange(self.col, self.col + self.shape[1]) % SIDE_PX
        return tile.take(rows, axis=0).take(cols, axis=1)


@dataclass(frozen=True, eq=False)
class Stand:
    """For every pixel of the tile (SIDE_PX, SIDE_PX): the topmost crown that covers it.

    ``rank`` uint8 (255: none), ``shade`` float32 (1 is flat), ``down`` and ``right`` int16: pixels
    to the crown's centre, ``kind`` uint8 for its colour.
    """

    rank: NDArray[np.uint8]
    shade: NDArray[np.float32]
    down: NDArray[np.int16]
    right: NDArray[np.int16]
    kind: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Canopy:
    """Crowns, and the shadows they cast, as the same tile seen moved by the shadow."""

    crowns: Stand
    shadows: Stand

    @classmethod
    def of(cls, style: Style, look: Look, pixel_size_m: float) -> "Canopy":
        """The canopy for a sun and a pixel size; the same one serves every town like that."""
        length = 1.1 * min(look.shadow, 1.4)
        fall = (look.sun[0] * length, look.sun[1] * length)
        return cls(
            _stand(pixel_size_m, style.crown_m, look.sun, (0.0, 0.0)),
            _stand(pixel_size_m, style.crown_m, look.sun, fall),
        )


@lru_cache(maxsize=8)
def _stand(
    pixel_size_m: float,
    crown_m: tuple[float, float],
    sun: tuple[float, float],
    fall: tuple[float, float],
) -> Stand:
    """Draw the tile, crown upon crown, the lowest rank last.

    ``fall`` moves a crown by that many of its radii (east, north).
    """
    crowns = _planted(pixel_size_m, crown_m)
    numbers = np.full(SIDE_PX * SIDE_PX, -1, np.int32)
    # Big crowns need big stamps; small ones, most of them, do not.
    for some in np.array_split(np.arange(len(crowns.rank)), 12):
        _stamp(numbers, crowns, some, fall)
    owner = numbers.reshape(SIDE_PX, SIDE_PX)
    bare = owner < 0
    owner[bare] = 0
    pixels = np.arange(SIDE_PX, dtype=np.float32) + np.float32(0.5)
    east = _wrapped(crowns.x[owner] - pixels[None, :])
    south = _wrapped(crowns.y[owner] - pixels[:, None])
    radius = crowns.radius[owner]
    dx, dy = east / radius + np.float32(fall[0]), south / radius - np.float32(fall[1])
    dome = (
        1.06
        - 0.3 * (dx * dx + dy * dy)
        + 0.34 * (dx * np.float32(sun[0]) - dy * np.float32(sun[1]))
    )
    rank = crowns.rank[owner]
    rank[bare] = 255
    down, right = (np.floor(step + np.float32(0.5)).astype(np.int16) for step in (south, east))
    stand = Stand(rank, dome.astype(np.float32), down, right, crowns.kind[owner])
    return _ragged(stand, pixel_size_m)


def _ragged(stand: Stand, pixel_size_m: float) -> Stand:
    """The same crowns with uneven outlines: each pixel takes what lies a bit away."""
    draw = noise.rng(78)
    bump_px = max(1, round(0.9 / pixel_size_m))
    count = SIDE_PX // bump_px + 1
    reach = _UNEVEN_M / pixel_size_m
    steps = draw.uniform(-reach, reach, (2, count, count)).repeat(bump_px, 1).repeat(bump_px, 2)
    down, right = np.rint(steps[:, :SIDE_PX, :SIDE_PX]).astype(np.int16)
    at = np.arange(SIDE_PX, dtype=np.int32)
    source = (at[:, None] + down) % SIDE_PX * SIDE_PX + (at[None, :] + right) % SIDE_PX
    return Stand(
        stand.rank.ravel().take(source),
        stand.shade.ravel().take(source),
        stand.down.ravel().take(source) + down,
        stand.right.ravel().take(source) + right,
        stand.kind.ravel().take(source),
    )


class _Crowns(NamedTuple):
    """Crowns in the order of falling rank: centres and radii in pixels of the tile."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    radius: NDArray[np.float32]
    rank: NDArray[np.uint8]
    kind: NDArray[np.uint8]


def _planted(pixel_size_m: float, crown_m: tuple[float, float]) -> _Crowns:
    """One crown somewhere in each cell of a square lattice; low ranks are big."""
    count = max(8, round(SIDE_PX * pixel_size_m / _SPACING_M))
    draw = noise.rng(77)
    middle = (np.arange(count) + 0.5) / count * SIDE_PX
    wander = 0.45 * SIDE_PX / count
    x = np.add.outer(np.zeros(count), middle).ravel() + draw.uniform(-wander, wander, count**2)
    y = np.add.outer(middle, np.zeros(count)).ravel() + draw.uniform(-wander, wander, count**2)
    rank = draw.random(count**2)
    radius_m = crown_m[0] + (crown_m[1] - crown_m[0]) * (1 - rank) ** 0.8
    radius_m *= draw.uniform(0.8, 1.2, count**2)
    order = np.argsort(-rank, kind="stable")
    kind = draw.integers(0, 256, count**2)
    return _Crowns(
        x[order].astype(np.float32),
        y[order].astype(np.float32),
        (radius_m[order] / pixel_size_m).astype(np.float32),
        (rank[order] * 254).astype(np.uint8),
        kind[order].astype(np.uint8),
    )


def _stamp(
    owner: NDArray[np.int32], crowns: _Crowns, some: NDArray[np.int64], fall: tuple[float, float]
) -> None:
    """Write the numbers of ``some`` crowns into the pixels they cover; later ones win."""
    radius = crowns.radius[some][:, None, None]
    x = crowns.x[some][:, None, None] + np.float32(fall[0]) * radius
    y = crowns.y[some][:, None, None] - np.float32(fall[1]) * radius
    steps = np.arange(-np.ceil(radius.max()), np.ceil(radius.max()) + 1, dtype=np.float32)
    cols, rows = np.floor(x) + steps[None, None, :], np.floor(y) + steps[None, :, None]
    half = np.float32(0.5)
    within = (cols + half - x) ** 2 + (rows + half - y) ** 2 < radius**2
    place = (rows % SIDE_PX) * np.float32(SIDE_PX) + cols % SIDE_PX
    which = np.flatnonzero(within) // (len(steps) ** 2)
    owner[place[within].astype(np.int32)] = some[which]


def _wrapped(step: NDArray[np.float32]) -> NDArray[np.float32]:
    """Steps on the tile, which has no edge: between -SIDE_PX / 2 and SIDE_PX / 2."""
    turns: NDArray[np.float32] = np.rint(step * np.float32(1 / SIDE_PX))
    turns *= np.float32(-SIDE_PX)
    turns += step
    return turns


def standing(stand: Stand, density: NDArray[np.uint8], place: Place) -> NDArray[np.bool_]:
    """Where crowns stand (h, w); ``density`` (h, w) uint8 is looked up at each crown's centre."""
    height, width = density.shape
    rows = np.arange(height, dtype=np.int32)[:, None] + place.of(stand.down)
    cols = np.arange(width, dtype=np.int32)[None, :] + place.of(stand.right)
    np.clip(rows, 0, height - 1, out=rows)
    np.clip(cols, 0, width - 1, out=cols)
    rows *= width
    rows += cols
    there: NDArray[np.bool_] = place.of(stand.rank) < density.ravel().take(rows)
    return there
