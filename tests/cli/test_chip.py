"""``terralink chip``: from a scene and its roads to a folder to train on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from terralink.data.sources import SceneFolder
from terralink.raster.source import open_source

Run = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def roads(scene: Write, tmp_path: Path) -> Path:
    """The level street of ``crossing``, beside its scene."""
    with open_source(scene()) as source:
        ends = source.grid.xy([0, 400], [200.5, 200.5])
        lonlat = Transformer.from_crs(source.grid.crs, 4326, always_xy=True)
    points = np.column_stack(lonlat.transform(*ends)).tolist()
    geometry = {"type": "LineString", "coordinates": points}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    path = tmp_path / "roads.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def test_chips_with_masks_are_a_source_of_a_recipe(
    terralink: Run, roads: Path, tmp_path: Path
) -> None:
    told = ("--labels", roads, "--side", 200, "--width-m", 9, "--out", tmp_path / "chips")
    ended = terralink("chip", tmp_path / "scene.tif", *told)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[0].split() == ["chips", "4"]
    source = SceneFolder(kind="scenes", folder="chips", stretch="none")  # type: ignore[arg-type]
    chips = source.read(tmp_path)
    assert len(chips) == 4
    drawn = sum(int((chips[index].mask == 1).sum()) for index in range(4))
    assert drawn == pytest.approx(9 * 400, abs=400)


def test_chips_without_signal_are_named(terralink: Run, scene: Write, tmp_path: Path) -> None:
    image = np.full((3, 64, 64), 90, np.uint8)
    image[:, :, 40:] = np.random.default_rng(0).integers(0, 255, (3, 64, 24))
    ended = terralink(
        "chip", scene("half.tif", image=image), "--side", 32, "--out", tmp_path / "chips", "--json"
    )
    told = json.loads(ended.out)
    assert told["chips"] == 2
    assert [name.partition("@")[2] for name in told["left_out"]] == ["0,0", "32,0"]
    assert ended.err == ""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--values", "0=0"), "--values wants a class for each value, such as 0:0,255:1"),
        (("--labels", "nothing.geojson"), "no labels nothing.geojson"),
        (("--shapes",), "shapes can be written where there are some"),
        (("--overlap", 512), "an overlap of 512 px for windows of 512 px"),
        (("--bands", "9"), "has no band 9"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    terralink: Run, scene: Write, tmp_path: Path, more: tuple[object, ...], told: str
) -> None:
    ended = terralink("chip", scene(), "--out", tmp_path / "chips", *more)
    assert ended.code == 2
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "chips").exists()


def features(path: Path, *geometries: dict[str, Any]) -> Path:
    told = [{"type": "Feature", "properties": {}, "geometry": each} for each in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": told}))
    return path


LINE = {"type": "LineString", "coordinates": [[10.0, 50.0], [10.001, 50.0]]}
RING = [[10.0, 50.0], [10.001, 50.0], [10.001, 50.001], [10.0, 50.0]]
AREA = {"type": "Polygon", "coordinates": [RING]}
POINT = {"type": "Point", "coordinates": [10.0, 50.0]}


@pytest.mark.parametrize(
    ("shapes", "what", "told"),
    [
        ([LINE], "roads", "its shapes reach from 10.0000, 50.0000 to 10.0010, 50.0000, the scene"),
        ([AREA], "buildings", "nothing of"),
        ([LINE, AREA], "both", "are they of another place"),
        ([], "roads", "holds no road to draw"),
        ([POINT], "roads", "it holds neither lines nor areas"),
        ([AREA, AREA], "roads", "it holds 2 buildings"),
        ([LINE], "buildings", "it holds 1 roads"),
        ([POINT], "both", "holds no road and no building to draw"),
    ],
)
@pytest.mark.parametrize("verb", ["chip", "rasterize"])
def test_labels_of_another_place_or_kind_are_refused_before_anything_is_written(
    terralink: Run,
    scene: Write,
    tmp_path: Path,
    verb: str,
    shapes: list[dict[str, Any]],
    what: str,
    told: str,
) -> None:
    path = features(tmp_path / "labels.geojson", *shapes)
    out = tmp_path / "out"
    if verb == "chip":
        ended = terralink("chip", scene(), "--labels", path, "--what", what, "--out", out)
    else:
        ended = terralink("rasterize", path, "--like", scene(), "--what", what, "--out", out)
    assert ended.code == 2
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not out.exists()


def test_scenes_that_labels_miss_are_named(
    terralink: Run, scene: Write, roads: Path, tmp_path: Path
) -> None:
    from terralink.raster import Grid, RasterWriter

    with open_source(scene()) as source:
        grid = source.grid
    noise = np.random.default_rng(0).integers(1, 255, (3, 64, 64)).astype(np.uint8)
    away = Grid((64, 64), grid.window(90_000, 0, (64, 64)).transform, grid.crs)
    with RasterWriter(tmp_path / "away.tif", away, bands=3) as writer:
        writer.write(0, 0, noise)
    scenes = (tmp_path / "scene.tif", tmp_path / "away.tif")
    ended = terralink("chip", *scenes, "--labels", roads, "--side", 64, "--out", tmp_path / "chips")
    assert ended.code == 0, ended.err
    assert "nothing of the labels lies on 1 of 2 scenes" in ended.err
    assert "away.tif" in ended.err


def test_masks_that_are_all_background_get_a_word(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(1, 255, (3, 64, 64)).astype(np.uint8)
    mask = scene("mask.tif", image=np.zeros((1, 64, 64), np.uint8))
    ended = terralink(
        *("chip", scene(image=noise), "--labels", mask, "--side", 64, "--out", tmp_path / "chips")
    )
    assert ended.code == 0, ended.err
    assert "the chips hold no class but 0" in ended.err


def test_masks_in_colour_and_thresholds(terralink: Run, scene: Write, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(1, 255, (3, 64, 64)).astype(np.uint8)
    colours = np.zeros((3, 64, 64), np.uint8)
    colours[0, 16:48] = 255
    image, mask = scene(image=noise), scene("mask.tif", image=colours)
    told = ("chip", image, "--labels", mask, "--side", 64, "--json")
    named = terralink(*told, "--values", "#000000:0,#ff0000:1", "--out", tmp_path / "a")
    assert json.loads(named.out)["classes"] == {"0": 0.5, "1": 0.5}
    refused = terralink(*told, "--out", tmp_path / "b")
    assert refused.code == 2
    assert 'values: {"#000000": 0, "#ff0000": 1}' in refused.err
    scene("mask.tif", image=colours[:1])
    bright = terralink(*told, "--threshold", 128, "--out", tmp_path / "c")
    assert json.loads(bright.out)["classes"] == {"0": 0.5, "1": 0.5}
    both = terralink(*told, "--threshold", 9, "--values", "0:0", "--out", tmp_path / "d")
    assert "either --values or --threshold" in both.err
