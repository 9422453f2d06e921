"""Counts that add, and the ratios that are divided once, at the end.

``Confusion`` counts pixels by class, ``DetectionCounts`` what is found and missed, ``Overlap``
areas.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terralink._typing import Ints
from terralink.errors import InputError


@dataclass(frozen=True, eq=False)
class Confusion:
    """``counts[t, p]`` (K, K) pixels of class t that were predicted as class p.

    Each score is an array (K,), one value for each class. A class that is neither in the truth nor
    in the prediction has the score nan, which ``np.nanmean`` leaves out. If the class is in one of
    them only, all its scores are 0, also where the denominator is 0 (precision without predicted
    pixels, recall without true ones).

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
        """No pixels: the start of a sum."""
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
        """Count the pixels of two arrays of class numbers or booleans of the same shape.

        Pixels that are not ``valid`` do not count. Raises ``InputError`` for different shapes, and
        for a valid pixel whose class is not in 0..K-1.
        """
        t, p = np.asarray(truth), np.asarray(pred)
        mask = np.ones(t.shape, bool) if valid is None else np.asarray(valid, bool)
        if not t.shape == p.shape == mask.shape:
            shapes = f"{t.shape}, {p.shape} and {mask.shape}"
            raise InputError(f"truth, prediction and valid must have one shape, not {shapes}")
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
        return self._over(self._truth_totals + self._pred_totals - self._hit)

    def f1(self) -> NDArray[np.float64]:
        """(K,) harmonic mean of precision and recall, also called Dice."""
        return 2 * self._over(self._truth_totals + self._pred_totals)

    def precision(self) -> NDArray[np.float64]:
        """(K,) share of the predicted pixels that are true."""
        return self._over(self._pred_totals)

    def recall(self) -> NDArray[np.float64]:
        """(K,) share of the true pixels that are predicted."""
        return self._over(self._truth_totals)

    def accuracy(self) -> float:
        """Share of pixels with the right class; nan without pixels."""
        total = self.counts.sum()
        return float(self._hit.sum() / total) if total else math.nan

    def kappa(self) -> float:
        """Cohen's kappa (Cohen 1960): accuracy above chance; nan if there is one class only."""
        total = float(self.counts.sum())
        expected = float((self._truth_totals / max(total, 1)) @ (self._pred_totals / max(total, 1)))
        return (self.accuracy() - expected) / (1 - expected) if expected < 1 else math.nan

    def image_iou(self, of_class: int = 1, *, empty: float = 1.0) -> "ImageMean":
        """The IoU of one class, for a mean over images instead of pixels.

        As in the road papers, an image with the class in neither truth nor prediction counts as
        ``empty``, 1 by default; nan leaves it out. An image without a valid pixel is always left
        out.

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
    def _truth_totals(self) -> NDArray[np.int64]:
        return np.asarray(self.counts.sum(axis=1))

    @property
    def _pred_totals(self) -> NDArray[np.int64]:
        return np.asarray(self.counts.sum(axis=0))

    def _over(self, whole: NDArray[np.int64]) -> NDArray[np.float64]:
        known = self._truth_totals + self._pred_totals > 0
        return np.where(known, self._hit / np.maximum(whole, 1), np.nan)


@dataclass(frozen=True)
class ImageMean:
    """Mean of a score over images; values of several sets add.

    total     sum of the scores
    images    number of images with a score
    left_out  number of images without one, which are not in the mean

    >>> both = ImageMean.of(0.5) + ImageMean.of(math.nan)
    >>> both.mean, both.images, both.left_out
    (0.5, 1, 1)
    """

    total: float = 0.0
    images: int = 0
    left_out: int = 0

    @classmethod
    def of(cls, score: float) -> "ImageMean":
        """The score of one image; nan leaves it out."""
        return cls(left_out=1) if math.isnan(score) else cls(score, 1)

    def __add__(self, other: "ImageMean") -> "ImageMean":
        return ImageMean(
            self.total + other.total,
            self.images + other.images,
            self.left_out + other.left_out,
        )

    @property
    def mean(self) -> float:
        """The mean, where each image has the same weight; nan without images."""
        return self.total / self.images if self.images else math.nan


def _check_classes(classes: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    if classes.dtype.kind not in "bui":
        raise InputError(
            f"class numbers must be integers, not {classes.dtype}: apply a threshold first"
        )
    if classes.size and not (classes.min() >= 0 and classes.max() < num_classes):
        raise InputError(
            f"classes are 0 to {num_classes - 1}, not {classes.min()} to {classes.max()}: "
            "mark others as not valid"
        )
    return classes.astype(np.int64)


@dataclass(frozen=True)
class DetectionCounts:
    """Numbers of true and predicted objects, and how many of each are matched.

    Objects are buildings, pixels or points along roads. Counts of several areas add. A ratio
    without a denominator is nan; ``f1`` is 0 if one side is empty.

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
        """Share of predicted objects that are matched; nan without any."""
        return self.matched_pred / self.pred if self.pred else math.nan

    @property
    def recall(self) -> float:
        """Share of true objects that are matched; nan without any."""
        return self.matched_truth / self.truth if self.truth else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan without any objects."""
        if not self.truth and not self.pred:
            return math.nan
        if not self.matched_truth or not self.matched_pred:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


@dataclass(frozen=True)
class Overlap:
    """Intersection and union of truth and prediction (pixels or m2); values of several areas add.

    >>> (Overlap(1, 2) + Overlap(2, 2)).iou
    0.75
    """

    intersection: float = 0.0
    union: float = 0.0

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.intersection + other.intersection, self.union + other.union)

    @property
    def iou(self) -> float:
        """Intersection over union; nan if both are empty."""
        return self.intersection / self.union if self.union else math.nan


def match_one_to_one(truth: Ints, pred: Ints) -> Ints:
    """The rows of matched pairs, out of candidate pairs (k,) that are sorted best first.

    Greedy matching: a pair is matched if neither of its objects is in a better matched pair. All
    pairs that are the first of both their objects are matched in one step.

    >>> match_one_to_one(np.array([0, 0, 1]), np.array([0, 1, 0])).tolist()
    [0]
    >>> match_one_to_one(np.array([0, 1, 1]), np.array([0, 0, 1])).tolist()
    [0, 2]
    """
    matched = np.zeros(len(truth), bool)
    candidates = np.arange(len(truth))
    while len(candidates):
        t, p = truth[candidates], pred[candidates]
        best = candidates[_is_first(t) & _is_first(p)]
        matched[best] = True
        candidates = candidates[~(np.isin(t, truth[best]) | np.isin(p, pred[best]))]
    return np.flatnonzero(matched)


def _is_first(objects: Ints) -> NDArray[np.bool_]:
    """(k,) whether an object number occurs for the first time."""
    index = np.arange(len(objects))
    first = np.empty(objects.max() + 1, np.int64)
    first[objects[::-1]] = index[::-1]  # of several values for one index the last one stays
    return np.asarray(first[objects] == index)
