"""The ground floor: where pixels lie, how scenes are read in windows, cut, blended and written."""

from terralink.raster.area import Area
from terralink.raster.grid import Grid
from terralink.raster.no_data import NoData
from terralink.raster.raster import Raster, read_raster
from terralink.raster.regrid import brought_to
from terralink.raster.scene import Scene, open_scene
from terralink.raster.stretch import Stretch
from terralink.raster.tiling import TileGrid
from terralink.raster.web_tiles import tile_grid
from terralink.raster.writer import RasterWriter

__all__ = [
    "Area",
    "Grid",
    "NoData",
    "Raster",
    "RasterWriter",
    "Scene",
    "Stretch",
    "TileGrid",
    "brought_to",
    "open_scene",
    "read_raster",
    "tile_grid",
]
