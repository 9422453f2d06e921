"""Styles of towns, and the conditions under which a town is photographed."""

from dataclasses import dataclass, field, replace

import numpy as np

from terralink import errors
from terralink.synthetic.primitives import hash_uniform, make_rng

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """Colours (red, green, blue of sunlit ground), sizes in metres, and chances of one town."""

    name: str
    cell_m: float  # side of a district between main roads
    districts: dict[str, float]  # chance of each kind of district
    ground: tuple[Colour, Colour, Colour]  # mixed by noise
    lawns: tuple[Colour, ...]
    crowns: tuple[Colour, ...]
    crown_m: tuple[float, float]  # radius of the smallest and largest tree
    asphalt: tuple[int, int]  # darkest and brightest grey of a road
    dirt: Colour
    pavement: Colour
    roofs: tuple[Colour, ...]
    gabled: float  # share of houses with pitched roofs
    garden_trees: int  # chance of a tree in a garden, of 255
    wood_trees: int  # in a wood
    wild_trees: int  # on open ground
    crooked: float  # how much corners wander, of a cell
    curviness: float  # how much main roads bend
    main_roads: tuple[str, ...]  # drawn from for each line of the lattice; "" is none
    motorways: float  # share of rows with one
    rivers: float  # share of columns with one
    street_m: tuple[float, float]  # width of a residential street
    lot_m: tuple[float, float]  # frontage of a house
    pools: float = 0.0
    turn: float = 3.2  # largest rotation of the whole plan, radians


_SUBURB = Style(
    name="suburb",
    cell_m=420,
    districts={"homes": 6, "wood": 2, "retail": 1.6, "park": 1.2, "wild": 0.6},
    ground=((96, 106, 70), (132, 122, 96), (98, 82, 68)),
    lawns=((92, 110, 66), (104, 118, 74), (120, 118, 84), (84, 100, 60), (134, 124, 98)),
    crowns=((48, 62, 42), (60, 78, 48), (98, 84, 76), (106, 92, 80), (72, 84, 52)),
    crown_m=(1.2, 4.8),
    asphalt=(112, 150),
    dirt=(150, 132, 108),
    pavement=(168, 166, 160),
    roofs=((96, 96, 100), (124, 116, 110), (158, 152, 146), (208, 206, 202), (80, 74, 74),
           (118, 92, 80), (140, 134, 138)),
    gabled=0.9,
    garden_trees=44,
    wood_trees=235,
    wild_trees=45,
    crooked=0.2,
    curviness=0.5,
    main_roads=("secondary", "primary", "secondary", "residential", ""),
    motorways=0.16,
    rivers=0.14,
    street_m=(6.5, 9),
    lot_m=(19, 32),
    pools=0.07,
)  # fmt: skip

_ARID = Style(
    name="arid",
    cell_m=440,
    districts={"homes": 6, "retail": 2.2, "wild": 2, "dense": 0.8, "park": 0.4},
    ground=((188, 162, 134), (206, 186, 160), (158, 132, 108)),
    lawns=((184, 164, 140), (170, 148, 124), (196, 180, 158), (112, 122, 78), (178, 160, 140)),
    crowns=((60, 74, 46), (74, 84, 54), (86, 88, 62), (50, 62, 40)),
    crown_m=(0.7, 3.2),
    asphalt=(70, 128),
    dirt=(196, 172, 142),
    pavement=(190, 180, 166),
    roofs=((182, 138, 112), (190, 152, 124), (202, 182, 162), (226, 222, 214), (156, 116, 96),
           (170, 128, 108), (210, 198, 182)),
    gabled=0.65,
    garden_trees=50,
    wood_trees=150,
    wild_trees=10,
    crooked=0.06,
    curviness=0.25,
    main_roads=("primary", "primary", "secondary", "secondary", "residential", ""),
    motorways=0.2,
    rivers=0.06,
    street_m=(8, 11),
    lot_m=(15, 21),
    pools=0.3,
)  # fmt: skip

_OLD_TOWN = Style(
    name="oldtown",
    cell_m=300,
    districts={"dense": 7, "homes": 1.5, "park": 1, "retail": 0.8},
    ground=((138, 132, 118), (116, 118, 92), (148, 136, 116)),
    lawns=((100, 110, 72), (142, 134, 118), (128, 122, 104), (110, 104, 92)),
    crowns=((54, 72, 44), (66, 84, 50), (76, 86, 58), (46, 60, 40)),
    crown_m=(1.2, 4.2),
    asphalt=(96, 138),
    dirt=(168, 150, 124),
    pavement=(158, 154, 148),
    roofs=((172, 104, 78), (156, 94, 72), (184, 124, 94), (122, 112, 106), (196, 190, 180),
           (142, 84, 66), (164, 116, 92), (98, 94, 96)),
    gabled=0.75,
    garden_trees=50,
    wood_trees=225,
    wild_trees=40,
    crooked=0.28,
    curviness=0.8,
    main_roads=("secondary", "secondary", "primary", "residential"),
    motorways=0.06,
    rivers=0.16,
    street_m=(5, 7.5),
    lot_m=(11, 20),
    pools=0.02,
)  # fmt: skip

