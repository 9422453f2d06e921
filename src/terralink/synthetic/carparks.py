"""A car park: asphalt, aisles that join the street, rows of stalls, parked cars and islands."""

import itertools
from dataclasses import dataclass

import numpy as np

from terralink.synthetic.buildings import Frame
from terralink.synthetic.curves import Points, boxes, snapped, strips
from terralink.synthetic.streets import Road

_PITCH_M = 16.5  # two rows of stalls and the aisle between them
_STALL_M = 2.7
_AISLE_M = 6.0


@dataclass(frozen=True, eq=False)
class CarPark:
    """All its parts; the aisles are service roads of the truth."""

    ground: Points  # (4, 2)
    aisles: list[Road]
    lines: Points  # (n, 4, 2) paint between stalls
    cars: Points  # (n, 4, 2)
    islands: Points  # (n, 4, 2)


def mark_out(frame: Frame, gate: Points, draw: np.random.Generator) -> CarPark | None:
    """The car park that fills ``frame`` and is entered from ``gate``, or None where none fits."""
    count = int(frame.deep_m / _PITCH_M)
    reach_m = frame.long_m / 2 - 4
    if count < 1 or reach_m < 14:
        return None
    first_m = -(count - 1) * _PITCH_M / 2
    middles = first_m + _PITCH_M * np.arange(count, dtype=np.float64)
    entry_m = float(np.clip((gate - frame.centre) @ frame.ahead, 6 - reach_m, reach_m - 6))
    stalls = np.arange(8 - reach_m, reach_m - 8, _STALL_M)
    x, y = np.meshgrid(stalls, np.concatenate([middles - 5.6, middles + 5.6]))
    x, y = x.ravel(), y.ravel()
    taken = draw.random(len(x)) < draw.uniform(0.15, 0.85)
    parked = frame.at(x[taken] + _STALL_M / 2, y[taken] + draw.uniform(-0.5, 0.5, taken.sum()))
    inward = np.broadcast_to(frame.inward, parked.shape)
    ends_x, ends_y = np.meshgrid([5.2 - reach_m, reach_m - 5.2], middles[:-1] + _PITCH_M / 2)
    islands = frame.at(ends_x.ravel(), ends_y.ravel())
    return CarPark(
        ground=frame.box(0, 0, frame.long_m, frame.deep_m),
        aisles=_aisles(frame, middles, reach_m, entry_m, gate),
        lines=strips(frame.at(x, y - 2.4), frame.at(x, y + 2.4), 0.15),
        cars=boxes(
            parked, inward, draw.uniform(4, 5, len(parked)), draw.uniform(1.7, 2, len(parked))
        ),
        islands=boxes(islands, np.broadcast_to(frame.inward, islands.shape), 9.5, 2.6),
    )


def _aisles(
    frame: Frame, middles: Points, reach_m: float, entry_m: float, gate: Points
) -> list[Road]:
    """Aisles, the two ways across their ends, and the entry from the street."""
    x = reach_m - 1
    lines = [frame.at(np.array([-x, x]), y) for y in middles[1:]]
    lines += [
        frame.at(np.array([-x, entry_m]), middles[0]),
        frame.at(np.array([entry_m, x]), middles[0]),
    ]
    for low, high in itertools.pairwise(middles):
        lines += [frame.at(np.full(2, end), np.array([low, high])) for end in (-x, x)]
    lines.append(np.array([frame.at(entry_m, middles[0]), gate]))
    return [Road(snapped(line), "service", _AISLE_M) for line in lines]
