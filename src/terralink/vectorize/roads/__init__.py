"""Road graphs from probabilities: ``trace_roads`` and, streaming, ``RoadTracer``."""

from terralink.vectorize.roads.tracer import RoadTracer, trace_roads

__all__ = ["RoadTracer", "trace_roads"]
