"""A job that is killed and started again: the same bytes as never killed, and nothing twice."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from terralink import inference, raster, vectorize
from terralink.atomic_write import draft_folder
from terralink.cli import main
from terralink.errors import InputError, OutputError, TerralinkError, UnreadableWarning
from terralink.inference import tile_plan
from terralink.pipeline import extract, jobs

SMALL_TILES = "from terralink.inference import tile_plan; tile_plan._TILE_PX = 256"
UTM = CRS.from_epsg(32611)


def streets(path: Path, shape: tuple[int, int] = (1700, 150)) -> Path:
    """A grid of grey streets on green, with a corner that is not known."""
    image = np.empty((3, *shape), np.uint8)
    image[:] = np.array([90, 250, 80], np.uint8)[:, None, None]
    image[:, :, shape[1] // 2 :] = np.array([10, 90, 5], np.uint8)[:, None, None]
    for start in range(100, max(shape), 130):
        image[:, start : start + 9, :] = 128
        image[:, :, start : start + 9] = 128
    known = np.ones(shape, bool)
    known[:500, :40] = False
    grid = raster.Grid(shape, Affine(1, 0, 600_007, 0, -1, 4_000_013), UTM)
    with raster.RasterWriter(path, grid, bands=3) as writer:
        writer.write(0, 0, image, known)
    return path


def content(gpkg: Path) -> list[str]:
    """Everything in a GeoPackage but the moments at which it was written."""
    with closing(sqlite3.connect(gpkg)) as base:
        rows = list(base.iterdump())
    return [re.sub(r"'\d{4}-\d\d-\d\dT[\d:.]+Z'", "'now'", row) for row in rows]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_plan, "_TILE_PX", 256)


@pytest.fixture
def model(grey: Path) -> inference.Model:
    return inference.load_model(grey)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return streets(tmp_path / "scene.tif")


@pytest.fixture
def plain(scene: Path, model: inference.Model, tmp_path: Path) -> Path:
    """The map that was made without a job."""
    out = tmp_path / "plain" / "map.gpkg"
    extract.extract_roads(scene, model, out=out)
    return out


def assert_same(found: Path, expected: Path) -> None:
    probs = [extract.prob_path(path).read_bytes() for path in (found, expected)]
    assert probs[0] == probs[1]
    assert content(found) == content(expected)


def test_bands_made_apart_are_those_of_the_whole_scene(scene: Path, model: inference.Model) -> None:
    with raster.open_scene(scene) as opened:
        whole = list(inference.predict_bands(model, opened))
        assert inference.count_bands(model, opened) == len(whole) >= 3
        for first, stop in [(0, 1), (1, 2), (1, len(whole)), (len(whole) - 1, len(whole))]:
            parts = list(inference.predict_bands(model, opened, first=first, stop=stop))
            assert len(parts) == stop - first
            for part, band in zip(parts, whole[first:stop], strict=True):
                assert part.grid == band.grid
                assert np.array_equal(part.array, band.array)


class KilledError(Exception):
    """In the place of a signal."""


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_job_goes_on_where_it_died(
    killed_after: int, scene: Path, model: inference.Model, plain: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job, out = tmp_path / "job", tmp_path / "map.gpkg"
    told = []

    def die(part: float) -> None:
        told.append(part)
        if len(told) == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        extract.extract_roads(scene, model, out=out, job=job, progress=die)
    assert not out.exists()
    # a strip has the rows of two bands; others are made ahead
    assert len(list((job / "bands").iterdir())) >= 2 * killed_after
    written = {path: path.stat().st_mtime_ns for path in (job / "bands").iterdir()}

    def as_they_were(part: float) -> None:
        if part < 1:  # at its end the bands go
            assert all(path.stat().st_mtime_ns == when for path, when in written.items())

    extract.extract_roads(scene, model, out=out, job=job, progress=as_they_were)
    assert_same(out, plain)
    assert not (job / "bands").exists()

    def none(*_: object, **__: object) -> None:
        raise AssertionError("a finished job has nothing to do")

    monkeypatch.setattr(inference, "predict_bands", none)
    again = extract.extract_roads(scene, model, out=out, job=job)
    assert len(again) > 10


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda _: b"", None])
def test_a_band_that_was_spoilt_on_disk_is_made_again(
    spoil: Callable[[bytes], bytes] | None, scene: Path, model: inference.Model, plain: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    job, out = tmp_path / "job", tmp_path / "map.gpkg"
    with raster.open_scene(scene) as opened:
        settings = {"threshold": None, "min_spur_m": 15.0, "max_gap_m": 30.0}
        assert len(list(jobs.open_job(job, model, opened, settings=settings).bands())) >= 3
    band = job / "bands" / "000001.npz"
    data = band.read_bytes()
    middle = len(data) // 2
    other = bytes([data[middle] ^ 255])
    band.write_bytes(spoil(data) if spoil else data[:middle] + other + data[middle + 1 :])
    extract.extract_roads(scene, model, out=out, job=job)
    assert_same(out, plain)


def test_a_job_of_something_else_is_refused(
    scene: Path, model: inference.Model, tmp_path: Path
) -> None:
    job, out = tmp_path / "job", tmp_path / "map.gpkg"
    extract.extract_roads(scene, model, out=out, job=job)

    def refused(which: str, **other: object) -> None:
        arguments = {"path": scene, "model": model, "out": out, "job": job, **other}
        with pytest.raises(InputError, match=which) as told:
            extract.extract_roads(**arguments)  # type: ignore[arg-type]
        assert "\n" not in str(told.value)

    refused("settings threshold null, not 0.4", options=vectorize.RoadOptions(threshold=0.4))
    refused("settings tta false, not true", tta=True)
    refused("model sha256", model="roads")
    refused("model sha256", model=inference.Ensemble([model, model]))
    refused("scene path", path=streets(tmp_path / "other.tif"))
    refused("out", out=None)
    os.utime(scene, ns=(0, 0))
    refused(r"scene files .*scene\.tif mtime_ns")


def test_a_start_gets_on_while_it_reads_what_is_there(
    scene: Path, model: inference.Model, tmp_path: Path
) -> None:
    with raster.open_scene(scene) as opened:
        job = jobs.open_job(tmp_path / "job", model, opened)
        whole = list(inference.predict_bands(model, opened))
        assert len(list(job.compute(1, 2))) == 1
        bands = job.bands()
        assert next(bands).grid == whole[0].grid
        wait_for(lambda: bands_in(tmp_path / "job") == job.count)  # and nobody asks for more
        for band, expected in zip(bands, whole[1:], strict=True):
            assert band.grid == expected.grid
            assert np.array_equal(band.array, expected.array)


def wait_for(happened: Callable[[], bool], *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_that_died_while_its_bands_were_removed_has_none_after(
    scene: Path,
    model: inference.Model,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, out = tmp_path / "job", tmp_path / "map.gpkg"

    def die(bands: Path, **_: object) -> None:
        (bands / "000000.npz").unlink()
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr("terralink.pipeline.jobs.shutil.rmtree", die)
        with pytest.raises(KilledError):
            extract.extract_roads(scene, model, out=out, job=job)
    assert bands_in(job) >= 2
    extract.extract_roads(scene, model, out=out, job=job)
    assert not (job / "bands").exists()
    assert_same(out, plain)


def test_what_could_not_be_read_is_told_whoever_read_it(
    scene: Path, model: inference.Model, tmp_path: Path
) -> None:
    spoil(scene, block=(1, 0))
    job = tmp_path / "job"
    how = raster.SceneOptions(stretch=raster.Stretch.none(), mask_corrupt_blocks=True)
    lost = r"1 block of .* is masked: rows 512-1024, columns 0-150"
    with (
        pytest.warns(UnreadableWarning, match=lost),
        extract.open_map_job(job, scene, model, scene_options=how) as begun,
    ):
        assert len(list(begun.bands())) > 2
    with pytest.warns(UnreadableWarning, match=lost):
        extract.extract_roads(scene, model, out=tmp_path / "map.gpkg", job=job, scene_options=how)
    with pytest.warns(UnreadableWarning, match=lost):
        extract.extract_roads(scene, model, out=tmp_path / "plain.gpkg", scene_options=how)
    assert_same(tmp_path / "map.gpkg", tmp_path / "plain.gpkg")


def spoil(path: Path, *, block: tuple[int, int]) -> None:
    """Overwrite the first bytes of a block (row, col) of a GeoTIFF."""
    with rasterio.open(path) as dataset:
        name = "BLOCK_OFFSET_{1}_{0}".format(*block)
        start = int(dataset.get_tag_item(name, "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(20))


def test_a_job_that_died_at_its_first_word_is_begun(
    scene: Path, model: inference.Model, plain: Path, tmp_path: Path
) -> None:
    (tmp_path / "job").mkdir()
    draft_folder(tmp_path / "job" / "job.json").mkdir()
    (draft_folder(tmp_path / "job" / "job.json") / "result.json").write_text('{"terra')
    extract.extract_roads(scene, model, out=tmp_path / "map.gpkg", job=tmp_path / "job")
    assert_same(tmp_path / "map.gpkg", plain)
    assert {path.name for path in (tmp_path / "job").iterdir()} == {"job.json", "lock"}


def test_a_folder_that_is_no_job_is_left_alone(
    scene: Path, model: inference.Model, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").touch()
    with pytest.raises(InputError, match="has other files"):
        extract.extract_roads(scene, model, out=tmp_path / "map.gpkg", job=tmp_path / "pictures")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "job.json").write_text('{"terralink"')
    with pytest.raises(InputError, match=r"job.json cannot be read"):
        extract.extract_roads(scene, model, out=tmp_path / "map.gpkg", job=tmp_path / "broken")


def test_a_job_that_cannot_be_locked_is_told(
    scene: Path, model: inference.Model, tmp_path: Path
) -> None:
    (tmp_path / "job" / "lock").mkdir(parents=True)  # opened by nobody, not even by root
    with raster.open_scene(scene) as opened:
        kept = jobs.Job(tmp_path / "job", model, opened, tta=False)
        with (
            pytest.raises(OutputError, match=r"lock: Is a directory; .*--job"),
            jobs.exclusive(kept, []),
        ):
            pass


def test_two_do_not_work_on_one_job(scene: Path, model: inference.Model, tmp_path: Path) -> None:
    def second(_part: float) -> None:
        extract.extract_roads(scene, model, out=tmp_path / "map.gpkg", job=tmp_path / "job")

    with pytest.raises(OutputError, match="is working on"):
        extract.extract_roads(
            scene, model, out=tmp_path / "map.gpkg", job=tmp_path / "job", progress=second
        )


def test_a_wide_scene_is_kept_in_columns(
    model: inference.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terralink.inference.tile_plan._WIDEST_PX", 1024)
    wide = streets(tmp_path / "wide.tif", (150, 1700))
    extract.extract_roads(wide, model, out=tmp_path / "plain.gpkg")
    with raster.open_scene(wide) as opened:
        settings = {"threshold": None, "min_spur_m": 15.0, "max_gap_m": 30.0}
        made = jobs.open_job(tmp_path / "job", model, opened, settings=settings).compute(1, 2)
        assert len(list(made)) == 1
    extract.extract_roads(wide, model, out=tmp_path / "map.gpkg", job=tmp_path / "job")
    assert_same(tmp_path / "map.gpkg", tmp_path / "plain.gpkg")


def apart(setup: str, *arguments: object) -> "subprocess.Popen[str]":
    """``terralink extract`` in a process of its own, after the Python code ``setup``."""
    code = f"import sys; {setup}; from terralink.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "extract", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_at_random_moments_it_comes_to_the_same_bytes(
    scene: Path, grey: Path, plain: Path, tmp_path: Path
) -> None:
    maps, job = tmp_path / "maps", tmp_path / "job"
    arguments = [scene, "--model", grey, "--out", maps, "--job", job]
    chance = random.Random(6)
    for _ in range(3):
        process = apart(SMALL_TILES, *arguments)
        already = bands_there(job)
        while process.poll() is None and bands_there(job) == already < 3:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    extract.extract_roads(scene, grey, out=maps / "scene.gpkg", job=job / "scene")
    assert_same(maps / "scene.gpkg", plain)
    assert {path.name for path in maps.iterdir()} == {"scene.gpkg", "scene.prob.tif"}
    assert json.loads((job / "scene" / "job.json").read_text())["results"]


def bands_there(job: Path) -> int:
    return len(list((job / "scene" / "bands").glob("[0-9]*.npz")))


def test_a_full_disk_keeps_what_was_done(
    scene: Path,
    model: inference.Model,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, out = tmp_path / "job", tmp_path / "map.gpkg"
    whole = np.lib.format.write_array

    def full(*arguments: object, **more: object) -> None:
        if bands_in(job) == 2:
            raise OSError(28, "No space left on device")
        whole(*arguments, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(np.lib.format, "write_array", full)
        with pytest.raises(TerralinkError, match="disk is full; free some space and start again"):
            extract.extract_roads(scene, model, out=out, job=job)
    assert bands_in(job) == 2
    assert not out.exists()
    extract.extract_roads(scene, model, out=out, job=job)
    assert_same(out, plain)


def bands_in(job: Path) -> int:
    return len(list((job / "bands").glob("[0-9]*.npz")))


def test_predict_keeps_its_bands_too(scene: Path, grey: Path, tmp_path: Path) -> None:
    def predicted(name: str, *more: object) -> Path:
        arguments = ["predict", scene, "--model", grey, "--out", tmp_path / name, *more]
        assert main([str(argument) for argument in arguments]) == 0
        return tmp_path / name

    alone, kept = predicted("alone.tif"), predicted("kept.tif", "--job", tmp_path / "job")
    assert alone.read_bytes() == kept.read_bytes()
    before = kept.stat().st_mtime_ns
    assert predicted("kept.tif", "--job", tmp_path / "job").stat().st_mtime_ns == before
