"""``terralink rasterize``, by the verb alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from PIL import Image
from pyproj import CRS

from terralink.graph import RoadGraph
from terralink.raster import Grid, read_raster, tile_grid
from terralink.vector import osm

GRID = Grid((400, 400), Affine(1, 0, 600000, 0, -1, 4000000), CRS.from_epsg(32611))
STREET = shapely.LineString([(600000, 3999800), (600400, 3999800)])
HOUSE = shapely.box(600100, 3999790, 600120, 3999830)
TUNNEL = shapely.LineString([(600050, 3999600), (600050, 4000000)])

Run = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A street of two lanes, a house that reaches into it, and a tunnel; GeoJSON in metres."""
    street = (STREET, {"highway": "primary", "lanes": "2"})
    tunnel = (TUNNEL, {"highway": "primary", "tunnel": "yes"})
    return _written(tmp_path / "town.geojson", 32611, street, (HOUSE, {"building": "yes"}), tunnel)


def test_roads_are_drawn_as_wide_as_their_tags_say(
    terralink: Run, scene: Write, town: Path, tmp_path: Path
) -> None:
    out = tmp_path / "label.tif"
    ended = terralink("rasterize", town, "--like", scene(), "--out", out)
    assert ended.code == 0, ended.err
    label = read_raster(out)
    assert label.grid == GRID
    assert np.flatnonzero(label.array.any(axis=1)).tolist() == list(range(196, 204))
    assert (label.array[196:204] == 1).all()
    assert "road     2.0% of the pixels" in ended.out


def test_roofs_are_drawn_over_roads(
    terralink: Run, scene: Write, town: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels"
    told = json.loads(
        terralink(
            "rasterize", town, "--like", scene(), "--what", "both", "--out", out, "--json"
        ).out
    )
    label = read_raster(out / "scene.tif").array
    assert (label == 2).sum() == 20 * 40
    assert told["scenes"][0]["pixels"] == {"road": 8 * 380, "building": 20 * 40}


@pytest.mark.parametrize(
    ("options", "pixels"),
    [
        (["--width-m", "20"], 20 * 400),
        (["--lane-m", "3"], 6 * 400),
        (["--tunnels"], 8 * 400 + 6 * 392),
    ],
)
def test_widths_and_kinds_are_by_choice(
    options: list[str], pixels: int, terralink: Run, scene: Write, town: Path, tmp_path: Path
) -> None:
    out = tmp_path / "label.tif"
    terralink("rasterize", town, "--like", scene(), "--out", out, "--values", "255", *options)
    assert (read_raster(out).array == 255).sum() == pixels


def test_a_map_of_our_own_is_drawn_with_its_widths(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    RoadGraph.from_lines([STREET], GRID.crs, width_m=10).to_file(tmp_path / "map.gpkg")
    out = tmp_path / "label.tif"
    ended = terralink("rasterize", tmp_path / "map.gpkg", "--like", scene(), "--out", out)
    assert ended.code == 0, ended.err
    assert read_raster(out).array.sum() == 10 * 400


def test_a_folder_of_tiles_is_drawn_by_their_names(terralink: Run, tmp_path: Path) -> None:
    house = shapely.box(*tile_grid(386690, 220241, 19).bounds)
    places = [(386690, 220241, 19), (386690 * 2, 220241 * 2 + 1, 20), (386691, 220241, 19)]
    (tmp_path / "images").mkdir()
    for place in places:
        name = "OAM-{}-{}-{}.png".format(*place)
        Image.new("RGB", (256, 256)).save(tmp_path / "images" / name)
    _written(tmp_path / "house.geojson", 3857, (house, {"building": "yes"}))
    ended = terralink(
        *("rasterize", tmp_path / "house.geojson", "--like", tmp_path / "images", "--tiles"),
        *("--what", "buildings", "--out", tmp_path / "images" / "labels", "--json"),
    )
    told = json.loads(ended.out)["scenes"]
    assert [record["parts"]["building"] for record in told] == [1, 0, 1]
    assert "1 of 3 labels are empty" in ended.err
    again = terralink(
        *("rasterize", tmp_path / "house.geojson", "--like", tmp_path / "images", "--tiles"),
        *("--what", "buildings", "--out", tmp_path / "images" / "labels", "--json"),
    )
    assert len(json.loads(again.out)["scenes"]) == 3


def test_what_is_fetched_is_drawn(
    terralink: Run, scene: Write, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Grid] = []

    def fetch(grid: Grid) -> osm.OsmTables:
        asked.append(grid)
        return osm.read_tables(town)

    monkeypatch.setattr(osm, "fetch_tables", fetch)
    ended = terralink("rasterize", "--fetch", "--like", scene(), "--out", tmp_path / "l.tif")
    assert ended.code == 0, ended.err
    assert asked == [GRID]
    assert read_raster(tmp_path / "l.tif").array.sum() == 8 * 400


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to draw"),
        (["TOWN", "--fetch"], "not both"),
        (["TOWN", "--values", "1,2"], "1 to 255 for each of road"),
        (["TOWN", "--what", "both", "--values", "3,3"], "all different"),
        (["TOWN", "--values", "256"], "1 to 255"),
        (["TOWN", "--out", "SCENE"], "is an input of this command"),
        (["TOWN", "--like", "SCENE2", "--out", "one.tif"], "need a folder"),
        (["TOWN", "--like", "SCENE"], "use different folders"),
        (["TOWN", "--tiles"], "x-y-z"),
        (["TOWN", "--like", "EMPTY"], "no scenes in the folder"),
        (["none.osm"], "cannot read none.osm"),
        (["none.geojson"], "no file none.geojson"),
    ],
)
def test_mistakes_are_told_in_a_line(
    arguments: list[str], told: str, terralink: Run, scene: Write, town: Path, tmp_path: Path
) -> None:
    if told == "use different folders":
        (tmp_path / "other").mkdir()
        arguments = ["TOWN", "--like", str(scene("other/scene.tif"))]
    empty = tmp_path / "empty"
    empty.mkdir()
    places = {"TOWN": town, "SCENE": scene(), "SCENE2": scene("two.tif"), "EMPTY": empty}
    given = [places.get(each, each) for each in arguments]
    ended = terralink("rasterize", "--like", places["SCENE"], *given)
    assert ended.code == 2
    assert told in ended.err
    assert ended.err.count("\n") == 1


def test_a_scene_without_a_crs_is_told(
    terralink: Run, scene: Write, town: Path, tmp_path: Path
) -> None:
    ended = terralink("rasterize", town, "--like", scene(crs=None), "--out", tmp_path / "l.tif")
    assert ended.code == 2
    assert "has no CRS" in ended.err
    assert not (tmp_path / "l.tif").exists()


def _written(path: Path, epsg: int, *features: tuple[Any, dict[str, str]]) -> Path:
    told = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": tags}
        for shape, tags in features
    ]
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": told}))
    return path
