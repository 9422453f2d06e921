import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from terralink.errors import SceneError, UnreadableWarning
from terralink.raster import Raster, SceneOptions, open_scene

Make = Callable[..., Path]
UTM = Affine(0.5, 0, 600000, 0, -0.5, 4000000)
SERVER = Path(__file__).with_name("ranges.py")
LEVELS = np.random.default_rng(4).integers(60, 190, (3, 200, 300), dtype=np.uint8)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(name: str, levels: Any, *, row: int = 0, col: int = 0, **profile: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        count, height, width = levels.shape
        place = Affine(0.5, 0, 600000 + col / 2, 0, -0.5, 4000000 - row / 2)
        told = {"crs": "EPSG:32611", "transform": place, "dtype": levels.dtype.name, **profile}
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, **told
        ) as dataset:
            dataset.write(levels)
        return path

    return write


def whole(path: object, **options: Any) -> Raster:
    with open_scene(path, SceneOptions(**options)) as scene:  # type: ignore[arg-type]
        return scene.read(0, 0, scene.grid.shape)


@pytest.mark.parametrize("name", ["tiles", "tiles/*.tif"])
def test_files_beside_each_other_are_one_scene(make: Make, tmp_path: Path, name: str) -> None:
    make("tiles/a.tif", LEVELS[:, :120, :130])
    make("tiles/b.tif", LEVELS[:, :100, 110:], col=110)
    make("tiles/c.tif", LEVELS[:, 90:, 100:], row=90, col=100)
    read = whole(tmp_path / name)
    known = np.ones((200, 300), bool)
    known[120:, :100] = False
    assert read.valid is not None
    assert (read.valid == known).all()
    assert (read.array == LEVELS * known).all()
    assert read.grid.bounds == (600000, 3999900, 600150, 4000000)


def test_nodata_of_a_file_does_not_hide_the_file_below(make: Make, tmp_path: Path) -> None:
    upper = LEVELS.copy()
    upper[:, :, 150:] = 0
    make("tiles/a.tif", LEVELS, nodata=0)
    make("tiles/b.tif", upper[:, :, 100:], col=100, nodata=0)
    assert (whole(tmp_path / "tiles").array == LEVELS).all()


@pytest.mark.parametrize(
    ("odd", "line"),
    [
        ({"crs": "EPSG:32612"}, "another CRS"),
        ({"transform": Affine(1, 0, 600000, 0, -1, 4000000)}, "another size"),
        ({"dtype": "uint16"}, "other bands"),
    ],
)
def test_the_odd_file_is_named(make: Make, tmp_path: Path, odd: Any, line: str) -> None:
    make("tiles/a.tif", LEVELS)
    make("tiles/b.tif", LEVELS.astype(odd.get("dtype", "uint8")), col=300, **odd)
    with pytest.raises(SceneError, match=rf"b\.tif .*{line}"):
        whole(tmp_path / "tiles")


def test_an_empty_folder_and_a_pattern_of_nothing_are_told(tmp_path: Path) -> None:
    for name in (".", "*.tif"):
        with pytest.raises(SceneError, match=r"(holds|finds) no raster"):
            whole(tmp_path / name)


