"""A drawn town: a scene of any size that looks like an aerial photo, and its exact truth.

    town = synthetic.draw((16000, 16000), seed=7)  # renders only the windows that are read
    town.image(row, col, shape)                    # uint8 (3, h, w), the same in every window
    town.roads, town.buildings                     # RoadGraph and GeoDataFrame, in metres
    town.road_mask(...), town.landcover(...)
    town.write("town.tif")                         # streams a GeoTIFF

Read `lattice` first (the endless plan), then `district` (one cell of it) and `render`.
"""

from terralink.synthetic.primitives import LandCover
from terralink.synthetic.styles import STYLES, Acquisition, Style
from terralink.synthetic.town import Town, draw

__all__ = ["STYLES", "Acquisition", "LandCover", "Style", "Town", "draw"]
