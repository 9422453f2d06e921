"""The whole way with the shipped model: one map whatever way a scene is cut."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from terralink import graph, metrics, synthetic
from terralink.inference import tile_plan
from terralink.pipeline import extract
from terralink.raster import Grid, Raster, RasterWriter
from terralink.vectorize import RoadOptions

UTM = CRS.from_epsg(32611)
SIDE_PX = 900


@pytest.fixture(scope="module")
def picture() -> Raster:
    """A drawn town at 1 m, on a grid that starts nowhere in particular."""
    drawn = synthetic.draw((SIDE_PX, SIDE_PX), seed=3, pixel_size_m=1.0)
    grid = Grid((SIDE_PX, SIDE_PX), Affine(1, 0, 600_007, 0, -1, 4_000_013), UTM)
    return Raster(drawn.image(0, 0, grid.shape), grid)


def extracted(picture: Raster, rows: slice, cols: slice, folder: Path) -> graph.RoadGraph:
    """The roads of a part of the picture, cut out into a scene of its own."""
    part = picture.array[:, rows, cols]
    grid = picture.grid.window(rows.start, cols.start, part.shape[1:])
    path = folder / f"{rows.start}_{cols.start}.tif"
    with RasterWriter(path, grid, bands=3) as writer:
        writer.write(0, 0, np.ascontiguousarray(part))
    # What a seam cuts off is shorter than what would be kept of it in one piece: keep all.
    return extract.extract_roads(path, options=RoadOptions(min_spur_m=0, max_gap_m=0))


def inside(
    roads: graph.RoadGraph, picture: Raster, rows: slice, cols: slice, rim: int
) -> graph.RoadGraph:
    """The roads, cut to a part of the picture without its rim."""
    xs, ys = picture.grid.metric_xy(
        [cols.start + rim, cols.stop - rim], [rows.start + rim, rows.stop - rim]
    )
    box = shapely.box(xs.min(), ys.min(), xs.max(), ys.max())
    return graph.RoadGraph.from_lines(shapely.intersection(roads.lines, box), roads.crs)


@pytest.mark.parametrize(
    ("rows", "cols"),
    [
        (slice(0, SIDE_PX), slice(0, 450)),
        (slice(0, SIDE_PX), slice(450, SIDE_PX)),
        (slice(1, SIDE_PX), slice(2, SIDE_PX)),
        (slice(37, SIDE_PX), slice(101, SIDE_PX)),
    ],
    ids=["left half", "right half", "shifted by (1, 2)", "shifted by (37, 101)"],
)
def test_a_scene_that_is_cut_or_shifted_gives_the_same_map_inside(
    picture: Raster,
    rows: slice,
    cols: slice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        tile_plan, "_TILE_PX", 384
    )  # the smallest: a seam every 192 px, elsewhere each
    everything = slice(0, SIDE_PX)
    whole = extracted(picture, everything, everything, tmp_path)
    part = extracted(picture, rows, cols, tmp_path)
    rim_px = 100  # what lies beyond the cut is seen this far inside, and no farther
    expected, found = (inside(roads, picture, rows, cols, rim_px) for roads in (whole, part))
    assert expected.length_m.sum() > 1000
    match = metrics.match_centrelines(expected, found, within_m=1.0)  # a pixel
    assert match.precision > 0.995
    assert match.recall > 0.995


def test_the_map_lies_on_the_roads_of_a_town(tmp_path: Path) -> None:
    drawn = synthetic.draw((1024, 1024), seed=11, pixel_size_m=0.5)
    drawn.write(tmp_path / "town.tif")
    roads = extract.extract_roads(tmp_path / "town.tif", out=tmp_path / "town.gpkg")
    match = metrics.match_centrelines(drawn.roads, roads, within_m=4.0)
    assert match.precision > 0.7
    assert match.recall > 0.7
    assert len(graph.RoadGraph.from_file(tmp_path / "town.gpkg")) == len(roads)


def test_the_map_is_the_same_whether_probabilities_go_to_a_file_or_not(
    picture: Raster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_plan, "_TILE_PX", 512)
    part = picture.rows(0, 600)  # two rows of tiles
    with RasterWriter(tmp_path / "part.tif", part.grid, bands=3) as writer:
        writer.write(0, 0, part.array)
    done: list[float] = []
    alone = extract.extract_roads(tmp_path / "part.tif")
    beside = extract.extract_roads(
        tmp_path / "part.tif", out=tmp_path / "map.gpkg", progress=done.append
    )
    assert len(alone) == len(beside) > 10
    np.testing.assert_array_equal(alone.length_m, beside.length_m)
    np.testing.assert_array_equal(alone.width_m, beside.width_m)
    assert done == sorted(done)
    assert done[-1] == 1


@pytest.mark.data
def test_vegas_is_on_the_map_and_measured_in_metres(data_root: Path) -> None:
    folder = data_root / "spacenet-vegas"
    roads = extract.extract_roads(folder / "RGB-PanSharpen_AOI_2_Vegas_img0.tif")
    truth = graph.RoadGraph.from_file(folder / "AOI_2_Vegas_img0.geojson")
    match = metrics.match_centrelines(truth, roads, within_m=4.0)
    assert roads.crs == UTM
    assert match.precision > 0.6
    assert match.recall > 0.6