@pytest.fixture
def item(make: Make, tmp_path: Path) -> Callable[..., Path]:
    """A STAC item with one asset a band, which lie beside it; of 1.0, or 1.1."""

    def write(version: str = "1.0.0", **sizes: int) -> Path:
        assets: dict[str, Any] = {"thumbnail": {"href": "t.jpg", "roles": ["thumbnail"]}}
        for number, name in enumerate(("red", "green", "blue")):
            make(f"B{number}.tif", LEVELS[number : number + 1, :, : sizes.get(name, 300)])
            old = {"eo:bands": [{"name": f"B{number}", "common_name": name}]}
            new = {"bands": [{"name": f"B{number}", "eo:common_name": name}]}
            assets[f"b{number}"] = {
                "href": f"./B{number}.tif",
                "roles": ["data"],
                **(old if version == "1.0.0" else new),
            }
        told = {"type": "Feature", "stac_version": version, "id": "x", "assets": assets}
        (tmp_path / "item.json").write_text(json.dumps(told))
        return tmp_path / "item.json"

    return write


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_a_stac_item_gives_bands_by_their_common_names(
    item: Callable[..., Path], version: str
) -> None:
    path = item(version)
    assert (whole(path).array == LEVELS).all()
    assert (whole(path, bands=["blue", "B1", "b0"]).array == LEVELS[::-1]).all()
    with pytest.raises(SceneError, match=r"no band named 'gren'; did you mean 'green'"):
        whole(path, bands=["gren"])


def test_one_asset_of_several_bands_is_read_as_it_is(make: Make, tmp_path: Path) -> None:
    make("image.tif", LEVELS)
    bands = [{"common_name": name} for name in ("red", "green", "blue")]
    told = {"assets": {"image": {"href": "image.tif", "eo:bands": bands}}}
    (tmp_path / "item.json").write_text(json.dumps(told))
    assert (whole(tmp_path / "item.json", bands=["green"]).array == LEVELS[1:2]).all()


def test_bands_of_different_sizes_are_one_clear_line(item: Callable[..., Path]) -> None:
    with pytest.raises(SceneError, match=r"red .*300 x 200 px of 0\.5, green .*150 x 200 px"):
        whole(item(green=150))


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "Feature"}', '{"assets": []}'])
def test_what_is_no_stac_item_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "item.json").write_text(text)
    with pytest.raises(SceneError, match="is no STAC item"):
        whole(tmp_path / "item.json")


Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server of ``tmp_path``, in a process of its own: GDAL holds Python's lock."""
    with ExitStack() as running:

        def start(broken_from: int = 1 << 40) -> str:
            command = [sys.executable, str(SERVER), str(tmp_path), str(broken_from)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            running.enter_context(process)
            running.callback(process.terminate)
            assert process.stdout is not None
            return f"http://127.0.0.1:{process.stdout.readline().strip()}"

        yield start


NOISE = np.random.default_rng(1).integers(60, 190, (3, 1500, 1500), dtype=np.uint8)
TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256}


def test_of_a_scene_on_a_server_only_what_is_needed_is_fetched(
    make: Make, serve: Serve, tmp_path: Path
) -> None:
    size = make("far.tif", NOISE, **TILED).stat().st_size
    with open_scene(f"{serve()}/far.tif", SceneOptions(no_data=())) as scene:
        read = scene._source.read((600, 700), (600, 700))[0]
    assert (read == NOISE[:, 600:700, 600:700]).all()
    assert 0 < sum(map(int, (tmp_path / "sent").read_text().split())) < size / 2


def test_a_stac_item_on_a_server(item: Callable[..., Path], serve: Serve) -> None:
    item()
    assert (whole(Path(f"{serve()}/item.json")).array == LEVELS).all()


