"""osmnx on a graph that was traced from a mask: its ways, its statistics and its plots."""

from typing import Any

import networkx as nx
import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from terralink.raster import Grid, Raster
from terralink.vectorize import RoadTracer

osmnx = pytest.importorskip("osmnx")

SIDE_PX, STREETS_PX = 240, (20, 120, 220)


@pytest.fixture(scope="module")
def traced() -> Any:
    """Three streets each way, 100 m apart, without the one between (20, 120) and (120, 120)."""
    mask = np.zeros((SIDE_PX, SIDE_PX), bool)
    for at in STREETS_PX:
        mask[at - 4 : at + 4, :] = mask[:, at - 4 : at + 4] = True
    mask[110:130, 26:114] = False
    grid = Grid(mask.shape, Affine(1, 0, 600000, 0, -1, 4000000), CRS.from_epsg(32611))
    tracer = RoadTracer()
    tracer.add(Raster(mask, grid))
    return tracer.finish()


def test_routes_are_the_shortest(traced: Any) -> None:
    graph = traced.to_osmnx()
    ends = osmnx.distance.nearest_nodes(graph, X=[600020, 600120], Y=[3999880, 3999880])
    route = osmnx.shortest_path(graph, *ends, weight="length")
    length_m = osmnx.routing.route_to_gdf(graph, route)["length"].sum()
    ways = nx.single_source_dijkstra_path_length(traced.to_networkx(), ends[0], weight="length_m")
    assert length_m == pytest.approx(ways[ends[1]])
    assert length_m == pytest.approx(300, abs=12)


def test_statistics_are_those_of_the_graph(traced: Any) -> None:
    stats = osmnx.basic_stats(traced.to_osmnx())
    assert stats["street_segment_count"] == len(traced) == 23
    assert stats["street_length_total"] == pytest.approx(traced.length_m.sum())
    assert stats["circuity_avg"] == pytest.approx(1, abs=0.02)


def test_plots_show_the_roads(traced: Any) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    graph = traced.to_osmnx()
    figure, axes = osmnx.plot_graph(graph, show=False, close=False)
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert len(axes.collections[0].get_paths()) == 2 * len(traced)
    assert np.ptp(picture, axis=(0, 1)).min() > 50
    osmnx.plot_graph_route(
        graph, osmnx.shortest_path(graph, 0, len(graph) - 1), show=False, close=True
    )
    matplotlib.pyplot.close(figure)
    matplotlib.use(before)
