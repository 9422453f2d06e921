"""The command line as a function, a stand-in model, and scenes whose roads are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from terralink.cli import main
from terralink.raster import Grid, RasterWriter

GREY = Path(__file__).with_name("grey.onnx")
UTM = CRS.from_epsg(32611)


class Ended(NamedTuple):
    """How a verb ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def terralink(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a verb in this process."""

    def run(*arguments: object) -> Ended:
        code = main([str(argument) for argument in arguments])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def crossing() -> NDArray[np.uint8]:
    """A picture (3, 400, 400): two grey streets, 9 px wide, that cross on light and dark green.

    Its brightness is ordinary, so that it is not stretched and grey stays grey.
    """
    image = np.empty((3, 400, 400), np.uint8)
    image[:] = np.array([90, 250, 80], np.uint8)[:, None, None]
    image[:, :, 230:] = np.array([10, 90, 5], np.uint8)[:, None, None]
    image[:, 196:205, :] = 128
    image[:, :, 196:205] = 128
    return image


@pytest.fixture
def scene(tmp_path: Path, crossing: NDArray[np.uint8]) -> Callable[..., Path]:
    """Write ``crossing``, or another image, as a GeoTIFF."""

    def write(
        name: str = "scene.tif",
        *,
        image: NDArray[Any] = crossing,
        pixel_size_m: float = 1.0,
        crs: CRS | None = UTM,
    ) -> Path:
        place = Affine(pixel_size_m, 0, 600000, 0, -pixel_size_m, 4000000)
        grid = Grid(image.shape[1:], place if crs else Affine.identity(), crs)
        with RasterWriter(tmp_path / name, grid, bands=len(image), dtype=image.dtype) as writer:
            writer.write(0, 0, image)
        return tmp_path / name

    return write
