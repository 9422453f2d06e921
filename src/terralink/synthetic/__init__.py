"""A drawn town: a scene of any size that looks like an aerial photo, and its exact truth.

    town = draw((16000, 16000), seed=7)     # planned and painted only where it is looked at
    town.image(row, col, shape)             # uint8 (3, h, w), the same in every window
    town.roads, town.buildings              # RoadGraph and GeoDataFrame, in metres
    town.road_mask(...), town.landcover(...)
    town.write("town.tif")                  # streams a GeoTIFF

Read `lattice` first (the plan without end), then `district` (one cell of it) and `paint`.
"""

from terralink.synthetic.layers import Cover
from terralink.synthetic.scene import Town, draw
from terralink.synthetic.styles import STYLES, Look, Style

__all__ = ["STYLES", "Cover", "Look", "Style", "Town", "draw"]
