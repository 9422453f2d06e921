"""The town as a georeferenced scene: any window of the picture, and the exact truth."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.raster import Grid, RasterWriter
from terralink.raster.tiling import iter_windows
from terralink.synthetic import paint, styles, truth
from terralink.synthetic.canopy import Canopy
from terralink.synthetic.district import District, plan
from terralink.synthetic.lattice import Lattice
from terralink.synthetic.paint import Block, Painter
from terralink.synthetic.streets import Road

BLOCK_PX = 512
_DISTRICTS_KEPT = 160
_BLOCKS_KEPT_PX = 64 << 20


def draw(
    shape: tuple[int, int],
    *,
    seed: int = 0,
    pixel_size_m: float = 0.5,
    style: str | None = None,
    crs: str | CRS | None = "EPSG:32611",
) -> "Town":
    """A town of ``shape`` (height, width) pixels; the same arguments always give the same town.

    ``style`` is one of ``styles.STYLES``, or None for one that the seed chooses. Nothing is drawn
    yet: windows are, when they are asked for.

    Raises ``InputError`` for an empty shape, a pixel size that is not positive or an unknown style.

    >>> town = draw((64, 64), seed=1, style="arid")
    >>> town.image(0, 0, (64, 64)).shape
    (3, 64, 64)
    """
    height, width = shape
    if height < 1 or width < 1:
        raise InputError(f"a town needs at least one pixel, not {height} x {width}")
    if not 0.05 <= pixel_size_m <= 10:
        raise InputError(f"a town is drawn at 0.05 to 10 m per pixel, not {pixel_size_m}")
    grid = _grid((height, width), pixel_size_m, None if crs is None else CRS.from_user_input(crs))
    return Town(grid=grid, seed=seed, pixel_size_m=pixel_size_m, style=styles.named(style, seed))


@dataclass(frozen=True, eq=False)
class Town:
    """A drawn town: ``grid``, ``style``, windows of its picture, and its truth."""

    grid: Grid
    seed: int
    pixel_size_m: float
    style: styles.Style
    _districts: "OrderedDict[tuple[int, int], District]" = field(
        default_factory=OrderedDict, repr=False
    )
    _blocks: "OrderedDict[tuple[str, int, int], NDArray[np.uint8]]" = field(
        default_factory=OrderedDict, repr=False
    )

    @cached_property
    def look(self) -> styles.Look:
        """Sun and camera."""
        return styles.look(self.style, self.seed)

    def image(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """The picture (3, h, w) of a window within the scene."""
        return self._window("image", self._painted, row, col, shape, 3)

    def landcover(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Classes (h, w) of ``layers.Cover``: what lies on top, but roads also under trees."""
        return np.asarray(self._window("landcover", self._covered, row, col, shape, 1)[0])

    def road_mask(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """True (h, w) where a pixel's centre lies on a road: width, round ends, turning circles."""
        return np.asarray(self._window("road", self._roads_burned, row, col, shape, 1)[0], bool)

    @property
    def roads(self) -> RoadGraph:
        """Centre lines within the scene, one per carriageway, cut at junctions."""
        return self._truth[0]

    @property
    def buildings(self) -> gpd.GeoDataFrame:
        """Footprints within the scene, cut at its edge, in the scene's metric CRS."""
        return self._truth[1]

    @cached_property
    def _truth(self) -> tuple[RoadGraph, gpd.GeoDataFrame]:
        """Both at once: a large town is planned district by district, and not kept."""
        roads: list[Road] = []
        polygons: list[shapely.Polygon] = []
        whole = Block(0, 0, self.grid.shape, self.pixel_size_m)
        for district in self._planned(whole):
            roads += district.roads
            polygons += list(district.buildings)
        return truth.graph(roads, whole, self.grid), truth.footprints(polygons, whole, self.grid)

    def write(
        self, path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write the scene as a tiled, compressed GeoTIFF, one block after the other.

        ``progress`` is told (pixels done, pixels in all) after each block.
        """
        height, width = self.grid.shape
        with RasterWriter(path, self.grid, bands=3, dtype="uint8") as writer:
            for row, col, size in iter_windows(self.grid.shape, (BLOCK_PX, BLOCK_PX)):
                writer.write(row, col, self.image(row, col, size))
                if progress is not None:
                    progress(row * width + size[0] * (col + size[1]), height * width)

    @cached_property
    def _lattice(self) -> Lattice:
        return Lattice(self.seed, self.style)

    @cached_property
    def _painter(self) -> Painter:
        trees = Canopy.of(self.style, self.look, self.pixel_size_m)
        return Painter(self.seed, self.style, self.look, trees)

    def _window(
        self,
        what: str,
        made: Callable[[Block], NDArray[np.uint8]],
        row: int,
        col: int,
        shape: tuple[int, int],
        bands: int,
    ) -> NDArray[np.uint8]:
        """Assemble a window from the scene's fixed blocks: so all windows agree."""
        height, width = shape
        if row < 0 or col < 0 or row + height > self.grid.height or col + width > self.grid.width:
            raise InputError(
                f"the window {height} x {width} at ({row}, {col}) sticks out of the "
                f"{self.grid.height} x {self.grid.width} scene; ask for one within it"
            )
        window = np.empty((bands, height, width), np.uint8)
        for top in range(row - row % BLOCK_PX, row + height, BLOCK_PX):
            for left in range(col - col % BLOCK_PX, col + width, BLOCK_PX):
                part = self._block(what, made, top, left)
                low, high = max(row, top), min(row + height, top + part.shape[1])
                start, stop = max(col, left), min(col + width, left + part.shape[2])
                window[:, low - row : high - row, start - col : stop - col] = part[
                    :, low - top : high - top, start - left : stop - left
                ]
        return window

    def _block(
        self, what: str, made: Callable[[Block], NDArray[np.uint8]], row: int, col: int
    ) -> NDArray[np.uint8]:
        key = (what, row, col)
        if key not in self._blocks:
            size = (min(BLOCK_PX, self.grid.height - row), min(BLOCK_PX, self.grid.width - col))
            self._blocks[key] = made(Block(row, col, size, self.pixel_size_m))
            while sum(block.nbytes for block in self._blocks.values()) > _BLOCKS_KEPT_PX:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _painted(self, block: Block) -> NDArray[np.uint8]:
        return self._painter.image(block, [*self._around(block)])

    def _covered(self, block: Block) -> NDArray[np.uint8]:
        districts = [*self._around(block)]
        return paint.covers(block, districts, self._painter.crowns(block, districts))[None]

    def _roads_burned(self, block: Block) -> NDArray[np.uint8]:
        return truth.burned(block, [*self._planned(block)])[None]

    def _around(self, block: Block) -> Iterable[District]:
        return self._planned(block.grown(paint.margin_px(self.pixel_size_m)))

    def _planned(self, block: Block) -> Iterable[District]:
        """The districts that reach into a block, planned now or kept from before."""
        for cell in self._lattice.cells_within(*block.bounds):
            key = (cell.i, cell.j)
            if key not in self._districts:
                self._districts[key] = plan(self._lattice, cell, self.look)
                if len(self._districts) > _DISTRICTS_KEPT:
                    self._districts.popitem(last=False)
            self._districts.move_to_end(key)
            yield self._districts[key]


def _grid(shape: tuple[int, int], pixel_size_m: float, crs: CRS | None) -> Grid:
    """A grid with square pixels on the ground, at a plausible place of ``crs``."""
    if crs is None:
        return Grid(shape, Affine.scale(pixel_size_m, -pixel_size_m), None)
    if crs.to_epsg() == 32611:
        return Grid(shape, Affine(pixel_size_m, 0, 664000, 0, -pixel_size_m, 4006000), crs)
    area = crs.area_of_use
    lon, lat = ((area.west + area.east) / 2, (area.south + area.north) / 2) if area else (0.0, 45.0)
    lat = 36.1 if abs(lat) < 1 else lat
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    # One metre is so many units of the CRS there; measured, for the unit may be a degree or a foot.
    unit = Grid((1, 1), Affine(1e-5, 0, x, 0, -1e-5, y), crs).pixel_size_m
    across, down = pixel_size_m * 1e-5 / unit[0], pixel_size_m * 1e-5 / unit[1]
    return Grid(shape, Affine(across, 0, x, 0, -down, y), crs)
