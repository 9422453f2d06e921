"""Many processes on one scene: the bytes of one process, also when one of them dies."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from terralink import graph, inference, raster
from terralink.cli import main
from terralink.errors import InputError, UnreadableWarning
from terralink.pipeline import cluster, extract

pytest.importorskip("distributed", reason="needs the extra 'cluster'")

from distributed import Client


@pytest.fixture(scope="module")
def two() -> Iterator[Client]:
    with cluster.connect("local:2") as client:
        yield client


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Grey streets on green, of a dozen bands of the stand-in's tiles."""
    image = np.empty((3, 5000, 150), np.uint8)
    image[:] = np.array([90, 250, 80], np.uint8)[:, None, None]
    image[:, :, 75:] = np.array([10, 90, 5], np.uint8)[:, None, None]
    image[:, 100::130] = image[:, :, 100:109] = 128
    for row in range(9):
        image[:, 100 + row :: 130] = 128
    grid = raster.Grid((5000, 150), Affine(1, 0, 600_007, 0, -1, 4_000_013), CRS.from_epsg(32611))
    with raster.RasterWriter(tmp_path / "scene.tif", grid, bands=3) as writer:
        writer.write(0, 0, image)
    return tmp_path / "scene.tif"


def task(scene: Path, grey: Path, folder: Path) -> cluster.SceneTask:
    spec = cluster.ModelSpec.of(inference.load_model(grey), threads=1)
    return cluster.SceneTask(scene, folder / "map.gpkg", folder / "job", spec)


def assert_as_by_one(made: cluster.SceneTask, grey: Path, folder: Path) -> None:
    roads = extract.extract_roads(made.scene, grey, out=folder / "one.gpkg")
    found, expected = (extract.prob_path(path) for path in (made.out, folder / "one.gpkg"))
    assert found.read_bytes() == expected.read_bytes()
    assert np.array_equal(graph.RoadGraph.from_file(made.out).length_m, roads.length_m)


def test_two_processes_make_the_bytes_of_one(
    two: Client, scene: Path, grey: Path, tmp_path: Path
) -> None:
    wanted = task(scene, grey, tmp_path)
    assert list(cluster.run_tasks([wanted], two)) == [wanted]
    assert_as_by_one(wanted, grey, tmp_path)
    assert not (wanted.job / "bands").exists()


def test_a_worker_that_is_killed_changes_nothing(
    two: Client, scene: Path, grey: Path, tmp_path: Path
) -> None:
    wanted = task(scene, grey, tmp_path)
    killed = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while not any((wanted.job / "bands").glob("[0-9]*.npz")):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        victim = next(iter(two.run(os.getpid).values()))
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killer = Thread(target=kill)
    killer.start()
    assert list(cluster.run_tasks([wanted], two)) == [wanted]
    killer.join()
    assert killed
    assert_as_by_one(wanted, grey, tmp_path)


def test_what_workers_could_not_read_is_told_here(
    two: Client, scene: Path, grey: Path, tmp_path: Path
) -> None:
    content = bytearray(scene.read_bytes())
    content[-20:] = bytes(20)  # the last block
    scene.write_bytes(content)
    options = raster.SceneOptions(mask_corrupt_blocks=True, stretch=raster.Stretch.none())
    damaged = replace(task(scene, grey, tmp_path), scene_options=options)
    with pytest.warns(UnreadableWarning, match=r"1 block of .*scene\.tif .*rows 4608-5000"):
        assert list(cluster.run_tasks([damaged], two)) == [damaged]


def test_a_worker_tells_what_is_wrong(two: Client, grey: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(cluster.run_tasks([task(tmp_path / "none.tif", grey, tmp_path)], two))


def test_a_scheduler_at_an_address_is_used(
    two: Client, scene: Path, grey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["extract", scene, "--model", grey, "--out", tmp_path, "--job", tmp_path / "job"]
    address = two.scheduler.address
    assert main([*map(str, arguments), "--cluster", address]) == 0, capsys.readouterr().err
    assert str(tmp_path / "scene.gpkg") in capsys.readouterr().out
    assert len(graph.RoadGraph.from_file(tmp_path / "scene.gpkg")) > 10


def test_an_address_that_is_none_is_told(capsys: pytest.CaptureFixture[str], scene: Path) -> None:
    assert main(["extract", str(scene), "--cluster", "local:many"]) == 2
    assert "local:N with N from 1" in capsys.readouterr().err
