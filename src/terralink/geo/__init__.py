"""The ground floor: where pixels lie, how scenes are read in windows, cut, blended and written."""

from terralink.geo.area import Area
from terralink.geo.back import brought_to
from terralink.geo.grid import Grid
from terralink.geo.no_data import NoData
from terralink.geo.raster import Raster, read_raster
from terralink.geo.scene import Scene, open_scene
from terralink.geo.stretch import Stretch
from terralink.geo.tiles import tile_grid
from terralink.geo.tiling import TileGrid
from terralink.geo.writer import RasterWriter

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
