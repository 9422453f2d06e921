"""What a job is of: all that can change its bytes, down to the files inside a scene of many."""

import inspect
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from terralink import inference, raster, vectorize
from terralink.errors import InputError
from terralink.inference import tile_plan
from terralink.map_kind import MapKind
from terralink.pipeline import extract, jobs

UTM = CRS.from_epsg(32611)
LEVELS = np.random.default_rng(2).integers(60, 190, (4, 120, 160), dtype=np.uint8)


def tile(path: Path, *, col: int = 0, crs: CRS | None = UTM, repeated: int = 1) -> Path:
    path.parent.mkdir(exist_ok=True)
    levels = np.tile(LEVELS, (1, 1, repeated))
    grid = raster.Grid(levels.shape[1:], Affine(1, 0, 600_000 + col, 0, -1, 4_000_000), crs)
    with raster.RasterWriter(path, grid, bands=4) as writer:
        writer.write(0, 0, levels)
    return path


@pytest.fixture
def told(tmp_path: Path, grey: Path) -> Callable[..., dict[str, Any]]:
    """What ``job.json`` holds of a job that is begun with these options."""

    def begun(
        path: Path,
        options: vectorize.MapOptions = vectorize.RoadOptions(),
        *,
        model: inference.Predictor | None = None,
        tta: bool = False,
        **scene: Any,
    ) -> dict[str, Any]:
        with extract.open_map_job(
            tmp_path / "job",
            path,
            model or inference.load_model(grey),
            scene_options=raster.SceneOptions(**{"bands": (1, 2, 3), **scene}),
            options=options,
            tta=tta,
        ) as job:
            known: dict[str, Any] = json.loads((job.folder / "job.json").read_text())
        shutil.rmtree(tmp_path / "job")
        return known

    return begun


# Another value for each option of a scene, and whether it counts for a scene with a CRS.
SCENE: dict[str, tuple[Any, bool]] = {
    "assumed_pixel_size_m": (0.5, False),
    "assumed_crs": ("EPSG:32612", False),
    "bands": ((3, 2, 1), True),
    "stretch": (raster.Stretch((0.0,), (90.0,), (200.0,)), True),
    "no_data": ((0,), True),
    "area": (raster.Area.from_bounds((-116, 36, -115.8875, 37)), True),
    "mask_corrupt_blocks": (True, True),
}
# Another value for each option of each kind of map.
MAP: dict[MapKind, dict[str, Any]] = {
    MapKind.ROADS: {
        "threshold": 0.4,
        "weak_threshold": 0.1,
        "min_spur_m": 20.0,
        "max_gap_m": 20.0,
        "min_component_m": 20.0,
        "simplify_m": 2.0,
    },
    MapKind.BUILDINGS: {
        "threshold": 0.4,
        "neck": 0.4,
        "min_area_m2": 20.0,
        "min_hole_m2": 20.0,
        "simplify_m": 2.0,
        "right_angles": False,
    },
    MapKind.LANDCOVER: {
        "threshold": 0.4,
        "min_probability": 0.4,
        "min_area_m2": 20.0,
        "simplify_m": 2.0,
    },
}


def test_every_option_has_another_value_here() -> None:
    """A new option belongs in ``SCENE`` or ``MAP``, unless it cannot change the result."""
    assert {field.name for field in fields(raster.SceneOptions)} == set(SCENE)
    for kind, options in vectorize.MAP_OPTIONS.items():
        assert {field.name for field in fields(options)} == set(MAP[kind])
    arguments = set(inspect.signature(extract.extract_map).parameters)
    assert arguments - set(inspect.signature(extract.open_map_job).parameters) == {
        "out",
        "progress",
    }


