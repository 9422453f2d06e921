"""Road graphs from probabilities: ``roads`` and, streaming, ``RoadTracer``."""

from terralink.vectorize.roads.tracer import RoadTracer, roads

__all__ = ["RoadTracer", "roads"]
