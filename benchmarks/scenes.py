"""Large scenes for the benchmarks, and a model that only sleeps.

A large scene is a drawn town, repeated, for a large town takes long to draw.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import ClassVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from terralink import inference, synthetic
from terralink.model_card import Metadata
from terralink.raster import Grid, RasterWriter, open_scene
from terralink.raster.tiling import reflect_index

_TOWN_PX = 4096
_BLOCK_PX = 2048


def draw_scene(folder: Path, shape: tuple[int, int], *, style: str | None = None) -> Path:
    """A scene of ``shape`` (height, width) at 1 m per pixel; kept in the folder and used again."""
    path = folder / f"town{_size(shape)}{style or ''}.tif"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    side = tuple(min(_TOWN_PX, length) for length in shape)
    image = synthetic.draw(side, seed=0, pixel_size_m=1.0, style=style).image(0, 0, side)
    with RasterWriter(path, _grid(shape), bands=3) as writer:
        for row in range(0, shape[0], side[0]):
            for col in range(0, shape[1], side[1]):
                part = image[:, : shape[0] - row, : shape[1] - col]
                writer.write(row, col, np.ascontiguousarray(part))
    return path


def draw_predicted_scene(folder: Path, shape: tuple[int, int], *, style: str = "suburb") -> Path:
    """A scene whose three bands are the bundled model's prediction in a drawn town; kept as well.

    With a network that returns its image, it gives the roads that the bundled model finds, with
    their gaps and ragged edges, at almost no cost. The town is mirrored at its edges, again and
    again, so that roads go on there.
    """
    path = folder / f"predicted{_size(shape)}{style}.tif"
    if path.exists():
        return path
    side = tuple(min(_TOWN_PX, length) for length in shape)
    with open_scene(draw_scene(folder, side, style=style)) as scene:
        values = inference.predict(inference.load_model("roads"), scene).array
    with RasterWriter(path, _grid(shape), bands=3) as writer:
        for row, rows in _mirror_blocks(shape[0], len(values)):
            for col, cols in _mirror_blocks(shape[1], values.shape[1]):
                writer.write(row, col, np.stack([values[np.ix_(rows, cols)]] * 3))
    return path


def _mirror_blocks(length: int, side: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Where each block of a line starts, and the pixels of a side that lie there."""
    for start in range(0, length, _BLOCK_PX):
        yield start, reflect_index(start, min(start + _BLOCK_PX, length), side)


def _grid(shape: tuple[int, int]) -> Grid:
    return Grid(shape, Affine(1, 0, 500_000, 0, -1, 4_000_000), CRS.from_epsg(32611))


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"


@dataclass(frozen=True)
class SleepingModel:
    """In place of a network: sleeps ``tile_s`` seconds a tile, and returns the first band.

    It lives in a module, and not in a script, so that worker processes can import it.
    """

    tile_s: float
    metadata: ClassVar[Metadata] = Metadata(name="sleeping")
    provider: ClassVar[str] = "none"

    def load(self) -> "SleepingModel":
        return self

    def predict_uint8(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        for image in images:
            sleep(self.tile_s)
            yield image[:1]
