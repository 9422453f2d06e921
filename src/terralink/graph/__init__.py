"""Road graphs: junctions and the roads between them, in metres.

roads   ``RoadGraph``, the value that vectorising makes and that metrics compare
store   vector files in and out: GeoPackage, GeoJSON, and any line file GDAL reads
style   how a road map looks in QGIS
"""

from terralink.graph.roads import RoadGraph

__all__ = ["RoadGraph"]
