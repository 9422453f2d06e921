"""The town as a georeferenced scene: any window of its image, and the exact truth.

The truth is the planned geometry itself: road graph, building footprints, road mask, land cover.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize

from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.graph.polylines import link_chains
from terralink.raster import Grid, RasterWriter
from terralink.raster.tiling import iter_windows
from terralink.synthetic.district import District, plan_district
from terralink.synthetic.lattice import Lattice
from terralink.synthetic.primitives import Points, circle
from terralink.synthetic.render import PixelBlock, Renderer, margin_px, rasterize_landcover
from terralink.synthetic.streets import Road
from terralink.synthetic.styles import Acquisition, Style, get_style, sample_acquisition
from terralink.synthetic.surfaces import buffer_roads
from terralink.synthetic.vegetation import Canopy

_SPECK_M = 0.5  # what is shorter only touches the scene's edge

BLOCK_PX = 512
_MAX_DISTRICTS = 160
_MAX_CACHE_BYTES = 64 << 20


def draw(
    shape: tuple[int, int],
    *,
    seed: int = 0,
    pixel_size_m: float = 0.5,
    style: str | None = None,
    crs: str | CRS | None = "EPSG:32611",
) -> "Town":
    """Plan a town of ``shape`` (height, width) pixels; equal arguments give equal towns.

    ``style`` is one of ``styles.STYLES``, or None for one that the seed chooses. Windows
    are rendered when they are read.

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
    return Town(grid=grid, seed=seed, pixel_size_m=pixel_size_m, style=get_style(style, seed))


