"""Scores as parts that add: count first, divide once.

counts          ``Confusion``, ``ImageMean``, ``Matches``, ``Overlap``: what scores count
masks           ``patches`` of 16 pixels, ``relaxed`` within a buffer, ``boundaries`` of masks
epfl            patches as the table that EPFL's road challenge takes, and back
roads           centre lines within a distance, and the connected pieces of a graph
apls_score      ``apls``: how alike the paths through two road graphs are
topo_score      ``topo``: how alike road graphs are around points drawn at random
building_match  ``buildings`` found one to one, ``outlines`` of buildings
network_points  points on the roads of a graph, and the shortest paths between them
"""

from terralink.metrics.apls_score import Apls, PathSimilarity, apls
from terralink.metrics.building_match import buildings, outlines
from terralink.metrics.counts import Confusion, ImageMean, Matches, Overlap
from terralink.metrics.epfl import (
    numbered_images,
    read_submission,
    write_mask,
    write_submission,
)
from terralink.metrics.masks import boundaries, patch_labels, patches, relaxed
from terralink.metrics.roads import CentrelineMatch, Components, centreline_match, connectivity
from terralink.metrics.topo_score import topo

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
