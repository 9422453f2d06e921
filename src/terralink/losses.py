"""Losses on logits. Logits are (N, K, H, W); targets (N, H, W) of class indices, ``IGNORE`` apart.

With K = 1 the target is 0 or 1 and the probability a sigmoid. Ignored pixels count nowhere.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from terralink.data.chips import IGNORE
from terralink.errors import RecipeError, unknown

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over counted pixels; K = 1."""
    truth, counted = _binary(target, logits)
    each = F.binary_cross_entropy_with_logits(logits[:, 0], truth, reduction="none")
    return (each * counted).sum() / counted.sum().clamp(min=1)


def dice(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """1 - 2 |PT| / (|P| + |T|) over the whole batch, as D-LinkNet takes it (Zhou et al. 2018)."""
    truth, counted = _binary(target, logits)
    prob = torch.sigmoid(logits[:, 0]) * counted
    both, either = (prob * truth).sum(), prob.sum() + (truth * counted).sum()
    return 1 - (2 * both + smooth) / (either + smooth)


def bce_dice(logits: Tensor, target: Tensor) -> Tensor:
    """D-LinkNet's loss: BCE + Dice."""
    return bce(logits, target) + dice(logits, target)


def _binary(target: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Truth and counted pixels as 0 or 1, in the type of the logits."""
    return (target == 1).to(logits.dtype), (target != IGNORE).to(logits.dtype)


LOSSES: dict[str, Loss] = {"bce": bce, "dice": dice, "bce_dice": bce_dice}


def by_name(name: str) -> Loss:
    """The loss of that name; ``RecipeError`` when there is none."""
    if name not in LOSSES:
        raise RecipeError(unknown("loss", name, LOSSES))
    return LOSSES[name]
