"""Vegetation and water: fields with furrows, patches with soft outlines, lakes and rivers, trees.

Trees come from a tile of crowns that repeats. Every crown of the tile has a rank. It is drawn
where its rank is below the tree density at its centre. So crowns are whole, they hang over roads
and roofs where no tree stands, and a forest costs as much as one tree. Taller crowns have lower
ranks: the crown on top is never the one that is left out.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.synthetic.buildings import BlockFrame
from terralink.synthetic.primitives import (
    LandCover,
    LayerBuilder,
    Points,
    buffer_segments,
    exterior_rings,
    make_rng,
)
from terralink.synthetic.streets import Block
from terralink.synthetic.styles import Acquisition, Style

T = TypeVar("T", bound=np.generic)

TILE_PX = 576
REACH_M = 16.0  # no crown or shadow is farther from its centre
_SPACING_M = 4.0
_UNEVEN_M = 0.9  # how uneven outlines of crowns are

_CROPS = (
    (104, 120, 66),
    (128, 134, 80),
    (164, 146, 104),
    (138, 112, 86),
    (150, 140, 98),
    (88, 108, 62),
)


def draw_fields(builder: LayerBuilder, corners: Points, rng: np.random.Generator) -> None:
    """Cut a block (4, 2) into one to four fields, each with its own direction of furrows."""
    for part in _split_block(corners, 2, rng):
        field = shapely.Polygon(part).buffer(-rng.uniform(3, 6), join_style="mitre")
        if field.is_empty or field.geom_type != "Polygon" or field.area < 400:
            continue
        colour = np.array(_CROPS[rng.integers(len(_CROPS))], float) + rng.normal(0, 8)
        colour += rng.normal(0, 3, 3)
        builder.add(exterior_rings([field]), colour, LandCover.FIELD)
        builder.add(
            _make_furrows(part, field, rng), colour * rng.uniform(0.8, 0.93), LandCover.SAME
        )


def make_soft_outline(frame: BlockFrame, rng: np.random.Generator, share: float) -> Points:
    """A closed ring with a soft outline that takes about ``share`` of the frame's sides."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.full(64, 0.5 * share)
    for wave in (2, 3, 5, 8):
        radius *= 1 + rng.uniform(0, 0.5 / wave) * np.sin(wave * angle + rng.uniform(0, 6.28))
    return frame.to_xy(radius * np.cos(angle) * frame.long_m, radius * np.sin(angle) * frame.deep_m)


def draw_water(
    builder: LayerBuilder, water: shapely.Geometry, style: Style, rng: np.random.Generator
) -> None:
    """Water with a bank around it."""
    colour = np.array([[38, 50, 52], [52, 66, 58], [44, 62, 74]][rng.integers(3)], float)
    if water.is_empty:
        return
    banks = shapely.get_parts(water.buffer(3.5, quad_segs=3))
    builder.add(exterior_rings(banks), [*np.array(style.dirt) * 0.86, 40], LandCover.LAND)
    builder.add(exterior_rings(shapely.get_parts(water)), colour, LandCover.WATER)


def _split_block(corners: Points, times: int, rng: np.random.Generator) -> list[Points]:
    a, b, c, d = corners
    if times == 0 or rng.random() < 0.25:
        return [corners]
    if np.hypot(*(b - a)) < np.hypot(*(d - a)):
        a, b, c, d = b, c, d, a
    at = rng.uniform(0.35, 0.65)
    low, high = a + at * (b - a), d + at * (c - d)
    halves = (np.array([a, low, high, d]), np.array([low, b, c, high]))
    return [part for half in halves for part in _split_block(half, times - 1, rng)]


def _make_furrows(corners: Points, field: shapely.Polygon, rng: np.random.Generator) -> Points:
    """Thin strips parallel to one edge, within the field."""
    frame = BlockFrame.from_block(Block(corners, ()))
    if rng.random() < 0.5:
        frame = BlockFrame(frame.centre, frame.inward, -frame.forward, frame.deep_m, frame.long_m)
    pitch_m = rng.uniform(2.2, 7)
    reach = max(frame.long_m, frame.deep_m) * 0.8
    y = np.arange(-reach, reach, pitch_m)
    ends = np.stack(
        [frame.to_xy(np.full(len(y), -reach), y), frame.to_xy(np.full(len(y), reach), y)], axis=1
    )
    inside = shapely.get_parts(shapely.intersection(shapely.linestrings(ends), field))
    inside = inside[shapely.get_num_coordinates(inside) == 2]
    pairs = shapely.get_coordinates(inside).reshape(-1, 2, 2)
    return buffer_segments(pairs[:, 0], pairs[:, 1], pitch_m * rng.uniform(0.3, 0.5))


@dataclass(frozen=True)
class TileWindow:
    """A window of the tile that repeats: where it starts and its shape."""

    row: int
    col: int
    shape: tuple[int, int]

    def take(self, tile: NDArray[T]) -> NDArray[T]:
        """The window of one of the tile's arrays."""
        rows = np.arange(self.row, self.row + self.shape[0]) % TILE_PX
        cols = np.arange(self.col, self.col + self.shape[1]) % TILE_PX
        return tile.take(rows, axis=0).take(cols, axis=1)


