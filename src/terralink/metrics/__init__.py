"""Scores as parts that add: count first, divide once.

pixels        ``Confusion``: IoU, F1, precision, recall, accuracy, kappa; ``ImageMean`` over images
patches       ``patches`` of 16 pixels, ``relaxed`` within a buffer, ``boundaries`` of masks
roads         ``centreline_match``: precision and recall of centre lines within a distance
apls          ``apls``: how alike the ways through two road graphs are
topo          ``topo``: how alike road graphs are around places drawn at random
connectivity  ``connectivity``: into how many pieces a road graph falls
polygons      ``buildings`` found one to one, ``outlines`` of buildings
matches       ``Matches`` and ``Overlap``, the counts that these give
places        points on the roads of a graph, and the shortest ways between them
"""

from terralink.metrics.apls import Apls, PathSimilarity, apls
from terralink.metrics.connectivity import Components, connectivity
from terralink.metrics.matches import Matches, Overlap
from terralink.metrics.patches import boundaries, patches, relaxed
from terralink.metrics.pixels import Confusion, ImageMean
from terralink.metrics.polygons import buildings, outlines
from terralink.metrics.roads import CentrelineMatch, centreline_match
from terralink.metrics.topo import topo

__all__ = [
    "Apls",
    "CentrelineMatch",
    "Components",
    "Confusion",
    "ImageMean",
    "Matches",
    "Overlap",
    "PathSimilarity",
    "apls",
    "boundaries",
    "buildings",
    "centreline_match",
    "connectivity",
    "outlines",
    "patches",
    "relaxed",
    "topo",
]
