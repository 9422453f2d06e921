"""From a scene whose roads are known to its map, by the verbs alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terralink.graph import RoadGraph
from terralink.raster import read_raster

GREY = Path(__file__).with_name("grey.onnx")

Run = Callable[..., Any]
Write = Callable[..., Path]


def test_extract_writes_a_map_with_lengths_in_metres(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    ended = terralink("extract", scene(), "--model", GREY, "--out", out)
    assert ended.code == 0, ended.err
    roads = RoadGraph.from_file(out / "scene.gpkg")
    assert len(roads) == 4
    assert sorted(roads.degree) == [1, 1, 1, 1, 4]
    assert roads.length_m.sum() == pytest.approx(800, abs=20)
    assert roads.width_m == pytest.approx(9, abs=1.5)
    assert ended.out.splitlines()[1].startswith("roads      4, 0.")
    assert str(out / "scene.gpkg") in ended.out
    assert {path.name for path in out.iterdir()} == {"scene.gpkg", "scene.prob.tif"}


def test_extract_with_json_prints_one_object_for_all_scenes(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    two = scene("a.tif"), scene("b.tif")
    ended = terralink("extract", *two, "--model", GREY, "--out", tmp_path / "maps", "--json")
    assert ended.err == ""
    told = json.loads(ended.out)["scenes"]
    assert [Path(each["scene"]).name for each in told] == ["a.tif", "b.tif"]
    assert all(each["roads"] == 4 and each["crs"] == "EPSG:32611" for each in told)
    assert all(Path(path).is_file() for each in told for path in each["written"])


def test_two_scenes_of_one_name_are_refused(terralink: Run, scene: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    two = scene("a.tif"), scene("other/a.tif")
    ended = terralink("extract", *two, "--model", GREY, "--out", tmp_path / "maps")
    assert ended.code == 2
    assert "2 scenes would be written to" in ended.err
    assert not (tmp_path / "maps").exists()


def test_predict_and_vectorize_are_the_two_halves_of_extract(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    prob, halves, whole = (tmp_path / name for name in ("p.tif", "halves.gpkg", "maps/scene.gpkg"))
    path = scene()
    told = json.loads(terralink("predict", path, "--model", GREY, "--out", prob, "--json").out)
    assert told["shape"] == [400, 400]
    assert told["classes"] == ["road"]
    terralink("vectorize", prob, "--out", halves)
    terralink("extract", path, "--model", GREY, "--out", tmp_path / "maps")
    one, other = RoadGraph.from_file(halves), RoadGraph.from_file(whole)
    np.testing.assert_array_equal(one.junctions, other.junctions)
    assert one.lines.tolist() == other.lines.tolist()
    assert read_raster(prob).array[200, 200] == round(255 / (1 + np.exp(-6)))


def test_vectorize_writes_geojson_in_longitude_and_latitude(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    prob, roads = tmp_path / "p.tif", tmp_path / "roads.geojson"
    terralink("predict", scene(), "--model", GREY, "--out", prob)
    ended = terralink("vectorize", prob, "--out", roads, "--json")
    assert json.loads(ended.out)["roads"] == 4
    told = json.loads(roads.read_text())["features"]
    lon, lat = told[0]["geometry"]["coordinates"][0]
    assert (round(lon), round(lat)) == (-116, 36)


def test_a_scene_of_finer_pixels_is_brought_to_the_models(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    path = scene(pixel_size_m=0.5)
    told = json.loads(
        terralink("predict", path, "--model", GREY, "--out", tmp_path / "p.tif", "--json").out
    )
    assert told["shape"] == [200, 200]


def test_extract_takes_the_bands_that_are_told(
    terralink: Run, scene: Write, crossing: Any, tmp_path: Path
) -> None:
    five = np.concatenate([crossing[:1] // 2, crossing[:1] // 3, crossing[::-1]])
    arguments = ["extract", scene(image=five), "--model", GREY, "--out", tmp_path / "maps"]
    assert "--bands 3,2,1 if" in terralink(*arguments).err
    ended = terralink(*arguments, "--bands", "5,4,3", "--json")
    assert json.loads(ended.out)["scenes"][0]["roads"] == 4


def test_tta_finds_the_same_roads(terralink: Run, scene: Write, tmp_path: Path) -> None:
    ended = terralink(
        "extract", scene(), "--model", GREY, "--out", tmp_path / "maps", "--tta", "--json"
    )
    assert json.loads(ended.out)["scenes"][0]["roads"] == 4
