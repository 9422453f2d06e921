"""terralink turns satellite and aerial images into maps.

Import the room you need; this file imports nothing, so that ``import terralink`` is free:

    from terralink import extract, geo, graph, metrics, models, predict, vectorize
"""

__version__ = "0.1.0"
