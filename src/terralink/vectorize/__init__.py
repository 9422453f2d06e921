"""From probabilities to maps.

bands       what the values of a raster mean; its rows from top to bottom
labels      touching instances split, and labels to polygons
roads/      strips, holes, skeleton, junctions, ends, and the tracer that does it all
buildings/  edges, regularize, select_shape, and the tracer that does it all
landcover   classes to a coverage of polygons
options     of each kind of map, with their defaults
maps        any of these maps, traced, written and read in one way
refine      probabilities that follow the edges of the image, before all of these
"""

from terralink.vectorize.bands import read_probabilities
from terralink.vectorize.buildings.tracer import BuildingTracer, trace_buildings
from terralink.vectorize.landcover import LandcoverTracer, add_class_names, trace_landcover
from terralink.vectorize.maps import (
    Map,
    MapTracer,
    read_map,
    write_buildings,
    write_landcover,
    write_map,
)
from terralink.vectorize.options import (
    MAP_OPTIONS,
    BuildingOptions,
    LandcoverOptions,
    MapOptions,
    RoadOptions,
    options_for,
)
from terralink.vectorize.refine import Kernels, refine_with_crf
from terralink.vectorize.roads.tracer import RoadTracer, trace_roads

__all__ = [
    "MAP_OPTIONS",
    "BuildingOptions",
    "BuildingTracer",
    "Kernels",
    "LandcoverOptions",
    "LandcoverTracer",
    "Map",
    "MapOptions",
    "MapTracer",
    "RoadOptions",
    "RoadTracer",
    "add_class_names",
    "options_for",
    "read_map",
    "read_probabilities",
    "refine_with_crf",
    "trace_buildings",
    "trace_landcover",
    "trace_roads",
    "write_buildings",
    "write_landcover",
    "write_map",
]
