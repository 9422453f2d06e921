"""Scores as parts that add: count first, divide once.

pixels  ``Confusion``: IoU, F1, precision, recall, accuracy over pixels
roads   ``centreline_match``: precision and recall of centre lines within a distance
"""

from terralink.metrics.pixels import Confusion
from terralink.metrics.roads import CentrelineMatch, centreline_match

__all__ = ["CentrelineMatch", "Confusion", "centreline_match"]
