"""Scores as parts that add: count first, divide once.

pixels  ``Confusion``: IoU, F1, precision, recall, accuracy over pixels
roads   ``centreline_match``: precision and recall of centre lines within a distance
apls    ``apls``: average path length similarity of two road graphs
places  points on the roads of a graph, and the shortest ways between them
"""

from terralink.metrics.apls import Apls, PathSimilarity, apls
from terralink.metrics.pixels import Confusion
from terralink.metrics.roads import CentrelineMatch, centreline_match

__all__ = [
    "Apls",
    "CentrelineMatch",
    "Confusion",
    "PathSimilarity",
    "apls",
    "centreline_match",
]
