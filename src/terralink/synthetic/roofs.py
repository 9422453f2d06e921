"""How buildings look from above: roof planes, plant on flat roofs, courts, shadows."""

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.synthetic.buildings import Buildings
from terralink.synthetic.curves import Points, boxes, left_of
from terralink.synthetic.layers import Brush, Brushes, Cover, rings_of
from terralink.synthetic.styles import Look, Style

_BIG_M2 = 900  # a flat pale roof with plant on it


def roof(
    brushes: Brushes, built: Buildings, style: Style, look: Look, draw: np.random.Generator
) -> None:
    """Roofs with sunlit and shaded sides, and the shadows that buildings cast."""
    if not len(built):
        return
    brushes["roofs"].add(rings_of(built.polygons), (90, 90, 90), Cover.BUILDING)
    palette = np.array(style.roofs, float)
    base = palette[draw.integers(len(palette), size=len(built))] + draw.normal(
        0, 9, (len(built), 1)
    )
    big = shapely.area(built.polygons) > _BIG_M2
    base[big] = np.clip(draw.normal(196, 30, (big.sum(), 1)), 110, 245)
    colour, gabled = base[built.owner], built.gabled[built.owner]
    _planes(brushes["roofs"], built.wings, colour, gabled, look)
    _courts(brushes["roofs"], built, style)
    _shadows(brushes, built, look)
    _rooftop(brushes["roofs"], built, big, draw)


def _planes(
    brush: Brush, wings: Points, colour: NDArray[np.float64], gabled: NDArray[np.bool_], look: Look
) -> None:
    """Two planes a wing, each as bright as it faces the sun; flat roofs with a pale parapet."""
    long = wings[:, 3] - wings[:, 0]
    side = left_of(long / np.hypot(*long.T)[:, None])
    facing = (side @ -np.array(look.sun))[:, None]
    start, end = (wings[:, 0] + wings[:, 1]) / 2, (wings[:, 2] + wings[:, 3]) / 2
    left = np.stack([wings[:, 0], start, end, wings[:, 3]], axis=1)
    right = np.stack([start, wings[:, 1], wings[:, 2], end], axis=1)
    brush.add(left[gabled], (colour * (1 + 0.24 * facing))[gabled])
    brush.add(right[gabled], (colour * (1 - 0.24 * facing))[gabled])
    middle = wings.mean(axis=1, keepdims=True)
    brush.add(wings[~gabled], colour[~gabled] * 1.12)
    brush.add((middle + (wings - middle) * 0.93)[~gabled], colour[~gabled] * 0.97)


def _courts(brush: Brush, built: Buildings, style: Style) -> None:
    """The ground in courts, painted over the union's outer ring."""
    holes = [
        shapely.get_coordinates(hole)[:-1]
        for polygon in built.polygons
        for hole in polygon.interiors
    ]
    brush.add(holes, [*style.lawns[0], 60], Cover.LAND)


def _shadows(brushes: Brushes, built: Buildings, look: Look) -> None:
    """Each wing's rectangle moved away from the sun, and what its edges sweep on the way."""
    fall = (np.array(look.sun) * look.shadow * built.height_m[built.owner][:, None])[:, None, :]
    start, end = built.wings, np.roll(built.wings, -1, axis=1)
    swept = np.stack([start, end, end + fall, start + fall], axis=2).reshape(-1, 4, 2)
    outward = -left_of(end - start)
    turning = np.sign(_area(built.wings))[:, None]
    away = (np.einsum("kej,kj->ke", outward, fall[:, 0]) * turning > 0).ravel()
    brushes["shadows"].add(swept[away], (0, 0, 0))
    brushes["shadows"].add(built.wings + fall, (0, 0, 0))
    brushes["lit"].add(built.wings, (0, 0, 0))


def _area(rings: Points) -> NDArray[np.float64]:
    """Twice the signed area, positive counter-clockwise."""
    x, y = rings[..., 0], rings[..., 1]
    area: NDArray[np.float64] = (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(axis=1)
    return area


def _rooftop(
    brush: Brush, built: Buildings, big: NDArray[np.bool_], draw: np.random.Generator
) -> None:
    """Plant on big flat roofs: small boxes and their shades."""
    for wing in built.wings[big[built.owner] & ~built.gabled[built.owner]]:
        count = int(draw.integers(2, 9))
        u, v = draw.uniform(0.12, 0.88, (2, count, 1))
        centre = wing[0] + u * (wing[3] - wing[0]) + v * (wing[1] - wing[0])
        ahead = (wing[3] - wing[0]) / np.hypot(*(wing[3] - wing[0]))
        units = boxes(
            centre, np.broadcast_to(ahead, centre.shape), draw.uniform(1.5, 5, count), 2.2
        )
        brush.add(units + 0.8, (96, 96, 98))
        brush.add(units, (170, 172, 172))
