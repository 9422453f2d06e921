"""Which bands a model is shown: by their names, their colours, or by asking."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from terralink import inference
from terralink.errors import SceneError, SceneWarning
from terralink.raster import SceneOptions, open_scene
from terralink.raster.bands import pick_bands
from terralink.raster.source import open_source

RGB = ("red", "green", "blue")
# What GDAL writes into any file of four bytes: the last one is alpha.
AS_USUAL = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
LEVELS = np.random.default_rng(2).integers(60, 200, (64, 64), dtype=np.uint8)


def write(
    folder: Path,
    bands: list[NDArray[Any]] | int,
    *,
    names: list[str] | None = None,
    colours: list[ColorInterp] | None = None,
    tags: list[dict[str, str]] | None = None,
    dtype: str = "uint8",
) -> Path:
    """A file of bands; of a number of bands, each has other levels."""
    path = folder / "scene.tif"
    count = bands if isinstance(bands, int) else len(bands)
    array = (
        np.stack([LEVELS + number for number in range(count)])
        if isinstance(bands, int)
        else np.stack(bands)
    )
    size: dict[str, Any] = {"count": count, "height": 64, "width": 64, "dtype": dtype}
    size |= {"crs": "EPSG:32611", "transform": Affine(1, 0, 600000, 0, -1, 4000000)}
    with rasterio.open(path, "w", driver="GTiff", **size) as dataset:
        if colours is not None:
            dataset.colorinterp = colours
        for number, name in enumerate(names or (), start=1):
            dataset.set_band_description(number, name)
        for number, each in enumerate(tags or (), start=1):
            dataset.update_tags(number, **each)
        dataset.write(array.astype(dtype))
    return path


def shown(path: Path, model: inference.Predictor, **options: Any) -> tuple[int, ...]:
    """The bands that the model is shown."""
    with open_scene(path, SceneOptions(**options)) as scene:
        return inference.conform_scene(model, scene).bands


@pytest.fixture(scope="module")
def model() -> inference.Predictor:
    """A model of red, green, blue."""
    return inference.load_model(Path(__file__).parents[1] / "cli" / "grey.onnx")


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (["Blue", "Green", "Red", "NIR"], (3, 2, 1)),
        (["blue", "green", "red", "near infrared"], (3, 2, 1)),
        (["B", "G", "R", "N"], (3, 2, 1)),
        (["Red", "Green", "Blue"], (1, 2, 3)),
        (["BLUE", "GREEN", "RED"], (3, 2, 1)),
        (["Band 1 - Blue", "Band 2 - Green", "Band 3 - Red", "Band 4 - NIR"], (3, 2, 1)),
        (["red_edge", "blue", "green", "RED"], (4, 3, 2)),
        (["Red Edge 1", "rededge", "Red-Edge", "B", "G", "R"], (6, 5, 4)),
        (["B02", "B03", "B04", "B08"], (3, 2, 1)),
        (["B04", "B03", "B02"], (1, 2, 3)),
        (["B2", "B3", "B4", "B8"], (3, 2, 1)),
        (["B2", "B3", "B4"], (3, 2, 1)),
        (["T31UDQ_B04_10m", "T31UDQ_B03_10m", "T31UDQ_B02_10m", "T31UDQ_B08_10m"], (1, 2, 3)),
        ([f"B{n}" for n in range(1, 13)], (4, 3, 2)),
        ([f"B{n}" for n in range(1, 8)], (4, 3, 2)),
        ([f"SR_B{n}" for n in (1, 2, 3, 4, 5, 7)], (3, 2, 1)),
        ([f"SR_B{n}" for n in range(1, 8)], (4, 3, 2)),
        ([f"sur_refl_b0{n}" for n in range(1, 8)], (1, 4, 3)),
        (["443 nm", "490 nm", "560 nm", "665 nm", "705 nm", "842 nm"], (4, 3, 2)),
        (["Band 1 (0.4826 Micrometers)", "0.5613 um", "0.6546 µm", "0.8646 µm"], (3, 2, 1)),
        (
            ["coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"],
            (6, 4, 2),
        ),
        (["Coastal", "Blue", "Green", "Yellow", "Red", "Red Edge", "NIR1", "NIR2"], (5, 3, 2)),
        (["swir22", "swir16", "nir08", "red", "green", "blue"], (4, 5, 6)),
    ],
)
def test_bands_are_picked_by_their_names(
    tmp_path: Path, model: inference.Predictor, names: list[str], bands: tuple[int, ...]
) -> None:
    path = write(tmp_path, len(names), names=names, dtype="uint16")
    assert shown(path, model) == bands


def test_names_go_before_the_colours_that_programs_set_by_default(
    tmp_path: Path, model: inference.Predictor
) -> None:
    path = write(tmp_path, 4, names=["blue", "green", "red", "nir"], colours=AS_USUAL)
    assert shown(path, model) == (3, 2, 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bands_are_picked_by_their_colours(
    tmp_path: Path, model: inference.Predictor, dtype: str
) -> None:
    colours = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.nir]
    assert shown(write(tmp_path, 4, colours=colours, dtype=dtype), model) == (3, 2, 1)


def test_bands_are_picked_by_wavelengths_in_the_metadata(
    tmp_path: Path, model: inference.Predictor
) -> None:
    tags = [
        {"wavelength": text, "wavelength_units": "Nanometers"} for text in ("480", "550", "660")
    ]
    assert shown(write(tmp_path, 3, tags=tags), model) == (3, 2, 1)


def test_what_the_model_sees_are_those_bands(tmp_path: Path, model: inference.Predictor) -> None:
    path = write(tmp_path, 4, names=["blue", "green", "red", "nir"], dtype="uint16")
    with open_scene(path) as scene, open_scene(path, SceneOptions(bands=[3, 2, 1])) as named:
        picked = inference.conform_scene(model, scene)
        assert inference.conform_scene(model, scene).no_data is picked.no_data  # looked for once
        assert picked.stretch == named.stretch
        assert (picked.read(0, 0, (64, 64)).array == named.read(0, 0, (64, 64)).array).all()


@pytest.mark.parametrize(
    ("wanted", "bands"),
    [
        (("B04", "B03", "B02"), (1, 2, 3)),
        (("B02", "B03", "B04"), (3, 2, 1)),
        (("band1", "band2", "band3"), (1, 2, 3)),
        (("hh", "hv", "vv"), (1, 2, 3)),
        (("green", "R"), (2, 1)),
        (("nir", "red", "green"), None),
    ],
)
def test_a_models_names_are_understood_as_a_scenes(
    wanted: tuple[str, ...], bands: tuple[int, ...] | None
) -> None:
    assert pick_bands({1: "red", 2: "green", 3: "blue"}, wanted) == bands


def test_three_bands_without_names_are_taken_as_they_are(
    tmp_path: Path, model: inference.Predictor
) -> None:
    assert shown(write(tmp_path, 3, dtype="uint16"), model) == (1, 2, 3)
    assert shown(write(tmp_path, 3, names=["a", "b", "c"]), model) == (1, 2, 3)


@pytest.mark.parametrize(
    ("count", "names", "wanted"),
    [
        (1, None, ["has 1 band,", "red, green, blue", "--bands 1,1,1"]),
        (1, ["gray"], ["has 1 band,", "--bands 1,1,1"]),
        (2, None, ["has 2 bands,", "needs a scene with all of them"]),
        (4, None, ["nothing in it says", "1,2,3 if they are red, green, blue", "--bands 3,2,1 if"]),
        (4, ["B1", "B2", "B3", "B4"], ["nothing in it says", "--bands 3,2,1 if"]),
        (4, ["Band 1", "Band 2", "Band 3", "Band 4"], ["nothing in it says"]),
        (8, None, ["--bands 5,3,2 if they are those of WorldView", "6,4,2"]),
        (12, None, ["--bands 4,3,2 if they are those of Sentinel-2"]),
        (9, None, ["such as --bands 1,2,3"]),
        (3, ["nir", "red", "green"], ["1 nir, 2 red, 3 green", "none is named blue", "2,3,?"]),
        (5, ["x", "red", "green", "y", "z"], ["none is named blue", "--bands 2,3,?"]),
    ],
)
def test_where_nothing_tells_the_question_is_clear(
    tmp_path: Path,
    model: inference.Predictor,
    count: int,
    names: list[str] | None,
    wanted: list[str],
) -> None:
    path = write(tmp_path, count, names=names, dtype="uint16")
    with pytest.raises(SceneError) as told:
        shown(path, model)
    line = str(told.value)
    assert all(text in line for text in wanted), line
    assert "\n" not in line
    assert str(path) in line


def test_bands_that_are_chosen_are_taken_whatever_they_are_called(
    tmp_path: Path, model: inference.Predictor
) -> None:
    path = write(tmp_path, 3, names=["nir", "red", "green"])
    assert shown(path, model, bands=[1, 2, 3]) == (1, 2, 3)
    assert shown(path, model, bands=[1, 1, 1]) == (1, 1, 1)
    assert shown(path, model, bands=["near infrared", "R", "green"]) == (1, 2, 3)
    with pytest.raises(SceneError, match="takes 3: red, green, blue, in that order"):
        shown(path, model, bands=[1, 2])


def test_one_band_is_read_three_times(tmp_path: Path) -> None:
    with open_scene(write(tmp_path, 1), SceneOptions(bands=[1, 1, 1])) as scene:
        image = scene.read(0, 0, (64, 64)).array
    assert (image[0] == image[1]).all()
    assert len(image) == 3


def test_near_infrared_that_is_tagged_as_alpha_is_a_band(
    tmp_path: Path, model: inference.Predictor
) -> None:
    nir = LEVELS.copy()
    nir[:8] = 0  # water
    path = write(tmp_path, [LEVELS, LEVELS, LEVELS, nir], colours=AS_USUAL)
    with pytest.warns(SceneWarning, match=r"band 4 of .* is tagged as alpha but holds many levels"):
        assert shown(path, model) == (1, 2, 3)
    with open_source(path) as source:
        assert source.bands == (1, 2, 3, 4)
        assert source.read((0, 64), (0, 64))[1].all()
    named = write(tmp_path, [LEVELS, LEVELS, LEVELS, nir], colours=AS_USUAL, names=[*RGB, "nir"])
    assert shown(named, model) == (1, 2, 3)
    with open_source(named, bands=["nir"]) as source:
        assert source.bands == (4,)


@pytest.mark.parametrize("opaque", [255, 1])
def test_alpha_stays_alpha(tmp_path: Path, opaque: int) -> None:
    alpha = np.full((64, 64), opaque, np.uint8)
    alpha[:20] = 0
    alpha[20] = opaque // 2  # a soft edge
    path = write(tmp_path, [LEVELS, LEVELS, LEVELS, alpha], colours=AS_USUAL)
    with open_scene(path) as scene:
        assert scene.bands == (1, 2, 3)
        valid = scene.read(0, 0, (64, 64)).valid
    assert valid is not None
    assert (valid == (alpha > 0)).all()
