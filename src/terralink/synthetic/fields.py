"""Ground that nobody built on: fields with furrows, patches with soft outlines, water."""

import numpy as np
import shapely

from terralink.synthetic.buildings import Frame
from terralink.synthetic.curves import Points, strips
from terralink.synthetic.layers import Brush, Cover, rings_of
from terralink.synthetic.streets import Block
from terralink.synthetic.styles import Style

_CROPS = (
    (104, 120, 66),
    (128, 134, 80),
    (164, 146, 104),
    (138, 112, 86),
    (150, 140, 98),
    (88, 108, 62),
)


def sow(brush: Brush, corners: Points, draw: np.random.Generator) -> None:
    """Cut a block (4, 2) into one to four fields, each ploughed its own way."""
    for part in _cut(corners, 2, draw):
        field = shapely.Polygon(part).buffer(-draw.uniform(3, 6), join_style="mitre")
        if field.is_empty or field.geom_type != "Polygon" or field.area < 400:
            continue
        colour = np.array(_CROPS[draw.integers(len(_CROPS))], float) + draw.normal(0, 8)
        colour += draw.normal(0, 3, 3)
        brush.add(rings_of([field]), colour, Cover.FIELD)
        brush.add(_furrows(part, field, draw), colour * draw.uniform(0.8, 0.93), Cover.SAME)


def blob(frame: Frame, draw: np.random.Generator, share: float) -> Points:
    """A closed ring with a soft outline that takes about ``share`` of the frame's sides."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.full(64, 0.5 * share)
    for wave in (2, 3, 5, 8):
        radius *= 1 + draw.uniform(0, 0.5 / wave) * np.sin(wave * angle + draw.uniform(0, 6.28))
    return frame.at(radius * np.cos(angle) * frame.long_m, radius * np.sin(angle) * frame.deep_m)


def flood(brush: Brush, water: shapely.Geometry, style: Style, draw: np.random.Generator) -> None:
    """Water with a bank around it."""
    colour = np.array([[38, 50, 52], [52, 66, 58], [44, 62, 74]][draw.integers(3)], float)
    if water.is_empty:
        return
    banks = shapely.get_parts(water.buffer(3.5, quad_segs=3))
    brush.add(rings_of(banks), [*np.array(style.dirt) * 0.86, 40], Cover.LAND)
    brush.add(rings_of(shapely.get_parts(water)), colour, Cover.WATER)


def _cut(corners: Points, times: int, draw: np.random.Generator) -> list[Points]:
    a, b, c, d = corners
    if times == 0 or draw.random() < 0.25:
        return [corners]
    if np.hypot(*(b - a)) < np.hypot(*(d - a)):
        a, b, c, d = b, c, d, a
    at = draw.uniform(0.35, 0.65)
    low, high = a + at * (b - a), d + at * (c - d)
    halves = (np.array([a, low, high, d]), np.array([low, b, c, high]))
    return [part for half in halves for part in _cut(half, times - 1, draw)]


def _furrows(corners: Points, field: shapely.Polygon, draw: np.random.Generator) -> Points:
    """Thin strips parallel to one edge, within the field."""
    frame = Frame.of(Block(corners, ()))
    if draw.random() < 0.5:
        frame = Frame(frame.centre, frame.inward, -frame.ahead, frame.deep_m, frame.long_m)
    pitch_m = draw.uniform(2.2, 7)
    reach = max(frame.long_m, frame.deep_m) * 0.8
    y = np.arange(-reach, reach, pitch_m)
    ends = np.stack(
        [frame.at(np.full(len(y), -reach), y), frame.at(np.full(len(y), reach), y)], axis=1
    )
    inside = shapely.get_parts(shapely.intersection(shapely.linestrings(ends), field))
    inside = inside[shapely.get_num_coordinates(inside) == 2]
    pairs = shapely.get_coordinates(inside).reshape(-1, 2, 2)
    return strips(pairs[:, 0], pairs[:, 1], pitch_m * draw.uniform(0.3, 0.5))
