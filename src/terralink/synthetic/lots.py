"""How the ground around buildings looks: gardens with drives and pools, car parks."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from terralink.synthetic.buildings import Frontage
from terralink.synthetic.carparks import CarPark
from terralink.synthetic.curves import boxes
from terralink.synthetic.layers import Brushes, Cover
from terralink.synthetic.paving import Paving
from terralink.synthetic.styles import CARS, Style


def gardens(
    brushes: Brushes,
    lots: Frontage,
    style: Style,
    draw: np.random.Generator,
    lawn: Callable[[], NDArray[np.float64]],
) -> None:
    """Each lot its own ground, a drive, here and there a pool."""
    count = len(lots)
    if not count:
        return
    depth_m = draw.uniform(22, 34, count)
    colours = np.array([[*lawn(), style.garden_trees] for _ in range(count)])
    middle = lots.local(np.zeros(count), depth_m / 2 + 1)
    covers = colours[:, 1] > colours[:, 0] + 3
    rings = boxes(middle, lots.inward, depth_m, lots.width_m * 0.98)
    for green, cover in ((True, Cover.VEGETATION), (False, Cover.LAND)):
        brushes["lots"].add(rings[covers == green], colours[covers == green], cover)
    aside_m = lots.width_m * draw.choice([-0.36, 0.36], count)
    long_m = draw.uniform(7, 14, count)
    drives = boxes(
        lots.local(aside_m, long_m / 2), lots.inward, long_m, draw.uniform(2.8, 5.5, count)
    )
    grey = np.clip(draw.normal(150, 22, count), 96, 196)[:, None] + np.array([2.0, 0.0, -4.0])
    brushes["grounds"].add(drives, grey)
    parked = draw.random(count) < 0.4
    cars = boxes(lots.local(aside_m, long_m * 0.62), lots.inward, 4.4, 1.8)
    brushes["cars"].add(cars[parked], CARS[draw.integers(len(CARS), size=parked.sum())])
    pools = draw.random(count) < style.pools
    wet = boxes(lots.local(-aside_m * 0.5, depth_m - 5), lots.ahead, draw.uniform(6, 9, count), 4.2)
    brushes["lots"].add(wet[pools], (82, 158, 176), Cover.WATER)


def car_park(
    brushes: Brushes, park: CarPark, paving: Paving, style: Style, draw: np.random.Generator
) -> None:
    """Asphalt, paint, cars and islands."""
    brushes["grounds"].add([park.ground], paving.roads["service"] - 2, Cover.LAND)
    brushes["marks"].add(park.lines, (196, 196, 190))
    brushes["cars"].add(park.cars, CARS[draw.integers(len(CARS), size=len(park.cars))])
    brushes["marks"].add(park.islands, [*style.lawns[0], 130])
