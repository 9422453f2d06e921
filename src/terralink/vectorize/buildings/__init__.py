"""Building polygons from probabilities: ``trace_buildings`` and, streaming, ``BuildingTracer``."""

from terralink.vectorize.buildings.tracer import BuildingTracer, trace_buildings

__all__ = ["BuildingTracer", "trace_buildings"]
