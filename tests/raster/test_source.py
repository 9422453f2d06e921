"""Pictures that GDAL would read in silence, though a part of them is missing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terralink.errors import SceneError
from terralink.raster.source import open_source


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    levels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(levels).save(path)
    return path


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.99])
def test_a_png_that_is_cut_off_is_refused(png: Path, kept: float) -> None:
    whole = png.read_bytes()
    png.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(SceneError, match=r"a\.png .*cut off") as told, open_source(png):
        pass
    assert "\n" not in str(told.value)


def test_a_cut_off_png_is_known_by_what_it_is_and_not_by_its_name(png: Path) -> None:
    other = png.with_suffix(".tif")
    other.write_bytes(png.read_bytes()[:-300])
    with pytest.raises(SceneError, match=r"a\.tif has no end"), open_source(other):
        pass


def test_a_png_with_something_after_its_end_is_read(png: Path) -> None:
    with png.open("ab") as file:
        file.write(b"\0" * 100)
    with open_source(png) as source:
        assert source.grid.shape == (64, 64)


def test_a_cut_off_png_in_a_vrt_is_refused(png: Path) -> None:
    vrt = png.with_suffix(".vrt")
    vrt.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">a.png</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with open_source(vrt) as source:
        assert source.read((0, 64), (0, 64))[0].any()
    png.write_bytes(png.read_bytes()[:-300])
    with pytest.raises(SceneError, match=r"a\.png has no end"), open_source(vrt):
        pass


def test_entities_of_a_vrt_are_not_expanded(png: Path) -> None:
    vrt = png.with_suffix(".vrt")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    vrt.write_text(
        f'<!DOCTYPE VRTDataset [<!ENTITY e0 "a">{entities}]>'
        '<VRTDataset rasterXSize="64" rasterYSize="64"><Metadata><MDI key="x">&e9;</MDI></Metadata>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">a.png</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with open_source(vrt) as source:
        assert source.dataset.tags().get("x", "") == ""
        assert source.read((0, 64), (0, 64))[0].any()
