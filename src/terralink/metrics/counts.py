"""Counts that add, and the ratios that are divided once, at the end.

``Confusion`` counts pixels by class, ``DetectionCounts`` what is found and missed, ``Overlap``
areas.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terralink.errors import InputError

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Confusion:
    """``counts[t, p]`` pixels of class t that were predicted as class p.

    Every score is an array (K,), one value a class. A class that is neither in the truth nor in the
    prediction has nothing to be judged by: its scores are nan, which ``np.nanmean`` leaves out.
    Where only the denominator of one score is empty (nothing predicted: precision; nothing there:
    recall), that score is 0, as IoU and F1 are: the class was missed or made up.

    >>> part = Confusion.of([[1, 1, 0]], [[1, 0, 0]])
    >>> total = part + Confusion.of([[0, 1]], [[0, 1]])
    >>> total.counts.tolist()
    [[2, 0], [1, 2]]
    >>> total.iou().round(3).tolist(), total.accuracy()
    ([0.667, 0.667], 0.8)
    """

    counts: NDArray[np.int64]

    @classmethod
    def zero(cls, num_classes: int = 2) -> "Confusion":
        """No pixels yet: the start of a sum."""
        return cls(np.zeros((num_classes, num_classes), np.int64))

    @classmethod
    def of(
        cls,
        truth: ArrayLike,
        pred: ArrayLike,
        *,
        num_classes: int = 2,
        valid: ArrayLike | None = None,
    ) -> "Confusion":
        """Count class numbers (or booleans) of one shape; pixels that are not ``valid`` are not.

        Raises ``InputError`` where shapes differ or a valid pixel is of no class 0..K-1.
        """
        t, p = np.asarray(truth), np.asarray(pred)
        mask = np.ones(t.shape, bool) if valid is None else np.asarray(valid, bool)
        if not t.shape == p.shape == mask.shape:
            shapes = f"{t.shape}, {p.shape} and {mask.shape}"
            raise InputError(f"truth, prediction and valid are of one shape, not {shapes}")
        t, p = (_check_classes(classes[mask], num_classes) for classes in (t, p))
        counts = np.bincount(t * num_classes + p, minlength=num_classes**2)
        return cls(counts.reshape(num_classes, num_classes))

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.counts + other.counts)

    @property
    def num_classes(self) -> int:
        return len(self.counts)

    def iou(self) -> NDArray[np.float64]:
        """(K,) intersection over union."""
        return self._over(self._actual + self._predicted - self._hit)

    def f1(self) -> NDArray[np.float64]:
        """(K,) harmonic mean of precision and recall; for pixels also called Dice."""
        return 2 * self._over(self._actual + self._predicted)

    def precision(self) -> NDArray[np.float64]:
        """(K,) how much of what is predicted is there."""
        return self._over(self._predicted)

    def recall(self) -> NDArray[np.float64]:
        """(K,) how much of what is there is predicted."""
        return self._over(self._actual)

    def accuracy(self) -> float:
        """Pixels of the right class over all pixels; nan without any."""
        total = self.counts.sum()
        return float(self._hit.sum() / total) if total else math.nan

    def kappa(self) -> float:
        """Accuracy above that of chance (Cohen 1960); nan where one class is all there is."""
        total = float(self.counts.sum())
        by_chance = float((self._actual / max(total, 1)) @ (self._predicted / max(total, 1)))
        return (self.accuracy() - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan

    def image_iou(self, of_class: int = 1, *, empty: float = 1.0) -> "ImageMean":
        """The IoU of one class, to be averaged over images rather than pixels.

        The rule of the road papers: an image where neither truth nor prediction has the class
        counts as ``empty``, 1 by default; nan leaves it out. An image without a valid pixel has
        nothing to judge: it is left out whatever ``empty`` is.

        >>> parts = Confusion.of([1, 0], [1, 1]), Confusion.of([0, 0], [0, 0])
        >>> sum((part.image_iou() for part in parts), start=ImageMean()).mean
        0.75
        """
        if not self.counts.any():
            return ImageMean.of(math.nan)
        iou = float(self.iou()[of_class])
        return ImageMean.of(empty if math.isnan(iou) else iou)

    @property
    def _hit(self) -> NDArray[np.int64]:
        return np.diagonal(self.counts)

    @property
    def _actual(self) -> NDArray[np.int64]:
        return np.asarray(self.counts.sum(axis=1))

    @property
    def _predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.counts.sum(axis=0))

    def _over(self, whole: NDArray[np.int64]) -> NDArray[np.float64]:
        known = self._actual + self._predicted > 0
        return np.where(known, self._hit / np.maximum(whole, 1), np.nan)


@dataclass(frozen=True)
class ImageMean:
    """Mean of one score an image; parts add.

    total     sum of the scores
    images    how many images have one
    left_out  how many have none: they do not count in the mean

    >>> both = ImageMean.of(0.5) + ImageMean.of(math.nan)
    >>> both.mean, both.images, both.left_out
    (0.5, 1, 1)
    """

    total: float = 0.0
    images: int = 0
    left_out: int = 0

    @classmethod
    def of(cls, score: float) -> "ImageMean":
        """One image; one with a score of nan is left out."""
        return cls(left_out=1) if math.isnan(score) else cls(score, 1)

    def __add__(self, other: "ImageMean") -> "ImageMean":
        return ImageMean(
            self.total + other.total,
            self.images + other.images,
            self.left_out + other.left_out,
        )

    @property
    def mean(self) -> float:
        """Every image counts the same; nan without any."""
        return self.total / self.images if self.images else math.nan


def _check_classes(classes: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    if classes.dtype.kind not in "bui":
        raise InputError(f"class numbers are wanted, not {classes.dtype}: threshold it first")
    if classes.size and not (classes.min() >= 0 and classes.max() < num_classes):
        raise InputError(
            f"classes are 0 to {num_classes - 1}, not {classes.min()} to {classes.max()}: "
            "mark others as not valid"
        )
    return classes.astype(np.int64)


@dataclass(frozen=True)
class DetectionCounts:
    """Things that are there and how many were found; things predicted and how many are right.

    Things are buildings, pixels or points along roads. Parts add. A score without anything to judge
    by is nan; ``f1`` is 0 where one side is empty.

    >>> part = DetectionCounts(truth=4, matched_truth=3, pred=2, matched_pred=2)
    >>> total = part + DetectionCounts(pred=2, matched_pred=1)
    >>> total.recall, total.precision, round(total.f1, 2)
    (0.75, 0.75, 0.75)
    """

    truth: int = 0
    matched_truth: int = 0
    pred: int = 0
    matched_pred: int = 0

    def __add__(self, other: "DetectionCounts") -> "DetectionCounts":
        return DetectionCounts(
            self.truth + other.truth,
            self.matched_truth + other.matched_truth,
            self.pred + other.pred,
            self.matched_pred + other.matched_pred,
        )

    @property
    def precision(self) -> float:
        """How much of what is predicted is right; nan where nothing is."""
        return self.matched_pred / self.pred if self.pred else math.nan

    @property
    def recall(self) -> float:
        """How much of what is there was found; nan where nothing is."""
        return self.matched_truth / self.truth if self.truth else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of both; nan where there is neither truth nor prediction."""
        if not self.truth and not self.pred:
            return math.nan
        if not self.matched_truth or not self.matched_pred:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


@dataclass(frozen=True)
class Overlap:
    """Extent (pixels, m2) that truth and prediction share, and that of both together; parts add.

    >>> (Overlap(1, 2) + Overlap(2, 2)).iou
    0.75
    """

    intersection: float = 0.0
    union: float = 0.0

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.intersection + other.intersection, self.union + other.union)

    @property
    def iou(self) -> float:
        """Intersection over union; nan where there is neither truth nor prediction."""
        return self.intersection / self.union if self.union else math.nan


def match_one_to_one(truth: Ints, pred: Ints) -> Ints:
    """The candidate pairs (k,) taken one after the other, best first, each thing at most once.

    A pair is taken when neither of its things is in a better one; pairs are the better the earlier
    they come. All pairs that are the first of both their things are taken at once.

    >>> match_one_to_one(np.array([0, 0, 1]), np.array([0, 1, 0])).tolist()
    [0]
    >>> match_one_to_one(np.array([0, 1, 1]), np.array([0, 0, 1])).tolist()
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
