"""Splits into training and validation, also of chips that share ground.

Windows that overlap cannot be drawn one by one: each validation window would exclude the eight
around it from training. So a run of neighbours is chosen.

RULE 1: scenes come in an order by seed; within one, windows follow each other along its longer
        side, from one end or the other. The validation set is a piece of this order.
RULE 2: what shares a pixel with a validation window is left out of training.
RULE 3: where that leaves nothing to train on, the validation set shrinks from the end.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt, model_validator

from terralink.data.schema import StrictModel

Overlaps = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Footprint:
    """Where a chip lies: ``box`` (left, bottom, right, top) in the plane of ``frame``.

    Chips of one frame, such as a scene or a CRS, may share ground; those of two do not. What they
    share by less than ``slack`` is a rounding error.
    """

    frame: Hashable
    box: tuple[float, float, float, float]
    slack: float = 0.01


def find_overlaps(
    footprints: Sequence[Footprint], groups: Sequence[Hashable]
) -> dict[int, list[int]]:
    """For each chip that shares ground with chips of other groups the numbers of those.

    >>> side = [Footprint("a", (x, 0, x + 10, 10)) for x in (0, 8, 20)]
    >>> find_overlaps([*side, Footprint("b", (0, 0, 10, 10))], range(4))
    {0: [1], 1: [0]}
    """
    found: dict[int, list[int]] = {}
    for numbers in _group_by_frame(footprints).values():
        boxes = shapely.box(*np.array([_shrink(footprints[each]) for each in numbers]).T)
        for one, other in numbers[shapely.STRtree(boxes).query(boxes, "intersects")].T.tolist():
            if groups[one] != groups[other]:
                found.setdefault(one, []).append(other)
    return found


def order_along(footprints: Sequence[Footprint], seed: int) -> list[int]:
    """All chips by RULE 1."""
    rng = np.random.default_rng(seed)
    frames = list(_group_by_frame(footprints).values())
    order: list[int] = []
    for place in rng.permutation(len(frames)):
        numbers = frames[place]
        boxes = np.array([footprints[each].box for each in numbers])
        left_top = boxes[:, [0, 3]] * (1, -1)
        longer = int(np.argmax(np.ptp(left_top, axis=0)))
        along = numbers[np.lexsort((left_top[:, 1 - longer], left_top[:, longer]))].tolist()
        order += along[::-1] if rng.integers(2) else along
    return order


def separate(piece: Sequence[int], count: int, near: Overlaps) -> tuple[list[int], list[int]]:
    """Which of ``count`` chips are kept and which held out, of a ``piece`` of them: RULES 2 and 3.

    >>> separate([0, 1], 4, {0: [1], 1: [0, 2], 2: [1, 3], 3: [2]})
    ([3], [0, 1])
    """
    val = list(piece)
    while True:
        excluded = set(val).union(*(near.get(each, ()) for each in val))
        train = [each for each in range(count) if each not in excluded]
        if train or len(val) < 2:
            return train, sorted(val)
        val.pop()


def _group_by_frame(footprints: Sequence[Footprint]) -> dict[Hashable, NDArray[np.intp]]:
    frames: dict[Hashable, list[int]] = {}
    for number, place in enumerate(footprints):
        frames.setdefault(place.frame, []).append(number)
    return {frame: np.array(numbers) for frame, numbers in frames.items()}


def _shrink(place: Footprint) -> tuple[float, float, float, float]:
    left, bottom, right, top = place.box
    return left + place.slack, bottom + place.slack, right - place.slack, top - place.slack


T = TypeVar("T")


class Split(StrictModel):
    """What is held out of a source: one of ``folds``, or ``held_out`` of its groups; by ``seed``.

    A group is a chip, unless the source says which chips must stay together.
    """

    folds: PositiveInt | None = None
    fold: NonNegativeInt = 0
    held_out: PositiveInt | None = None
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.folds is None) == (self.held_out is None):
            raise ValueError("say either folds or held_out")
        if self.folds is not None and not self.fold < self.folds:
            raise ValueError(f"fold {self.fold} is none of 0 to {self.folds - 1}")
        return self

    def choose_val(self, count: int) -> list[int]:
        """Which of ``count`` groups are held out, the same for ever."""
        order = np.random.default_rng(self.seed).permutation(count)
        return sorted(self.choose_from(order.tolist()))

    def choose_from(self, order: Sequence[T]) -> list[T]:
        """What of an order of groups is held out."""
        if self.held_out is not None:
            return list(order[: self.held_out])
        numbers = np.array_split(np.arange(len(order)), self.folds or 1)[self.fold]
        return [order[number] for number in numbers]
