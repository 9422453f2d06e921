"""Losses on logits: one class or many, masked pixels nowhere. Formulas and sources: docs/losses.md.

    loss = build([{"name": "bce"}, {"name": "cldice", "weight": 0.5, "iterations": 5}])
    loss(logits, target).backward()

pixels      a term for each pixel: bce, cross_entropy, focal, modified_bce
regions     a ratio of sums: dice, squared_dice, jaccard; with a pixel's term: bce_dice, bce_iou
skeletons   a ratio of sums over centre lines: cldice
pairs       what all begin with: logits and target as one, checked
terms       names and numbers of a recipe to one loss

Logits are (N, K, H, W), target (N, H, W) of class indices and ``IGNORE``; a loss is a scalar in
fp32 (fp64 when the logits are). K = 1: the probability is a sigmoid, the labels are 0 and 1. K > 1:
a softmax. So two classes have the loss of the one whose logit is their difference; regions have it
with ``background=False``, and are averaged over both classes else.
"""

from terralink.losses.pixels import bce, cross_entropy, focal, modified_bce
from terralink.losses.regions import bce_dice, bce_iou, dice, jaccard, squared_dice
from terralink.losses.skeletons import cldice
from terralink.losses.terms import LOSSES, Loss, build, check

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
