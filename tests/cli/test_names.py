"""A file that is there is that file, whatever its name is."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from terralink.cli import main
from terralink.graph import RoadGraph

GREY = Path(__file__).with_name("grey.onnx")

Run = Callable[..., Any]
Write = Callable[..., Path]

NAMES = [
    "bashrc;x",
    "what?*[1]",
    "x!y 'it' \"now\"",
    "two\nlines",
    "GTIFF_DIR:1:a",
    "-100%",
    " straße ",
]
# Any name that a folder can hold; what means something to somebody comes often.
ANY_NAME = st.text(
    st.one_of(
        st.sampled_from(";!?*[]:%#&<>'\"\\ \n-+.,=@{}|~$"),
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=24,
).filter(lambda name: len(name.encode()) < 100)


def extracted_from(scene: Path, folder: Path) -> int:
    """The number of roads that extract finds; ``folder`` holds its two results and no more."""
    code = main(["extract", "--model", str(GREY), "--out", str(folder), "--", str(scene)])
    assert code == 0
    assert {path.name for path in folder.iterdir()} == {
        f"{scene.stem}.gpkg",
        f"{scene.stem}.prob.tif",
    }
    return len(RoadGraph.from_file(folder / f"{scene.stem}.gpkg"))


@pytest.mark.parametrize("name", NAMES)
def test_extract_and_what_follows_take_a_scene_by_any_name(
    terralink: Run, scene: Write, tmp_path: Path, name: str
) -> None:
    where = tmp_path / f"in {name}"
    where.mkdir()
    path, decoy = where / f"{name}.tif", where / f"{name[:-1]}Z.tif"
    shutil.copy(scene(), path)
    decoy.write_text("not a raster: never to be read")
    assert extracted_from(path, where / "maps") == 4
    prob = where / f"{name}.prob.tif"
    ended = terralink("predict", "--model", GREY, "--out", prob, "--", path)
    assert ended.code == 0, ended.err
    for suffix in (".gpkg", ".geojson"):
        out = where / f"{name}{suffix}"
        ended = terralink("vectorize", "--out", out, "--", prob)
        assert ended.code == 0, ended.err
        assert len(RoadGraph.from_file(out)) == 4
        assert terralink("evaluate", "roads", "--", out, out).code == 0
    ended = terralink("diff", "--out", where / f"d{name}.gpkg", "--", out, out)
    assert ended.code == 0, ended.err
    ended = terralink("rasterize", "--like", path, "--out", where / f"l{name}.tif", "--", out)
    assert ended.code == 0, ended.err
    assert decoy.read_text() == "not a raster: never to be read"


def test_a_name_with_a_semicolon_writes_no_other_file(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("mine")
    path = scene("bashrc;x.tif")
    ended = terralink("extract", path, "--model", GREY, "--out", home)
    assert ended.code == 0, ended.err
    assert (home / ".bashrc").read_text() == "mine"
    assert {each.name for each in home.iterdir()} == {
        ".bashrc",
        "bashrc;x.gpkg",
        "bashrc;x.prob.tif",
    }


def test_a_file_of_another_name_is_not_read(tmp_path: Path) -> None:
    def line(east: float) -> str:
        return json.dumps({"type": "LineString", "coordinates": [[9, 47], [east, 47]]})

    (tmp_path / "c").write_text(line(9.001))
    with pytest.raises(Exception, match="no file"):
        RoadGraph.from_file(tmp_path / "c;1.geojson")
    (tmp_path / "c;1.geojson").write_text(line(9.002))
    roads = RoadGraph.from_file(tmp_path / "c;1.geojson")
    assert roads.length_m.sum() == pytest.approx(152, abs=1)


def test_a_folder_of_scenes_of_odd_names_is_one_scene(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    folder = tmp_path / "tiles[1]; a?"
    folder.mkdir()
    for name in ("a;b.tif", "c?.tif", "<d>&.tif", " e\n.tif"):
        shutil.copy(scene(), folder / name)
    out = tmp_path / "maps"
    assert terralink("extract", folder, "--model", GREY, "--out", out).code == 0
    ended = terralink("extract", folder / "*.tif", "--model", GREY, "--out", out)
    assert ended.code == 0, ended.err
    assert len(RoadGraph.from_file(out / f"{folder.name}.gpkg")) == 4


def test_a_name_that_is_no_text_gets_one_line(terralink: Run, scene: Write, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tif"))
    shutil.copy(scene(), odd)
    for arguments in (["extract", odd], ["vectorize", odd], ["predict", scene(), "--out", odd]):
        ended = terralink(*arguments)
        assert ended.code == 2
        assert "is not UTF-8; rename it" in ended.err
        assert ended.err.count("\n") == 1
    folder = tmp_path / "tiles"
    folder.mkdir()
    shutil.copy(odd, Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.tif")))
    ended = terralink("extract", folder, "--model", GREY, "--out", tmp_path / "maps")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "is not UTF-8" in ended.err


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".graphml", ".osm", ".parquet"])
@given(name=ANY_NAME)
@settings(max_examples=30, deadline=None)
def test_roads_come_back_from_a_file_of_any_name(suffix: str, name: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    lines = np.array([shapely.LineString([(600000, 4000000), (600100, 4000000)])], dtype=object)
    roads = RoadGraph.from_lines(lines, CRS.from_epsg(32611))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}{suffix}"
        roads.to_file(path)
        assert [each.name for each in Path(folder).iterdir()] == [path.name]
        again = RoadGraph.from_file(path)
        assert again.length_m.sum() == pytest.approx(100, abs=0.1)


@given(name=ANY_NAME)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_scenes_of_any_name_are_extracted(scene: Write, name: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.tif"
        shutil.copy(scene(), path)
        assert extracted_from(path, Path(folder) / "maps") == 4