_RURAL = Style(
    name="rural",
    cell_m=620,
    districts={"fields": 6, "wood": 2, "homes": 0.9, "wild": 1, "park": 0.3},
    ground=((104, 112, 72), (136, 128, 94), (116, 104, 78)),
    lawns=((98, 114, 66), (116, 124, 78), (130, 126, 90), (84, 102, 58)),
    crowns=((46, 64, 40), (60, 78, 46), (72, 84, 50), (84, 82, 62)),
    crown_m=(1.2, 4.6),
    asphalt=(112, 156),
    dirt=(178, 160, 130),
    pavement=(172, 164, 150),
    roofs=((158, 98, 76), (120, 112, 108), (176, 172, 166), (132, 90, 74), (206, 204, 200)),
    gabled=0.9,
    garden_trees=70,
    wood_trees=240,
    wild_trees=35,
    crooked=0.3,
    curviness=0.8,
    main_roads=("secondary", "residential", "track", "", "residential"),
    motorways=0.1,
    rivers=0.2,
    street_m=(5, 7),
    lot_m=(24, 45),
    pools=0.04,
)  # fmt: skip

CAR_COLOURS = np.array(
    [(236, 236, 234), (210, 212, 214), (150, 154, 158), (62, 64, 68),
     (40, 42, 46), (120, 44, 40), (52, 74, 112), (178, 170, 154)], float)  # fmt: skip

STYLES = {style.name: style for style in (_SUBURB, _ARID, _OLD_TOWN, _RURAL)}


@dataclass(frozen=True)
class Acquisition:
    """Sun and camera, one per town.

    ``sun`` is the way shadows fall (east, north), of unit length; ``shadow`` is how long one is
    for a metre of height. ``gain`` and ``lift`` are per band:
    pixel value = gain * sunlit colour + lift.
    """

    sun: tuple[float, float]
    shadow: float
    shade: tuple[float, float, float]  # light left in a shadow, per band
    gain: tuple[float, float, float]
    lift: tuple[float, float, float]
    blur: float  # weight of each neighbour pixel
    noise: float  # standard deviation of the sensor's noise, in pixel values
    texture: float  # strength of the ground's texture
    greenness: float = field(default=1.0)  # season: 0 is straw


def get_style(name: str | None, seed: int) -> Style:
    """The style called ``name``, or one chosen by ``seed``, with sizes varied by ``seed``.

    Raises ``InputError`` for a name that does not exist.

    >>> get_style("arid", 3).name
    'arid'
    """
    if name is None:
        name = sorted(STYLES)[int(hash_uniform(seed, 101) * len(STYLES))]
    if name not in STYLES:
        raise errors.InputError(errors.unknown("town style", name, STYLES))
    style = STYLES[name]
    rng = make_rng(seed, 102)
    return replace(
        style,
        cell_m=style.cell_m * rng.uniform(0.85, 1.2),
        garden_trees=int(min(255, style.garden_trees * rng.uniform(0.4, 1.7))),
        curviness=style.curviness * rng.uniform(0.4, 1.5),
    )


def sample_acquisition(style: Style, seed: int) -> Acquisition:
    """Sun, light and camera for ``seed``: from dull and dark to bright, hazy or colour-cast."""
    rng = make_rng(seed, 103)
    azimuth = rng.choice(16) * 0.39269908169872414
    sun = ((1.0, 0.0), (0.92387953, 0.38268343), (0.70710678, 0.70710678), (0.38268343, 0.92387953))
    quarter, part = divmod(round(azimuth / 0.39269908169872414), 4)
    x, y = sun[part]
    for _ in range(quarter):
        x, y = -y, x
    gain = rng.uniform(0.5, 1.2) * (0.95 if style.name == "arid" else 1.0)
    contrast = rng.uniform(0.9, 1.22)
    haze = max(0.0, rng.uniform(-0.12, 0.22))
    cast = rng.uniform(0.93, 1.07, 3)
    air = (188.0, 200.0, 214.0)
    gains = [gain * contrast * band * (1 - haze) for band in cast]
    lifts = [(haze * veil + (1 - haze) * 105 * gain * (1 - contrast)) for veil in air]
    dark = rng.uniform(0.26, 0.5)
    return Acquisition(
        sun=(x, y),
        shadow=float(rng.uniform(0.5, 1.5)),
        shade=(dark, dark * 1.05, dark * 1.16),
        gain=(gains[0], gains[1], gains[2]),
        lift=(lifts[0], lifts[1], lifts[2]),
        blur=float(rng.uniform(0.06, 0.28)),
        noise=float(rng.uniform(1.0, 5.0)),
        texture=float(rng.uniform(0.7, 1.3)),
        greenness=float(rng.uniform(0.5, 1.15)),
    )
