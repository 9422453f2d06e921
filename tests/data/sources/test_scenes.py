"""SpaceNet, tiles of web maps and own folders, made small: drawn, cut, stretched and split."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pyproj import Transformer

from terralink.data.chips import IGNORE
from terralink.data.sources import (
    AnySource,
    PairFolders,
    SceneFolder,
    SpaceNet,
    Tiles,
)
from terralink.data.windows import Scenes
from terralink.errors import InputError
from terralink.raster import Stretch, tile_grid

Write = Callable[..., Path]

HALF = np.where(np.arange(16) < 8, 0, 255).astype(np.uint8) * np.ones((16, 1), np.uint8)
LEVEL_ROAD = ("LineString", [(0.0, 10.0), (20.0, 10.0)])
HOUSE = ("Polygon", [(2.0, 2.0), (6.0, 2.0), (6.0, 8.0), (2.0, 8.0), (2.0, 2.0)])


def noise(*shape: int, most: int = 256, dtype: str = "uint8") -> NDArray[Any]:
    """Levels that differ everywhere, always the same."""
    return np.random.default_rng(0).integers(1, most, shape).astype(dtype)


def source_of(**written: Any) -> Any:
    """As a recipe reads it."""
    return TypeAdapter(AnySource).validate_python(written)


LAYOUTS = (
    (
        "AOI_2_Vegas_Roads_Train/RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img{}.tif",
        "AOI_2_Vegas_Roads_Train/geojson/spacenetroads/spacenetroads_AOI_2_Vegas_img{}.geojson",
    ),
    (
        "SN3_roads_train_AOI_3_Paris/PS-RGB/SN3_roads_train_AOI_3_Paris_PS-RGB_img{}.tif",
        "SN3_roads_train_AOI_3_Paris/geojson_roads/"
        "SN3_roads_train_AOI_3_Paris_geojson_roads_img{}.geojson",
    ),
    ("RGB-PanSharpen_AOI_4_Shanghai_img{}.tif", "AOI_4_Shanghai_img{}.geojson"),
)


@pytest.mark.parametrize(("image", "labels"), LAYOUTS)
def test_spacenet_roads_are_drawn_by_their_widths(
    tif: Write, shapes: Write, tmp_path: Path, image: str, labels: str
) -> None:
    for number in (1, 12):
        tif(f"spacenet/{image.format(number)}", noise(4, 20, 20))
        shapes(f"spacenet/{labels.format(number)}", LEVEL_ROAD)
    chips = SpaceNet(kind="spacenet", what="road", width_m=6).read(tmp_path)
    assert len(chips) == 2
    assert chips[0].image.shape == (3, 20, 20)
    assert np.flatnonzero(chips[1].mask.any(axis=1)).tolist() == list(range(7, 13))
    assert chips[0].pixel_size_m == pytest.approx(1, abs=0.01)


def test_spacenet_buildings_of_some_areas_and_images_without_any(
    tif: Write, shapes: Write, tmp_path: Path
) -> None:
    for area in ("AOI_2_Vegas", "AOI_5_Khartoum"):
        for number, held in ((1, [HOUSE]), (2, [])):
            folder = f"sn2/{area}_Train"
            tif(f"{folder}/RGB-PanSharpen/RGB-PanSharpen_{area}_img{number}.tif", noise(3, 20, 20))
            shapes(f"{folder}/geojson/buildings/buildings_{area}_img{number}.geojson", *held)
    wanted = SpaceNet(kind="spacenet", what="building", folder="sn2", areas=("AOI_2_Vegas",))
    chips = wanted.read(tmp_path)
    assert [chips[i].mask.sum() for i in range(len(chips))] == [24, 0]


@pytest.mark.parametrize(
    ("images", "labels", "more"),
    [
        ("3band", "vectordata/geojson", {}),
        ("images", "labels", {"images": ("images",), "labels": ("labels",)}),
    ],
)
def test_spacenet_1_names_its_images_and_labels_in_its_own_way(
    images: str, labels: str, more: Any, tif: Write, shapes: Write, tmp_path: Path
) -> None:
    for number, held in ((1, []), (11, [HOUSE])):
        name = f"013022223130_Public_img{number}"
        tif(f"rio/{images}/3band_{name}.tif", noise(3, 20, 20))
        shapes(f"rio/{labels}/{name}_Geo.geojson", *held)
    chips = SpaceNet(kind="spacenet", what="building", folder="rio", **more).read(tmp_path)
    assert [chips[i].mask.sum() for i in range(len(chips))] == [0, 24]


def test_spacenet_of_11_bits_has_one_stretch_for_all_and_is_blind_to_black(
    tif: Write, shapes: Write, tmp_path: Path
) -> None:
    dark, bright = noise(3, 40, 40, most=300, dtype="uint16"), noise(3, 40, 40, dtype="uint16") * 8
    bright[:, :, 20:] = 0  # the sensor saw nothing here
    for number, levels in enumerate((dark, bright)):
        tif(f"spacenet/{LAYOUTS[0][0].format(number)}", levels)
        shapes(f"spacenet/{LAYOUTS[0][1].format(number)}", LEVEL_ROAD)
    source = source_of(kind="spacenet", what="road")
    chips = source.read(tmp_path)
    assert chips[0].image.mean() < chips[1].image[:, :, :20].mean() - 50
    assert (chips[1].mask == IGNORE).sum() == 40 * 20
    assert chips.stretch.low[0] > 0  # black counted nowhere
    plain = {name: list(getattr(chips.stretch, name)) for name in ("low", "middle", "high")}
    told = source_of(kind="spacenet", what="road", stretch=plain)
    asked = source_of(kind="spacenet", what="road")
    assert asked.resolve(chips) == told == told.resolve(chips)
    assert told.model_dump(mode="json")["stretch"] == json.loads(json.dumps(plain))
    assert (told.read(tmp_path)[0].image == chips[0].image).all()


def test_a_stretch_that_is_none_is_refused_by_its_key() -> None:
    with pytest.raises(ValidationError, match="a stretch has low, middle and high; mid"):
        source_of(kind="spacenet", what="road", stretch={"low": [0], "mid": [1], "high": [2]})


def test_tiles_are_drawn_by_their_names_and_split_by_area(picture: Write, tmp_path: Path) -> None:
    grid = tile_grid(386690, 220241, 19)
    left, bottom, right, top = grid.bounds
    lonlat = Transformer.from_crs(3857, 4326, always_xy=True)
    half = [(left, bottom), ((left + right) / 2, bottom), ((left + right) / 2, top), (left, top)]
    ring = [lonlat.transform(*point) for point in [*half, half[0]]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {"osm_id": 1}, "geometry": geometry}
    for name in ("OAM-386690-220241-19", "OAM-773381-440482-20", "20/773380/440482", "9-9-19"):
        picture(f"area/images/{name}.png", side=32)
    labels = tmp_path / "area" / "labels.geojson"
    labels.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    source = Tiles(kind="tiles", folder="area")
    chips = source.read(tmp_path)
    by_name = {chips[i].name.partition("images/")[2]: chips[i] for i in range(len(chips))}
    assert (by_name["OAM-386690-220241-19.png"].mask[:, :16] == 1).all()
    assert by_name["OAM-386690-220241-19.png"].mask.sum() == 32 * 16
    assert by_name["OAM-773381-440482-20.png"].mask.sum() == 0
    assert by_name["20/773380/440482.png"].mask.all()
    assert sorted(source.groups(chips)) == [(2, 2), *[(96672, 55060)] * 3]


@pytest.mark.parametrize("kind", ["raster", "a file each", "one for all"])
def test_a_folder_of_scenes_takes_masks_and_shapes(
    tif: Write, shapes: Write, tmp_path: Path, kind: str
) -> None:
    mask = np.zeros((1, 20, 20), np.uint8)
    mask[0, 2:8, 2:6] = 1
    for name in ("a", "b"):
        tif(f"mine/images/{name}.tif", noise(5, 20, 20))
        if kind == "raster":
            tif(f"mine/labels/{name}.tif", mask)
        elif kind == "a file each":
            shapes(f"mine/labels/{name}.geojson", HOUSE)
    shapes("mine/all.geojson", HOUSE)
    labels = "all.geojson" if kind == "one for all" else "labels"
    source = SceneFolder(
        kind="scenes", folder="mine", labels=labels, side_px=12, classes={"building": 1}
    )
    chips = source.read(tmp_path)
    assert len(chips) == 8
    assert chips[0].image.shape == (5, 12, 12)
    assert (chips[0].mask == mask[0, :12, :12]).all()
    assert (chips[3].mask[:8, :8] == 0).all()
    assert (chips[3].mask[8:] == IGNORE).all()
    assert len(set(source.groups(chips))) == 2


def test_a_folder_without_labels_or_scenes_says_so(tif: Write, tmp_path: Path) -> None:
    source = SceneFolder(kind="scenes", folder="mine")
    (tmp_path / "mine" / "images").mkdir(parents=True)
    with pytest.raises(InputError, match="no scenes in"):
        source.read(tmp_path)
    tif("mine/images/a.tif", noise(3, 20, 20))
    with pytest.raises(InputError, match="no labels"):
        source.read(tmp_path)


def test_pairs_map_what_their_masks_store(picture: Write, tmp_path: Path) -> None:
    picture("mine/images/a.jpg")
    picture("mine/masks/a.png", HALF)
    plain = PairFolders(kind="pairs", folder="mine").read(tmp_path)
    with pytest.raises(InputError, match=r"a\.png: the mask holds 0 and 255 alone"):
        plain[0]
    told = source_of(kind="pairs", folder="mine", values={0: 0, 255: 1}, pixel_size_m=0.5)
    assert told.read(tmp_path)[0].mask.sum() == 128
    assert told.read(tmp_path)[0].pixel_size_m == 0.5


@pytest.mark.data
def test_the_vegas_scene_is_read_with_its_roads(data_root: Path) -> None:
    source = SpaceNet(kind="spacenet", what="road", folder="spacenet-vegas")
    chips = source.read(data_root)
    assert isinstance(chips, Scenes)
    chip = chips[0]
    assert chip.image.shape == (3, 1300, 1300)
    assert 0.1 < (chip.mask == 1).mean() < 0.3
    assert chips.stretch != Stretch.none()
    assert chip.pixel_size_m == pytest.approx(0.27, abs=0.01)


@pytest.mark.data
def test_hotosm_and_banepa_are_drawn_tile_by_tile(data_root: Path) -> None:
    for folder, labels, tiles, areas in (
        ("hotosm/ggaba-kampala-ug", "labels.geojson", 35, 2),
        ("banepa-osm", "osm_buildings.geojson", 48, 6),
    ):
        source = Tiles(kind="tiles", folder=folder, labels=labels)
        chips = source.read(data_root)
        assert len(chips) == tiles
        assert len(set(source.groups(chips))) == areas
        built = np.mean([(chips[index].mask == 1).mean() for index in range(0, tiles, 8)])
        assert 0.02 < built < 0.7
