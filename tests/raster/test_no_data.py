"""Levels that mean no data though no tag says so: found, masked, told; and what only looks so."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from terralink.errors import NoDataWarning, SceneError
from terralink.raster import Scene, SceneOptions, Stretch, open_scene
from terralink.synthetic import draw

Bools = NDArray[np.bool_]
Write = Callable[[NDArray[Any]], Path]

SIDE = 400
PLACE = Affine(0.5, 0, 600000, 0, -0.5, 4000000)


def town(side: int = SIDE, seed: int = 7) -> NDArray[np.uint8]:
    return draw((side, side), seed=seed).image(0, 0, (side, side))


def part(name: str, side: int = SIDE) -> Bools:
    """Where data are missing, as they often do."""
    rows, cols = np.mgrid[:side, :side] / side
    turned = np.abs(cols - 0.5) * 0.94 + np.abs(rows - 0.5) * 0.34
    parts: dict[str, Bools] = {
        "left half": cols < 0.5,
        "right half": cols >= 0.5,
        "top": rows < 0.2,
        "bottom strip": rows >= 0.96,
        "corner": (rows > 0.8) & (cols > 0.8),
        "slanted": cols + rows < 0.6,
        "around": (turned > 0.45) | (np.abs(rows - 0.5) > 0.45),
        "angle": (cols < 0.2) | (rows < 0.3) & (cols < 0.6),
        "rows": np.arange(side)[:, None] % 40 + 0 * cols == 0,
        "scattered": np.random.default_rng(0).random((side, side)) < 0.03,
        "block": (np.abs(rows - 0.5) < 0.09) & (np.abs(cols - 0.3) < 0.09),
    }
    return parts[name]


AREAS = ["left half", "right half", "top", "bottom strip", "corner", "slanted", "around", "angle"]
AS: dict[str, Callable[[NDArray[np.uint8]], NDArray[Any]]] = {
    "uint8": lambda image: image.copy(),
    "uint16": lambda image: image.astype(np.uint16) * 8 + 40,
    "int16": lambda image: image.astype(np.int16) * 20 - 100,
    "float32": lambda image: (image / 255 * 0.4).astype(np.float32),
    "float64": lambda image: image / 255 * 4000.0,
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """An image (band, row, col) as a GeoTIFF without any tag."""

    def to_file(image: NDArray[Any]) -> Path:
        path = tmp_path / "scene.tif"
        count, height, width = image.shape
        size = {"count": count, "height": height, "width": width, "dtype": image.dtype.name}
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            crs="EPSG:32611",
            transform=PLACE,
            photometric="MINISBLACK",
            **size,
        ) as dataset:
            dataset.write(image)
        return path

    return to_file


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[tuple[Scene, list[str]]]:
    """A scene, and the lines that it warns with."""
    lines: list[str] = []
    with (
        warnings.catch_warnings(record=True, action="always", category=NoDataWarning) as heard,
        open_scene(path, SceneOptions(**options)) as scene,
    ):
        scene.stretch  # noqa: B018 it looks for what is missing
        lines += [str(each.message) for each in heard]
        yield scene, lines


def masked(path: Path, **options: Any) -> tuple[Bools, list[str]]:
    with opened(path, **options) as (scene, lines):
        valid = scene.read(0, 0, scene.grid.shape).valid
        assert valid is not None
        return ~valid, lines


def filled(dtype: str, level: float, missing: Bools) -> NDArray[Any]:
    image: NDArray[Any] = AS[dtype](town())
    image[:, missing] = level
    return image


@pytest.mark.parametrize("name", [*AREAS, "rows", "scattered", "block"])
@pytest.mark.parametrize(
    ("dtype", "level"),
    [
        ("float32", -9999),
        ("float32", -32768),
        ("float32", 1e20),
        ("float64", -9999),
        ("int16", -32768),
        ("int16", -9999),
        ("uint16", 65535),
    ],
)
def test_a_level_that_is_absurdly_far_is_masked_wherever_it_is(
    write: Write, dtype: str, level: float, name: str
) -> None:
    missing = part(name)
    found, lines = masked(write(filled(dtype, level, missing)))
    assert (found == missing).all()
    (line,) = lines
    assert f"{level:g}" in line
    assert "--no-data none" in line


@pytest.mark.parametrize("name", AREAS)
@pytest.mark.parametrize(
    ("dtype", "level"),
    [
        *(("uint8", level) for level in (0, 255, 1, 254, 128)),
        *[("uint16", 0), ("int16", -999), ("float32", 0.0), ("float32", -1.0), ("float64", 255.0)],
    ],
)
def test_a_collar_is_masked(write: Write, dtype: str, level: float, name: str) -> None:
    missing = part(name)
    found, lines = masked(write(filled(dtype, level, missing)))
    assert found[~missing].sum() < 5  # pixels of that very colour, at the edge
    assert found[missing].mean() > 0.97  # all but points that are narrower than a full square
    assert len(lines) == 1


def test_a_collar_may_have_any_colour(write: Write) -> None:
    image, missing = town(), part("slanted")
    image[:, missing] = np.array([255, 0, 255], np.uint8)[:, None]
    found, lines = masked(write(image))
    assert np.mean(found == missing) > 0.99
    assert "255, 0, 255" in lines[0]


def test_two_collars_of_two_levels_are_masked(write: Write) -> None:
    image = town()
    image[:, part("top")] = 255
    image[:, part("bottom strip")] = 0
    assert (masked(write(image))[0] == part("top") | part("bottom strip")).all()


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("quality", [60, 90])
@pytest.mark.parametrize("name", ["left half", "top", "slanted", "around"])
def test_a_collar_that_lossy_compression_blurred_is_masked(
    write: Write, name: str, quality: int, level: int
) -> None:
    image, missing = town(), part(name)
    image[:, missing] = level
    file = BytesIO()
    Image.fromarray(np.moveaxis(image, 0, -1)).save(file, "JPEG", quality=quality)
    blurred = np.moveaxis(np.asarray(Image.open(file)), -1, 0).copy()
    found, _ = masked(write(blurred))
    assert found[missing].mean() > 0.9
    assert found[~missing].mean() < 0.01


@pytest.mark.parametrize("level", [0, 65535])
def test_a_missing_tile_is_masked(write: Write, level: int) -> None:
    missing = part("block")
    found, _ = masked(write(filled("uint16", level, missing)))
    assert (found == missing).all()


def test_the_stretch_does_not_count_what_is_masked(write: Write) -> None:
    image = filled("uint16", 65535, part("scattered"))
    with opened(write(image)) as (scene, _):
        assert scene.stretch == Stretch.fit(image[:, ~part("scattered")])


def test_a_collar_is_found_in_a_scene_that_is_larger_than_its_sample(write: Write) -> None:
    side = 2400
    image, missing = town(side), part("around", side)
    image[:, missing] = 0
    found, lines = masked(write(image))
    assert not (found & ~missing).any()
    assert found[missing].mean() > 0.99
    assert len(lines) == 1


@given(
    top=st.integers(-40, SIDE - 1),
    left=st.integers(-40, SIDE - 1),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
)
def test_what_is_masked_does_not_depend_on_the_window(
    top: int, left: int, height: int, width: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "window.tif"
    if not path.exists():
        image = filled("uint16", 0, part("around") | part("slanted"))
        size = {"count": 3, "height": SIDE, "width": SIDE, "dtype": "uint16"}
        with rasterio.open(
            path, "w", driver="GTiff", crs="EPSG:32611", transform=PLACE, **size
        ) as dataset:
            dataset.write(image)
    with opened(path) as (scene, _):
        whole = scene.read(-60, -60, (SIDE + 300, SIDE + 300))
        one = scene.read(top, left, (height, width))
    rows = slice(top + 60, top + 60 + height)
    cols = slice(left + 60, left + 60 + width)
    assert one.valid is not None
    assert whole.valid is not None
    assert np.array_equal(one.valid, whole.valid[rows, cols])
    assert (one.array == whole.array[:, rows, cols]).all()


def saturated(image: NDArray[np.uint8], *, dark: bool) -> NDArray[np.uint8]:
    """With a cloud, or a lake, in a corner: it fades out, and its middle is 255, or 0."""
    rng = np.random.default_rng(5)
    ragged = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 12)
    rows, cols = np.mgrid[:SIDE, :SIDE] / SIDE
    depth = np.clip((0.45 - np.hypot(rows, cols) + 2 * ragged) * 8, -1, 3)
    seen: NDArray[Any] = image + (-90 if dark else 90) * (1 + depth) + rng.normal(size=image.shape)
    levels: NDArray[np.uint8] = np.clip(np.where(depth > -1, seen, image), 0, 255).astype(np.uint8)
    return levels


def white_roofs() -> NDArray[np.uint8]:
    image = town()
    for row, col in ((0, 100), (200, 200), (330, 30), (150, 300)):
        image[:, row : row + 60, col : col + 50] = 255
    return image


def deep_shadow() -> NDArray[np.uint8]:
    return np.asarray(np.clip(town().astype(int) - 60, 0, 255), np.uint8)


def few_saturated() -> NDArray[np.uint16]:
    image = town().astype(np.uint16) * 12
    image[:, np.random.default_rng(1).random((SIDE, SIDE)) < 0.001] = 65535
    return image


def drawing() -> NDArray[np.uint8]:
    image = np.zeros((3, SIDE, SIDE), np.uint8)
    image[:, 190:200] = 128
    image[:, :, 100:110] = 200
    return image


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(town(), id="town"),
        pytest.param(town().astype(np.uint16) * 257, id="full 16 bits"),
        pytest.param(saturated(town(), dark=False), id="cloud"),
        pytest.param(saturated(town(), dark=True), id="dark water"),
        pytest.param(white_roofs(), id="white roofs"),
        pytest.param(deep_shadow(), id="shadows"),
        pytest.param(few_saturated(), id="saturated"),
        pytest.param(drawing(), id="drawing"),
        pytest.param(np.zeros((3, SIDE, SIDE), np.uint8), id="black"),
        pytest.param(np.full((3, SIDE, SIDE), 255, np.uint8), id="white"),
        pytest.param(np.full((1, SIDE, SIDE), 0.25, np.float32), id="uniform"),
        pytest.param(np.full((2, 1, 1), 7, np.int16), id="one pixel"),
        pytest.param(town()[:, :20, :30], id="small"),
    ],
)
def test_what_a_camera_sees_is_not_masked(write: Write, image: NDArray[Any]) -> None:
    found, lines = masked(write(image))
    assert not found.any()
    assert lines == []


@pytest.mark.parametrize("seed", range(12))
def test_no_drawn_town_is_masked(write: Write, seed: int) -> None:
    assert not masked(write(town(side=256, seed=seed)))[0].any()


def test_levels_can_be_named(write: Write) -> None:
    image = town()
    image[:, part("scattered")] = 255
    image[:, part("block")] = 0
    found, lines = masked(write(image), no_data=(0, 255))
    assert (found == part("scattered") | part("block")).all()
    assert lines == []


def test_a_byte_that_is_no_data_in_one_band_only_is_a_level(write: Write) -> None:
    image = np.full((2, 8, 8), 9, np.uint8)
    image[0, 0] = image[:, 1] = 0
    assert masked(write(image), no_data=[0])[0][:3].all(axis=1).tolist() == [False, True, False]
    assert masked(write(image.astype(np.int16)), no_data=[0])[0][:2].all()


def test_nothing_is_looked_for_where_that_is_not_wanted(write: Write) -> None:
    found, lines = masked(write(filled("float32", -9999, part("top"))), no_data=())
    assert not found.any()
    assert lines == []


@pytest.mark.parametrize("level", [-9999, 256, 0.5])
def test_a_level_that_the_scene_cannot_hold_is_refused(write: Write, level: float) -> None:
    with (
        pytest.raises(SceneError, match=r"uint8, 0 to 255.*--no-data"),
        open_scene(write(town(64)), SceneOptions(no_data=[level])),
    ):
        pass


def test_what_the_tag_masks_is_not_told_again(write: Write) -> None:
    path = write(filled("float32", -9999, part("top")))
    with rasterio.open(path, "r+") as dataset:
        dataset.nodata = -9999
    found, lines = masked(path)
    assert (found == part("top")).all()
    assert lines == []


def test_a_scene_that_is_nothing_but_a_customary_level_is_masked(write: Write) -> None:
    found, lines = masked(write(np.full((1, 50, 50), -9999, np.float32)))
    assert found.all()
    assert len(lines) == 1