@pytest.mark.parametrize("option", SCENE)
def test_an_option_of_the_scene_that_changes_the_result_changes_the_job(
    option: str, told: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    value, measured = SCENE[option]
    scene = tile(tmp_path / "a.tif", crs=UTM if measured else None)
    assert told(scene) == told(scene)
    assert told(scene, **{option: value}) != told(scene)


def test_options_of_the_map_change_the_job(
    told: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    scene = tile(tmp_path / "a.tif")
    known = [told(scene, tta=True), told(scene), told(scene, vectorize.LandcoverOptions())]
    assert [each for each in known if each == known[0]] == known[:1]
    assert known[1] != known[2]


@pytest.mark.parametrize(
    ("kind", "option"), [(kind, option) for kind, options in MAP.items() for option in options]
)
def test_each_option_of_a_kind_of_map_changes_the_settings(kind: MapKind, option: str) -> None:
    usual = vectorize.MAP_OPTIONS[kind]()
    other = replace(usual, **{option: MAP[kind][option]})
    assert extract.job_settings(other) != extract.job_settings(usual)


def test_jobs_of_earlier_versions_go_on() -> None:
    """What job.json held before options were dataclasses."""
    roads = {"threshold": None, "min_spur_m": 15.0, "max_gap_m": 30.0}
    assert extract.job_settings(vectorize.RoadOptions()) == roads
    assert extract.job_settings(vectorize.RoadOptions(threshold=0.4, min_spur_m=20)) == (
        roads | {"threshold": 0.4, "min_spur_m": 20}
    )
    buildings = roads | {"what": "buildings"}
    assert extract.job_settings(vectorize.BuildingOptions()) == buildings
    cover = roads | {"what": "landcover", "min_probability": 0.4}
    assert extract.job_settings(vectorize.LandcoverOptions(min_probability=0.4)) == cover


def test_weights_and_the_order_of_models_change_the_job(
    told: Callable[..., dict[str, Any]], tmp_path: Path, grey: Path
) -> None:
    scene, one = tile(tmp_path / "a.tif"), inference.load_model(grey)
    (tmp_path / "other.onnx").write_bytes(grey.read_bytes().replace(b"a stand-in", b"one for us"))
    other = inference.load_model(tmp_path / "other.onnx")
    known = [
        told(scene, model=inference.Ensemble(models, weights))["model"]["sha256"]
        for models, weights in [
            ([one, other], [1, 1]),
            ([one, other], [1, 3]),
            ([other, one], [1, 3]),
            ([one, one], [1, 1]),
        ]
    ]
    assert len(set(known)) == len(known)


def test_tiles_of_another_size_change_the_job(
    told: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = tile(tmp_path / "a.tif", repeated=10)
    before = told(scene)
    monkeypatch.setattr(tile_plan, "_TILE_PX", 1280)
    assert told(scene)["settings"]["tile_px"] != before["settings"]["tile_px"]


def of_many(folder: Path, kind: str) -> Path:
    """A scene of the files tiles/a.tif and tiles/b.tif, given as ``kind``."""
    first = tile(folder / "tiles" / "a.tif")
    if kind == "folder":
        return first.parent
    if kind == "pattern":
        return first.parent / "*.tif"
    if kind == "item":
        asset = {"href": "tiles/b.tif", "bands": [{"name": name} for name in "rgbn"]}
        (folder / "item.json").write_text(json.dumps({"assets": {"image": asset}}))
        return folder / "item.json"
    text = vrt(folder / "tiles" / "b.tif")
    (folder / "inner.vrt").write_text(text)
    (folder / "outer.vrt").write_text(vrt(folder / "inner.vrt"))
    return folder / ("inner.vrt" if kind == "VRT" else "outer.vrt")


def vrt(path: Path) -> str:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename>{path}'
        f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="160" rasterYSize="120">{bands}</VRTDataset>'


@pytest.mark.parametrize("kind", ["folder", "pattern", "item", "VRT", "VRT of a VRT"])
def test_a_file_inside_a_scene_that_changed_is_named(kind: str, tmp_path: Path, grey: Path) -> None:
    inside = tile(tmp_path / "tiles" / "b.tif", col=160)
    scene = of_many(tmp_path, kind)
    model, bands = inference.load_model(grey), tuple("rgb") if kind == "item" else (1, 2, 3)

    def begun() -> None:
        with extract.open_map_job(
            tmp_path / "job", scene, model, scene_options=raster.SceneOptions(bands=bands)
        ):
            pass

    begun()
    (inside.parent / "b.tif.aux.xml").write_text("<PAMDataset/>")  # written by who only looks
    begun()
    os.utime(inside, ns=(0, 0))
    with pytest.raises(InputError, match=r"scene files .*b\.tif mtime_ns") as caught:
        begun()
    assert "\n" not in str(caught.value)


def test_a_file_that_came_into_a_folder_makes_it_another_scene(tmp_path: Path, grey: Path) -> None:
    tile(tmp_path / "tiles" / "b.tif")
    scene = of_many(tmp_path, "folder")

    def begun() -> None:
        with extract.open_map_job(
            tmp_path / "job",
            scene,
            inference.load_model(grey),
            scene_options=raster.SceneOptions(bands=(1, 2, 3)),
        ) as job:
            assert isinstance(job, jobs.Job)

    begun()
    tile(tmp_path / "tiles" / "c.tif")
    with pytest.raises(InputError, match=r"scene files .*c\.tif bytes null"):
        begun()


def test_other_bands_of_a_stac_item_are_another_job(
    told: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assets = {}
    for band in range(4):
        grid = raster.Grid(LEVELS.shape[1:], Affine(1, 0, 600_000, 0, -1, 4_000_000))
        with raster.RasterWriter(tmp_path / f"{band}.tif", grid) as writer:
            writer.write(0, 0, LEVELS[band])
        assets["rgbn"[band]] = {"href": f"{band}.tif"}
    item = tmp_path / "item.json"
    item.write_text(json.dumps({"assets": assets}))
    known = [told(item, bands=tuple(bands))["scene"] for bands in ("rgb", "rgn", "bgr")]
    assert known[0] not in known[1:]
    assert known[1] != known[2]
