"""Losses that compare areas: ratios of sums over the pixels of a batch, or of an image.

Each is written as what is missed over what there is, (whole - common) / whole, instead of
1 - common / whole: the same number, without the rounding, and 0 / 0 has an evident answer.
``smooth`` is the term that papers add to numerator and denominator; with 0 it is the bare ratio.

With many classes the ratio is taken for each class and averaged over all of them, or over all but
class 0 with ``background=False``. Classes that the truth of a batch lacks count too: what is taken
for them is wrong. ``over="image"`` averages the ratios of the images that have counted pixels.
"""

from typing import Literal

import torch
from torch import Tensor

from terralink.losses.pairs import Pairs
from terralink.losses.pixels import NotNegative, Share, Whole, bce, modified_bce

Over = Literal["batch", "image"]


def dice(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "batch",
    smooth: NotNegative = 1.0,
    background: bool = True,
) -> Tensor:
    """1 - 2 sum(p y) / (sum(p) + sum(y)), over the batch (D-LinkNet, Zhou et al. 2018)."""
    pairs = Pairs.of(logits, target)
    prob, truth = pairs.areas(background=background)
    missed, whole = prob + truth - 2 * prob * truth, prob + truth
    return _ratio(pairs, missed, whole, over=over, smooth=smooth)


def squared_dice(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "image",
    smooth: NotNegative = 1.0,
    background: bool = True,
) -> Tensor:
    """1 - 2 sum(p y) / (sum(p^2) + sum(y^2)) (V-Net, Milletari et al. 2016; PP-LinkNet's eq. 4)."""
    pairs = Pairs.of(logits, target)
    prob, truth = pairs.areas(background=background)
    missed, whole = (prob - truth) ** 2, prob**2 + truth**2
    return _ratio(pairs, missed, whole, over=over, smooth=smooth)


def jaccard(
    logits: Tensor,
    target: Tensor,
    *,
    over: Over = "batch",
    smooth: NotNegative = 1.0,
    background: bool = True,
) -> Tensor:
    """1 - sum(p y) / sum(p + y - p y), the soft intersection over union (Rahman and Wang 2016)."""
    pairs = Pairs.of(logits, target)
    prob, truth = pairs.areas(background=background)
    missed, whole = prob + truth - 2 * prob * truth, prob + truth - prob * truth
    return _ratio(pairs, missed, whole, over=over, smooth=smooth)


def bce_dice(
    logits: Tensor, target: Tensor, *, smooth: NotNegative = 1.0, background: bool = True
) -> Tensor:
    """``bce`` + ``dice``: the loss of D-LinkNet and P-LinkNet."""
    return bce(logits, target) + dice(logits, target, smooth=smooth, background=background)


def bce_iou(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Share = 0.25,
    gamma: Whole = 3,
    beta: Share = 0.6,
    background: bool = True,
) -> Tensor:
    """beta ``modified_bce`` + (1 - beta) ``jaccard`` without ``smooth``: the loss of LinkNetB7."""
    entropy = modified_bce(logits, target, alpha=alpha, gamma=gamma)
    iou = jaccard(logits, target, smooth=0.0, background=background)
    return beta * entropy + (1 - beta) * iou


def _ratio(pairs: Pairs, missed: Tensor, whole: Tensor, *, over: Over, smooth: float) -> Tensor:
    """Sums of ``missed`` over sums of ``whole``, averaged over classes, then images."""
    missed, whole = missed.sum((2, 3)), whole.sum((2, 3))
    seen = pairs.counted.flatten(1).any(1)
    if over == "batch":
        missed, whole, seen = missed.sum(0)[None], whole.sum(0)[None], seen.any()[None]
    ratio = missed / (whole + smooth).clamp(min=torch.finfo(whole.dtype).tiny)
    return (ratio.mean(1) * seen).sum() / seen.sum().clamp(min=1)
