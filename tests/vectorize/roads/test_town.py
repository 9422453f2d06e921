"""Roads of drawn towns: from the exact mask back to the graph that it was drawn from."""

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from scipy.spatial import cKDTree

from terralink import metrics, synthetic, vectorize
from terralink.graph import RoadGraph
from terralink.raster import Grid, Raster
from terralink.vectorize.roads.strips import StripBuffer

UTM = CRS.from_epsg(32611)


def raster(mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Raster:
    return Raster(mask, Grid(mask.shape, Affine(0.5, 0, 600000, 0, -0.5, 4000000), UTM))


def clipped(graph: RoadGraph, area: shapely.Polygon) -> RoadGraph:
    lines = shapely.intersection(graph.lines, area)
    return RoadGraph.from_lines(lines[~shapely.is_empty(lines)], graph.crs)


@pytest.mark.parametrize("seed", [2, 3])
def test_the_exact_mask_of_a_town_gives_its_graph_back(seed: int) -> None:
    drawn = synthetic.draw((1200, 1200), seed=seed, pixel_size_m=0.5)
    mask = drawn.road_mask(0, 0, (1200, 1200))
    found = vectorize.trace_roads(Raster(mask, drawn.grid))
    # a mask does not tell a bridge from a crossing
    truth = RoadGraph.from_lines(drawn.roads.lines, drawn.roads.crs, noding="crossings")
    inner = shapely.buffer(shapely.box(*shapely.total_bounds(truth.lines)), -20)
    # at the border the mask shows sides of roads whose middle lines are outside of the scene
    assert metrics.apls(clipped(truth, inner), clipped(found, inner)).score >= 0.95


@pytest.mark.parametrize("height", [512, 522, 570, 640])
def test_a_road_leaves_the_scene_in_its_middle(height: int) -> None:
    mask = np.zeros((height, 300), bool)
    mask[:, 130:160] = True
    found = vectorize.trace_roads(raster(mask))
    assert len(found) == 1
    np.testing.assert_allclose(found.junctions[:, 0], 600000 + 145 / 2, atol=0.5)
    assert found.length_m.sum() == pytest.approx(height / 2, abs=1)


def test_a_town_in_strips_is_the_town_in_one_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = synthetic.draw((900, 900), seed=2, pixel_size_m=0.5)
    mask = Raster(drawn.road_mask(0, 0, (900, 900)), drawn.grid)
    graphs = []
    for rows in (128, 900):
        how = {"strip_rows": rows, "halo_rows": 64}
        monkeypatch.setattr(StripBuffer.__init__, "__kwdefaults__", how)
        graphs.append(vectorize.trace_roads(mask))
    cut, whole = graphs
    assert len(cut) == len(whole) > 10
    assert len(cut.junctions) == len(whole.junctions)
    assert cKDTree(whole.junctions).query(cut.junctions)[0].max() < 1
    assert cut.length_m.sum() == pytest.approx(whole.length_m.sum(), rel=1e-3)


@pytest.mark.parametrize("band_rows", [1, 97, 512])
def test_a_town_in_bands_is_the_town_in_one_piece(band_rows: int) -> None:
    drawn = synthetic.draw((700, 700), seed=3, pixel_size_m=0.5)
    whole = Raster(drawn.road_mask(0, 0, (700, 700)), drawn.grid)
    tracer = vectorize.RoadTracer()
    for row in range(0, 700, band_rows):
        tracer.add(whole.rows(row, min(row + band_rows, 700)))
    banded, found = tracer.finish(), vectorize.trace_roads(whole)
    np.testing.assert_array_equal(banded.junctions, found.junctions)
    np.testing.assert_array_equal(banded.length_m, found.length_m)
