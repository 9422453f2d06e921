"""Labels as files: their values, names, palette and mask."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from terralink.errors import InputError, SceneError
from terralink.raster import Grid, RasterWriter, read_raster, tile_grid
from terralink.raster.source import open_source
from terralink.vector import labels
from terralink.vector.labels import LabelClass
from terralink.vector.rasterize import Shapes

UTM = CRS.from_epsg(32611)
GRID = Grid((600, 4200), Affine(0.5, 0, 600000, 0, -0.5, 4000000), UTM)
STREET = Shapes.from_geometries(
    [shapely.LineString([(599900, 3999850), (603000, 3999800)])], width_m=8
)
HOUSE = Shapes.from_geometries([shapely.box(600040, 3999700, 602080, 3999900)])
BOTH = [LabelClass("road", 1, STREET), LabelClass("building", 2, HOUSE)]


def scene(path: Path, grid: Grid = GRID, valid: slice | None = None) -> Path:
    known = np.zeros(grid.shape, bool)
    known[valid or slice(None)] = True
    with RasterWriter(path, grid) as writer:
        writer.write(0, 0, np.full(grid.shape, 7, np.uint8), None if valid is None else known)
    return path


def test_the_last_class_is_seen() -> None:
    label = labels.draw_label(BOTH, GRID).array
    assert set(np.unique(label)) == {0, 1, 2}
    np.testing.assert_array_equal(label == 2, HOUSE.burn(GRID))
    assert (label[STREET.burn(GRID)] > 0).all()


def test_a_label_that_is_written_in_windows_is_the_one_that_is_drawn(tmp_path: Path) -> None:
    with open_source(scene(tmp_path / "scene.tif")) as source:
        pixels = labels.write_label(tmp_path / "label.tif", BOTH, source)
    label = read_raster(tmp_path / "label.tif")
    np.testing.assert_array_equal(label.array, labels.draw_label(BOTH, GRID).array)
    assert label.grid == GRID
    assert pixels == {"road": (label.array == 1).sum(), "building": (label.array == 2).sum()}


def test_a_label_names_and_colours_its_classes(tmp_path: Path) -> None:
    with open_source(scene(tmp_path / "scene.tif")) as source:
        labels.write_label(tmp_path / "label.tif", BOTH, source)
    with rasterio.open(tmp_path / "label.tif") as dataset:
        assert json.loads(dataset.tags()["classes"]) == {"1": "road", "2": "building"}
        colours = dataset.colormap(1)
        assert dataset.dtypes == ("uint8",)
        assert dataset.profile["tiled"]
    assert len({colours[value] for value in (0, 1, 2)}) == 3


def test_what_the_scene_does_not_show_is_masked_in_its_label(tmp_path: Path) -> None:
    with open_source(scene(tmp_path / "scene.tif", valid=slice(100, 450))) as source:
        labels.write_label(tmp_path / "label.tif", BOTH, source)
    label = read_raster(tmp_path / "label.tif")
    assert label.valid is not None
    assert np.flatnonzero(label.valid.all(axis=1)).tolist() == list(range(100, 450))
    assert not label.array[~label.valid].any()


def test_a_scene_that_lies_nowhere_is_refused(tmp_path: Path) -> None:
    path = scene(tmp_path / "scene.tif", Grid((9, 9), Affine.identity()))
    with open_source(path) as source, pytest.raises(SceneError, match=r"no CRS.*--crs EPSG"):
        labels.write_label(tmp_path / "label.tif", BOTH, source)
    assert not (tmp_path / "label.tif").exists()


def test_a_tile_lies_where_its_name_says(tmp_path: Path) -> None:
    path = scene(tmp_path / "OAM-386690-220241-19.tif", Grid((512, 512), Affine.identity()))
    with open_source(path) as source:
        assert labels.find_tile_grid(source) == tile_grid(386690, 220241, 19, side_px=512)


def test_what_is_no_tile_is_told(tmp_path: Path) -> None:
    oblong = scene(tmp_path / "1-2-3.tif", Grid((9, 8), Affine.identity()))
    with open_source(oblong) as source, pytest.raises(SceneError, match="8 x 9 px"):
        labels.find_tile_grid(source)
    unnamed = scene(tmp_path / "scene.tif", Grid((9, 9), Affine.identity()))
    with open_source(unnamed) as source, pytest.raises(InputError, match="x-y-z"):
        labels.find_tile_grid(source)