@dataclass(frozen=True, eq=False)
class CrownTile:
    """For every pixel of the tile (TILE_PX, TILE_PX): the topmost crown that covers it.

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
    """Crowns and their shadows: the same tile, shifted by the shadow."""

    crowns: CrownTile
    shadows: CrownTile

    @classmethod
    def render(cls, style: Style, acquisition: Acquisition, pixel_size_m: float) -> "Canopy":
        """The canopy for a sun and a pixel size; the same one serves every town like that."""
        length = 1.1 * min(acquisition.shadow, 1.4)
        fall = (acquisition.sun[0] * length, acquisition.sun[1] * length)
        return cls(
            _draw_crown_tile(pixel_size_m, style.crown_m, acquisition.sun, (0.0, 0.0)),
            _draw_crown_tile(pixel_size_m, style.crown_m, acquisition.sun, fall),
        )


@lru_cache(maxsize=8)
def _draw_crown_tile(
    pixel_size_m: float,
    crown_m: tuple[float, float],
    sun: tuple[float, float],
    fall: tuple[float, float],
) -> CrownTile:
    """Draw the crowns of the tile, the lowest rank last.

    ``fall`` moves a crown by that many of its radii (east, north).
    """
    crowns = _plant_crowns(pixel_size_m, crown_m)
    numbers = np.full(TILE_PX * TILE_PX, -1, np.int32)
    # In groups by size, for the stamp of a group is as large as its largest crown.
    for some in np.array_split(np.arange(len(crowns.rank)), 12):
        _stamp(numbers, crowns, some, fall)
    owner = numbers.reshape(TILE_PX, TILE_PX)
    bare = owner < 0
    owner[bare] = 0
    pixels = np.arange(TILE_PX, dtype=np.float32) + np.float32(0.5)
    east = _wrap(crowns.x[owner] - pixels[None, :])
    south = _wrap(crowns.y[owner] - pixels[:, None])
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
    crown_tile = CrownTile(rank, dome.astype(np.float32), down, right, crowns.kind[owner])
    return _roughen_outlines(crown_tile, pixel_size_m)


def _roughen_outlines(crown_tile: CrownTile, pixel_size_m: float) -> CrownTile:
    """The same crowns with uneven outlines: each pixel is read from a place nearby."""
    rng = make_rng(78)
    bump_px = max(1, round(0.9 / pixel_size_m))
    count = TILE_PX // bump_px + 1
    reach = _UNEVEN_M / pixel_size_m
    steps = rng.uniform(-reach, reach, (2, count, count)).repeat(bump_px, 1).repeat(bump_px, 2)
    down, right = np.rint(steps[:, :TILE_PX, :TILE_PX]).astype(np.int16)
    at = np.arange(TILE_PX, dtype=np.int32)
    source = (at[:, None] + down) % TILE_PX * TILE_PX + (at[None, :] + right) % TILE_PX
    return CrownTile(
        crown_tile.rank.ravel().take(source),
        crown_tile.shade.ravel().take(source),
        crown_tile.down.ravel().take(source) + down,
        crown_tile.right.ravel().take(source) + right,
        crown_tile.kind.ravel().take(source),
    )


class _Crowns(NamedTuple):
    """Crowns in the order of falling rank: centres and radii in pixels of the tile."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    radius: NDArray[np.float32]
    rank: NDArray[np.uint8]
    kind: NDArray[np.uint8]


def _plant_crowns(pixel_size_m: float, crown_m: tuple[float, float]) -> _Crowns:
    """One crown somewhere in each cell of a square lattice; low ranks are big."""
    count = max(8, round(TILE_PX * pixel_size_m / _SPACING_M))
    rng = make_rng(77)
    middle = (np.arange(count) + 0.5) / count * TILE_PX
    wander = 0.45 * TILE_PX / count
    x = np.add.outer(np.zeros(count), middle).ravel() + rng.uniform(-wander, wander, count**2)
    y = np.add.outer(middle, np.zeros(count)).ravel() + rng.uniform(-wander, wander, count**2)
    rank = rng.random(count**2)
    radius_m = crown_m[0] + (crown_m[1] - crown_m[0]) * (1 - rank) ** 0.8
    radius_m *= rng.uniform(0.8, 1.2, count**2)
    order = np.argsort(-rank, kind="stable")
    kind = rng.integers(0, 256, count**2)
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
    pixel = (rows % TILE_PX) * np.float32(TILE_PX) + cols % TILE_PX
    which = np.flatnonzero(within) // (len(steps) ** 2)
    owner[pixel[within].astype(np.int32)] = some[which]


def _wrap(step: NDArray[np.float32]) -> NDArray[np.float32]:
    """Steps on the tile, which has no edge: between -TILE_PX / 2 and TILE_PX / 2."""
    turns: NDArray[np.float32] = np.rint(step * np.float32(1 / TILE_PX))
    turns *= np.float32(-TILE_PX)
    turns += step
    return turns


def find_crowns(
    crown_tile: CrownTile, density: NDArray[np.uint8], window: TileWindow
) -> NDArray[np.bool_]:
    """Where a crown covers the ground (h, w); ``density`` (h, w) uint8 is read at its centre."""
    height, width = density.shape
    rows = np.arange(height, dtype=np.int32)[:, None] + window.take(crown_tile.down)
    cols = np.arange(width, dtype=np.int32)[None, :] + window.take(crown_tile.right)
    np.clip(rows, 0, height - 1, out=rows)
    np.clip(cols, 0, width - 1, out=cols)
    rows *= width
    rows += cols
    covered: NDArray[np.bool_] = window.take(crown_tile.rank) < density.ravel().take(rows)
    return covered
