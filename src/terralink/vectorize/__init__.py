"""From probabilities to maps.

strips     rows in, strips with a halo out
skeleton   the centre pixels of a mask, and how wide it is there
trace      centre pixels to chains
junctions  brought to where roads cross
clean      the chains' graph to a map: spurs, holes, steps, pieces
gaps       bridges over what trees and shadows hide
roads      all of it in one: ``roads`` and, streaming, ``RoadTracer``
"""

from terralink.vectorize.roads import RoadTracer, roads

__all__ = ["RoadTracer", "roads"]
