"""Losses with a term for each pixel, and the masked batch that every loss starts with.

p_t is the probability of a pixel's true class. All losses here are functions of log p_t and
log(1 - p_t), which the margin gives without first rounding to 0 or 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from terralink.data.chips import IGNORE
from terralink.errors import InputError, RecipeError

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, eq=False)
class MaskedBatch:
    """Logits (N, K, H, W) of at least fp32; labels (N, H, W), int64; counted (N, H, W), bool.

    Where a pixel is not counted its logits and label are 0, so that not even a NaN has an effect.
    """

    logits: Tensor
    labels: Tensor
    counted: Tensor

    @classmethod
    def of(cls, logits: Tensor, target: Tensor) -> "MaskedBatch":
        """Check and mask; ``InputError`` for different sizes and for labels of no class."""
        if logits.ndim != 4 or logits[:, 0].shape != target.shape:
            raise InputError(
                f"logits {tuple(logits.shape)} and target {tuple(target.shape)} do not fit: "
                "expected (N, K, H, W) and (N, H, W)"
            )
        counted = target != IGNORE
        labels = torch.where(counted, target, 0).long()
        last = max(logits.shape[1], 2) - 1
        if ((labels < 0) | (labels > last)).any():
            raise InputError(
                f"labels are 0 to {last}, or {IGNORE} where masked; the target holds "
                f"{labels.min()} to {labels.max()}"
            )
        full = logits if logits.dtype == torch.float64 else logits.float()
        return cls(torch.where(counted[:, None], full, 0), labels, counted)

    @property
    def classes(self) -> int:
        """K: 1 for a sigmoid, else the classes of the softmax."""
        return self.logits.shape[1]

    def margins(self) -> Tensor:
        """(N, H, W): the logit of the true class against all others, so that p_t = sigmoid(margin).

        One class: x where the label is 1, -x elsewhere. Many: x_t - log(sum of exp(x_k), k != t).
        """
        if self.classes == 1:
            x = self.logits[:, 0]
            return torch.where(self.labels == 1, x, -x)
        true = self.labels[:, None]
        others = self.logits.scatter(1, true, -torch.inf).logsumexp(1)
        return self.logits.gather(1, true)[:, 0] - others

    def prob(self) -> Tensor:
        """(N, K, H, W): probability of each class, 0 where not counted."""
        many = self.classes > 1
        prob = self.logits.softmax(1) if many else self.logits.sigmoid()
        return prob * self.counted[:, None]

    def truth(self) -> Tensor:
        """(N, K, H, W): 1 at the class of the label, else 0; 0 where not counted."""
        first = 0 if self.classes > 1 else 1
        index = torch.arange(first, first + self.classes, device=self.labels.device)
        same = self.labels[:, None] == index[:, None, None]
        return (same & self.counted[:, None]).to(self.logits.dtype)

    def areas(self, *, background: bool) -> tuple[Tensor, Tensor]:
        """``prob`` and ``truth`` of one class, or of many with or without class 0."""
        first = int(self.classes > 1 and not background)
        return self.prob()[:, first:], self.truth()[:, first:]

    def mean(self, each: Tensor, weights: Tensor | float = 1.0) -> Tensor:
        """Mean of (N, H, W) over the counted pixels, weighted; 0 when there are none."""
        weights = weights * self.counted.to(each.dtype)
        return (each * weights).sum() / weights.sum().clamp(min=torch.finfo(each.dtype).tiny)


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, the mean of -log p_t: binary for one class, categorical for many.

    For one class -log p_t is -(y log p + (1 - y) log(1 - p)).

    >>> bce(torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2))
    tensor(0.6931)
    """
    batch = MaskedBatch.of(logits, target)
    return batch.mean(-logsigmoid(batch.margins()))


def cross_entropy(
    logits: Tensor, target: Tensor, *, class_weights: Sequence[Positive] | None = None
) -> Tensor:
    """Mean of -log p_t, weighted by the true class: sum(-w_t log p_t) / sum(w_t).

    ``class_weights`` begin with class 0, so K = 1 takes two; without them it is ``bce``.
    """
    if class_weights is None:
        return bce(logits, target)
    batch = MaskedBatch.of(logits, target)
    if len(class_weights) != max(batch.classes, 2):
        raise RecipeError(
            f"loss cross_entropy: class_weights has {len(class_weights)} numbers; expected one for "
            f"each of the {max(batch.classes, 2)} classes"
        )
    weights = batch.logits.new_tensor(list(class_weights))[batch.labels]
    return batch.mean(-logsigmoid(batch.margins()), weights)


def focal(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Fraction | None = 0.25,
    gamma: NonNegative = 0.5,
    frozen_weights: bool = False,
) -> Tensor:
    """Mean of -alpha_t (1 - p_t)^gamma log p_t (Lin et al. 2017; PP-LinkNet's equation 2).

    alpha_t is ``alpha`` for class 1 and above, 1 - ``alpha`` for class 0; None: 1 for all. With
    ``frozen_weights`` the gradient passes through log p_t alone, as in PP-LinkNet's published code.
    """
    batch = MaskedBatch.of(logits, target)
    margins = batch.margins()
    weights = torch.exp(gamma * logsigmoid(-margins))  # a power's slope at 0 is infinite
    if alpha is not None:
        weights = weights * torch.where(batch.labels > 0, alpha, 1 - alpha)
    if frozen_weights:
        weights = weights.detach()
    return batch.mean(-weights * logsigmoid(margins))


def modified_bce(
    logits: Tensor, target: Tensor, *, alpha: Fraction = 0.25, gamma: PositiveInt = 3
) -> Tensor:
    """alpha (1 - exp(-L))^gamma L, where L is the mean ``bce`` of the batch (LinkNetB7).

    Unlike focal loss it weighs the batch as a whole: its pixels keep their shares of the gradient.
    """
    entropy = bce(logits, target)
    return alpha * (-torch.expm1(-entropy)) ** gamma * entropy
