"""Building polygons from probabilities: ``buildings`` and, streaming, ``BuildingTracer``."""

from terralink.vectorize.buildings.trace import BuildingTracer, buildings

__all__ = ["BuildingTracer", "buildings"]
