"""Rows that are read back from the file are those of the bands, whatever was written to it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import CRS
from shapely import Polygon

from terralink import inference
from terralink.inference import probability_file, tile_plan
from terralink.model_card import Metadata
from terralink.raster import (
    Area,
    Raster,
    RasterWriter,
    Scene,
    SceneOptions,
    open_scene,
    read_raster,
)

UTM = CRS.from_epsg(32611)


class Colours:
    """A stand-in of two classes: an image's red and green are what it says of them."""

    metadata = Metadata(name="colours", classes=("red", "green"))
    provider = "this test"

    def predict_uint8(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        return (image[:2] for image in images)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_plan, "_TILE_PX", 512)  # the picture has three rows of four


@pytest.fixture(params=["as it is", "very wide", "an area of it", "without holes"])
def scene(
    picture: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Scene]:
    if request.param == "very wide":
        monkeypatch.setattr(tile_plan, "_WIDEST_PX", 1000)
    if request.param == "without holes":
        raster = read_raster(picture)
        with RasterWriter(tmp_path / "whole.tif", raster.grid, bands=3) as writer:
            writer.write(0, 0, raster.array)
        picture = tmp_path / "whole.tif"
    with open_scene(picture) as whole:
        grid = whole.grid
    corners = Polygon(np.column_stack(grid.xy([60, 1000, 700], [40, 90, 690])))
    area = Area(corners, UTM, "a triangle") if request.param == "an area of it" else None
    with open_scene(picture, SceneOptions(area=area)) as opened:
        yield opened


def joined(parts: list[Raster]) -> Raster:
    """Rows as one, after a look at whether they follow each other."""
    grid = parts[0].grid
    rows = 0
    for part in parts:
        assert part.grid == grid.window(rows, 0, part.grid.shape)
        rows += part.grid.height
    valid = [np.ones(p.grid.shape, bool) if p.valid is None else p.valid for p in parts]
    array = np.concatenate([part.array for part in parts], axis=-2)
    return Raster(array, grid.window(0, 0, (rows, grid.width)), np.concatenate(valid))


@pytest.mark.parametrize("rows", [100, 512])
@pytest.mark.parametrize("model", [Colours(), "grey"], ids=["two classes", "one"])
def test_rows_from_the_file_are_those_of_the_bands(
    model: inference.Predictor | str, rows: int, scene: Scene, grey: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(probability_file, "_STRIP_ROWS", rows)
    ready = inference.load_model(grey) if isinstance(model, str) else model
    bands = list(inference.predict_bands(ready, scene))
    for _ in inference.write_blocks(tmp_path / "bands.tif", ready, scene, bands):
        pass
    expected = joined(bands)
    for name, parts in [("b", bands), ("tiles", inference.predict_blocks(ready, scene))]:
        strips = list(inference.write_and_read_rows(tmp_path / f"{name}.tif", ready, scene, parts))
        assert len(strips) == inference.count_strips(ready, scene) > 1
        assert max(strip.grid.height for strip in strips) == rows
        found = joined(strips)
        assert found.grid == expected.grid
        np.testing.assert_array_equal(found.array, expected.array)
        np.testing.assert_array_equal(found.valid, expected.valid)
        written = (tmp_path / f"{name}.tif").read_bytes()
        assert written == (tmp_path / "bands.tif").read_bytes()


def test_rows_go_out_as_fast_as_blocks_come_in(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probability_file, "_STRIP_ROWS", 32)
    told = []

    def blocks(opened: Scene) -> Iterator[Raster]:
        for block in inference.predict_blocks(Colours(), opened):
            told.append("block")
            yield block
        told.append("the last came")

    with open_scene(picture) as opened:
        for _ in inference.write_and_read_rows(
            tmp_path / "p.tif", Colours(), opened, blocks(opened)
        ):
            told.append("strip")
    before, last = "".join(word[0] for word in told).split("t")
    strips = [len(after) for after in before.split("b")[1:]]
    across, down = 4, 3  # tiles; a row of them is 8 strips
    assert len(strips) == across * down
    assert strips[: across - 1] == [0, 0, 0]
    assert all(1 <= count <= 3 for count in strips[across - 1 :])
    assert len(last) <= 8
