"""What scores of things that are found or not share: their counts, and matching one to one."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Things that are there and how many were found; things predicted and how many are right.

    Things are buildings, pixels or points along roads. Parts add. A score without anything to judge
    by is nan; ``f1`` is 0 where one side is empty.

    >>> total = Matches(truth=4, found=3, pred=2, right=2) + Matches(pred=2, right=1)
    >>> total.recall, total.precision, round(total.f1, 2)
    (0.75, 0.75, 0.75)
    """

    truth: int = 0
    found: int = 0
    pred: int = 0
    right: int = 0

    def __add__(self, other: "Matches") -> "Matches":
        return Matches(
            self.truth + other.truth,
            self.found + other.found,
            self.pred + other.pred,
            self.right + other.right,
        )

    @property
    def precision(self) -> float:
        """How much of what is predicted is right; nan where nothing is."""
        return self.right / self.pred if self.pred else math.nan

    @property
    def recall(self) -> float:
        """How much of what is there was found; nan where nothing is."""
        return self.found / self.truth if self.truth else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of both; nan where there is neither truth nor prediction."""
        if not self.truth and not self.pred:
            return math.nan
        if not self.found or not self.right:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


@dataclass(frozen=True)
class Overlap:
    """Extent (pixels, m2) that truth and prediction share, and that of both together; parts add.

    >>> (Overlap(1, 2) + Overlap(2, 2)).iou
    0.75
    """

    shared: float = 0.0
    whole: float = 0.0

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.shared + other.shared, self.whole + other.whole)

    @property
    def iou(self) -> float:
        """Intersection over union; nan where there is neither truth nor prediction."""
        return self.shared / self.whole if self.whole else math.nan


def one_to_one(truth: Ints, pred: Ints) -> Ints:
    """The candidate pairs (k,) taken one after the other, best first, each thing at most once.

    A pair is taken when neither of its things is in a better one; pairs are the better the earlier
    they come. All pairs that are the first of both their things are taken at once.

    >>> one_to_one(np.array([0, 0, 1]), np.array([0, 1, 0])).tolist()
    [0]
    >>> one_to_one(np.array([0, 1, 1]), np.array([0, 0, 1])).tolist()
    [0, 2]
    """
    taken = np.zeros(len(truth), bool)
    left = np.arange(len(truth))
    while len(left):
        t, p = truth[left], pred[left]
        best = left[_is_first(t) & _is_first(p)]
        taken[best] = True
        left = left[~(np.isin(t, truth[best]) | np.isin(p, pred[best]))]
    return np.flatnonzero(taken)


def _is_first(things: Ints) -> NDArray[np.bool_]:
    """Where a thing, counted from 0, comes for the first time."""
    place = np.arange(len(things))
    first = np.empty(things.max() + 1, np.int64)
    first[things[::-1]] = place[::-1]  # of several values for one place the last stays
    return np.asarray(first[things] == place)
