"""Vector data: layers to and from files, OpenStreetMap, rasterized labels, QGIS styles."""
