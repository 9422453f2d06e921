"""From layers to pixels: one block of the scene as the camera saw it.

Polygons are drawn at twice the resolution on a canvas of four bands (red, green, blue, tree
density) and averaged down; texture, shadows, trees, blur and noise follow at the scene's own
resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from terralink.synthetic import canopy, noise
from terralink.synthetic.canopy import Canopy
from terralink.synthetic.curves import Points
from terralink.synthetic.district import LAYERS, District
from terralink.synthetic.layers import Cover
from terralink.synthetic.noise import Floats
from terralink.synthetic.styles import Look, Style

_OVER = 2  # supersampling
_COARSE = 4  # pixels between samples of the ground
_SHADES = ("shadows", "lit")


@dataclass(frozen=True)
class Block:
    """A rectangle of pixels: where it starts in the scene and how large a pixel is.

    Town metres have their origin at the scene's first corner, x to the east and y to the north.
    """

    row: int
    col: int
    shape: tuple[int, int]
    pixel_size_m: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in town metres."""
        height, width = self.shape
        size = self.pixel_size_m
        return (
            self.col * size,
            -(self.row + height) * size,
            (self.col + width) * size,
            -self.row * size,
        )

    def grown(self, by_px: int) -> "Block":
        height, width = self.shape
        return Block(
            self.row - by_px,
            self.col - by_px,
            (height + 2 * by_px, width + 2 * by_px),
            self.pixel_size_m,
        )

    @property
    def rows(self) -> NDArray[np.int64]:
        return np.arange(self.row, self.row + self.shape[0])

    @property
    def cols(self) -> NDArray[np.int64]:
        return np.arange(self.col, self.col + self.shape[1])

    def pixels(self, corners: Points, over: int = 1) -> Points:
        """(col, row) of town metres, in pixels of this block cut ``over`` times."""
        left, _, _, top = self.bounds
        return (corners - (left, top)) * (over / self.pixel_size_m, -over / self.pixel_size_m)


def margin_px(pixel_size_m: float) -> int:
    """How far around a block must be drawn for what reaches into it."""
    return int(np.ceil(canopy.REACH_M / pixel_size_m)) + 3


@dataclass(frozen=True, eq=False)
class Painter:
    """Paints blocks of one town."""

    seed: int
    style: Style
    look: Look
    canopy: Canopy

    def image(self, block: Block, districts: Sequence[District]) -> NDArray[np.uint8]:
        """The picture (3, h, w) of ``block``; ``districts`` are all that reach into it."""
        margin = margin_px(block.pixel_size_m)
        around = block.grown(margin)
        canvas = self._canvas(around, districts)
        colour = np.moveaxis(canvas[..., :3], -1, 0).astype(np.float32)
        self._texture(colour, around)
        self._shade(colour, _shadows(around, districts))
        self._trees(colour, canvas[..., 3], around)
        for band in colour:
            _blur(band, self.look.blur)
        inner = colour[:, margin:-margin, margin:-margin]
        return self._sensed(inner, block)

    def crowns(self, block: Block, districts: Sequence[District]) -> NDArray[np.bool_]:
        """Where tree crowns cover the ground (h, w)."""
        margin = margin_px(block.pixel_size_m)
        around = block.grown(margin)
        density = self._canvas(around, districts)[..., 3]
        there = canopy.standing(self.canopy.crowns, density, _place(around))
        return there[margin:-margin, margin:-margin]

    def _canvas(self, block: Block, districts: Sequence[District]) -> NDArray[np.uint8]:
        """Flat colours and tree density (h, w, 4): the ground, and every layer upon it."""
        canvas = self._ground(block)
        pen = ImageDraw.Draw(canvas)
        for name in LAYERS:
            if name not in _SHADES:
                _draw(pen, block, districts, name)
        return np.asarray(canvas.reduce(_OVER))

    def _ground(self, block: Block) -> Image.Image:
        """Open ground: three colours mixed by wide noise, and some trees in groups.

        It is smooth: one sample every few pixels, always the same ones, is enough.
        """
        xs, ys = (at_m[::_COARSE] + 1.5 * block.pixel_size_m for at_m in _metres(block))
        first, second, third = (np.array(colour, np.float32) for colour in self.style.ground)
        mixing = _ramp(noise.octaves(self.seed + 31, xs, ys, 160, 4), 0.35)[..., None]
        patches = _ramp(noise.octaves(self.seed + 32, xs, ys, 70, 4) - 0.25, 0.25)[..., None]
        colour = first + (second - first) * mixing
        colour += (third - colour) * patches
        groups = _ramp(noise.octaves(self.seed + 33, xs, ys, 60, 2), 0.3)
        trees = np.minimum(groups * (2.2 * self.style.wild_trees), 255)
        coarse = np.concatenate([colour, trees[..., None]], axis=-1).astype(np.uint8)
        height, width = len(ys) * _COARSE * _OVER, len(xs) * _COARSE * _OVER
        ground = Image.frombuffer("CMYK", (len(xs), len(ys)), coarse.tobytes(), "raw", "CMYK", 0, 1)
        fine = ground.resize((width, height), Image.Resampling.BILINEAR)
        return fine.crop((0, 0, block.shape[1] * _OVER, block.shape[0] * _OVER))

    def _texture(self, colour: Floats, block: Block) -> None:
        """Roughness of the ground, stronger where it is green or bright soil than on asphalt."""
        xs, ys = _metres(block)
        size = block.pixel_size_m
        rough = noise.octaves(self.seed + 41, xs, ys, 7, 3, gain=0.7)
        rough += 0.7 * noise.value_noise(self.seed + 42, xs, ys, max(0.9, 1.6 * size))
        broad = noise.octaves(self.seed + 43, xs, ys, 45, 2)
        red, green, blue = colour
        living = np.clip((green - np.maximum(red, blue)) * 0.06, 0, 1)
        sandy = np.clip((red - blue - 12) * 0.02, 0, 0.7)
        strength = self.look.texture * (0.035 + 0.09 * np.maximum(living, sandy))
        factor = 1 + strength * rough + 0.05 * broad
        colour *= factor
        # Dry and lush patches in what is green.
        red += living * broad * 9
        blue -= living * broad * 4

    def _shade(self, colour: Floats, shadows: Floats) -> None:
        for band, left in zip(colour, self.look.shade, strict=True):
            band *= 1 - shadows * np.float32(1 - left)

    def _trees(self, colour: Floats, density: NDArray[np.uint8], block: Block) -> None:
        """Shadows of crowns, then crowns."""
        place, stand = _place(block), self.canopy.crowns
        dark = canopy.standing(self.canopy.shadows, density, place).astype(np.float32)
        there = np.flatnonzero(canopy.standing(stand, density, place))
        leaf = place.of(stand.shade).take(there)
        leaves_m = max(0.8, 1.3 * block.pixel_size_m)
        rough = noise.value_noise(self.seed + 51, *_metres(block), leaves_m)
        leaf *= 1 + 0.3 * rough.take(there)
        kinds = place.of(stand.kind).take(there)
        for band, left, tints in zip(colour, self.look.shade, self._palette.T, strict=True):
            band *= 1 - dark * np.float32(0.92 - left)
            band.put(there, tints.take(kinds) * leaf)

    @cached_property
    def _palette(self) -> Floats:
        """256 crown colours around the style's own."""
        draw = noise.rng(self.seed, 52)
        crowns = np.array(self.style.crowns, np.float32)
        kinds = draw.choice(len(crowns), 256, p=draw.dirichlet(np.full(len(crowns), 1.5)))
        made: Floats = (crowns[kinds] * draw.uniform(0.75, 1.2, (256, 1))).astype(np.float32)
        return made

    def _sensed(self, colour: Floats, block: Block) -> NDArray[np.uint8]:
        """Light, haze, colour cast and noise of the camera."""
        levels = np.empty(colour.shape, np.uint8)
        common = noise.grain(self.seed + 61, block.rows, block.cols) * np.float32(self.look.noise)
        chance = noise.hashed(self.seed + 62, block.rows, block.cols)
        for band in range(3):
            signal = colour[band] * np.float32(self.look.gain[band])
            # Half a level to round, less the mean of the band's own noise.
            signal += np.float32(self.look.lift[band] + 0.5 - self.look.noise * 511.5 / 700)
            signal += common
            own = (chance >> np.uint32(10 * band)) & np.uint32(1023)
            signal += own * np.float32(self.look.noise / 700)
            np.clip(signal, 0, 255, out=signal)
            levels[band] = signal
        return levels


