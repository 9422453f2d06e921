"""Scores as parts that add: count first, divide once.

counts          ``Confusion``, ``ImageMean``, ``DetectionCounts``, ``Overlap``: what scores count
masks           pixels in patches, within a buffer, and along boundaries
epfl            patches as the table that EPFL's road challenge takes, and back
roads           centre lines within a distance, and the connected pieces of a graph
apls_score      ``apls``: how alike the paths through two road graphs are
topo_score      ``topo``: how alike road graphs are around points drawn at random
buildings       polygons matched one to one, and their outlines
network_points  points on the roads of a graph, and the shortest paths between them
"""

from terralink.metrics.apls_score import Apls, PathSimilarity, apls
from terralink.metrics.buildings import match_buildings, polygon_boundary_iou
from terralink.metrics.counts import Confusion, DetectionCounts, ImageMean, Overlap
from terralink.metrics.epfl import (
    find_numbered_images,
    read_submission,
    write_mask,
    write_submission,
)
from terralink.metrics.masks import count_patches, label_patches, mask_boundary_iou, match_pixels
from terralink.metrics.roads import (
    CentrelineMatch,
    Components,
    match_centrelines,
    measure_connectivity,
)
from terralink.metrics.topo_score import topo

__all__ = [
    "Apls",
    "CentrelineMatch",
    "Components",
    "Confusion",
    "DetectionCounts",
    "ImageMean",
    "Overlap",
    "PathSimilarity",
    "apls",
    "count_patches",
    "find_numbered_images",
    "label_patches",
    "mask_boundary_iou",
    "match_buildings",
    "match_centrelines",
    "match_pixels",
    "measure_connectivity",
    "polygon_boundary_iou",
    "read_submission",
    "topo",
    "write_mask",
    "write_submission",
]
