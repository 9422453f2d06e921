"""What part of a scene a verb looks at, and what it does about parts that cannot be read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from terralink import raster
from terralink.atomic_write import draft_folder
from terralink.inference import Model

GREY = Path(__file__).with_name("grey.onnx")
Run = Callable[..., Any]
Write = Callable[..., Path]
TO_DEGREES = Transformer.from_crs(32611, 4326, always_xy=True)


@pytest.fixture
def predicted(terralink: Run, tmp_path: Path) -> Callable[..., Any]:
    def run(scene: object, *more: object) -> Any:
        out = tmp_path / "prob.tif"
        ended = terralink("predict", scene, "--model", GREY, "--out", out, *more)
        assert ended.code == 0, ended.err
        with rasterio.open(out) as dataset:
            return dataset.read(1), dataset.dataset_mask() > 0, dataset.bounds, ended.err

    return run


@pytest.mark.parametrize("by", ["file", "bounds"])
def test_only_the_area_is_predicted(by: str, predicted: Run, scene: Write, tmp_path: Path) -> None:
    told = told_as(by, (600150, 3999750, 600300, 3999850), tmp_path)
    whole = predicted(scene())[0]
    part, valid, place, _ = predicted(scene(), *told)
    assert place == pytest.approx((600150, 3999750, 600300, 3999850), abs=5)
    row, col = round(4000000 - place.top), round(place.left - 600000)
    there = whole[row : row + part.shape[0], col : col + part.shape[1]]
    assert valid.mean() > 0.9
    assert (part == there * valid).all()
    assert part.any()


@pytest.mark.parametrize("job", [False, True])
def test_a_finer_scene_gets_its_own_pixels_back(
    job: bool, predicted: Run, scene: Write, crossing: Any, tmp_path: Path
) -> None:
    fine = scene(image=crossing.repeat(2, 1).repeat(2, 2), pixel_size_m=0.5)
    on_model = predicted(fine)[0]
    more = ("--job", tmp_path / "job") if job else ()
    native, valid, place, _ = predicted(fine, "--native", *more)
    assert native.shape == (800, 800)
    assert valid.all()
    assert place == (600000, 3999600, 600400, 4000000)
    assert on_model.shape == (400, 400)
    each = native.astype(int).reshape(400, 2, 400, 2).mean(axis=(1, 3))
    assert np.abs(each - on_model).mean() < 10  # edges are smoothed
    assert {path.suffix for path in tmp_path.glob(".*")} == set()


def test_what_a_killed_native_one_leaves_has_names_that_the_next_sweeps(
    predicted: Run, scene: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left: list[Path] = []
    regrid = raster.regrid

    def watched(*given: Any) -> None:
        left.extend(path for path in tmp_path.glob(".*"))
        regrid(*given)
        left.extend(path for path in tmp_path.glob(".*"))

    monkeypatch.setattr(raster, "regrid", watched)
    predicted(scene(pixel_size_m=0.5), "--native")
    assert set(left) == {draft_folder(tmp_path / "prob.tif")}


def test_native_is_nothing_more_where_the_pixels_are_the_models(
    predicted: Run, scene: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster, "regrid", None)
    assert (predicted(scene(), "--native")[0] == predicted(scene())[0]).all()


def test_tiles_without_data_are_not_inferred(
    predicted: Run, scene: Write, crossing: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wide = scene(image=np.tile(crossing, (1, 1, 12)))
    ends = [
        shapely.box(600000, 3999700, 600050, 3999800),
        shapely.box(604700, 3999700, 604790, 3999800),
    ]
    degrees = shapely.transform(shapely.union_all(ends), TO_DEGREES.transform, interleaved=False)
    (tmp_path / "area.geojson").write_text(json.dumps(shapely.geometry.mapping(degrees)))
    whole = predicted(wide)[0]
    seen = []
    usual = Model.predict_uint8

    def levels(model: Model, images: Any) -> Any:
        return usual(model, (seen.append(image.shape) or image for image in images))  # type: ignore[func-returns-value]

    monkeypatch.setattr(Model, "predict_uint8", levels)
    part, valid, place, _ = predicted(wide, "--area", tmp_path / "area.geojson")
    row, col = round(4000000 - place.top), round(place.left - 600000)
    assert 1 < len(seen) < part.shape[1] / seen[0][-1]
    assert (part == whole[row : row + part.shape[0], col : col + part.shape[1]] * valid).all()
    assert valid[:, -20:].any()


def test_bands_by_name(predicted: Run, scene: Write, crossing: Any) -> None:
    path = scene(image=crossing[[2, 0, 1]])
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK=True) as dataset:
        dataset.descriptions = ("B02", "Red", "B03")
    named = predicted(path, "--bands", "red,b03,B02")[0]
    assert (named == predicted(path, "--bands", "2,3,1")[0]).all()


def test_a_damaged_block_is_refused_or_masked(
    predicted: Run, terralink: Run, scene: Write, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(60, 200, (3, 700, 700), dtype=np.uint8)
    path = scene(image=noise)
    content = bytearray(path.read_bytes())
    content[-5000:] = bytes(5000)
    path.write_bytes(content)
    refused = terralink("predict", path, "--model", GREY, "--out", tmp_path / "no.tif")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert not (tmp_path / "no.tif").exists()
    _, valid, _, err = predicted(path, "--on-corrupt-block", "mask")
    assert 0 < valid.mean() < 1
    assert err.startswith("terralink: 1 block of ")
    assert "is masked: rows 512-700, columns 512-700" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--bounds", "9,47,9.5"], "west,south,east,north"),
        (["--bounds", "here"], "--bounds wants numbers"),
        (["--bounds", "9,47,9.5,47.5"], "do not meet"),
        (["--bounds", "9,47,9.5,47.5", "--area", "a.geojson"], "give one of them"),
        (["--area", "nowhere.geojson"], "no file nowhere.geojson"),
        (["--bands", "red,,blue"], "--bands wants"),
        (["--bands", "red,green,ultraviolet"], "no band named 'ultraviolet'"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: list[str], line: str, terralink: Run, scene: Write, tmp_path: Path
) -> None:
    out = tmp_path / "prob.tif"
    ended = terralink("predict", scene(), "--model", GREY, "--out", out, *arguments)
    assert ended.code == 2
    assert line in ended.err
    assert ended.err.count("\n") == 1


def told_as(by: str, bounds: tuple[float, float, float, float], folder: Path) -> tuple[str, ...]:
    """Bounds in UTM as the option that names a file, or a box, in degrees."""
    degrees = TO_DEGREES.transform_bounds(*bounds)
    if by == "bounds":
        return "--bounds", ",".join(map(str, degrees))
    path = folder / "area.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(shapely.box(*degrees))))
    return "--area", str(path)


@pytest.mark.parametrize("by", ["file", "bounds"])
def test_the_map_of_an_area_lies_inside_it(
    by: str, terralink: Run, scene: Write, tmp_path: Path
) -> None:
    area = told_as(by, (600100, 3999700, 600300, 3999900), tmp_path)
    path, out = scene(), tmp_path / "maps"
    told = (*area, "--bands", "red,2,BLUE")
    ended = terralink("extract", path, "--model", GREY, "--out", out, *told, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)["scenes"][0]
    assert 300 < found["length_m"] < 450
    job = ("--job", tmp_path / "j")
    assert terralink("extract", path, "--model", GREY, "--out", out, *told, *job).code == 0
    refused = terralink("extract", path, "--model", GREY, "--out", out, *job)
    assert refused.code == 2
    assert "is a job with scene area" in refused.err or "is a job with scene shape" in refused.err


def test_a_folder_of_tiles_is_one_map(terralink: Run, scene: Write, tmp_path: Path) -> None:
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    scene().rename(tiles / "a.tif")
    out = tmp_path / "maps"
    for name in (tiles, tiles / "*.tif"):
        ended = terralink("extract", name, "--model", GREY, "--out", out)
        assert ended.code == 0, ended.err
        assert (out / "tiles.gpkg").exists()
        (out / "tiles.gpkg").unlink()


def test_levels_without_data_are_masked_and_told(
    terralink: Run, scene: Write, crossing: NDArray[Any], tmp_path: Path
) -> None:
    image = crossing.astype(np.int16)
    image[:, :40] = -9999
    path = scene(image=image)
    arguments = ("predict", path, "--model", GREY, "--out", tmp_path / "p.tif", "--json")
    ended = terralink(*arguments)
    assert ended.code == 0
    assert ended.err.count("\n") == 1
    assert "-9999 means no data: about 10.0% of the pixels are masked" in ended.err
    with rasterio.open(tmp_path / "p.tif") as file:
        assert (file.read_masks(1)[:40] == 0).all()
        assert (file.read_masks(1)[40:] == 255).all()
    assert terralink(*arguments, "--no-data", "none").err == ""
    with rasterio.open(tmp_path / "p.tif") as file:
        assert (file.read_masks(1) == 255).all()
    assert terralink(*arguments, "--no-data", "-9999", "--no-data", "0").err == ""
    refused = terralink(*arguments, "--no-data", "lots")
    assert refused.code == 2
    assert "--no-data wants a value" in refused.err


@pytest.mark.parametrize("verb", ["predict", "extract"])
def test_a_scene_without_a_valid_pixel_is_told(
    terralink: Run, scene: Write, tmp_path: Path, verb: str
) -> None:
    path = scene(image=np.full((3, 300, 300), 7, np.uint8))
    out = tmp_path / ("maps" if verb == "extract" else "p.tif")
    ended = terralink(verb, path, "--model", GREY, "--out", out, "--no-data", "7", "--json")
    assert ended.code == 0
    assert ended.err.count("\n") == 1
    assert "has no valid pixel" in ended.err


def test_a_map_of_a_mask_with_a_world_file_alone_can_be_placed(
    terralink: Run, tmp_path: Path
) -> None:
    mask = np.zeros((1, 300, 300), np.uint8)
    mask[:, 140:160] = 255
    place = Affine(0.5, 0, 600000, 0, -0.5, 4000000)
    with rasterio.open(
        tmp_path / "m.tif", "w", driver="GTiff", count=1, height=300, width=300, dtype="uint8",
        transform=place,
    ) as file:  # fmt: skip
        file.write(mask)
    out = tmp_path / "m.gpkg"
    told = terralink("vectorize", tmp_path / "m.tif", "--out", out, "--crs", "EPSG:32611", "--json")
    record = json.loads(told.out)
    assert record["crs"] == "EPSG:32611"
    assert record["length_m"] == pytest.approx(150, abs=5)
