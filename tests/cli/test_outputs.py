"""No verb ever writes over what it reads, or over what somebody else wrote."""

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import typer.main
from PIL import Image
from pyogrio import list_layers, raw
from pyproj import CRS
from rasterio.shutil import copy as gdal_copy

from terralink import cli
from terralink.graph import RoadGraph
from terralink.outputs import is_ours
from terralink.raster import Grid, RasterWriter, read_raster

GREY = Path(__file__).with_name("grey.onnx")

Run = Callable[..., Any]
Write = Callable[..., Path]

LINE = {"type": "LineString", "coordinates": [[-115.889, 36.137], [-115.887, 36.136]]}
BOX = [[-115.889, 36.137], [-115.887, 36.137], [-115.887, 36.136], [-115.889, 36.137]]


def geojson(path: Path, geometry: Mapping[str, Any] = LINE) -> Path:
    feature = {"type": "Feature", "properties": {"highway": "service"}, "geometry": geometry}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


@pytest.fixture
def folder(tmp_path: Path, scene: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small inputs of every kind; it is the working folder."""
    monkeypatch.chdir(tmp_path)
    scene("scene.tif")
    for name in ("tiles", "imgs", "chips", "run"):
        (tmp_path / name).mkdir()
    shutil.copy("scene.tif", "tiles/tile.tif")
    gdal_copy("tiles/tile.tif", "mosaic.vrt", driver="VRT")
    with zipfile.ZipFile("pack.zip", "w") as pack:
        pack.write("scene.tif")
    assets = {name: {"href": "tiles/tile.tif", "bands": []} for name in ("red", "green", "blue")}
    Path("item.json").write_text(json.dumps({"type": "Feature", "assets": assets}))
    road = np.zeros((1, 400, 400), np.uint8)
    road[:, 196:205] = 255
    scene("prob.tif", image=road)
    gdal_copy("prob.tif", "prob.vrt", driver="VRT")
    geojson(tmp_path / "roads.geojson")
    geojson(tmp_path / "other.geojson")
    geojson(tmp_path / "area.geojson", {"type": "Polygon", "coordinates": [BOX]})
    shutil.copy(GREY, "model.onnx")
    Image.new("RGB", (608, 608), "grey").save("imgs/test_1.png")
    Image.new("RGB", (64, 64), "grey").save("chips/a.png")
    Path("table.csv").write_text("id,prediction\n001_0_0,1\n")
    for name in ("model.safetensors", "config.json", "README.md"):
        Path("run", name).write_text("a checkpoint")
    Path("log01.th").write_bytes(b"a checkpoint")
    return tmp_path


# By verb: what it reads, the file whose name goes to --out (or another option), and how it is run.
Pair = tuple[str, Sequence[object]]
EXTRACT = ["extract", "scene.tif", "--model", "model.onnx", "--area", "area.geojson"]
PREDICT = ["predict", "scene.tif", "--model", "model.onnx", "--area", "area.geojson"]
BY_GREY, DUNET, RASTERIZE = ["--model", GREY], ["--as", "dunet"], ["rasterize", "roads.geojson"]
PAIRS: Mapping[str, Sequence[Pair]] = {
    "predict": [
        ("scene.tif", [*PREDICT, "--out"]),
        ("model.onnx", [*PREDICT, "--out"]),
        ("area.geojson", [*PREDICT, "--out"]),
        ("tiles/tile.tif", ["predict", "mosaic.vrt", "--model", "model.onnx", "--out"]),
        ("mosaic.vrt", ["predict", "mosaic.vrt", "--model", "model.onnx", "--out"]),
        ("tiles/tile.tif", ["predict", "tiles", "--model", "model.onnx", "--out"]),
        ("tiles/tile.tif", ["predict", "tiles/*.tif", "--model", "model.onnx", "--out"]),
        ("tiles/tile.tif", ["predict", "item.json", "--model", "model.onnx", "--out"]),
        ("item.json", ["predict", "item.json", "--model", "model.onnx", "--out"]),
        ("pack.zip", ["predict", "/vsizip/pack.zip/scene.tif", "--model", GREY, "--out"]),
        ("pack.zip", ["predict", "zip://pack.zip!scene.tif", "--model", GREY, "--out"]),
        ("run/config.json", ["predict", "scene.tif", "--model", "run", "--out"]),
    ],
    "vectorize": [
        ("prob.tif", ["vectorize", "prob.tif", "--out"]),
        ("prob.tif", ["vectorize", "prob.vrt", "--out"]),
        ("prob.vrt", ["vectorize", "prob.vrt", "--out"]),
    ],
    "evaluate": [
        ("roads.geojson", ["evaluate", "roads", "roads.geojson", "other.geojson", "--report"]),
        ("other.geojson", ["evaluate", "roads", "roads.geojson", "other.geojson", "--report"]),
        ("tiles/tile.tif", ["evaluate", "pixels", "tiles", "tiles", "--report"]),
        ("tiles/tile.tif", ["evaluate", "pixels", "mosaic.vrt", "prob.tif", "--report"]),
    ],
    "diff": [
        ("roads.geojson", ["diff", "roads.geojson", "other.geojson", "--out"]),
        ("other.geojson", ["diff", "roads.geojson", "other.geojson", "--out"]),
    ],
    "rasterize": [
        ("scene.tif", ["rasterize", "roads.geojson", "--like", "scene.tif", "--out"]),
        ("tiles/tile.tif", ["rasterize", "roads.geojson", "--like", "mosaic.vrt", "--out"]),
    ],
    "submit": [
        ("imgs/test_1.png", ["submit", "imgs", "--model", "model.onnx", "--out"]),
        ("model.onnx", ["submit", "imgs", "--model", "model.onnx", "--out"]),
    ],
    "export": [
        ("run/config.json", ["export", "run", "--out"]),
        ("run/model.safetensors", ["export", "run", "--out"]),
        ("chips/a.png", ["export", "run", "--int8", "--calibrate", "chips", "--out"]),
    ],
    "import": [("log01.th", ["import", "log01.th", "--as", "dlinknet34", "--out"])],
}
# Those whose --out is a folder: the input has the name of a file that they write there.
FOLDERS: Mapping[str, Sequence[tuple[str, Sequence[object], str]]] = {
    "extract": [
        ("scene.tif", ["extract", "out/scene.gpkg", *BY_GREY, "--out"], "scene.gpkg"),
        ("scene.tif", ["extract", "out/a.prob.tif", "a.tif", *BY_GREY, "--out"], "a.prob.tif"),
        ("area.geojson", [*EXTRACT[:4], "--area", "out/scene.gpkg", "--out"], "scene.gpkg"),
        ("model.onnx", [*EXTRACT[:3], "out/scene.gpkg", "--out"], "scene.gpkg"),
    ],
    "demo": [("model.onnx", ["demo", "--model", "out/scene.tif", "--out"], "scene.tif")],
    "submit": [("imgs/test_1.png", ["submit", "out/a1.png", *BY_GREY, "--masks"], "a1.png")],
    "from-submission": [("table.csv", ["from-submission", "out/001.png", "--out"], "001.png")],
    "rasterize": [("scene.tif", [*RASTERIZE, "--like", "out/s.tif", "--out"], "s.tif")],
    "import": [("log01.th", ["import", "out/config.json", *DUNET, "--out"], "config.json")],
}

ALL_PAIRS = [(read, command) for pairs in PAIRS.values() for read, command in pairs]
ALL_FOLDERS = [each for cases in FOLDERS.values() for each in cases]


def state(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(terralink: Run, folder: Path, *arguments: object, why: str = "input") -> None:
    """The command ends with one line, and nothing in the folder has changed."""
    before = state(folder)
    ended = terralink(*arguments)
    assert ended.code == 2, ended.out
    assert ended.err.count("\n") == 1, ended.err
    assert why in ended.err, ended.err
    assert state(folder) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("read", "command"), ALL_PAIRS)
def test_no_verb_writes_over_what_it_reads(
    terralink: Run, folder: Path, read: str, command: Sequence[object], overwrite: bool
) -> None:
    link, hard = folder / f"link{Path(read).suffix}", folder / f"hard{Path(read).suffix}"
    link.symlink_to(folder / read)
    hard.hardlink_to(folder / read)
    more = ["--overwrite"] if overwrite else []
    spellings = [read, folder / read, f"tiles/../{read}", link, hard]
    for spelling in spellings:
        refused(terralink, folder, *command, spelling, *more)
    assert link.is_symlink()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("read", "command", "name"), ALL_FOLDERS)
def test_no_verb_writes_over_what_it_reads_in_its_folder(
    terralink: Run, folder: Path, read: str, command: Sequence[object], name: str, overwrite: bool
) -> None:
    (folder / "out").mkdir()
    shutil.copy(folder / read, folder / "out" / name)
    shutil.copy(folder / read, folder / "a.tif")
    more = ["--overwrite"] if overwrite else []
    refused(terralink, folder, *command, "out", *more)


def test_every_verb_that_writes_files_has_a_pair() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    names = {
        verb: {option for each in command.params for option in each.opts}
        for verb, command in commands.items()
    }
    guarded = {verb for verb, options in names.items() if "--overwrite" in options}
    assert guarded == {*PAIRS, *FOLDERS}
    writing = {verb for verb, options in names.items() if options & {"--out", "--report"}}
    # these write a new folder, or go on with a run's
    assert writing - guarded == {"chip", "train", "train-stages", "sweep"}


@pytest.mark.parametrize(
    "part", [f"scene.{end}" for end in ("tif.aux.xml", "tif.msk", "tif.ovr", "tfw", "tif.msk.ovr")]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_part_of_an_input_is_never_written(
    terralink: Run, folder: Path, part: str, there: bool
) -> None:
    if there:
        (folder / part).write_text("1\n0\n0\n-1\n0\n0\n" if part.endswith("w") else "")
    refused(terralink, folder, *PREDICT, "--out", part, why="a part of")


def test_a_result_never_takes_an_input_for_its_own_part(terralink: Run, folder: Path) -> None:
    shutil.copy("scene.tif", "new.tif.msk")
    refused(terralink, folder, "predict", "new.tif.msk", "--model", GREY, "--out", "new.tif")


def test_the_default_output_is_an_output_too(terralink: Run, folder: Path) -> None:
    shutil.copy("scene.tif", "roads.gpkg")
    refused(terralink, folder, "predict", "prob.tif", "--model", GREY)
    refused(terralink, folder, "vectorize", "roads.gpkg")
    refused(terralink, folder, "diff", "roads.geojson", geojson(folder / "diff.gpkg"))


# What others wrote: kept, or refused, but for --overwrite.
FOREIGN: Mapping[str, Sequence[object]] = {
    "notes.tif": [*PREDICT[:4], "--out"],
    "notes.gpkg": ["vectorize", "prob.tif", "--out"],
    "notes.geojson": ["vectorize", "prob.tif", "--out"],
    "notes.html": ["evaluate", "roads", "roads.geojson", "other.geojson", "--report"],
    "labels.tif": ["rasterize", "roads.geojson", "--like", "scene.tif", "--out"],
    "notes.csv": ["submit", "imgs", "--model", "model.onnx", "--out"],
    "changes.gpkg": ["diff", "roads.geojson", "other.geojson", "--out"],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_another_wrote_is_replaced_when_told_and_ours_always(
    terralink: Run, folder: Path, name: str
) -> None:
    command = FOREIGN[name]
    (folder / name).write_text("my notes")
    refused(terralink, folder, *command, name, why="--overwrite")
    for more in (["--overwrite"], []):
        ended = terralink(*command, name, *more)
        assert ended.code == 0, ended.err
        assert is_ours(folder / name)
    (folder / "empty").mkdir()
    (folder / "empty" / name).touch()  # as mktemp makes it
    assert terralink(*command, f"empty/{name}").code == 0


def test_a_raster_of_another_program_is_kept(terralink: Run, folder: Path) -> None:
    place = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8"}
    with rasterio.open("theirs.tif", "w", **place, crs="EPSG:32611",
                       transform=rasterio.Affine(1, 0, 6e5, 0, -1, 4e6)) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 4, 4), np.uint8))
    refused(terralink, folder, *PREDICT[:4], "--out", "theirs.tif", why="did not write it")


def test_what_is_no_plain_file_is_no_output(terralink: Run, folder: Path) -> None:
    for out in ("/dev/null", "tiles", "/vsimem/x.tif"):
        refused(terralink, folder, *PREDICT[:4], "--out", out, "--overwrite", why="cannot write")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".graphml", ".osm", ".parquet"])
def test_every_form_of_a_map_says_who_wrote_it(folder: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    roads = RoadGraph.from_file(folder / "roads.geojson")
    theirs, ours = folder / f"theirs{suffix}", folder / f"ours{suffix}"
    theirs.write_bytes(b"theirs")
    roads.to_file(ours)
    assert is_ours(ours)
    assert not is_ours(theirs)
    assert RoadGraph.from_file(ours).length_m.sum() == pytest.approx(roads.length_m.sum(), rel=1e-4)


def add_layer(path: Path, name: str) -> None:
    """A layer of the user's."""
    raw.write(
        path, geometry=np.array([b"\x01\x01\0\0\0" + bytes(16)], dtype=object),
        field_data=[np.array(["oak"], dtype=object)], fields=np.array(["kind"], dtype=object),
        layer=name, geometry_type="Point", crs=CRS.from_epsg(32611).to_wkt(), append=True,
    )  # fmt: skip


def layers(path: Path) -> set[str]:
    return {str(name) for name in list_layers(path)[:, 0]}


def test_layers_of_others_stay_in_a_map(terralink: Run, folder: Path) -> None:
    out = folder / "map.gpkg"
    assert terralink("vectorize", "prob.tif", "--out", out).code == 0
    alone = RoadGraph.from_file(out)
    add_layer(out, "trees")
    with closing(sqlite3.connect(out)) as base, base:
        base.execute("CREATE TABLE qgis_projects (name TEXT, content BLOB)")
        base.execute("INSERT INTO qgis_projects VALUES ('mine', x'00')")
        base.execute(
            "INSERT INTO layer_styles (f_table_name, styleName, styleQML, useAsDefault)"
            " VALUES ('roads', 'red', '<qgis/>', 1)"
        )
        base.execute("UPDATE layer_styles SET useAsDefault = 0 WHERE styleName = 'terralink'")
    for _ in range(2):
        ended = terralink("vectorize", "prob.tif", "--out", out)
        assert ended.code == 0, ended.err
        assert layers(out) == {"roads", "junctions", "trees", "layer_styles"}
        assert raw.read(out, layer="trees")[3][0].tolist() == ["oak"]
        again = RoadGraph.from_file(out)
        assert again.lines.tolist() == alone.lines.tolist()
        with closing(sqlite3.connect(out)) as base:
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert base.execute("SELECT name FROM qgis_projects").fetchall() == [("mine",)]
            styles = base.execute(
                "SELECT f_table_name, styleName, useAsDefault FROM layer_styles ORDER BY 1, 2"
            )
            assert styles.fetchall() == [
                ("junctions", "terralink", 1),
                ("roads", "red", 1),
                ("roads", "terralink", 0),
            ]
    info = raw.read(out, layer="roads")[0]
    assert info["geometry_type"] == "LineString"


def test_a_layer_of_others_with_a_name_of_ours_is_not_lost(terralink: Run, folder: Path) -> None:
    out = folder / "map.gpkg"
    assert terralink("vectorize", "prob.tif", "--out", out).code == 0
    with closing(sqlite3.connect(out)) as base, base:
        base.execute("UPDATE gpkg_contents SET description = '' WHERE table_name = 'roads'")
    refused(terralink, folder, "vectorize", "prob.tif", "--out", out, why="a layer 'roads'")
    assert terralink("vectorize", "prob.tif", "--out", out, "--overwrite").code == 0
    assert layers(out) == {"roads", "junctions", "layer_styles"}


def test_a_geopackage_of_others_keeps_its_layers_even_when_told(
    terralink: Run, folder: Path
) -> None:
    geometry = np.array([b"\x01\x01\0\0\0" + bytes(16)], dtype=object)
    raw.write(
        "city.gpkg", geometry=geometry, field_data=[], fields=np.array([], dtype=object),
        layer="parks", geometry_type="Point", crs=CRS.from_epsg(32611).to_wkt(), driver="GPKG",
    )  # fmt: skip
    refused(terralink, folder, "vectorize", "prob.tif", "--out", "city.gpkg", why="--overwrite")
    ended = terralink("vectorize", "prob.tif", "--out", "city.gpkg", "--overwrite")
    assert ended.code == 0, ended.err
    assert layers(Path("city.gpkg")) == {"parks", "roads", "junctions", "layer_styles"}


def test_maps_of_the_release_before_there_were_marks_are_ours(terralink: Run, folder: Path) -> None:
    out = folder / "map.gpkg"
    assert terralink("vectorize", "prob.tif", "--out", out).code == 0
    with closing(sqlite3.connect(out)) as base, base:
        base.execute("UPDATE gpkg_contents SET description = ''")
    add_layer(out, "trees")
    assert terralink("vectorize", "prob.tif", "--out", out).code == 0
    assert {"roads", "junctions", "trees"} <= layers(out)
    older = RasterWriter("old.tif", Grid((4, 4), rasterio.Affine.identity(), None),
                         tags={"TERRALINK_MODEL": "roads", "TIFFTAG_SOFTWARE": ""})  # fmt: skip
    with older as writer:
        writer.write(0, 0, np.zeros((4, 4), np.uint8))
    assert is_ours(folder / "old.tif")


HOLDS = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute("PRAGMA journal_mode=WAL")
base.execute(sys.argv[2]).fetchall()
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("changing", [False, True])
def test_a_map_that_is_open_elsewhere_is_rewritten_or_refused(
    terralink: Run, folder: Path, changing: bool
) -> None:
    out = folder / "map.gpkg"
    assert terralink("vectorize", "prob.tif", "--out", out).code == 0
    query = "BEGIN IMMEDIATE" if changing else "SELECT * FROM roads"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, out, query],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        ended = terralink("vectorize", "prob.tif", "--out", out, "--min-spur-m", 1)
        other.communicate("\n")
    assert ended.code == (2 if changing else 0), ended.err
    assert ("another program has it open" in ended.err) == changing
    assert len(RoadGraph.from_file(out)) == 1
    assert not [path for path in folder.iterdir() if path.name.startswith("map.gpkg-")]


def test_what_is_written_is_read_again(terralink: Run, folder: Path) -> None:
    """Rerunning the same command over its own output goes on working, for each form."""
    for _ in range(2):
        assert terralink(*EXTRACT[:4], "--out", "maps").code == 0
        assert terralink("submit", "imgs", "--model", GREY, "--masks", "masks").code == 0
        assert terralink("from-submission", "submission.csv", "--out", "masks").code == 0
    assert read_raster(folder / "maps" / "scene.prob.tif").array.shape == (400, 400)
