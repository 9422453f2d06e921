import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.enums import ColorInterp, MaskFlags

from terralink.errors import OutputError
from terralink.raster import Grid, RasterWriter, open_scene, read_raster

GRID = Grid((700, 900), Affine(0.5, 0, 600000, 0, -0.5, 4000000), CRS.from_epsg(32611))
RNG = np.random.default_rng(5)
LEVELS = RNG.integers(0, 255, GRID.shape, dtype=np.uint8)
VALID = RNG.random(GRID.shape) > 0.3


def test_bands_of_rows_come_back_with_grid_mask_scale_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "prob.tif"
    with RasterWriter(path, GRID, scale=1 / 255, tags={"model": "roads"}, description="p") as out:
        for row in range(0, 700, 150):
            out.write(row, 0, LEVELS[row : row + 150], VALID[row : row + 150])
    raster = read_raster(path)
    np.testing.assert_array_equal(raster.array, LEVELS)
    assert raster.valid is not None
    np.testing.assert_array_equal(raster.valid, VALID)
    assert raster.grid == GRID
    with rasterio.open(path) as dataset:
        assert dataset.scales == (1 / 255,)
        assert dataset.tags()["model"] == "roads"
        assert dataset.descriptions == ("p",)
        assert dataset.block_shapes == [(512, 512)]
    assert os.listdir(tmp_path) == ["prob.tif"]  # noqa: PTH208 - hidden and .msk files count too


def test_blocks_of_many_bands_come_back(tmp_path: Path) -> None:
    image = RNG.normal(size=(2, *GRID.shape)).astype(np.float32)
    with RasterWriter(tmp_path / "i.tif", GRID, bands=2, dtype="float32") as out:
        for row in (0, 512):
            for col in (0, 512):
                out.write(row, col, image[:, row : row + 512, col : col + 512])
    raster = read_raster(tmp_path / "i.tif")
    np.testing.assert_array_equal(raster.array, image)
    assert raster.valid is None


def test_a_mask_that_comes_late_leaves_earlier_windows_valid(tmp_path: Path) -> None:
    with RasterWriter(tmp_path / "p.tif", GRID) as out:
        out.write(0, 0, LEVELS[:300])
        out.write(300, 0, LEVELS[300:], VALID[300:])
    raster = read_raster(tmp_path / "p.tif")
    assert raster.valid is not None
    assert raster.valid[:300].all()
    np.testing.assert_array_equal(raster.valid[300:], VALID[300:])


@pytest.mark.parametrize("masked", [True, False])
def test_what_was_written_can_be_read_before_the_file_is_whole(
    tmp_path: Path, masked: bool
) -> None:
    with RasterWriter(tmp_path / "p.tif", GRID) as out:
        out.write(0, 0, LEVELS[:300, :500])
        out.write(0, 500, LEVELS[:300, 500:], VALID[:300, 500:] if masked else None)
        levels, valid = out.read(100, 400, (200, 300))
        np.testing.assert_array_equal(levels, LEVELS[None, 100:300, 400:700])
        assert (valid is not None) == masked
        if valid is not None:
            assert valid[:, :100].all()
            np.testing.assert_array_equal(valid[:, 100:], VALID[100:300, 500:700])
            assert out.read(0, 0, (300, 500))[1] is None
        out.write(300, 0, LEVELS[300:])
    raster = read_raster(tmp_path / "p.tif")
    np.testing.assert_array_equal(raster.array, LEVELS)
    assert (raster.valid is not None) == masked


def test_a_raster_without_crs_stays_in_pixels(tmp_path: Path) -> None:
    with RasterWriter(tmp_path / "p.tif", Grid(GRID.shape, Affine.identity())) as out:
        out.write(0, 0, LEVELS)
    with open_scene(tmp_path / "p.tif") as scene:
        assert scene.grid == Grid(GRID.shape, Affine.identity())


