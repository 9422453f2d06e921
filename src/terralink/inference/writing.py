"""The probability of a scene in a GeoTIFF, and back from it in whole rows.

    blocks or bands -> the file's draft -> strips of whole rows

Blocks are no wider than a tile, and who traces wants whole rows. A row of tiles waits in the file
until it is whole, not in memory.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from terralink.inference.backends.openvino_graph import LEVELS
from terralink.inference.model import Predictor
from terralink.inference.scene import blocks, fitted, warn_if_empty
from terralink.inference.tile_plan import Walk
from terralink.outputs import check_not_inputs
from terralink.raster import Raster, RasterWriter, Scene

_STRIP_ROWS = 512  # as high as a block of the file: none is unpacked twice


def write(
    path: str | os.PathLike[str],
    model: Predictor,
    scene: Scene,
    *,
    tta: bool = False,
    each: Callable[[Raster], None] = lambda _block: None,
) -> None:
    """Stream the probability into a GeoTIFF; ``each`` is called with every block that is written.

    See ``stored``.
    """
    for block in stored(path, model, scene, blocks(model, scene, tta=tta)):
        each(block)


def stored(
    path: str | os.PathLike[str], model: Predictor, scene: Scene, parts: Iterable[Raster]
) -> Iterator[Raster]:
    """The blocks or bands that the model made of the scene, each once a GeoTIFF has it.

    The file has its name when they have ended; it is uint8 with a scale of 1/255, masked where
    the scene has no data; its tags say which model, computed by whom, and which stretch made it.
    """
    with _draft(path, model, scene) as draft:
        for part in warn_if_empty(parts, scene):
            draft.write(part)
            yield part
            del part  # a band is large, and would wait here for the next


def strips(
    path: str | os.PathLike[str], model: Predictor, scene: Scene, parts: Iterable[Raster]
) -> Iterator[Raster]:
    """What the GeoTIFF has of the scene in whole rows, from top to bottom; see ``stored``.

    There are ``strip_count`` of them. The last come when the parts have ended.
    """
    with _draft(path, model, scene) as draft:
        for part in warn_if_empty(parts, scene):
            draft.write(part)
            del part  # as above
            while draft.strip_is_due:
                yield draft.strip()
        while draft.whole_rows > draft.read_rows:
            yield draft.strip()


def strip_count(model: Predictor, scene: Scene) -> int:
    """How many strips the scene has."""
    walk = Walk.through(fitted(model, scene).grid, model.metadata)
    return math.ceil(walk.grid.height / _STRIP_ROWS)


@contextmanager
def _draft(path: str | os.PathLike[str], model: Predictor, scene: Scene) -> Iterator["_Draft"]:
    """The file that becomes ``path`` when the block ends."""
    check_not_inputs([path], [scene.path])
    scene = fitted(model, scene)
    card = model.metadata
    tags = {
        "TERRALINK_MODEL": card.name,
        "TERRALINK_PROVIDER": model.provider,
        "TERRALINK_CLASSES": ",".join(card.classes),
    }
    with RasterWriter(
        path,
        scene.grid,
        bands=len(card.classes),
        scale=1 / LEVELS,
        tags={**tags, **scene.stretch.to_tags()},
        description=f"probability of {card.classes[0]}",
    ) as writer:
        yield _Draft(writer, Walk.through(scene.grid, card))


@dataclass
class _Draft:
    """A file of the scene as it lies; parts go in and strips come out as it is walked.

    whole_rows  so many from the top are there
    read_rows   so many were read back
    came_px     what came in while there was a strip to read
    """

    writer: RasterWriter
    walk: Walk
    whole_rows: int = 0
    read_rows: int = 0
    came_px: int = 0

    def write(self, part: Raster) -> None:
        valid = None if part.valid is None else self.walk.turn(part.valid)
        self.writer.write(*self.walk.place(part.grid), self.walk.turn(part.array), valid)
        row, col = self.walk.start(part.grid)
        if col + part.grid.width == self.walk.grid.width:
            self.whole_rows = row + part.grid.height
        if self._strip_waits:
            self.came_px += math.prod(part.grid.shape)

    @property
    def strip_is_due(self) -> bool:
        """RULE: of a row of tiles that is whole, no more goes out than comes in of the next.

        All of it at once would take long to trace, and inference would wait for that.
        """
        return self._strip_waits and self.came_px >= _STRIP_ROWS * self.walk.grid.width

    @property
    def _strip_waits(self) -> bool:
        return self.whole_rows - self.read_rows >= _STRIP_ROWS

    def strip(self) -> Raster:
        """The next rows."""
        shape = (min(_STRIP_ROWS, self.whole_rows - self.read_rows), self.walk.grid.width)
        grid = self.walk.grid.window(self.read_rows, 0, shape)
        levels, valid = self.writer.read(*self.walk.place(grid), self.walk.upright(shape))
        self.read_rows += grid.height
        self.came_px -= math.prod(shape)
        array = self.walk.turn(levels[0] if len(levels) == 1 else levels)
        return Raster(array, grid, None if valid is None else self.walk.turn(valid), 1 / LEVELS)
