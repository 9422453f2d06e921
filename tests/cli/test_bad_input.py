"""What a user can get wrong ends in one line, exit code 2, and nothing half-written."""

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terralink.inference import backends

GREY = Path(__file__).with_name("grey.onnx")

Run = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def refused(terralink: Run, tmp_path: Path) -> Callable[..., str]:
    """Run ``extract``, see that it ends as it should, and return its one line."""

    def run(path: Path, *more: object) -> str:
        out = tmp_path / "maps"
        ended = terralink("extract", path, "--model", GREY, "--out", out, *more)
        assert ended.code == 2
        assert ended.out == ""
        assert ended.err.startswith("terralink: ")
        assert ended.err.count("\n") == 1
        assert not out.exists() or list(out.iterdir()) == []
        return str(ended.err)

    return run


def test_a_missing_file(refused: Run, tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nowhere.tif")


def test_a_folder(refused: Run, tmp_path: Path) -> None:
    assert str(tmp_path) in refused(tmp_path)


def test_a_text_file_named_tif(refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.tif"
    path.write_text("not a raster")
    assert "notes.tif" in refused(path)


@pytest.mark.parametrize("kept", [0.1, 0.6, 0.99])
def test_a_truncated_tiff(refused: Run, scene: Write, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 700, 700), dtype=np.uint8)
    path = scene(image=noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert "scene.tif" in refused(path)


def test_an_empty_file(refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    path.touch()
    assert "empty.tif" in refused(path)


def test_one_band_for_a_model_of_three(refused: Run, scene: Write, crossing: Any) -> None:
    assert "1 band" in refused(scene(image=crossing[:1]))


def test_a_band_that_is_not_there(refused: Run, scene: Write) -> None:
    assert "4" in refused(scene(), "--bands", "1,2,4")


def test_pixels_of_30_m_for_a_model_of_1_m(refused: Run, scene: Write) -> None:
    line = refused(scene(pixel_size_m=30))
    assert "30 m" in line
    assert "1 m" in line


def test_an_unknown_model_suggests_the_nearest(
    refused: Run, scene: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "list_models", lambda: {"roads": GREY})
    line = refused(scene(), "--model", "raods")
    assert "no model named 'raods'; did you mean 'roads'?" in line


def test_a_model_file_that_is_not_one(refused: Run, scene: Write, tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    assert "text.onnx" in refused(scene(), "--model", path)


def test_an_output_folder_that_is_a_file(terralink: Run, scene: Write, tmp_path: Path) -> None:
    (tmp_path / "maps").write_text("mine")
    ended = terralink("extract", scene(), "--model", GREY, "--out", tmp_path / "maps")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert (tmp_path / "maps").read_text() == "mine"


def test_a_raster_that_holds_no_probabilities(terralink: Run, scene: Write, tmp_path: Path) -> None:
    ended = terralink("vectorize", scene(), "--out", tmp_path / "roads.gpkg")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "roads.gpkg").exists()


def test_a_map_in_a_form_that_is_not_known(terralink: Run, scene: Write, tmp_path: Path) -> None:
    prob = tmp_path / "p.tif"
    terralink("predict", scene(), "--model", GREY, "--out", prob)
    ended = terralink("vectorize", prob, "--out", tmp_path / "roads.shp")
    assert ended.code == 2
    assert ".gpkg or .geojson" in ended.err


def test_a_scene_without_crs_works_in_pixels_and_says_so(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    arguments = ["extract", scene(crs=None), "--model", GREY, "--out", tmp_path / "maps"]
    ended = terralink(*arguments)
    assert ended.code == 0
    assert "has no CRS" in ended.err
    assert "--pixel-size" in ended.err
    assert ended.err.count("\n") == 1
    assert terralink(*arguments, "--pixel-size", "1").err == ""


def apart(setup: str, *arguments: object) -> "subprocess.Popen[str]":
    """A verb in a process of its own, after the Python code ``setup``."""
    code = f"import sys; {setup}; from terralink.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("verb", ["extract", "predict"])
def test_a_full_disk(verb: str, scene: Write, tmp_path: Path) -> None:
    """No file may grow past 4 kB: what a full disk looks like to a writer."""
    noise = np.random.default_rng(0).integers(120, 130, (3, 900, 900), dtype=np.uint8)
    out = tmp_path / "new"
    name = out / "prob.tif" if verb == "predict" else out
    setup = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    process = apart(setup, verb, scene(image=noise), "--model", GREY, "--out", name)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert err.startswith("terralink: cannot write")
    assert err.count("\n") == 1
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing_half_written(
    stop: signal.Signals, scene: Write, crossing: Any, tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    path = scene(image=np.tile(crossing, (1, 10, 5)))
    setup = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = apart(setup, "extract", path, "--model", GREY, "--out", out, "--tta")
    wait_for(lambda: out.exists() and any(out.iterdir()))
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert err == "terralink: stopped; partly written files were removed\n"
    assert list(out.iterdir()) == []


def wait_for(happened: Callable[[], bool], *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_output_folder_without_permission(
    terralink: Run, scene: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = scene(), tmp_path / "theirs"

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere
    ended = terralink("predict", path, "--model", GREY, "--out", out / "prob.tif")
    assert ended.code == 2
    assert "Permission denied; choose another path with --out" in ended.err
    assert ended.err.count("\n") == 1


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/sys takes no files, of root neither")


@LINUX
@pytest.mark.parametrize(
    ("verb", "arguments", "option"),
    [
        ("predict", ["--out", "/sys/prob.tif"], "--out"),
        ("predict", ["--out", "/sys/terralink/prob.tif"], "--out"),
        ("extract", ["--out", "/sys"], "--out"),
        ("extract", ["--out", "/sys/terralink"], "--out"),
        ("predict", ["--job", "/sys/terralink"], "--job"),
    ],
)
def test_a_folder_that_takes_no_files(
    verb: str, arguments: list[str], option: str, terralink: Run, scene: Write, tmp_path: Path
) -> None:
    out = [] if "--out" in arguments else ["--out", tmp_path / "prob.tif"]
    ended = terralink(verb, scene(), "--model", GREY, *out, *arguments)
    assert ended.code == 2
    line = ended.err.splitlines()[-1]
    assert line.startswith("terralink: cannot write /sys")
    assert line.endswith(f"choose another path with {option}")


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        (b'"pixel_size_m":1.0', b'"pixel_size_m":-10', "pixel_size_m"),
        (b'"tile_px":512', b'"tile_px":9e9', "tile_px"),
        (b'"bands":["red",', b'"bands":[99999,', "bands"),
        (b'"name":"grey"', b'"name":"\\n\\n"', "name"),
        (b'{"name":"grey"', b'["name":"grey"', "metadata"),
    ],
)
def test_a_model_file_with_hostile_metadata(
    was: bytes, becomes: bytes, told: str, refused: Run, scene: Write, tmp_path: Path
) -> None:
    assert len(was) == len(becomes)
    assert was in GREY.read_bytes()
    path = tmp_path / "hostile.onnx"
    path.write_bytes(GREY.read_bytes().replace(was, becomes))
    line = refused(scene(), "--model", path)
    assert "hostile.onnx" in line
    assert told in line


def test_bands_of_different_sizes(
    refused: Run, scene: Write, crossing: Any, tmp_path: Path
) -> None:
    names = ("red", "green", "blue")
    for band, name in enumerate(names):
        scene(f"{name}.tif", image=crossing[band : band + 1, : 400 - 100 * band])
    item = tmp_path / "item.json"
    item.write_text(json.dumps({"assets": {name: {"href": f"{name}.tif"} for name in names}}))
    line = refused(item)
    assert "the bands of a scene must have one size and position" in line
    assert "green.tif" in line


def test_a_crs_that_proj_does_not_know(refused: Run, scene: Write) -> None:
    wkt = (
        'PROJCS["odd",GEOGCS["odd",DATUM["odd",SPHEROID["odd",6378137,298.25]],'
        'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],'
        'PROJECTION["Unheard_Of"],UNIT["metre",1]]'
    )
    path = scene()
    vrt = path.with_suffix(".vrt")
    vrt.write_text(
        '<VRTDataset rasterXSize="400" rasterYSize="400">'
        f"<SRS>{wkt.replace(chr(34), '&quot;')}</SRS>"
        "<GeoTransform>600000, 1, 0, 4000000, 0, -1</GeoTransform>"
        + "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename>{path}'
            f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
            for band in (1, 2, 3)
        )
        + "</VRTDataset>"
    )
    assert "the CRS of" in refused(vrt)
