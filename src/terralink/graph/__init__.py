"""Road graphs: junctions and the roads between them, in metres.

roads      ``RoadGraph``, the value that vectorising makes and that metrics compare
polylines  its lines, as arrays
chains     roads that go on from each other
lines      geometries made a graph's: flattened, in metres, noded, cut
chunks     some thousand lines at a time
formats    which file form a suffix names
store      vector files in and out: GeoPackage, GeoJSON, GeoParquet, and any line file GDAL reads
style      how a road map looks in QGIS
markup     GraphML and OSM XML
networks   networkx and osmnx
"""

from terralink.graph.polylines import Polylines
from terralink.graph.roads import RoadGraph

__all__ = ["Polylines", "RoadGraph"]
