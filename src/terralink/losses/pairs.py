"""What every loss begins with: a batch of logits with its labels, and which pixels count."""

from dataclasses import dataclass

import torch
from torch import Tensor

from terralink.data.chips import IGNORE
from terralink.errors import InputError


@dataclass(frozen=True, eq=False)
class Pairs:
    """Logits (N, K, H, W) of at least fp32; labels (N, H, W), int64; counted (N, H, W), bool.

    Where a pixel is not counted its logits and its label are 0, so that not even a nan gets out.
    """

    logits: Tensor
    labels: Tensor
    counted: Tensor

    @classmethod
    def of(cls, logits: Tensor, target: Tensor) -> "Pairs":
        """Put them together; ``InputError`` for other sizes and for labels outside the classes."""
        if logits.ndim != 4 or logits[:, 0].shape != target.shape:
            raise InputError(
                f"logits {tuple(logits.shape)} and target {tuple(target.shape)} do not fit: wanted "
                "(N, K, H, W) and (N, H, W)"
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
