"""Rendering: from layers of polygons to the pixels of one block of the scene.

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

from terralink.synthetic.district import LAYERS, District
from terralink.synthetic.primitives import (
    Floats,
    LandCover,
    Points,
    fractal_noise,
    hash_grid,
    make_rng,
    value_noise,
    white_noise,
)
from terralink.synthetic.styles import Acquisition, Style
from terralink.synthetic.vegetation import REACH_M, Canopy, TileWindow, find_crowns

_OVER = 2  # supersampling
_COARSE = 4  # pixels between samples of the ground
_SHADES = ("shadows", "lit")


@dataclass(frozen=True)
class PixelBlock:
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

    def pad(self, by_px: int) -> "PixelBlock":
        height, width = self.shape
        return PixelBlock(
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

    def to_pixels(self, corners: Points, over: int = 1) -> Points:
        """(col, row) of town metres, in pixels of this block cut ``over`` times."""
        left, _, _, top = self.bounds
        return (corners - (left, top)) * (over / self.pixel_size_m, -over / self.pixel_size_m)


def margin_px(pixel_size_m: float) -> int:
    """Width of the border around a block from which shadows and crowns reach into it."""
    return int(np.ceil(REACH_M / pixel_size_m)) + 3


@dataclass(frozen=True, eq=False)
class Renderer:
    """Renders blocks of one town."""

    seed: int
    style: Style
    acquisition: Acquisition
    canopy: Canopy

    def render(self, block: PixelBlock, districts: Sequence[District]) -> NDArray[np.uint8]:
        """The picture (3, h, w) of ``block``; ``districts`` are all that reach into it."""
        margin = margin_px(block.pixel_size_m)
        around = block.pad(margin)
        canvas = self._draw_canvas(around, districts)
        colour = np.moveaxis(canvas[..., :3], -1, 0).astype(np.float32)
        self._add_texture(colour, around)
        self._add_shadows(colour, _rasterize_shadows(around, districts))
        self._add_trees(colour, canvas[..., 3], around)
        for band in colour:
            _blur(band, self.acquisition.blur)
        inner = colour[:, margin:-margin, margin:-margin]
        return self._simulate_sensor(inner, block)

    def crown_mask(self, block: PixelBlock, districts: Sequence[District]) -> NDArray[np.bool_]:
        """Where tree crowns cover the ground (h, w)."""
        margin = margin_px(block.pixel_size_m)
        around = block.pad(margin)
        density = self._draw_canvas(around, districts)[..., 3]
        covered = find_crowns(self.canopy.crowns, density, _tile_window(around))
        return covered[margin:-margin, margin:-margin]

    def _draw_canvas(self, block: PixelBlock, districts: Sequence[District]) -> NDArray[np.uint8]:
        """Flat colours and tree density (h, w, 4): the ground, and every layer upon it."""
        canvas = self._draw_ground(block)
        pen = ImageDraw.Draw(canvas)
        for name in LAYERS:
            if name not in _SHADES:
                _draw_layer(pen, block, districts, name)
        return np.asarray(canvas.reduce(_OVER))

    def _draw_ground(self, block: PixelBlock) -> Image.Image:
        """Open ground: three colours mixed by wide noise, and some trees in groups.

        It is smooth: one sample every few pixels, always the same ones, is enough.
        """
        xs, ys = (at_m[::_COARSE] + 1.5 * block.pixel_size_m for at_m in _pixel_centres_m(block))
        first, second, third = (np.array(colour, np.float32) for colour in self.style.ground)
        mixing = _ramp(fractal_noise(self.seed + 31, xs, ys, 160, 4), 0.35)[..., None]
        patches = _ramp(fractal_noise(self.seed + 32, xs, ys, 70, 4) - 0.25, 0.25)[..., None]
        colour = first + (second - first) * mixing
        colour += (third - colour) * patches
        groups = _ramp(fractal_noise(self.seed + 33, xs, ys, 60, 2), 0.3)
        trees = np.minimum(groups * (2.2 * self.style.wild_trees), 255)
        coarse = np.concatenate([colour, trees[..., None]], axis=-1).astype(np.uint8)
        height, width = len(ys) * _COARSE * _OVER, len(xs) * _COARSE * _OVER
        ground = Image.frombuffer("CMYK", (len(xs), len(ys)), coarse.tobytes(), "raw", "CMYK", 0, 1)
        fine = ground.resize((width, height), Image.Resampling.BILINEAR)
        return fine.crop((0, 0, block.shape[1] * _OVER, block.shape[0] * _OVER))

    def _add_texture(self, colour: Floats, block: PixelBlock) -> None:
        """Roughness of the ground, stronger where it is green or bright soil than on asphalt."""
        xs, ys = _pixel_centres_m(block)
        size = block.pixel_size_m
        rough = fractal_noise(self.seed + 41, xs, ys, 7, 3, gain=0.7)
        rough += 0.7 * value_noise(self.seed + 42, xs, ys, max(0.9, 1.6 * size))
        broad = fractal_noise(self.seed + 43, xs, ys, 45, 2)
        red, green, blue = colour
        living = np.clip((green - np.maximum(red, blue)) * 0.06, 0, 1)
        sandy = np.clip((red - blue - 12) * 0.02, 0, 0.7)
        strength = self.acquisition.texture * (0.035 + 0.09 * np.maximum(living, sandy))
        factor = 1 + strength * rough + 0.05 * broad
        colour *= factor
        # Dry and lush patches in what is green.
        red += living * broad * 9
        blue -= living * broad * 4

    def _add_shadows(self, colour: Floats, shadows: Floats) -> None:
        for band, left in zip(colour, self.acquisition.shade, strict=True):
            band *= 1 - shadows * np.float32(1 - left)

    def _add_trees(self, colour: Floats, density: NDArray[np.uint8], block: PixelBlock) -> None:
        """Shadows of crowns, then crowns."""
        window, crown_tile = _tile_window(block), self.canopy.crowns
        dark = find_crowns(self.canopy.shadows, density, window).astype(np.float32)
        covered = np.flatnonzero(find_crowns(crown_tile, density, window))
        leaf = window.take(crown_tile.shade).take(covered)
        leaves_m = max(0.8, 1.3 * block.pixel_size_m)
        rough = value_noise(self.seed + 51, *_pixel_centres_m(block), leaves_m)
        leaf *= 1 + 0.3 * rough.take(covered)
        kinds = window.take(crown_tile.kind).take(covered)
        for band, left, tints in zip(
            colour, self.acquisition.shade, self._crown_colours.T, strict=True
        ):
            band *= 1 - dark * np.float32(0.92 - left)
            band.put(covered, tints.take(kinds) * leaf)

    @cached_property
    def _crown_colours(self) -> Floats:
        """256 crown colours around the style's own."""
        rng = make_rng(self.seed, 52)
        crowns = np.array(self.style.crowns, np.float32)
        kinds = rng.choice(len(crowns), 256, p=rng.dirichlet(np.full(len(crowns), 1.5)))
        colours: Floats = (crowns[kinds] * rng.uniform(0.75, 1.2, (256, 1))).astype(np.float32)
        return colours

    def _simulate_sensor(self, colour: Floats, block: PixelBlock) -> NDArray[np.uint8]:
        """Light, haze, colour cast and noise of the camera."""
        pixels = np.empty(colour.shape, np.uint8)
        noise = self.acquisition.noise
        common = white_noise(self.seed + 61, block.rows, block.cols) * np.float32(noise)
        hashes = hash_grid(self.seed + 62, block.rows, block.cols)
        for band in range(3):
            signal = colour[band] * np.float32(self.acquisition.gain[band])
            # Half a step for rounding, less the mean of the band's own noise.
            signal += np.float32(self.acquisition.lift[band] + 0.5 - noise * 511.5 / 700)
            signal += common
            own = (hashes >> np.uint32(10 * band)) & np.uint32(1023)
            signal += own * np.float32(noise / 700)
            np.clip(signal, 0, 255, out=signal)
            pixels[band] = signal
        return pixels