@pytest.mark.parametrize(
    "more",
    [
        {"scale": 1 / 255},
        {"colormap": {0: (0, 0, 0), 7: (255, 200, 0)}},
        {"bands": 3},
        {"dtype": "float32"},
    ],
    ids=["levels", "classes", "image", "floats"],
)
@pytest.mark.parametrize("masked", [True, False])
def test_what_is_written_is_a_cog(tmp_path: Path, more: dict[str, Any], masked: bool) -> None:
    rio_cogeo = pytest.importorskip("rio_cogeo.cogeo")
    path = tmp_path / "p.tif"
    image = np.repeat(LEVELS[None], more.get("bands", 1), axis=0)
    with RasterWriter(path, GRID, **more) as out:
        for row in range(0, 700, 300):
            rows = slice(row, row + 300)
            out.write(row, 0, image[:, rows], VALID[rows] if masked else None)
    assert rio_cogeo.cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1) == [2]
        kind = MaskFlags.per_dataset if masked else MaskFlags.all_valid
        assert kind in dataset.mask_flag_enums[0]
        assert ("colormap" in more) == (dataset.colorinterp[0] == ColorInterp.palette)


def test_statistics_are_those_of_valid_pixels(tmp_path: Path) -> None:
    with RasterWriter(tmp_path / "p.tif", GRID) as out:
        out.write(0, 0, LEVELS[:300], VALID[:300])
        out.write(300, 0, LEVELS[300:])
    known = np.concatenate([LEVELS[:300][VALID[:300]], LEVELS[300:].ravel()])
    with rasterio.open(tmp_path / "p.tif") as dataset:
        tags = dataset.tags(1)
        found = [float(tags[f"STATISTICS_{name}"]) for name in ("MINIMUM", "MAXIMUM", "MEAN")]
        assert found == pytest.approx([known.min(), known.max(), known.mean()])
        assert float(tags["STATISTICS_STDDEV"]) == pytest.approx(known.std())


def test_overviews_are_means_of_levels_and_levels_of_classes(tmp_path: Path) -> None:
    levels = np.zeros(GRID.shape, np.uint8)
    levels[:, ::2] = 100
    for name, colours in (("mean", None), ("class", {0: (0, 0, 0), 100: (9, 9, 9)})):
        with RasterWriter(tmp_path / f"{name}.tif", GRID, colormap=colours) as out:
            out.write(0, 0, levels)
        with rasterio.open(tmp_path / f"{name}.tif", overview_level=0) as dataset:
            assert set(np.unique(dataset.read())) <= ({50} if colours is None else {0, 100})


def break_off(path: Path, error: type[BaseException]) -> None:
    with RasterWriter(path, GRID) as out:
        out.write(0, 0, LEVELS[:300], VALID[:300])
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_is_broken_off_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "p.tif").write_text("older")
    with pytest.raises(error):
        break_off(tmp_path / "p.tif", error)
    assert [path.name for path in tmp_path.iterdir()] == ["p.tif"]
    assert (tmp_path / "p.tif").read_text() == "older"


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError), RasterWriter(tmp_path / "file" / "p.tif", GRID):
        pass


def test_a_disk_without_room_is_told_before_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with (
        pytest.raises(OutputError, match=r"the disk is full.*0\.0 MB are free"),
        RasterWriter(tmp_path / "p.tif", GRID) as out,
    ):
        out.write(0, 0, LEVELS)
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, sys
import numpy as np
from affine import Affine
from terralink.errors import OutputError
from terralink.raster import Grid, RasterWriter

levels = np.random.default_rng(0).integers(0, 255, (600, 600), dtype=np.uint8)

def size_limit(limit_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))

for limit_bytes in range(0, 380_000, 38_000):
    size_limit(limit_bytes)
    try:
        with RasterWriter(sys.argv[1], Grid((600, 600), Affine.identity())) as out:
            out.write(0, 0, levels, levels > 200)
    except OutputError as error:
        size_limit(resource.RLIM_INFINITY)
        print(error)
"""


def test_a_file_that_cannot_grow_is_told_even_where_gdal_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "p.tif"
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True
    )
    lines = run.stdout.splitlines()
    assert len(lines) == 10
    assert all(line.startswith(f"cannot write {path}: ") for line in lines)
    assert list(tmp_path.iterdir()) == []