def _metres(block: Block) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Town metres of the pixels' centres: x of each column, y (southwards) of each row."""
    xs, ys = (np.asarray(at + 0.5, np.float64) for at in (block.cols, block.rows))
    return xs * block.pixel_size_m, ys * block.pixel_size_m


def _place(block: Block) -> canopy.Place:
    return canopy.Place(block.row, block.col, block.shape)


def _ramp(field: Floats, width: float) -> Floats:
    """0 below -width, 1 above width."""
    ramp: Floats = np.clip(field * np.float32(0.5 / width) + np.float32(0.5), 0, 1)
    return ramp


def _draw(pen: ImageDraw.ImageDraw, block: Block, districts: Sequence[District], name: str) -> None:
    for district in districts:
        for corners, fill, _ in district.layers[name].within(*block.bounds):
            pen.polygon(_points(block, corners), fill=fill)


def _points(block: Block, corners: Points) -> list[tuple[float, ...]]:
    # PIL truncates and paints outlines: whole subpixels, half a one to the north-west.
    points: list[tuple[float, ...]] = np.floor(block.pixels(corners, _OVER)).ravel().tolist()
    return points


def _shadows(block: Block, districts: Sequence[District]) -> Floats:
    """Share of every pixel that buildings and bridges shade (h, w)."""
    height, width = block.shape
    mask = Image.new("L", (width * _OVER, height * _OVER), 0)
    pen = ImageDraw.Draw(mask)
    for name, level in zip(_SHADES, (255, 0), strict=True):
        for district in districts:
            for corners, _, _ in district.layers[name].within(*block.bounds):
                pen.polygon(_points(block, corners), fill=level)
    return np.asarray(mask.reduce(_OVER)).astype(np.float32) / np.float32(255)


def _blur(band: Floats, weight: float) -> None:
    """Convolve with (weight, 1 - 2 weight, weight) along each axis, in place."""
    side, centre = np.float32(weight), np.float32(1 - 2 * weight)
    band[1:-1] = centre * band[1:-1] + side * (band[:-2] + band[2:])
    band[:, 1:-1] = centre * band[:, 1:-1] + side * (band[:, :-2] + band[:, 2:])


def covers(
    block: Block, districts: Sequence[District], crowns: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Land cover (h, w): every polygon by the pixel centres it holds, crowns over open ground."""
    from rasterio.features import rasterize

    shapes = []
    for name in LAYERS:
        for district in districts:
            for corners, _, cover in district.layers[name].within(*block.bounds):
                if cover != Cover.SAME:
                    ring = block.pixels(corners).tolist()
                    shapes.append(({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, cover))
    classes = np.zeros(block.shape, np.uint8)
    if shapes:
        rasterize(shapes, out=classes)
    classes[crowns & (classes == Cover.LAND)] = Cover.VEGETATION
    return classes