def _pixel_centres_m(block: PixelBlock) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Town metres of the pixels' centres: x of each column, y (southwards) of each row."""
    xs, ys = (np.asarray(at + 0.5, np.float64) for at in (block.cols, block.rows))
    return xs * block.pixel_size_m, ys * block.pixel_size_m


def _tile_window(block: PixelBlock) -> TileWindow:
    return TileWindow(block.row, block.col, block.shape)


def _ramp(field: Floats, width: float) -> Floats:
    """0 below -width, 1 above width."""
    ramp: Floats = np.clip(field * np.float32(0.5 / width) + np.float32(0.5), 0, 1)
    return ramp


def _draw_layer(
    pen: ImageDraw.ImageDraw, block: PixelBlock, districts: Sequence[District], name: str
) -> None:
    for district in districts:
        for corners, fill, _ in district.layers[name].intersecting(*block.bounds):
            pen.polygon(_subpixels(block, corners), fill=fill)


def _subpixels(block: PixelBlock, corners: Points) -> list[tuple[float, ...]]:
    # PIL truncates and paints outlines: whole subpixels, half a one to the north-west.
    points: list[tuple[float, ...]] = np.floor(block.to_pixels(corners, _OVER)).ravel().tolist()
    return points


def _rasterize_shadows(block: PixelBlock, districts: Sequence[District]) -> Floats:
    """Share of every pixel that buildings and bridges shade (h, w)."""
    height, width = block.shape
    mask = Image.new("L", (width * _OVER, height * _OVER), 0)
    pen = ImageDraw.Draw(mask)
    for name, value in zip(_SHADES, (255, 0), strict=True):
        for district in districts:
            for corners, _, _ in district.layers[name].intersecting(*block.bounds):
                pen.polygon(_subpixels(block, corners), fill=value)
    return np.asarray(mask.reduce(_OVER)).astype(np.float32) / np.float32(255)


def _blur(band: Floats, weight: float) -> None:
    """Convolve with (weight, 1 - 2 weight, weight) along each axis, in place."""
    side, centre = np.float32(weight), np.float32(1 - 2 * weight)
    band[1:-1] = centre * band[1:-1] + side * (band[:-2] + band[2:])
    band[:, 1:-1] = centre * band[:, 1:-1] + side * (band[:, :-2] + band[:, 2:])


def rasterize_landcover(
    block: PixelBlock, districts: Sequence[District], crowns: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Land cover (h, w): every polygon by the pixel centres it holds, crowns over open ground."""
    from rasterio.features import rasterize

    shapes = []
    for name in LAYERS:
        for district in districts:
            for corners, _, cover in district.layers[name].intersecting(*block.bounds):
                if cover != LandCover.SAME:
                    ring = block.to_pixels(corners).tolist()
                    shapes.append(({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, cover))
    classes = np.zeros(block.shape, np.uint8)
    if shapes:
        rasterize(shapes, out=classes)
    classes[crowns & (classes == LandCover.LAND)] = LandCover.VEGETATION
    return classes
