"""A folder of chips and its manifest: whole, honest, and read back as it was cut."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray

from terralink.data.chip_folder import MANIFEST, export_chips
from terralink.data.chips import IGNORE
from terralink.data.masks import RasterMasks, SceneVectorMasks, VectorMasks
from terralink.data.sources import SceneFolder
from terralink.data.windows import Scenes
from terralink.errors import InputError, OutputError
from terralink.raster import Stretch, read_raster

Write = Callable[..., Path]
NONE = Stretch.none()


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 256, shape).astype(np.uint8)


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / MANIFEST).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scenes(tif: Write, shapes: Write) -> Scenes:
    """A scene of 40 x 24 px in windows of 16, flat at its lower right, and a road across it."""
    levels = noise(3, 40, 24)
    levels[:, 30:, 14:] = 90
    road = shapes("roads.geojson", ("LineString", [(0.0, 8.0), (24.0, 8.0)]))
    labels = SceneVectorMasks(road, VectorMasks({"road": 1}, width_m=4))
    return Scenes([tif("town.tif", levels)], labels, 16, preset_stretch=NONE)


def test_chips_are_read_back_as_they_were_cut(scenes: Scenes, tmp_path: Path) -> None:
    rows = export_chips(scenes, tmp_path / "chips", names={1: "road"})
    source = SceneFolder(kind="scenes", folder="chips", stretch="none")  # type: ignore[arg-type]
    again = source.read(tmp_path)
    kept = [index for index, row in enumerate(rows) if row.name]
    assert len(again) == len(kept) == 5
    for number, index in enumerate(kept):
        chip, before = again[number], scenes[index]
        assert (chip.image == before.image).all()
        assert (chip.mask == before.mask).all()
        assert chip.pixel_size_m == pytest.approx(1, abs=0.01)
    assert set(source.groups(again)) == {str(scenes.paths[0])}
    by_window = source.model_copy(update={"split_by": "window"})
    assert len(set(by_window.groups(again))) == 5


def test_the_manifest_tells_place_and_parts_and_names_what_is_left_out(
    scenes: Scenes, tmp_path: Path
) -> None:
    export_chips(scenes, tmp_path / "chips")
    lines = manifest(tmp_path / "chips")
    assert [line["left_out"] for line in lines] == [""] * 5 + ["no signal"]
    first, right, last = lines[0], lines[1], lines[-1]
    assert first["chip"] == "town_00000_00000"
    assert (float(first["class_0"]), float(first["class_1"])) == (0.75, 0.25)
    assert float(right["no_data"]) == 0.5
    assert [float(right[side]) for side in ("left", "bottom", "right", "top")] == [
        600_016.0,
        3_999_984.0,
        600_032.0,
        4_000_000.0,
    ]
    assert (right["crs"], right["scene"]) == ("EPSG:32611", str(scenes.paths[0]))
    assert (last["chip"], last["row"], last["col"]) == ("", "32", "16")
    parts = [
        sum(float(line[key]) for key in ("no_data", "unlabelled", "class_0", "class_1"))
        for line in lines
    ]
    assert parts == pytest.approx([1] * 6, abs=1e-5)


def test_chips_are_tiled_compressed_and_tell_their_stretch_and_classes(
    tif: Write, shapes: Write, tmp_path: Path
) -> None:
    dark = (noise(3, 16, 16) * 8.0).astype(np.uint16)
    labels = SceneVectorMasks(shapes("none.geojson"), VectorMasks({"building": 1}))
    scenes = Scenes([tif("dark.tif", dark)], labels, 16)
    export_chips(scenes, tmp_path / "chips", names={1: "building"})
    with rasterio.open(tmp_path / "chips/images/dark_00000_00000.tif") as image:
        assert image.profile["tiled"]
        assert image.profile["compress"] == "zstd"
        assert image.dtypes == ("uint8",) * 3
        assert Stretch.from_tags(image.tags()) == scenes.stretch != NONE
    with rasterio.open(tmp_path / "chips/masks/dark_00000_00000.tif") as mask:
        assert json.loads(mask.tags()["classes"]) == {"1": "building"}
        assert mask.colormap(1)[1][:3] == (255, 196, 64)


def test_labels_that_count_nowhere_are_masked_and_told(tif: Write, tmp_path: Path) -> None:
    levels = np.zeros((1, 16, 16), np.uint8)
    levels[:, :4], levels[:, 4:8] = 255, 2
    scene, mask = tif("a.tif", noise(1, 16, 16)), tif("m.tif", levels)
    labels = RasterMasks({scene: mask}, {0: 0, 2: 2, 255: IGNORE})
    (row,) = export_chips(Scenes([scene], labels, 16, preset_stretch=NONE), tmp_path / "chips")
    assert (row.no_data, row.unlabelled, row.classes) == (0.0, 0.25, {0: 0.5, 2: 0.25})
    written = read_raster(tmp_path / "chips/masks/a_00000_00000.tif")
    assert written.valid is not None
    assert (written.valid == (levels[0] != 255)).all()


def test_shapes_are_cut_at_the_borders_of_their_chips(scenes: Scenes, tmp_path: Path) -> None:
    export_chips(scenes, tmp_path / "chips", with_shapes=True)
    told = json.loads((tmp_path / "chips/shapes/town_00000_00000.geojson").read_text())
    (feature,) = told["features"]
    assert feature["properties"] == {"class": "road", "width_m": 4.0}
    line = shapely.geometry.shape(feature["geometry"])
    assert line.length * 111_320 * np.cos(np.radians(36.1)) == pytest.approx(16, abs=0.1)
    empty = json.loads((tmp_path / "chips/shapes/town_00016_00000.geojson").read_text())
    assert empty["features"] == []


def test_without_labels_there_are_images_alone(tif: Write, tmp_path: Path) -> None:
    export_chips(Scenes([tif("a.tif", noise(3, 16, 16))], None, 16), tmp_path / "chips")
    assert {path.name for path in (tmp_path / "chips").iterdir()} == {"images", MANIFEST}


def test_a_folder_that_is_there_is_never_touched(scenes: Scenes, tmp_path: Path) -> None:
    mine = tmp_path / "chips" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("keep")
    with pytest.raises(OutputError, match="chips is there already, and not empty"):
        export_chips(scenes, mine.parent)
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


def test_a_crash_leaves_no_half_folder(
    scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Scenes.read

    def breaks(self: Scenes, index: int) -> Any:
        if index == 3:
            raise InputError("the disk is gone")
        return whole(self, index)

    monkeypatch.setattr(Scenes, "read", breaks)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match="gone"):
        export_chips(scenes, tmp_path / "chips")
    assert set(tmp_path.iterdir()) == before


def test_scenes_of_one_name_are_refused(tif: Write, tmp_path: Path) -> None:
    two = [tif("a/x.tif", noise(1, 16, 16)), tif("b/x.tif", noise(1, 16, 16))]
    with pytest.raises(InputError, match="chips of one name"):
        export_chips(Scenes(two, None, 16), tmp_path / "chips")
