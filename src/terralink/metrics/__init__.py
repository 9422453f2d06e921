"""Scores as parts that add: count first, divide once.

pixels        ``Confusion``: IoU, F1, precision, recall, accuracy, kappa; ``ImageMean`` over images
patches       ``patches`` of 16 pixels, ``relaxed`` within a buffer, ``boundaries`` of masks
submission    patches as the table that EPFL's road challenge takes, and back
roads         ``centreline_match``: precision and recall of centre lines within a distance
apls          ``apls``: how alike the ways through two road graphs are
topo          ``topo``: how alike road graphs are around places drawn at random
connectivity  ``connectivity``: into how many pieces a road graph falls
polygons      ``buildings`` found one to one, ``outlines`` of buildings
matches       ``Matches`` and ``Overlap``, the counts that these give
extents       where truth and prediction lie, and whether they overlap
places        points on the roads of a graph, and the shortest ways between them
"""

from terralink.metrics.apls import Apls, PathSimilarity, apls
from terralink.metrics.connectivity import Components, connectivity
from terralink.metrics.matches import Matches, Overlap
from terralink.metrics.patches import boundaries, patch_labels, patches, relaxed
from terralink.metrics.pixels import Confusion, ImageMean
from terralink.metrics.polygons import buildings, outlines
from terralink.metrics.roads import CentrelineMatch, centreline_match
from terralink.metrics.submission import (
    numbered_images,
    read_submission,
    write_mask,
    write_submission,
)
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
    "numbered_images",
    "outlines",
    "patch_labels",
    "patches",
    "read_submission",
    "relaxed",
    "topo",
    "write_mask",
    "write_submission",
]
