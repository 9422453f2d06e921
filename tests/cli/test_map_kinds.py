"""``extract`` makes the map of what its model sees, ``vectorize`` that of what a raster shows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from terralink import inference
from terralink.errors import InputError
from terralink.map_kind import MapKind, class_bands, kind_of
from terralink.model_card import Metadata
from terralink.pipeline import extract

Run = Callable[..., Any]
Write = Callable[..., Path]
Model = Callable[..., Path]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Write a model file whose classes are as probable as its bands are bright."""

    def write(*classes: str, threshold: float = 0.5) -> Path:
        onnx = pytest.importorskip("onnx")
        helper, count = onnx.helper, len(classes)
        shape = ["n", count, "h", "w"]
        full = onnx.numpy_helper.from_array(np.array(255.0, np.float32), "full")
        graph = helper.make_graph(
            [helper.make_node("Div", ["image", "full"], ["prob"])],
            "bright",
            [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("prob", onnx.TensorProto.FLOAT, shape)],
            [full],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        bands = ("red", "green", "blue") if count == 3 else ("grey",)
        card = Metadata(name="bright", classes=classes, bands=bands, threshold=threshold)
        helper.set_model_props(made, card.to_props())
        path = tmp_path / f"{'-'.join(classes)}.onnx".replace(" ", "_")
        onnx.save(made, path)
        return path

    return write


@pytest.fixture
def squares() -> np.ndarray[Any, Any]:
    """Bands (3, 300, 400): the third is bright on the ground, each other one in a block of it."""
    image = np.full((3, 300, 400), 10, np.uint8)
    image[2] = 200
    image[:, 50:110, 60:160] = np.array([220, 20, 10], np.uint8)[:, None, None]
    image[:, 150:250, 200:300] = np.array([10, 120, 90], np.uint8)[:, None, None]
    return image


def record_of(ended: Any) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    (record,) = json.loads(ended.out)["scenes"]
    return dict(record)


@pytest.mark.parametrize("cluster", [False, True])
def test_a_model_of_buildings_makes_buildings(
    cluster: bool, terralink: Run, scene: Write, model: Model, tmp_path: Path, squares: Any
) -> None:
    if cluster:
        pytest.importorskip("distributed")
    path, maps = scene(image=squares[:1]), tmp_path / "maps"
    more = ["--cluster", "local:1"] if cluster else []
    arguments = ("--model", model("building"), "--stretch", "none", "--out", maps, "--json", *more)
    record = record_of(terralink("extract", path, *arguments))
    assert (record["what"], record["buildings"]) == ("buildings", 1)
    (found,) = gpd.read_file(maps / "scene.gpkg", layer="buildings").geometry
    assert found.area == pytest.approx(6000, rel=0.01)
    assert len(found.exterior.coords) == 5
    with pytest.raises(Exception, match="roads"):
        gpd.read_file(maps / "scene.gpkg", layer="roads")


def test_a_model_of_several_classes_makes_land_cover_with_their_names(
    terralink: Run, scene: Write, model: Model, tmp_path: Path, squares: Any
) -> None:
    path, maps = scene(image=squares), tmp_path / "maps"
    arguments = ("--model", model("water", "wood & heath", "meadow"), "--stretch", "none")
    record = record_of(terralink("extract", path, *arguments, "--out", maps, "--json"))
    assert record["what"] == "landcover"
    assert record["class_area_m2"] == pytest.approx(
        {"0": 6000, "1": 10_000, "2": 104_000}, rel=0.01
    )
    assert record["class_names"] == {"0": "water", "1": "wood & heath", "2": "meadow"}
    found = gpd.read_file(maps / "scene.gpkg", layer="landcover")
    assert shapely.coverage_is_valid(found.geometry.to_numpy())
    assert dict(zip(found["class"], found["name"], strict=True))[1] == "wood & heath"
    out = tmp_path / "again.gpkg"
    probs = maps / "scene.prob.tif"
    ended = terralink("vectorize", probs, "--what", "landcover", "--out", out, "--json")
    again = json.loads(ended.out)
    assert again["class_area_m2"] == record["class_area_m2"]
    assert again["class_names"] == record["class_names"]


def test_a_job_of_land_cover_goes_on_to_the_same_map(
    terralink: Run, scene: Write, model: Model, tmp_path: Path, squares: Any
) -> None:
    path, job = scene(image=squares), tmp_path / "job"
    chosen = ("--model", model("a", "b", "c"), "--stretch", "none", "--out", tmp_path, "--json")
    first, again = (record_of(terralink("extract", path, *chosen, "--job", job)) for _ in range(2))
    assert first["class_area_m2"] == again["class_area_m2"]
    assert first["class_names"] == again["class_names"] == {"0": "a", "1": "b", "2": "c"}


def test_what_is_not_probable_enough_has_no_class(
    terralink: Run, scene: Write, model: Model, tmp_path: Path, squares: Any
) -> None:
    path = scene(image=squares)
    chosen = ("--model", model("a", "b", "c"), "--stretch", "none", "--out", tmp_path / "maps")
    record = record_of(terralink("extract", path, *chosen, "--min-probability", 0.6, "--json"))
    assert record["class_area_m2"] == pytest.approx({"0": 6000, "2": 104_000}, rel=0.01)


def test_a_model_of_fields_makes_polygons_of_fields(
    terralink: Run, scene: Write, model: Model, tmp_path: Path, squares: Any
) -> None:
    chosen = ("--model", model("field"), "--stretch", "none", "--out", tmp_path / "maps", "--json")
    record = record_of(terralink("extract", scene(image=squares[:1]), *chosen))
    assert record["what"] == "landcover"
    assert record["class_area_m2"] == pytest.approx({"1": 6000}, rel=0.01)
    assert record["class_names"] == {"1": "field"}


@pytest.mark.parametrize(
    ("classes", "what", "instead"),
    [
        (("building",), "roads", "buildings"),
        (("field",), "roads", "landcover"),
        (("water", "wood", "meadow"), "buildings", "landcover"),
        (("road",), "buildings", "roads"),
    ],
)
def test_what_the_model_does_not_see_is_refused_before_anything_is_computed(
    classes: tuple[str, ...],
    what: str,
    instead: str,
    terralink: Run,
    scene: Write,
    model: Model,
    tmp_path: Path,
    squares: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was computed")

    monkeypatch.setattr(inference, "predict_blocks", never)
    monkeypatch.setattr(inference, "predict_bands", never)
    path, file = scene(image=squares[: len(classes)]), model(*classes)
    ended = terralink("extract", path, "--model", file, "--what", what, "--out", tmp_path / "maps")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "bright" in ended.err
    assert f"--what {instead}" in ended.err
    assert not (tmp_path / "maps").exists()
    if what == "roads":
        with pytest.raises(InputError, match=instead):
            extract.extract_roads(path, file)


def test_of_several_classes_the_one_that_is_asked_for_is_taken(
    terralink: Run, scene: Write, model: Model, tmp_path: Path, squares: Any
) -> None:
    path, file = scene(image=squares), model("building", "road", "background")
    for what, key, wanted in (("buildings", "area_m2", 6000), ("landcover", "regions", 3)):
        chosen = ("--model", file, "--what", what, "--stretch", "none", "--threshold", 0.45)
        record = record_of(terralink("extract", path, *chosen, "--out", tmp_path, "--json"))
        assert record[key] == pytest.approx(wanted, rel=0.01)
    out = tmp_path / "found.gpkg"
    chosen_again = ("--what", "buildings", "--threshold", 0.45, "--out", out, "--json")
    ended = terralink("vectorize", tmp_path / "scene.prob.tif", *chosen_again)
    assert json.loads(ended.out)["area_m2"] == pytest.approx(6000, rel=0.01)


def test_a_probability_of_buildings_is_no_road_for_vectorize(
    terralink: Run, scene: Write, model: Model, tmp_path: Path, squares: Any
) -> None:
    chosen = ("--model", model("building"), "--stretch", "none", "--out", tmp_path / "prob.tif")
    terralink("predict", scene(image=squares[:1]), *chosen)
    ended = terralink("vectorize", tmp_path / "prob.tif", "--out", tmp_path / "roads.gpkg")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--what buildings" in ended.err
    assert not (tmp_path / "roads.gpkg").exists()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint16"])
def test_bands_of_any_program_become_land_cover(
    dtype: str, terralink: Run, scene: Write, tmp_path: Path, squares: Any
) -> None:
    probs = squares if dtype == "uint8" else (squares / 255).astype(np.float32)
    if dtype == "uint16":  # per ten thousand, as its scale says
        probs = np.rint(probs * 10_000).astype(np.uint16)
    path, out = scene(image=probs), tmp_path / "map.gpkg"
    if dtype == "uint16":
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
            file.scales = (0.0001,) * 3
    ended = terralink("vectorize", path, "--what", "landcover", "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["class_area_m2"] == pytest.approx(
        {"0": 6000, "1": 10_000, "2": 104_000}, rel=0.01
    )


def test_a_label_is_only_the_map_of_what_its_values_are_called(
    terralink: Run, scene: Write, tmp_path: Path
) -> None:
    image = np.full((3, 300, 200), 90, np.uint8)
    shapes = gpd.GeoSeries.from_wkt(["LINESTRING (600000 3999900, 600200 3999900)"], crs=32611)
    shapes.to_file(tmp_path / "street.gpkg", layer="roads")
    label = tmp_path / "label.tif"
    terralink("rasterize", tmp_path / "street.gpkg", "--like", scene(image=image), "--out", label)
    ended = terralink("vectorize", label, "--what", "buildings", "--out", tmp_path / "map.gpkg")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--what roads" in ended.err


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        (["road"], "roads"),
        (["Roads"], "roads"),
        (["background", "road"], "roads"),
        (["paved road", "unpaved-road", "other"], "roads"),
        (["building"], "buildings"),
        (["background", "building_footprint", "building border"], "buildings"),
        (["roof", "contact"], "buildings"),
        (["non-building", "building"], "buildings"),
        (["road", "building"], "landcover"),
        (["water", "forest", "road"], "landcover"),
        (["field"], "landcover"),
        (["field", "field boundary"], "landcover"),
        (["broad"], "landcover"),
    ],
)
def test_classes_tell_the_kind_of_map(classes: list[str], kind: str) -> None:
    assert kind_of(classes) == kind


def test_bands_are_found_by_the_names_of_their_classes() -> None:
    classes = ["background", "road", "building", "building border"]
    assert class_bands(MapKind.ROADS, classes, source="it") == [[1]]
    assert class_bands(MapKind.BUILDINGS, classes, source="it") == [[2], [3]]
    assert class_bands(MapKind.LANDCOVER, classes, source="it") == [[0], [1], [2], [3]]
    with pytest.raises(InputError, match="it shows water, and no roads"):
        class_bands(MapKind.ROADS, ["water"], source="it")
