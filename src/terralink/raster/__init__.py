"""Rasters: grids, scenes that are read in windows, tiles and their blending, GeoTIFF files."""

from terralink.raster.geometry import Area
from terralink.raster.grid import Grid, tile_grid
from terralink.raster.no_data import NoData
from terralink.raster.pixel_values import Stretch
from terralink.raster.resample import regrid
from terralink.raster.scene import Raster, Scene, SceneOptions, open_scene, read_raster
from terralink.raster.tiling import TileGrid
from terralink.raster.writer import RasterWriter

__all__ = [
    "Area",
    "Grid",
    "NoData",
    "Raster",
    "RasterWriter",
    "Scene",
    "SceneOptions",
    "Stretch",
    "TileGrid",
    "open_scene",
    "read_raster",
    "regrid",
    "tile_grid",
]
