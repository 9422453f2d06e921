"""From probabilities to maps.

bands      what the values of a raster mean; rows from top to bottom
strips     rows in, strips with a halo out
background its connected parts in a strip
medians    strips of background that part two carriageways
holes      the others, filled where a road is wide around them
skeleton   the centre pixels of a mask, and how wide it is there
trace      centre pixels to chains
junctions  brought to where roads cross
crossings  of two roads at a small angle
clean      the chains' graph to a map: spurs, holes, steps, pieces
ends       of roads, brought to where the mask ends
mask_store the mask, kept until the scene is whole
gaps       bridges over what trees and shadows hide
faint      the probability that was seen there
shelf      where that lies until the scene is whole
roads      all of it in one: ``roads`` and, streaming, ``RoadTracer``
polygons   labels to outlines that share their points
roofs      roofs that touch, told apart
sides      where outlines have their corners
blur       how blurred the edges of roofs are
walls      sides to right angles, where they are so
overlap    how much ground two shapes share
fit        the regular shape, or the outline where that is nearer to what was seen
buildings  all of it in one: ``buildings`` and, streaming, ``BuildingTracer``
regions    classes to a coverage of land cover
layers     buildings and land cover to files, styled
maps       any of these maps, found, written and read in one way
crf        probabilities that follow the edges of the image, before all of these
"""

from terralink.vectorize.bands import read_bands
from terralink.vectorize.buildings.trace import BuildingTracer, buildings
from terralink.vectorize.io import write_buildings, write_regions
from terralink.vectorize.landcover import LandcoverTracer, named, regions
from terralink.vectorize.maps import Map, MapOptions, MapTracer, read_map, write_map
from terralink.vectorize.refine import Kernels, refine
from terralink.vectorize.roads.tracer import RoadTracer, roads

__all__ = [
    "BuildingTracer",
    "Kernels",
    "LandcoverTracer",
    "Map",
    "MapOptions",
    "MapTracer",
    "RoadTracer",
    "buildings",
    "named",
    "read_bands",
    "read_map",
    "refine",
    "regions",
    "roads",
    "write_buildings",
    "write_map",
    "write_regions",
]
