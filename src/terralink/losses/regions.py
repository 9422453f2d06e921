"""Losses that compare areas, centre lines or two views: ratios of sums over a batch or an image.

Areas: each loss is written as (whole - common) / whole instead of 1 - common / whole. It is the
same number without the rounding, and 0 / 0 has an evident value.
``smooth`` is the term that papers add to numerator and denominator; with 0 it is the bare ratio.

With many classes the ratio is taken for each class and averaged over all of them, or over all but
class 0 with ``background=False``. Classes that the truth of a batch lacks count too: what is
predicted as them is wrong. ``over="image"`` averages the ratios of images with counted pixels.

Centre lines: clDice asks whether the centre line of each mask lies within the other mask, so gaps
weigh more than widths. Shit et al., *clDice - a Novel Topology-Preserving Loss Function for Tubular
Structure Segmentation*, CVPR 2021: algorithm 1 (soft skeleton) and equations 1 to 3.

Two views: strided convolutions see a scene that is shifted by a pixel differently, so a road is
found in one view and lost in the other. Two shifted views of a sample are both learned from, and
must get the same probability where they overlap (as Zhang 2019 measures it, and as consistency
regularisation asks for it; Sajjadi et al. 2016).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from terralink.errors import RecipeError
from terralink.losses.pixels import (
    Fraction,
    MaskedBatch,
    NonNegative,
    Positive,
    PositiveInt,
    bce,
    modified_bce,
)

Over = Literal["batch", "image"]


def dice(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "batch",
    smooth: NonNegative = 1.0,
    background: bool = True,
) -> Tensor:
    """1 - 2 sum(p y) / (sum(p) + sum(y)), over the batch (D-LinkNet, Zhou et al. 2018)."""
    batch = MaskedBatch.of(logits, target)
    prob, truth = batch.areas(background=background)
    missed, whole = prob + truth - 2 * prob * truth, prob + truth
    return _ratio(batch, missed, whole, over=over, smooth=smooth)


def squared_dice(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "image",
    smooth: NonNegative = 1.0,
    background: bool = True,
) -> Tensor:
    """1 - 2 sum(p y) / (sum(p^2) + sum(y^2)) (V-Net, Milletari et al. 2016; PP-LinkNet's eq. 4)."""
    batch = MaskedBatch.of(logits, target)
    prob, truth = batch.areas(background=background)
    missed, whole = (prob - truth) ** 2, prob**2 + truth**2
    return _ratio(batch, missed, whole, over=over, smooth=smooth)


def jaccard(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "batch",
    smooth: NonNegative = 1.0,
    background: bool = True,
) -> Tensor:
    """1 - sum(p y) / sum(p + y - p y), the soft intersection over union (Rahman and Wang 2016)."""
    batch = MaskedBatch.of(logits, target)
    prob, truth = batch.areas(background=background)
    missed, whole = prob + truth - 2 * prob * truth, prob + truth - prob * truth
    return _ratio(batch, missed, whole, over=over, smooth=smooth)


def bce_dice(
    logits: Tensor, target: Tensor, *, smooth: NonNegative = 1.0, background: bool = True
) -> Tensor:
    """``bce`` + ``dice``: the loss of D-LinkNet and P-LinkNet."""
    return bce(logits, target) + dice(logits, target, smooth=smooth, background=background)


def bce_iou(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Fraction = 0.25,
    gamma: PositiveInt = 3,
    beta: Fraction = 0.6,
    background: bool = True,
) -> Tensor:
    """beta ``modified_bce`` + (1 - beta) ``jaccard`` without ``smooth``: the loss of LinkNetB7."""
    entropy = modified_bce(logits, target, alpha=alpha, gamma=gamma)
    iou = jaccard(logits, target, smooth=0.0, background=background)
    return beta * entropy + (1 - beta) * iou


def _ratio(
    batch: MaskedBatch, missed: Tensor, whole: Tensor, *, over: Over, smooth: float
) -> Tensor:
    """Sums of ``missed`` over sums of ``whole``, averaged over classes, then images."""
    missed, whole = missed.sum((2, 3)), whole.sum((2, 3))
    seen = batch.counted.flatten(1).any(1)
    if over == "batch":
        missed, whole, seen = missed.sum(0)[None], whole.sum(0)[None], seen.any()[None]
    ratio = missed / (whole + smooth).clamp(min=torch.finfo(whole.dtype).tiny)
    return (ratio.mean(1) * seen).sum() / seen.sum().clamp(min=1)


def cldice(
    logits: Tensor,
    target: Tensor,
    *,
    iterations: PositiveInt = 10,
    smooth: Positive = 1.0,
    background: bool = False,
) -> Tensor:
    """1 - 2 a b / (a + b), over the batch; S(x) is the soft skeleton of x.

    a = sum(S(p) y) / sum(S(p)), the share of the predicted centre line that lies in the truth;
    b = sum(S(y) p) / sum(S(y)), the share of the true one that is predicted. ``smooth`` is added to
    all four sums. ``iterations`` is at least half the width, in px, of the widest road: wider areas
    have no skeleton. Many classes: the mean over all but class 0, which has none either
    (``background=True``: over all). For training, combine it with a loss of areas.
    """
    batch = MaskedBatch.of(logits, target)
    prob, truth = batch.areas(background=background)
    counted = batch.counted[:, None]
    thin_prob = soft_skeleton(prob, counted, iterations=iterations)
    thin_truth = soft_skeleton(truth, counted, iterations=iterations)
    precision = _fraction_within(thin_prob, truth, smooth)
    recall = _fraction_within(thin_truth, prob, smooth)
    return (1 - 2 * precision * recall / (precision + recall)).mean()


def soft_skeleton(area: Tensor, counted: Tensor, *, iterations: int) -> Tensor:
    """The sum of what an opening removes after each of ``iterations`` erosions; 0 to 1.

    ``area`` is (N, K, H, W) of 0 to 1, ``counted`` (N, 1, H, W). Pixels that do not count, like
    those beyond the border, neither erode their neighbours nor grow over them.
    """
    left = _erode(area, counted)
    skeleton = torch.relu(area - _dilate(left, counted))
    for _ in range(iterations):
        area, left = left, _erode(left, counted)
        ridge = torch.relu(area - _dilate(left, counted))
        skeleton = skeleton + (1 - skeleton) * ridge
    return skeleton * counted


def _erode(area: Tensor, counted: Tensor) -> Tensor:
    """The least of a pixel and its four neighbours."""
    hollow = torch.where(counted, -area, -torch.inf)
    across = max_pool2d(hollow, (1, 3), 1, (0, 1))
    down = max_pool2d(hollow, (3, 1), 1, (1, 0))
    return -torch.where(counted, torch.maximum(across, down), 0)


def _dilate(area: Tensor, counted: Tensor) -> Tensor:
    """The greatest of a pixel and its eight neighbours."""
    return max_pool2d(torch.where(counted, area, 0), 3, 1, 1)


def _fraction_within(line: Tensor, area: Tensor, smooth: float) -> Tensor:
    """(K,): the part of the line that lies in the area."""
    within, length = (line * area).sum((0, 2, 3)), line.sum((0, 2, 3))
    return (within + smooth) / (length + smooth)


@dataclass(frozen=True)
class Shift:
    """Two views of ``side_px`` of a larger sample; the second begins at (``down``, ``right``)."""

    down: int
    right: int
    side_px: int

    @classmethod
    def sample(cls, sample_px: int, max_px: int, rng: np.random.Generator) -> "Shift":
        """A random shift of 0 to ``max_px`` along each axis; views are smaller by ``max_px``.

        Raises ``RecipeError`` where nothing is left.
        """
        if max_px >= sample_px:
            raise RecipeError(
                f"a shift of {max_px} px leaves nothing of samples of {sample_px} px; "
                "make augment.crop_px larger"
            )
        down, right = (int(each) for each in rng.integers(0, max_px + 1, 2))
        return cls(down, right, sample_px - max_px)

    def views(self, samples: Tensor) -> Tensor:
        """(N, ..., H, W) -> (2 N, ..., side_px, side_px): the first views, then the second."""
        side = self.side_px
        first = samples[..., :side, :side]
        second = samples[..., self.down : self.down + side, self.right : self.right + side]
        return torch.cat([first, second])

    def disagreement(self, prob: Tensor) -> Tensor:
        """How much the probabilities (2 N, K, H, W) of the views differ in their overlap, 0 to 1.

        The sum of squared differences over the sums of squares, which does not vanish where roads
        are few. A sixteenth of the side is left out at the borders, where one view sees less.
        """
        first, second = prob.chunk(2)
        rows, cols = self.side_px - self.down, self.side_px - self.right
        border = self.side_px // 16
        inner = slice(border, rows - border), slice(border, cols - border)
        one = first[..., self.down :, self.right :][(..., *inner)]
        other = second[..., :rows, :cols][(..., *inner)]
        total = one.square().sum() + other.square().sum()
        return (one - other).square().sum() / total.clamp(min=1.0)
