"""Splits of chips that share ground: no pixel is on both sides.

Windows that overlap cannot be drawn one by one: each that is held out would spoil the eight around
it. So a run of neighbours is held out.

RULE 1: scenes come in an order by seed; within one, windows follow each other along its longer
        side, from one end or the other. What is held out is a piece of this order.
RULE 2: what shares a pixel with a held-out window is left out of training.
RULE 3: where that leaves nothing to train on, less is held out, from the end of the piece.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

Neighbours = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Place:
    """Where a chip lies: ``box`` (left, bottom, right, top) in the plane of ``frame``.

    Chips of one frame, such as a scene or a CRS, may share ground; those of two do not. What they
    share by less than ``slack`` is a rounding error.
    """

    frame: Hashable
    box: tuple[float, float, float, float]
    slack: float = 0.01


def neighbours(places: Sequence[Place], groups: Sequence[Hashable]) -> dict[int, list[int]]:
    """For each chip that shares ground with chips of other groups the numbers of those.

    >>> side = [Place("a", (x, 0, x + 10, 10)) for x in (0, 8, 20)]
    >>> neighbours([*side, Place("b", (0, 0, 10, 10))], range(4))
    {0: [1], 1: [0]}
    """
    found: dict[int, list[int]] = {}
    for numbers in _by_frame(places).values():
        boxes = shapely.box(*np.array([_inner(places[each]) for each in numbers]).T)
        for one, other in numbers[shapely.STRtree(boxes).query(boxes, "intersects")].T.tolist():
            if groups[one] != groups[other]:
                found.setdefault(one, []).append(other)
    return found


def in_order(places: Sequence[Place], seed: int) -> list[int]:
    """All chips by RULE 1."""
    rng = np.random.default_rng(seed)
    frames = list(_by_frame(places).values())
    order: list[int] = []
    for place in rng.permutation(len(frames)):
        numbers = frames[place]
        boxes = np.array([places[each].box for each in numbers])
        left_top = boxes[:, [0, 3]] * (1, -1)
        longer = int(np.argmax(np.ptp(left_top, axis=0)))
        along = numbers[np.lexsort((left_top[:, 1 - longer], left_top[:, longer]))].tolist()
        order += along[::-1] if rng.integers(2) else along
    return order


def apart(piece: Sequence[int], count: int, near: Neighbours) -> tuple[list[int], list[int]]:
    """Which of ``count`` chips are kept and which held out, of a ``piece`` of them: RULES 2 and 3.

    >>> apart([0, 1], 4, {0: [1], 1: [0, 2], 2: [1, 3], 3: [2]})
    ([3], [0, 1])
    """
    held = list(piece)
    while True:
        spoilt = set(held).union(*(near.get(each, ()) for each in held))
        kept = [each for each in range(count) if each not in spoilt]
        if kept or len(held) < 2:
            return kept, sorted(held)
        held.pop()


def _by_frame(places: Sequence[Place]) -> dict[Hashable, NDArray[np.intp]]:
    frames: dict[Hashable, list[int]] = {}
    for number, place in enumerate(places):
        frames.setdefault(place.frame, []).append(number)
    return {frame: np.array(numbers) for frame, numbers in frames.items()}


def _inner(place: Place) -> tuple[float, float, float, float]:
    left, bottom, right, top = place.box
    return left + place.slack, bottom + place.slack, right - place.slack, top - place.slack
