"""Losses on logits, for one class or many, with masked pixels. Formulas, sources: docs/losses.md.

    loss = build([{"name": "bce"}, {"name": "cldice", "weight": 0.5, "iterations": 5}])
    loss(logits, target).backward()

pixels      a term for each pixel: bce, cross_entropy, focal, modified_bce; and ``MaskedBatch``
regions     a ratio of sums: dice, squared_dice, jaccard, cldice; with bce: bce_dice, bce_iou
registry    the terms of a recipe to one loss

Logits are (N, K, H, W), target (N, H, W) of class indices and ``IGNORE``; a loss is a scalar in
fp32 (fp64 when the logits are). K = 1: the probability is a sigmoid, the labels are 0 and 1. K > 1:
a softmax. So two classes have the loss of the one whose logit is their difference; regions have it
with ``background=False``, and are averaged over both classes else.
"""

from terralink.losses.pixels import bce, cross_entropy, focal, modified_bce
from terralink.losses.regions import bce_dice, bce_iou, cldice, dice, jaccard, squared_dice
from terralink.losses.registry import LOSSES, Loss, build, check

__all__ = [
    "LOSSES",
    "Loss",
    "bce",
    "bce_dice",
    "bce_iou",
    "build",
    "check",
    "cldice",
    "cross_entropy",
    "dice",
    "focal",
    "jaccard",
    "modified_bce",
    "squared_dice",
]
