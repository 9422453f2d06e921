"""Losses with a term for each pixel. p_t is the probability of the pixel's true class.

All come down to log p_t and log(1 - p_t), which the margin gives without rounding to 0 or 1 first.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from terralink.errors import RecipeError
from terralink.losses.pairs import Pairs

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Whole = Annotated[int, Field(ge=1)]


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, the mean of -log p_t: binary for one class, categorical for many.

    For one class -log p_t is -(y log p + (1 - y) log(1 - p)).

    >>> bce(torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2))
    tensor(0.6931)
    """
    pairs = Pairs.of(logits, target)
    return pairs.mean(-logsigmoid(pairs.margins()))


def cross_entropy(
    logits: Tensor, target: Tensor, *, class_weights: Sequence[Positive] | None = None
) -> Tensor:
    """Mean of -log p_t, weighted by the true class: sum(-w_t log p_t) / sum(w_t).

    ``class_weights`` begin with class 0, so K = 1 takes two; without them it is ``bce``.
    """
    if class_weights is None:
        return bce(logits, target)
    pairs = Pairs.of(logits, target)
    if len(class_weights) != max(pairs.classes, 2):
        raise RecipeError(
            f"loss cross_entropy: class_weights holds {len(class_weights)} numbers; wanted one for "
            f"each of the {max(pairs.classes, 2)} classes"
        )
    weights = pairs.logits.new_tensor(list(class_weights))[pairs.labels]
    return pairs.mean(-logsigmoid(pairs.margins()), weights)


def focal(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Share | None = 0.25,
    gamma: NotNegative = 0.5,
    frozen_weights: bool = False,
) -> Tensor:
    """Mean of -alpha_t (1 - p_t)^gamma log p_t (Lin et al. 2017; PP-LinkNet's equation 2).

    alpha_t is ``alpha`` for class 1 and above, 1 - ``alpha`` for class 0; None: 1 for all. With
    ``frozen_weights`` the gradient passes through log p_t alone, as in PP-LinkNet's published code.
    """
    pairs = Pairs.of(logits, target)
    margins = pairs.margins()
    weights = torch.exp(gamma * logsigmoid(-margins))  # a power's slope at 0 is infinite
    if alpha is not None:
        weights = weights * torch.where(pairs.labels > 0, alpha, 1 - alpha)
    if frozen_weights:
        weights = weights.detach()
    return pairs.mean(-weights * logsigmoid(margins))


def modified_bce(
    logits: Tensor, target: Tensor, *, alpha: Share = 0.25, gamma: Whole = 3
) -> Tensor:
    """alpha (1 - exp(-L))^gamma L, where L is the mean ``bce`` of the batch (LinkNetB7).

    Unlike focal loss it weighs the batch as a whole: its pixels keep their shares of the gradient.
    """
    entropy = bce(logits, target)
    return alpha * (-torch.expm1(-entropy)) ** gamma * entropy
