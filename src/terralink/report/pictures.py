"""What the layers of a report show: probability as heat, and lines drawn on a grid.

Pictures are Pillow images with a transparent ground; a grid says where on the ground they lie.
Lines are drawn at twice the size and reduced, which smooths their edges.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from terralink.raster import Grid

# From nothing to certain, as (probability, red, green, blue, opacity): dark embers to pale yellow.
_HEAT = np.array(
    [
        (0.00, 40, 10, 60, 0),
        (0.15, 90, 15, 110, 60),
        (0.40, 200, 50, 70, 200),
        (0.70, 250, 140, 20, 240),
        (1.00, 252, 250, 165, 255),
    ]
)
HEAT_CSS = "linear-gradient(90deg, #5a0f6e, #c83246, #fa8c14, #fcfaa5)"
_FINER = 2


def heat(prob: NDArray[np.uint8]) -> Image.Image:
    """Draw probabilities (row, col), 0..255 for 0..1, as colours that glow where road is likely."""
    level = np.linspace(0, 1, 256)
    palette = np.stack([np.interp(level, _HEAT[:, 0], _HEAT[:, i]) for i in range(1, 5)], axis=1)
    return Image.fromarray(palette.round().astype(np.uint8)[prob])


def lines(grid: Grid, drawn: Iterable[tuple[NDArray[Any], str]], *, width_px: float) -> Image.Image:
    """Draw sets of line geometry, in metres of ``grid.metric_crs``, each with its colour."""
    height, width = grid.shape
    picture = Image.new("RGBA", (width * _FINER, height * _FINER))
    pen = ImageDraw.Draw(picture)
    for geometry, colour in drawn:
        for part in shapely.get_parts(geometry[~shapely.is_empty(geometry)]):
            _draw(pen, _pixels(grid, part), colour, width_px * _FINER)
    return picture.resize((width, height), Image.Resampling.BOX)


def _pixels(grid: Grid, line: shapely.LineString) -> list[tuple[float, float]]:
    xs, ys = shapely.get_coordinates(line).T
    cols, rows = grid.metric_colrow(xs, ys)
    # Pillow's (0, 0) is the centre of the first pixel.
    return list(zip(cols * _FINER - 0.5, rows * _FINER - 0.5, strict=True))


def _draw(
    pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: str, width_px: float
) -> None:
    """A line with round ends, which Pillow draws flat."""
    pen.line(points, fill=colour, width=round(width_px), joint="curve")
    for x, y in (points[0], points[-1]):
        pen.circle((x, y), width_px / 2, fill=colour)
