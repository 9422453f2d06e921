"""A road graph as networkx has it, and as osmnx does: there it can be routed on at once."""

from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    import networkx as nx

    from terralink.graph.roads import RoadGraph


def to_networkx(graph: "RoadGraph") -> "nx.MultiGraph":
    """See ``RoadGraph.to_networkx``."""
    import networkx as nx

    result = nx.MultiGraph(crs=graph.crs)
    result.add_nodes_from(_nodes(graph))
    names = ("length_m", "width_m", "prob", "geometry")
    columns = (graph.length_m.tolist(), graph.width_m.tolist(), graph.prob.tolist(), graph.lines)
    for (u, v), *values in zip(graph.ends.tolist(), *columns, strict=True):
        result.add_edge(u, v, **dict(zip(names, values, strict=True)))
    return result


def to_osmnx(graph: "RoadGraph") -> "nx.MultiDiGraph":
    """See ``RoadGraph.to_osmnx``."""
    import networkx as nx

    result = nx.MultiDiGraph(crs=graph.crs.to_string() if graph.crs else None)
    result.add_nodes_from(_nodes(graph))
    nx.set_node_attributes(result, dict(enumerate(graph.degree.tolist())), "street_count")
    columns = (graph.length_m.tolist(), graph.width_m.tolist(), graph.prob.tolist())
    both = graph.lines, shapely.reverse(graph.lines)
    roads = zip(graph.ends.tolist(), *both, *columns, strict=True)
    for number, ((u, v), ahead, back, length_m, width_m, prob) in enumerate(roads):
        values = {"osmid": number, "highway": "road", "oneway": False, "length": length_m}
        known = {"width": width_m, "prob": prob}
        values |= {name: value for name, value in known.items() if not np.isnan(value)}
        result.add_edge(u, v, **values, reversed=False, geometry=ahead)
        result.add_edge(v, u, **values, reversed=True, geometry=back)
    return result


def _nodes(graph: "RoadGraph") -> list[tuple[int, dict[str, float]]]:
    return [(i, {"x": x, "y": y}) for i, (x, y) in enumerate(graph.junctions.tolist())]