@dataclass(frozen=True, eq=False)
class Town:
    """A drawn town: ``grid``, ``style``, windows of its image, and its truth."""

    grid: Grid
    seed: int
    pixel_size_m: float
    style: Style
    _districts: "OrderedDict[tuple[int, int], District]" = field(
        default_factory=OrderedDict, repr=False
    )
    _blocks: "OrderedDict[tuple[str, int, int], NDArray[np.uint8]]" = field(
        default_factory=OrderedDict, repr=False
    )

    @cached_property
    def acquisition(self) -> Acquisition:
        """Sun and camera."""
        return sample_acquisition(self.style, self.seed)

    def image(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """The image (3, h, w) of a window within the scene."""
        return self._read_window("image", self._render_image, row, col, shape, 3)

    def landcover(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Classes (h, w) of ``LandCover`` seen from above; roads also under trees."""
        return np.asarray(
            self._read_window("landcover", self._render_landcover, row, col, shape, 1)[0]
        )

    def road_mask(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """True (h, w) where a pixel's centre lies on a road: width, round ends, turning circles."""
        return np.asarray(
            self._read_window("road", self._render_road_mask, row, col, shape, 1)[0], bool
        )

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
        """Graph and footprints in one pass: the districts of a large town do not fit the cache."""
        roads: list[Road] = []
        polygons: list[shapely.Polygon] = []
        whole = PixelBlock(0, 0, self.grid.shape, self.pixel_size_m)
        for district in self._plan_districts(whole):
            roads += district.roads
            polygons += list(district.buildings)
        return build_graph(roads, whole, self.grid), clip_footprints(polygons, whole, self.grid)

    def write(
        self, path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write the scene as a tiled, compressed GeoTIFF, one block after the other.

        ``progress`` is called with (pixels done, pixels in all) after each block.
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
    def _renderer(self) -> Renderer:
        trees = Canopy.render(self.style, self.acquisition, self.pixel_size_m)
        return Renderer(self.seed, self.style, self.acquisition, trees)

    def _read_window(
        self,
        what: str,
        render: Callable[[PixelBlock], NDArray[np.uint8]],
        row: int,
        col: int,
        shape: tuple[int, int],
        bands: int,
    ) -> NDArray[np.uint8]:
        """Assemble a window from the fixed blocks of the scene, so that all windows agree."""
        height, width = shape
        if row < 0 or col < 0 or row + height > self.grid.height or col + width > self.grid.width:
            raise InputError(
                f"the window {height} x {width} at ({row}, {col}) sticks out of the "
                f"{self.grid.height} x {self.grid.width} scene; ask for one within it"
            )
        window = np.empty((bands, height, width), np.uint8)
        for top in range(row - row % BLOCK_PX, row + height, BLOCK_PX):
            for left in range(col - col % BLOCK_PX, col + width, BLOCK_PX):
                part = self._get_block(what, render, top, left)
                low, high = max(row, top), min(row + height, top + part.shape[1])
                start, stop = max(col, left), min(col + width, left + part.shape[2])
                window[:, low - row : high - row, start - col : stop - col] = part[
                    :, low - top : high - top, start - left : stop - left
                ]
        return window

    def _get_block(
        self, what: str, render: Callable[[PixelBlock], NDArray[np.uint8]], row: int, col: int
    ) -> NDArray[np.uint8]:
        key = (what, row, col)
        if key not in self._blocks:
            size = (min(BLOCK_PX, self.grid.height - row), min(BLOCK_PX, self.grid.width - col))
            self._blocks[key] = render(PixelBlock(row, col, size, self.pixel_size_m))
            while sum(block.nbytes for block in self._blocks.values()) > _MAX_CACHE_BYTES:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _render_image(self, block: PixelBlock) -> NDArray[np.uint8]:
        return self._renderer.render(block, [*self._plan_around(block)])

    def _render_landcover(self, block: PixelBlock) -> NDArray[np.uint8]:
        districts = [*self._plan_around(block)]
        return rasterize_landcover(block, districts, self._renderer.crown_mask(block, districts))[
            None
        ]

    def _render_road_mask(self, block: PixelBlock) -> NDArray[np.uint8]:
        return rasterize_roads(block, [*self._plan_districts(block)])[None]

    def _plan_around(self, block: PixelBlock) -> Iterable[District]:
        return self._plan_districts(block.pad(margin_px(self.pixel_size_m)))

    def _plan_districts(self, block: PixelBlock) -> Iterable[District]:
        """The districts that reach into a block, planned now or taken from the cache."""
        for cell in self._lattice.cells_within(*block.bounds):
            key = (cell.i, cell.j)
            if key not in self._districts:
                self._districts[key] = plan_district(self._lattice, cell, self.acquisition)
                if len(self._districts) > _MAX_DISTRICTS:
                    self._districts.popitem(last=False)
            self._districts.move_to_end(key)
            yield self._districts[key]


def _grid(shape: tuple[int, int], pixel_size_m: float, crs: CRS | None) -> Grid:
    """A grid with square pixels on the ground, inside the area of use of ``crs``."""
    if crs is None:
        return Grid(shape, Affine.scale(pixel_size_m, -pixel_size_m), None)
    if crs.to_epsg() == 32611:
        return Grid(shape, Affine(pixel_size_m, 0, 664000, 0, -pixel_size_m, 4006000), crs)
    area = crs.area_of_use
    lon, lat = ((area.west + area.east) / 2, (area.south + area.north) / 2) if area else (0.0, 45.0)
    lat = 36.1 if abs(lat) < 1 else lat
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    # The unit of the CRS may be a degree or a foot: measure how many of them are a metre there.
    unit = Grid((1, 1), Affine(1e-5, 0, x, 0, -1e-5, y), crs).pixel_size_m
    across, down = pixel_size_m * 1e-5 / unit[0], pixel_size_m * 1e-5 / unit[1]
    return Grid(shape, Affine(across, 0, x, 0, -down, y), crs)


def rasterize_roads(block: PixelBlock, districts: Iterable[District]) -> NDArray[np.uint8]:
    """1 (h, w) where a pixel's centre lies on a road or a turning circle."""
    shapes = []
    frame = shapely.box(*block.bounds)
    for district in districts:
        polygons = [*buffer_roads(district.roads)]
        polygons += [shapely.Polygon(circle(*bulb)) for bulb in district.turning_circles]
        near = [polygon for polygon in polygons if polygon.intersects(frame)]
        shapes += [shapely.transform(polygon, block.to_pixels) for polygon in near]
    if not shapes:
        return np.zeros(block.shape, np.uint8)
    mask: NDArray[np.uint8] = rasterize(shapes, out_shape=block.shape, dtype="uint8")
    return mask


def build_graph(roads: Sequence[Road], whole: PixelBlock, grid: Grid) -> RoadGraph:
    """Centre lines clipped to the scene; lines of one width that continue each other are merged."""
    lines = np.array([shapely.LineString(road.points) for road in roads], dtype=object)
    widths_m = np.array([road.width_m for road in roads])
    clipped = shapely.intersection(lines, shapely.box(*whole.bounds))
    parts, source = shapely.get_parts(clipped, return_index=True)
    long_enough = shapely.length(parts) > _SPECK_M
    metric = shapely.transform(parts[long_enough], lambda points: _to_metric(points, whole, grid))
    return _merge_degree2(
        RoadGraph.from_lines(metric, grid.metric_crs, width_m=widths_m[source[long_enough]])
    )


def _merge_degree2(pieces: RoadGraph) -> RoadGraph:
    """Merge roads at junctions where exactly two roads of one width meet."""
    slots = np.repeat(pieces.width_m, 2)
    nodes = pieces.edges.ravel()
    narrow, wide = np.full((2, len(pieces.junctions)), [[np.inf], [-np.inf]])
    np.minimum.at(narrow, nodes, slots)
    np.maximum.at(wide, nodes, slots)
    chains = link_chains(pieces.edges, stop=narrow != wide)
    if not len(chains):
        return pieces
    # A mean of equal widths is one of them, but for rounding.
    widths_m = chains.mean(pieces.width_m, pieces.length_m).round(6)
    lines = pieces.polylines.merge(chains).to_shapely()
    return RoadGraph.from_lines(lines, pieces.crs, width_m=widths_m)


def clip_footprints(
    polygons: Sequence[shapely.Polygon], whole: PixelBlock, grid: Grid
) -> gpd.GeoDataFrame:
    """Building polygons clipped to the scene, in metres of its metric CRS."""
    clipped = shapely.intersection(np.array(polygons, dtype=object), shapely.box(*whole.bounds))
    parts = shapely.get_parts(clipped)
    parts = parts[(shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 4)]
    metric = shapely.transform(parts, lambda points: _to_metric(points, whole, grid))
    return gpd.GeoDataFrame({"area_m2": shapely.area(metric)}, geometry=metric, crs=grid.metric_crs)


def _to_metric(points: Points, whole: PixelBlock, grid: Grid) -> Points:
    cols, rows = whole.to_pixels(points).T
    return np.stack(grid.metric_xy(cols, rows), axis=1)