def test_a_server_that_stops_in_the_middle_is_one_line(
    make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = make("cut.tif", NOISE, **TILED).stat().st_size
    monkeypatch.setattr("terralink.raster.source._HTTP", {})
    address = serve(size // 2)
    with pytest.raises(SceneError, match=r"cannot read rows .*cut\.tif"):
        whole(f"{address}/cut.tif")


def test_what_a_server_does_not_send_is_masked_where_that_was_chosen(
    make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = make("cut.tif", NOISE[:, :600, :600], **TILED).stat().st_size
    monkeypatch.setattr("terralink.raster.source._HTTP", {})
    address = serve(size // 2)
    with pytest.warns(UnreadableWarning, match=r"blocks of .*cut\.tif could not be read"):
        read = whole(f"{address}/cut.tif", mask_corrupt_blocks=True)
    assert read.valid is not None
    assert 0.2 < read.valid.mean() < 0.8
    assert (read.array == NOISE[:, :600, :600] * read.valid).all()


def test_a_file_that_is_not_on_the_server_is_one_line(serve: Serve) -> None:
    address = serve()
    for name in ("no.tif", "no.json"):
        with pytest.raises(SceneError, match=f"{name}.*404"):
            whole(f"{address}/{name}")


def vrt_of_bands(folder: Path, levels: NDArray[Any], nodata: list[float | None]) -> Path:
    """A VRT whose bands (band, row, col) have a nodata tag each, or none."""
    bands = []
    kinds = {"uint8": "Byte", "uint16": "UInt16", "float32": "Float32"}
    for number, (band, level) in enumerate(zip(levels, nodata, strict=True), start=1):
        name = folder / f"{number}.tif"
        size = {"count": 1, "height": band.shape[0], "width": band.shape[1], "dtype": band.dtype}
        with rasterio.open(
            name, "w", driver="GTiff", crs="EPSG:32611", transform=UTM, **size
        ) as dataset:
            dataset.write(band, 1)
        tag = "" if level is None else f"<NoDataValue>{level}</NoDataValue>"
        bands.append(
            f'<VRTRasterBand dataType="{kinds[band.dtype.name]}" band="{number}">{tag}'
            f'<SimpleSource><SourceFilename relativeToVRT="1">{number}.tif</SourceFilename>'
            "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        )
    path = folder / "bands.vrt"
    place = ", ".join(map(str, UTM.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="{levels.shape[2]}" rasterYSize="{levels.shape[1]}">'
        f"<SRS>EPSG:32611</SRS><GeoTransform>{place}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )
    return path


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("nodata", [[0, 9, 7], [0, None, 7], [None, 9, None], [None, None, 7]])
def test_each_band_of_a_vrt_has_its_own_nodata(
    tmp_path: Path, dtype: str, nodata: list[float | None]
) -> None:
    levels = np.random.default_rng(4).integers(0, 12, (3, 20, 30)).astype(dtype)
    path = vrt_of_bands(tmp_path, levels, nodata)
    told = [level for level in nodata if level is not None]
    bands = [band for band, level in zip(levels, nodata, strict=True) if level is not None]
    missing = np.any([band == level for band, level in zip(bands, told, strict=True)], axis=0)
    with open_scene(path, SceneOptions(no_data=())) as scene:
        assert (scene.read(0, 0, (20, 30)).valid == ~missing).all()
    (tmp_path / "many").mkdir()
    path.rename(tmp_path / "many" / "a.vrt")
    for number in (1, 2, 3):
        (tmp_path / f"{number}.tif").rename(tmp_path / "many" / f"{number}.tif.part")
    text = (tmp_path / "many" / "a.vrt").read_text().replace(".tif<", ".tif.part<")
    (tmp_path / "many" / "a.vrt").write_text(text)
    with open_scene(
        tmp_path / "many", SceneOptions(no_data=())
    ) as scene:  # a mosaic of the VRT alone
        assert (scene.read(0, 0, (20, 30)).valid == ~missing).all()


@pytest.mark.parametrize("nodata", [[0, 9, 7], [0, None, 7], [None, 9, None]])
def test_a_byte_is_no_data_where_all_bands_with_a_tag_say_so(
    tmp_path: Path, nodata: list[float | None]
) -> None:
    levels = np.random.default_rng(4).integers(0, 12, (3, 20, 30)).astype(np.uint8)
    levels[:, :5] = np.array([0, 9, 7], np.uint8)[:, None, None]
    missing = np.all(
        [band == level for band, level in zip(levels, nodata, strict=True) if level is not None],
        axis=0,
    )
    with open_scene(vrt_of_bands(tmp_path, levels, nodata), SceneOptions(no_data=())) as scene:
        assert (scene.read(0, 0, (20, 30)).valid == ~missing).all()
