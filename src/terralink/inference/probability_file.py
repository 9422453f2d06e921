"""The probability of a scene as a GeoTIFF, and whole rows read back from it.

    blocks or bands -> file under a temporary name -> whole rows

Blocks are no wider than a tile, but tracing needs whole rows. A row of tiles is kept in the file,
not in memory, until it is complete.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from terralink.inference.model import PROB_SCALE, Predictor
from terralink.inference.sliding_window import conform_scene, predict_blocks, warn_if_empty
from terralink.inference.tile_plan import TilePlan
from terralink.outputs import check_not_inputs
from terralink.raster import Raster, RasterWriter, Scene

_STRIP_ROWS = 512  # the height of a block of the file: none is decompressed twice


def predict_to_file(
    path: str | os.PathLike[str],
    model: Predictor,
    scene: Scene,
    *,
    tta: bool = False,
    each: Callable[[Raster], None] = lambda _block: None,
) -> None:
    """Predict the scene into a GeoTIFF; ``each`` is called with every block after it is written.

    See ``write_blocks``.
    """
    for block in write_blocks(path, model, scene, predict_blocks(model, scene, tta=tta)):
        each(block)


def write_blocks(
    path: str | os.PathLike[str], model: Predictor, scene: Scene, parts: Iterable[Raster]
) -> Iterator[Raster]:
    """Write the model's blocks or bands of the scene to a GeoTIFF, and yield each.

    The file gets its name after the last. It is uint8 with a scale of 1/255, masked where the scene
    has no data; its tags name the model, what computed it, and the stretch.
    """
    with _open_file(path, model, scene) as file:
        for part in warn_if_empty(parts, scene):
            file.write(part)
            yield part
            del part  # free a band, which is large, before the next is computed


def write_and_read_rows(
    path: str | os.PathLike[str], model: Predictor, scene: Scene, parts: Iterable[Raster]
) -> Iterator[Raster]:
    """As ``write_blocks``, but yield strips of whole rows from top to bottom.

    There are ``count_strips`` of them. The last follow when the parts have ended.
    """
    with _open_file(path, model, scene) as file:
        for part in warn_if_empty(parts, scene):
            file.write(part)
            del part  # as above
            while file.strip_is_due:
                yield file.read_strip()
        while file.complete_rows > file.read_rows:
            yield file.read_strip()


def count_strips(model: Predictor, scene: Scene) -> int:
    """The number of strips of the scene."""
    plan = TilePlan.create(conform_scene(model, scene).grid, model.metadata)
    return math.ceil(plan.grid.height / _STRIP_ROWS)


@contextmanager
def _open_file(
    path: str | os.PathLike[str], model: Predictor, scene: Scene
) -> Iterator["_ProbabilityFile"]:
    """The file that gets the name ``path`` when the block ends."""
    check_not_inputs([path], [scene.path])
    scene = conform_scene(model, scene)
    metadata = model.metadata
    tags = {
        "TERRALINK_MODEL": metadata.name,
        "TERRALINK_PROVIDER": model.provider,
        "TERRALINK_CLASSES": ",".join(metadata.classes),
    }
    with RasterWriter(
        path,
        scene.grid,
        bands=len(metadata.classes),
        scale=1 / PROB_SCALE,
        tags={**tags, **scene.stretch.to_tags()},
        description=f"probability of {metadata.classes[0]}",
    ) as writer:
        yield _ProbabilityFile(writer, TilePlan.create(scene.grid, metadata))


@dataclass
class _ProbabilityFile:
    """A file of the scene; parts are written to it and strips read back, both by the tile plan.

    complete_rows  so many rows from the top are written
    read_rows      so many were read back
    written_px     pixels written while a strip waits to be read, less those read
    """

    writer: RasterWriter
    plan: TilePlan
    complete_rows: int = 0
    read_rows: int = 0
    written_px: int = 0

    def write(self, part: Raster) -> None:
        row, col = self.plan.write(self.writer, part)
        if col + part.grid.width == self.plan.grid.width:
            self.complete_rows = row + part.grid.height
        if self._strip_waits:
            self.written_px += math.prod(part.grid.shape)

    @property
    def strip_is_due(self) -> bool:
        """RULE: of a complete row of tiles, no more is read than is written of the next row.

        Reading all of it at once would take long to trace, and inference would wait for that.
        """
        return self._strip_waits and self.written_px >= _STRIP_ROWS * self.plan.grid.width

    @property
    def _strip_waits(self) -> bool:
        return self.complete_rows - self.read_rows >= _STRIP_ROWS

    def read_strip(self) -> Raster:
        """The next rows."""
        count = min(_STRIP_ROWS, self.complete_rows - self.read_rows)
        strip = self.plan.read_rows(self.writer, self.read_rows, count)
        self.read_rows += count
        self.written_px -= count * self.plan.grid.width
        return strip
