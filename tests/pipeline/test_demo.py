"""The demo's figures are those of its files, and its report shows them."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from scipy import ndimage

from terralink import metrics, synthetic
from terralink.graph import RoadGraph
from terralink.pipeline import demo
from terralink.pipeline.demo import split_by_match
from terralink.raster import read_raster


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> demo.DemoResult:
    grey = Path(__file__).parents[1] / "cli" / "grey.onnx"
    return demo.run_demo(tmp_path_factory.mktemp("demo"), size_px=384, seed=3, model=str(grey))


def test_the_scores_of_lines_are_those_of_the_two_maps(result: demo.DemoResult) -> None:
    truth, roads = (RoadGraph.from_file(p) for p in (result.files.truth, result.files.roads))
    again = metrics.match_centrelines(truth, roads, within_m=4)
    assert 0 < again.precision < 1
    assert (again.precision, again.recall) == pytest.approx(
        (result.lines.precision, result.lines.recall), abs=1e-6
    )


def test_the_scores_of_pixels_are_those_of_the_probability_raster(result: demo.DemoResult) -> None:
    prob = read_raster(result.files.prob)
    finer = ndimage.zoom(prob.array.astype(float), 2, order=1, grid_mode=True, mode="nearest")
    pred = finer >= result.model.metadata.threshold * 255
    truth = synthetic.draw((384, 384), seed=3).road_mask(0, 0, (384, 384))
    iou = (pred & truth).sum() / (pred | truth).sum()
    assert result.pixels.iou()[1] == pytest.approx(iou, abs=0.005)


def test_the_lines_that_are_drawn_are_the_lines_that_are_counted(result: demo.DemoResult) -> None:
    truth, pred, within = result.town.roads, result.roads, 1e-3
    matched, missed, false = (shapely.length(lines).sum() for lines in split_by_match(truth, pred))
    assert matched + false == pytest.approx(pred.length_m.sum(), rel=within)
    assert matched == pytest.approx(result.lines.pred_near_m, rel=within)
    assert missed == pytest.approx(result.lines.truth_m - result.lines.truth_near_m, rel=within)


def test_nothing_found_is_told_as_that(result: demo.DemoResult) -> None:
    nothing = RoadGraph.empty(result.roads.crs)
    matched, missed, false = split_by_match(result.town.roads, nothing)
    assert shapely.length(missed).sum() == pytest.approx(result.town.roads.length_m.sum())
    assert not shapely.length(matched).sum()
    assert not shapely.length(false).sum()


def test_the_report_shows_the_figures_and_how_they_were_made(result: demo.DemoResult) -> None:
    text = demo.draw_page(result, command="terralink demo --seed 3").html()
    assert f"{result.lines.recall:.3f}" in text
    assert "terralink demo --seed 3" in text
    assert "grey" in text
    assert all(stage in text for stage in result.seconds)


def test_all_pictures_show_the_same_ground(result: demo.DemoResult) -> None:
    page = demo.draw_page(result, command="")
    assert page.scene is not None
    assert {layer.picture.size for layer in page.layers} == {page.scene.size}
    scene, heat = np.asarray(page.scene, float), np.asarray(page.layers[-1].picture, float)
    colour = scene.max(axis=-1) - scene.min(axis=-1)
    likeness = np.corrcoef(heat[..., 3].ravel(), -colour.ravel())[0, 1]
    assert likeness > 0.5  # the stand-in looks for what has no colour
