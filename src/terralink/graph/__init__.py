"""Road graphs: junctions and the roads between them, in metres.

road_graph  ``RoadGraph``, the value that vectorising makes and that metrics compare
polylines   its lines as arrays, and edges linked to chains
noding      geometries made a graph's lines: single, drawn once, cut where they are joined
io          files in and out, networkx and osmnx
"""

from terralink.graph.polylines import Polylines
from terralink.graph.road_graph import RoadGraph

__all__ = ["Polylines", "RoadGraph"]
